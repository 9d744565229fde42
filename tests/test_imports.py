"""Imports point one way: a module may import only what stands before it in the data's way through the house."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sensei_lite"

# From the ground up. A module may import from its own part and from the parts above it in this list.
LAYERS = [
    {"shapes", "spaces", "config", "compilation", "memory_pages"},
    {"checkpoint", "explorers", "run_folder", "stages"},
    {"distributions", "returns"},
    {"a_few_at_a_time", "convolutions", "layer_norm"},
    {"networks"},
    {"picture_layers", "rssm"},
    {"world_model"},
    {"disagreement", "novelty", "exploration", "replay"},
    {"actor_critic"},
    {"agent"},
    {"learning"},
    {"worlds"},
    {"observations"},
    {"collect", "annotators", "reward_model", "preference_split"},
    {"semantic_reward"},
    {"reward_report"},
    {"reward_farming"},
    {"train"},
    {"train_host", "devices"},
    {"training_run", "evaluate"},
    {"side_by_side"},
    {"scores"},
    {"pipeline"},
    {"run_plan"},
    {"study"},
    {"pretrained"},
    {"video", "figures"},
    {"reward_figures", "exploration_trace"},
    {"taste_report", "exploration_figures"},
    {"widgets", "checks", "course"},
    {"report_page"},
    {"report_parts"},
    {"report"},
    {"bench", "demo"},
    {"cli"},
    {"__main__"},
]
# Worlds know nothing of models, and models nothing of worlds: they meet in `train`.
GROUND = LAYERS[0]
# What only people look at: nothing that learns may import it.
LEAVES = {
    "pretrained",
    "checks",
    "course",
    "video",
    "figures",
    "reward_figures",
    "exploration_trace",
    "exploration_figures",
    "taste_report",
    "report_page",
    "report_parts",
    "report",
    "widgets",
    "bench",
    "demo",
}


def part_of(module: str) -> str:
    """`sensei_lite.worlds.grid` belongs to the part `worlds`."""
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
    rank = {part: height for height, layer in enumerate(LAYERS) for part in layer}
    wrong = []
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        own = part_of(name)
        if not own:
            continue
        if own not in rank:
            wrong.append(f"{name} has no place in LAYERS")
            continue
        for module in imports_of(path):
            other = part_of(module)
            if other and other != own and rank.get(other, 99) >= rank[own]:
                wrong.append(f"{name} imports {module}")
            if own == "worlds" and other and other not in GROUND | {"worlds"}:
                wrong.append(f"{name} imports the model's {module}")
            if other in LEAVES and own not in LEAVES | {"cli", "__main__"}:
                wrong.append(f"{name} imports the leaf {module}")
    return wrong


def test_imports_point_one_way():
    assert violations(PACKAGE) == []


def test_a_wrong_import_is_found(tmp_path):
    package = tmp_path / "sensei_lite"
    (package / "worlds").mkdir(parents=True)
    (package / "worlds" / "grid.py").write_text("from sensei_lite.figures import episode\n")
    (package / "stray.py").write_text("")
    assert violations(package) == [
        "sensei_lite.stray has no place in LAYERS",
        "sensei_lite.worlds.grid imports sensei_lite.figures",
        "sensei_lite.worlds.grid imports the model's sensei_lite.figures",
        "sensei_lite.worlds.grid imports the leaf sensei_lite.figures",
    ]


@pytest.mark.parametrize("module", ["sensei_lite", "sensei_lite.worlds"])
def test_importing_brings_no_optional_package(module):
    heavy = {"torch", "open_clip", "openai", "minihack", "nle", "minigrid", "pyboy", "ipywidgets", "matplotlib.pyplot"}
    heavy |= {"robodesk", "dm_control", "mujoco", "gym"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == ""
