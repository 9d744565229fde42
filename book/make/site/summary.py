"""Short tables for pages, made from the long ones in data/study when the book is built.

A page asks for one in a comment, which other readers of the page do not see:

    <!-- summary keyroom_lab: door_opened per 1000 steps; steps to 80% success -->

It becomes a table with a row for each agent, and for each figure the mean with its interval.
"""

import csv
import re
from pathlib import Path

STUDY = Path(__file__).resolve().parents[2] / "data" / "study"
ASKED = re.compile(r"<!-- summary (\w+): (.+?) -->", re.DOTALL)


def with_summaries(text: str) -> str:
    """Return a page with its tables. Raises FileNotFoundError or KeyError where there is no such table or figure."""
    return ASKED.sub(lambda asked: summary(asked[1], re.split(r";\s*", " ".join(asked[2].split()))), text)


def summary(name: str, figures: list[str]) -> str:
    """Write the Markdown table of one study; a field is empty where an agent has no such figure."""
    path = STUDY / name / "table.csv"
    with (path if path.exists() else STUDY / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    there = {(row["agent"], row["measure"]): row for row in rows}
    if missing := sorted(set(figures) - {figure for _, figure in there}):
        raise KeyError(f"{name}.csv has no figure {missing[0]!r}")
    lines = ["| agent | " + " | ".join(figure.replace("_", " ") for figure in figures) + " |"]
    lines.append("|---" * (1 + len(figures)) + "|")
    for agent in dict.fromkeys(row["agent"] for row in rows):
        cells = [_told(there.get((agent, figure))) for figure in figures]
        lines.append(f"| `{agent}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _told(row: dict[str, str] | None) -> str:
    if row is None:
        return ""
    mean, low, high = (_rounded(float(row[key])) for key in ("iqm", "low", "high"))
    return f"**{mean}** [{low},&nbsp;{high}]"


def _rounded(x: float) -> str:
    """Three digits that count, and no powers of ten."""
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.2f}" if abs(x) < 10 else f"{x:.1f}"
