"""Imports point one way: a module may import only what stands before it in the data's way through the house."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sensei_lite"

# From the ground up. A folder may import from itself and from those that stand before it in this list.
FLOORS = [
    {"config", "types"},
    {"presets"},
    {"models", "worlds", "annotators"},
    {"agent", "reward"},
    {"training"},
    {"plots"},
    {"course", "cli"},
    {"__main__"},
]


def part_of(module: str) -> str:
    """`sensei_lite.worlds.grid.world` belongs to the part `worlds`."""
    return [*module.split("."), ""][1]


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sensei_lite"):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("sensei_lite")}
    return found


def violations(package: Path) -> list[str]:
    rank = {part: height for height, floor in enumerate(FLOORS) for part in floor}
    wrong = []
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        own = part_of(name)
        if not own:
            continue
        if own not in rank:
            wrong.append(f"{name} has no place in FLOORS")
            continue
        for module in sorted(imports_of(path)):
            other = part_of(module)
            if other and other != own and rank.get(other, 99) >= rank[own]:
                wrong.append(f"{name} imports {module}")
    return wrong


def test_imports_go_down_only():
    assert violations(PACKAGE) == []


def test_a_wrong_import_is_found(tmp_path):
    package = tmp_path / "sensei_lite"
    (package / "worlds").mkdir(parents=True)
    (package / "worlds" / "base.py").write_text("from sensei_lite.models.rssm import RSSM\n")
    (package / "reward.py").write_text("from sensei_lite.agent.state import init\n")
    (package / "stray.py").write_text("")
    assert violations(package) == [
        "sensei_lite.reward imports sensei_lite.agent.state",
        "sensei_lite.stray has no place in FLOORS",
        "sensei_lite.worlds.base imports sensei_lite.models.rssm",
    ]


@pytest.mark.parametrize("module", ["sensei_lite", "sensei_lite.worlds"])
def test_importing_brings_no_optional_package(module):
    heavy = {"torch", "open_clip", "openai", "minihack", "nle", "minigrid", "pyboy", "ipywidgets", "matplotlib.pyplot"}
    heavy |= {"robodesk", "dm_control", "mujoco", "gym"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == ""
