"""Bars of notebooks: what is left of them."""

import pytest

from sensei_lite.course.widgets import progress


class Place:
    """Stands for an output of a notebook."""

    def __init__(self) -> None:
        self.shown: list[object] = []

    def update(self, data, raw=False):
        self.shown.append(data)


@pytest.fixture
def place(monkeypatch):
    """Where the next bar is shown."""
    found = Place()

    def display(thing, display_id):
        assert display_id
        found.shown.append(thing)
        return found

    monkeypatch.setattr(progress, "display", display)
    return found


EMPTY = {"text/html": "", "text/plain": ""}


def test_a_bar_that_ends_leaves_an_empty_output(place):
    assert list(progress.tqdm(range(3), desc="seeds", leave=False)) == [0, 1, 2]
    assert len(place.shown) == 2, "the bar, and then nothing"
    assert place.shown[-1] == EMPTY


def test_so_does_a_loop_that_is_left_early(place):
    for number in progress.tqdm(range(3), leave=False):
        if number == 1:
            break
    assert place.shown[-1] == EMPTY


def test_so_does_a_bar_that_is_moved_by_hand(place):
    with progress.tqdm(total=4, leave=False) as bar:
        bar.update(2)
        assert bar.n == 2
        bar.set_postfix(kl="1.0")
    assert place.shown[-1] == EMPTY
    bar.close()


def test_a_bar_that_shall_stay_stays(place):
    list(progress.tqdm(range(3), leave=True))
    assert len(place.shown) == 1


def test_a_bar_can_be_turned_off(place):
    assert list(progress.tqdm(range(3), disable=True)) == [0, 1, 2]
    assert place.shown == []


def test_without_a_notebook_it_does_no_harm(capsys):
    assert sum(progress.tqdm(range(3), leave=False)) == 3
