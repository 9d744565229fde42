"""The store's bench measures what it names, and leaves nothing behind. How fast anything is, is not tested."""

import csv

from make.bench.annotation import bench_store, print_table


def test_the_table_has_finite_rates_of_the_stated_work(tmp_path, capsys):
    rows = bench_store(tmp_path / "out" / "store.csv", repeats=1, pairs=60, episodes=2)
    assert [row["what"] for row in rows] == [
        "add pictures",
        "find what is answered",
        "preferences",
        "record, 256 together",
        "record, one by one",
    ]
    with (tmp_path / "out" / "store.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [int(row["number"]) for row in written[1:]] == [120] * 4
    assert 2 <= int(written[0]["number"]) <= 120
    for row in written:
        assert 0 < int(row["slowest"]) <= int(row["per_second"]) <= int(row["fastest"])
        assert float(row["file_mb"]) > 0
        assert row["machine"]
    print_table(rows)
    assert "120 questions" in capsys.readouterr().out
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "store.csv"]
