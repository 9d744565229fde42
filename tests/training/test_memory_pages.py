"""The program starts itself again with large pages, once, and keeps its arguments."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from sensei_lite.training.machine import restart_with_large_pages
print("start", len(sys.argv), repr(os.environ.get("GLIBC_TUNABLES")), flush=True)
restart_with_large_pages()
print("end", sys.argv[1:])
"""


def lines(tmp_path, **environment: str) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(SCRIPT)
    kept = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"} | environment
    command = [sys.executable, "-W", "ignore", str(program), "two words", "--x=1"]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for large pages")
def test_it_starts_again_once_with_the_same_arguments(tmp_path):
    first, second, end = lines(tmp_path)
    assert first == "start 3 None"
    assert second == "start 3 'glibc.malloc.hugetlb=1'"
    assert end == "end ['two words', '--x=1']"


@pytest.mark.parametrize("value", ["", "glibc.malloc.check=1"])
def test_what_the_user_said_is_left_alone(tmp_path, value):
    assert lines(tmp_path, GLIBC_TUNABLES=value) == [f"start 3 {value!r}", "end ['two words', '--x=1']"]
