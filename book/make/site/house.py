"""Draw the house: the package's folders, how many lines each has, and which imports which.

    python -m make.site.house book/images/house.svg

Every row is a floor of `FLOORS`; an arrow goes from a folder to one that it imports, always down. The test of imports
holds the package to the same table.
"""

import ast
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import tyro
from matplotlib.axes import Axes

import sensei_lite

PACKAGE = Path(sensei_lite.__file__).parent

FLOORS = [
    ("config", "types"),
    ("presets",),
    ("models", "worlds", "annotators"),
    ("agent", "reward"),
    ("training",),
    ("plots",),
    ("course", "cli"),
]
"""From the ground up. A folder may import from itself and from those that stand before it in this list."""

METHOD = ("config", "presets", "models", "agent", "reward")
"""What a reader of the method reads."""


def part_of(module: str) -> str:
    """Return the folder or file at the top to which a module belongs: ``sensei_lite.worlds.grid`` is of ``worlds``."""
    return [*module.split("."), ""][1]


def imports_of(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sensei_lite"):
            found |= {node.module} if node.module != "sensei_lite" else {f"sensei_lite.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("sensei_lite")}
    return found


def read_house(package: Path = PACKAGE) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Count the lines of every part, and the imports from one part to another."""
    lines: dict[str, int] = defaultdict(int)
    arrows: dict[tuple[str, str], int] = defaultdict(int)
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).with_suffix("").parts[0]
        lines[own] += len(path.read_text(encoding="utf-8").splitlines())
        for module in imports_of(path):
            if (other := part_of(module)) and other != own:
                arrows[own, other] += 1
    return dict(lines), dict(arrows)


def draw_house(path: Path, /) -> None:
    """Draw folders as boxes on their floors, and an arrow for every pair of which one imports the other."""
    lines, arrows = read_house()
    places = {
        part: ((i + 0.5) / len(floor) * 10, 1.6 * height)
        for height, floor in enumerate(FLOORS)
        for i, part in enumerate(floor)
    }
    figure, axes = plt.subplots(figsize=(8, 9))
    for (one, other), number in arrows.items():
        if one in places and other in places:
            _arrow(axes, places[one], places[other], number)
    for part, (x, y) in places.items():
        colour = "#fde8c8" if part in METHOD else "#e3e8ee"
        box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": "0.3"}
        axes.text(x, y, f"{part}\n{lines[part]:,} lines", ha="center", va="center", fontsize=11, bbox=box)
    axes.set(xlim=(0, 10), ylim=(-0.8, 1.6 * len(FLOORS) - 0.8))
    axes.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date in it, the same house gives the same file.
    with plt.rc_context({"svg.hashsalt": "house"}):
        figure.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None})
    plt.close(figure)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], number: int) -> None:
    style = {"arrowstyle": "-|>", "color": "0.45", "linewidth": 0.5 + 0.08 * min(number, 20)}
    style |= {"shrinkA": 22, "shrinkB": 22}
    axes.annotate("", xy=end, xytext=start, arrowprops=style | {"connectionstyle": "arc3,rad=0.06"}, zorder=0)


if __name__ == "__main__":
    tyro.cli(draw_house)
