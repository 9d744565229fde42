"""A person can play a world in the terminal."""

import os
import pty
import select
import subprocess
import sys
import time

import numpy as np
import pytest

from sensei_lite.course.widgets.key_game import KEYS, Game, fitting, half_blocks, main
from sensei_lite.worlds import KeyRoom
from sensei_lite.worlds.grid.oracle import shortest_plan


def test_a_game_can_be_won_and_started_again():
    game = Game(KeyRoom(), seed=1)
    first = game.picture()
    for action in shortest_plan(game.world, game.state):
        game.act(game.world.actions.names[action])
    assert game.over == "solved!"
    assert game.reward == 1.0
    assert game.log[-1].endswith("exit reached")
    steps = game.steps
    game.act("north")
    assert game.steps == steps, "nothing happens after the end"
    game.new_episode()
    assert (game.picture() != first).any()
    assert game.status() == "step 0 of 100   reward 0"


def test_every_key_is_an_action_of_some_world():
    assert set(KEYS.values()) == set(KeyRoom(moves=8).actions.names)
    game = Game(KeyRoom())
    game.act("north-east")
    assert game.steps == 0, "a four-move world has no diagonals"


def test_half_blocks_show_every_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (5, 3, 3), dtype=np.uint8)
    lines = half_blocks(picture)
    assert len(lines) == 3
    assert lines[0].count("▀") == 3
    r, g, b = map(int, picture[1, 2])
    assert f"48;2;{r};{g};{b}m" in lines[0]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60), (40, 10)])
def test_the_picture_fits_the_terminal(columns, lines):
    height, width, _ = fitting(KeyRoom(), columns, lines).image_shape
    assert width <= columns or fitting(KeyRoom(), columns, lines).tile_pixels == 4
    assert height // 2 + 6 <= lines or fitting(KeyRoom(), columns, lines).tile_pixels == 4


def test_without_a_terminal_it_says_so(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["keyroom"])
    assert stop.value.code == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_an_unknown_world_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["keyrom"])
    assert "keyroom-s15" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a Unix thing")
def test_the_real_program_in_a_real_terminal():
    """Start it, walk, start a new episode, leave: it answers every key and gives the terminal back."""
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "sensei_lite.course.widgets.key_game", "keyroom", "--seed", "3"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)

    def read_until(text: str, seconds: float = 90) -> str:
        seen, deadline = "", time.time() + seconds
        while text not in seen and time.time() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 65536).decode(errors="ignore")
        assert text in seen, f"waited for {text!r}, saw {seen[-300:]!r}"
        return seen

    try:
        assert "▀" in read_until("step 0 of 100")
        os.write(master, b"\x1b[C")
        read_until("step 1 of 100")
        os.write(master, b" ")
        read_until("step 2 of 100")
        os.write(master, b"n")
        read_until("step 0 of 100")
        os.write(master, b"x")
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(master)
        os.close(slave)
