"""What the book's pages conclude holds in the tables that are committed with them."""

import shutil

from make.site.claims import BOOK, false_claims


def test_no_table_contradicts_a_page():
    assert false_claims() == []


def test_a_table_that_contradicts_a_page_is_noticed(tmp_path):
    shutil.copytree(BOOK, tmp_path / "book", ignore=shutil.ignore_patterns("images", "_static", "make"))
    shutil.copytree(BOOK.parent / "notebooks", tmp_path / "notebooks")
    table = tmp_path / "book" / "data" / "study" / "keyroom_lab.csv"
    text = table.read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("sensei,door_opened per 1000 steps,"))
    agent, figure, *numbers = row.split(",")
    table.write_text(text.replace(row, ",".join([agent, figure, *["1.0"] * len(numbers)])), encoding="utf-8")
    wrong = false_claims(tmp_path / "book")
    assert "SENSEI is above curiosity: door_opened per 1000 steps" in wrong
    assert "SENSEI is above curiosity: exit_reached per 1000 steps" not in wrong
