"""The names that notebooks use are handed on, and nothing is loaded before it is used."""

import subprocess
import sys

import pytest

from sensei_lite import annotators


def test_every_name_is_there():
    pytest.importorskip("anywidget")
    assert all(getattr(annotators, name) is not None for name in annotators.__all__)
    assert set(annotators.__all__) <= set(dir(annotators))


def test_nothing_heavy_is_loaded_before_it_is_used():
    heavy = ("sqlite3", "openai", "torch", "open_clip", "ipywidgets", "anywidget", "jax", "scipy.stats")
    code = f"""
import sys
from sensei_lite.annotators import NoiseModel, Answer, parse_answer, random_pairs, combine_answers, interest
print(*[name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
