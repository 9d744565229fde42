"""What a notebook begins and ends with."""

import re

import matplotlib
import pytest

from sensei_lite.course.notebook import start_notebook, study_table


@pytest.mark.parametrize(("preset", "smoke"), [("smoke", True), ("lab", False), (None, False)])
def test_numbers_are_small_for_the_smoke_preset_only(monkeypatch, preset, smoke):
    monkeypatch.delenv("SENSEI_LITE_PRESET", raising=False)
    if preset:
        monkeypatch.setenv("SENSEI_LITE_PRESET", preset)
    with matplotlib.rc_context():
        assert start_notebook().smoke is smoke


def test_figures_have_the_books_style_and_the_clock_runs(capsys):
    with matplotlib.rc_context({"axes.spines.top": True}):
        notebook = start_notebook()
        assert not matplotlib.rcParams["axes.spines.top"]
    notebook.finish()
    assert re.fullmatch(r"This notebook took \d+ seconds on this machine\.\n", capsys.readouterr().out)


def test_tables_of_the_study_are_found_from_any_folder(tmp_path, monkeypatch):
    here = study_table("keyroom_lab.csv")
    assert {"agent", "measure", "seed_1", "iqm", "low", "high"} <= set(here[0])
    monkeypatch.chdir(tmp_path)
    assert study_table("keyroom_lab.csv") == here


def test_a_clone_beside_the_notebook_serves_too_and_a_missing_table_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "clone" / "book" / "data" / "study"
    folder.mkdir(parents=True)
    (folder / "mine.csv").write_text("agent,measure\nsensei,doors\n")
    assert study_table("mine.csv") == [{"agent": "sensei", "measure": "doors"}]
    with pytest.raises(FileNotFoundError, match=r"other\.csv lies in book/data/study"):
        study_table("other.csv")
