"""The files and names that notebooks point to are there."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SOURCES = sorted((TOP / "notebooks").glob("[0-9]*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_every_file_that_a_notebook_names_exists(source):
    """A path stands whole, or as the name of a file beside one that stands whole in the same line."""
    named = 0
    for line in source.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            continue
        paths = [text for text in re.findall(r"`([\w./-]+)`", line) if re.search(r"\.(py|md|json|csv|js)$|/$", text)]
        whole = [path for path in paths if "/" in path]
        folders = [TOP, *((TOP / path).parent if path[-1] != "/" else TOP / path for path in whole)]
        for path in paths:
            if path.startswith("."):
                continue
            named += 1
            assert any((folder / path).exists() for folder in folders), f"{path} is not there: {line}"
    assert named
