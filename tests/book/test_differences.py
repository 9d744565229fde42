"""The page of differences lists every call-out in the code, and each has its test."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([A-Z]\d+) \| `(\w+\.py)` \|.*\| `(test_\w+)` \|$", re.MULTILINE)


def test_call_outs_and_their_page_agree():
    in_code = {
        (number, path.name)
        for path in (ROOT / "sensei_lite").rglob("*.py")
        for number in re.findall(r"Call-out ([A-Z]\d+)\b", path.read_text())
    }
    on_page = {(number, file) for number, file, _ in ROW.findall((ROOT / "book" / "differences.md").read_text())}
    assert in_code
    assert in_code == on_page


def test_every_difference_is_held_by_a_test_that_exists():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for number, _, name in ROW.findall((ROOT / "book" / "differences.md").read_text()):
        assert f"def {name}(" in tests, f"{number}: there is no {name}"
