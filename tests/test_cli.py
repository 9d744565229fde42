"""The commands do what they say, and wrong input ends in one line."""

import csv
import errno
import subprocess
import sys

import gymnasium
import pytest
from make.bench import worlds as bench
from make.bench.measure import measure

from sensei_lite import cli
from sensei_lite.presets import AGENTS, PRESETS
from sensei_lite.training.plan import PLANS
from sensei_lite.worlds import KeyRoom


def test_the_command_line_offers_every_agent_and_preset():
    assert set(PRESETS) == set(PLANS)
    assert {agent for plan in PLANS.values() for agent in plan.agents} <= set(AGENTS)


def test_the_bench_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "BATCHES", (1, 4))
    monkeypatch.setattr(bench, "_peers", lambda: iter([("a peer", gymnasium.make("SenseiLite/KeyRoom-v0"))]))
    monkeypatch.setattr(bench, "_ours", lambda: [("KeyRoom", KeyRoom(size=4, decorations=0))])
    rows = bench.bench_worlds(tmp_path / "worlds.csv", repeats=1)
    with (tmp_path / "worlds.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [row["steps_per_second"] for row in written] == [str(row["steps_per_second"]) for row in rows]
    assert all(int(row["steps_per_second"]) > 0 for row in written)
    bench.print_table(rows)
    assert "KeyRoom" in capsys.readouterr().out


def test_a_measurement_leaves_the_first_call_out():
    calls = []
    speed = measure(lambda: calls.append(1), repeats=3)
    assert len(calls) == 4
    assert speed.fastest <= speed.median <= speed.slowest


def test_the_command_line_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        command("--help")
    assert end.value.code == 0
    assert {"run", "study"} <= set(capsys.readouterr().out.split())


def test_a_process_that_cannot_write_its_folder_ends_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    call = [sys.executable, "-m", "sensei_lite", "run", "--preset", "smoke", "--folder", str(tmp_path / "file")]
    told = subprocess.run(call, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith("sensei-lite: ")
    assert "Traceback" not in told.stderr


def test_training_by_command_goes_on_where_it_stopped(tmp_path, command):
    settings = ("--settings", "size=4", "decorations=0", "max_steps=9")
    folder = ("--folder", tmp_path / "run", "--preset", "smoke", "--agent", "task")
    for updates in ("2", "4"):
        command("train", *folder, "--updates", updates, *settings)
    with (tmp_path / "run" / "events.csv").open() as file:
        assert [row["updates"] for row in csv.DictReader(file)] == ["2", "4"]
    with pytest.raises(SystemExit, match=r"world.max_steps was 9 and is 100"):
        command("train", *folder, "--updates", "4", "--settings", "size=5")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--settings", "size"), "a setting is written name=value, and 'size' has no '='"),
        (("--settings", "siez=4"), "keyroom has no setting siez"),
        (("--world", "keyrom"), "there is no world called 'keyrom'"),
        (("--updates", "7"), "updates is 7; it must be a multiple of chunk_updates (2)"),
    ],
)
def test_wrong_training_ends_in_one_line(tmp_path, command, arguments, complaint):
    with pytest.raises(SystemExit) as end:
        command("train", "--folder", tmp_path, "--preset", "smoke", *arguments)
    assert end.value.code.startswith("sensei-lite: ")
    assert complaint in end.value.code
    assert "\n" not in end.value.code


def test_a_full_disk_is_no_end(monkeypatch):
    def report() -> None:
        """Write."""
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(cli.COMMANDS, "report", report)
    monkeypatch.setattr(sys, "argv", ["sensei-lite", "report"])
    with pytest.raises(SystemExit, match=r"No space left.*make room, and the same command goes on"):
        cli.main()
