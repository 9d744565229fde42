"""Draw the studies' curves: the share of episodes with each event over training, with intervals over seeds.

    python -m make.site.curves book/images

For every study in data/study that has a curves.csv (see `sensei_lite.training.study`), one figure: curves_<study>.svg.
"""

import csv
from pathlib import Path

import matplotlib as mpl
import tyro

from make.site.summary import STUDY
from sensei_lite.plots.exploration import study_figure
from sensei_lite.training.evaluate import MEANINGFUL

AGENTS: dict[str, tuple[str, ...]] = {
    "keyroom": ("random", "plan2explore", "vlm-motif", "mixture-0.5", "sensei"),
}
"""Whose lines are drawn, where a study has more agents than a figure has room for."""


def draw_curves(folder: Path, /) -> list[Path]:
    """Draw the figure of every study into ``folder``, with its alt text beside it in a .txt file."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(STUDY.glob("*/curves.csv")):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        name, there = path.parent.name, dict.fromkeys(row["agent"] for row in rows)
        agents = [agent for agent in AGENTS.get(name, tuple(there)) if agent in there]
        events = dict.fromkeys(row["event"] for row in rows)
        drawing = study_figure(rows, [e for e in events if e == "key_picked_up" or e in MEANINGFUL], agents)
        target = folder / f"curves_{name}.svg"
        # Without a date in it, the same rows give the same file.
        with mpl.rc_context({"svg.hashsalt": name}):
            drawing.figure.savefig(target, metadata={"Date": None})
        target.with_suffix(".txt").write_text(drawing.alt + "\n", encoding="utf-8")
        written.append(target)
    return written


if __name__ == "__main__":
    tyro.cli(draw_curves)
