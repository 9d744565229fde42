"""The bench of imports counts what a fresh process loads."""

import csv

from make.bench.imports import BASE, bench_imports, import_lines, print_table, programs


def test_import_lines_are_those_at_the_top_level():
    source = "import json as j\nfrom os import path\nif True:\n    import sqlite3\nx = 1\nimport csv\n"
    assert import_lines(source) == "import json as j\nfrom os import path\nimport csv"


def test_every_notebook_is_compared_with_the_base():
    lines = programs()
    assert next(iter(lines)) == BASE
    assert len([name for name in lines if name[:2].isdigit()]) == 11
    assert "import sensei_lite as sl" in lines["00_start_here"]


def test_the_table_has_modules_and_seconds_of_fresh_processes(tmp_path, capsys):
    lines = {"nothing": "import sys", "a database": "import sqlite3"}
    rows = bench_imports(tmp_path / "imports.csv", repeats=3, lines=lines)
    assert [row["imports"] for row in rows] == list(lines)
    assert rows[0]["times_base"] == "1.00"
    assert rows[1]["modules"] > rows[0]["modules"]
    for row in rows:
        assert float(row["fastest"]) <= float(row["seconds"]) <= float(row["slowest"])
    with (tmp_path / "imports.csv").open() as file:
        assert [row["modules"] for row in csv.DictReader(file)] == [str(row["modules"]) for row in rows]
    print_table(rows)
    assert "a database" in capsys.readouterr().out
