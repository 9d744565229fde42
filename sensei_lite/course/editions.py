"""The notebooks as a course: the .ipynb files, a student's and an instructor's edition, and marks from the checks.

    python -m sensei_lite.course.editions notebooks          the .ipynb beside every .py
    python -m sensei_lite.course.editions editions           build/student and build/instructor
    python -m sensei_lite.course.editions grade FOLDER       verdicts for the notebooks that students handed in

The .py file is the source. In it an exercise is a cell tagged ``exercise-1``, its check one tagged ``check-1``, and its
solution the Python block of a folded part whose summary is "Solution 1" ("Thoughts on 1" where there is no one answer).
"""

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tyro

try:
    import jupytext
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat import NotebookNode
except ImportError as error:
    raise ImportError('the course needs more packages: pip install "sensei-lite[notebooks]"') from error

FOLDER = Path("notebooks")
FOLDED = re.compile(r"<details><summary>(Solution|Thoughts on) (\d+)</summary>.*?</details>\n*", flags=re.DOTALL)
CODE = re.compile(r"<summary>Solution (\d+)</summary>\s*```python\n(.*?)```", flags=re.DOTALL)


def sources(folder: Path = FOLDER) -> list[Path]:
    """Return the notebooks' .py files, in reading order. Raises FileNotFoundError where there are none."""
    found = sorted(folder.glob("[0-9]*.py"))
    if not found:
        raise FileNotFoundError(f"{folder} has no notebooks; run this from the top of the repository")
    return found


def notebook_of(source: Path) -> NotebookNode:
    """Read the notebook that a .py file stands for. A cell's id is a hash of its text, so that it stays the same."""
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata.pop("jupytext", None)
    seen: set[str] = set()
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
        number = 0
        while (name := hashlib.sha256(f"{cell.source}{number}".encode()).hexdigest()[:8]) in seen:
            number += 1
        seen.add(name)
        cell.id = name
    return nbformat.from_dict({**notebook, "nbformat": 4, "nbformat_minor": 5})


def tagged(notebook: NotebookNode, tag: str) -> NotebookNode | None:
    """Return the first cell with this tag, if there is one."""
    return next((cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])), None)


def checked_exercises(notebook: NotebookNode) -> Iterator[int]:
    """Yield the numbers of the exercises that have a check."""
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("check-"):
                yield int(tag.removeprefix("check-"))


def solutions(notebook: NotebookNode) -> dict[int, str]:
    """Return the code of every solution, by the number of its exercise."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return {int(number): code for number, code in CODE.findall(text)}


def student_edition(notebook: NotebookNode) -> NotebookNode:
    """Make the notebook without solutions; hints and checks stay."""
    edition = nbformat.from_dict(notebook)
    for cell in edition.cells:
        if cell.cell_type == "markdown":
            cell.source = FOLDED.sub("", cell.source).rstrip()
    edition.cells = [cell for cell in edition.cells if cell.source]
    return edition


def instructor_edition(notebook: NotebookNode) -> NotebookNode:
    """Make the notebook with every exercise solved in its cell, and the solutions unfolded."""
    edition, found = nbformat.from_dict(notebook), solutions(notebook)
    for number, code in found.items():
        cell = tagged(edition, f"exercise-{number}")
        if cell is not None:
            cell.source = f"# Solution {number}\n{code.rstrip()}"
    for cell in edition.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("<details><summary>", "<details open><summary>")
    return edition


def text_of(cell: NotebookNode) -> str:
    """Return the text of a cell's outputs: what it printed, or would print where it cannot show pictures."""
    parts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(parts)


def verdicts(handed_in: NotebookNode, original: NotebookNode, *, seconds_a_cell: int = 600) -> dict[int, str]:
    """Run the original with the answers of a notebook that was handed in; return each check's verdict.

    Only the cells tagged ``exercise-...`` are taken from the student's notebook, so a check that was changed there does
    not count, and a mistake elsewhere in it does no harm. An exercise whose cell is missing is "Not yet". A cell that a
    student split (JupyterLab gives both parts the tag) is put together again.

    Raises nbclient's CellExecutionError where the original itself fails.
    """
    run = nbformat.from_dict(original)
    for cell in run.cells:
        answer = next((tag for tag in cell.metadata.get("tags", []) if tag.startswith("exercise-")), None)
        theirs = [each.source for each in handed_in.cells if answer in each.metadata.get("tags", [])]
        if theirs:
            cell.source = "\n\n".join(theirs)
    found = {}
    client = NotebookClient(run, timeout=seconds_a_cell, kernel_name="python3")
    with client.setup_kernel():
        for number, cell in enumerate(run.cells):
            tags = cell.metadata.get("tags", [])
            mine = any(tag.startswith(("exercise-", "check-")) for tag in tags)
            try:
                client.execute_cell(cell, number)
                said = text_of(cell) if cell.cell_type == "code" else ""
            except CellExecutionError as error:
                if not mine:
                    raise
                said = f"Not quite: {error.ename}: {error.evalue}"
            for tag in tags:
                if tag.startswith("check-"):
                    found[int(tag.removeprefix("check-"))] = said.strip().splitlines()[-1] if said.strip() else "none"
    return found


def write_notebooks(folder: Path = FOLDER) -> None:
    """Write the .ipynb beside every .py file."""
    for source in sources(folder):
        nbformat.write(notebook_of(source), source.with_suffix(".ipynb"))
        print(f"wrote {source.with_suffix('.ipynb')}")


def write_editions(folder: Path = FOLDER, out: Path = Path("build")) -> None:
    """Write the student's and the instructor's edition of every notebook, into two folders under ``out``.

    Raises FileNotFoundError where there are no notebooks.
    """
    for name, edition in (("student", student_edition), ("instructor", instructor_edition)):
        (out / name).mkdir(parents=True, exist_ok=True)
        for source in sources(folder):
            nbformat.write(edition(notebook_of(source)), out / name / f"{source.stem}.ipynb")
        print(f"wrote {len(sources(folder))} notebooks to {out / name}")


def grade(handed_in: Path, /, folder: Path = FOLDER, out: Path = Path("grades.csv")) -> None:
    """Grade every notebook under a folder, such as one folder for each student, and write a table of verdicts.

    A notebook is known by its name's beginning (``02_rssm*.ipynb``). It is run with the preset that the variable
    SENSEI_LITE_PRESET names. What students hand in is program code: run it where that is safe.

    Args:
        handed_in: the folder; notebooks may lie in folders of their own.
        folder: where the course's .py files are.
        out: the table: file, exercise, status, verdict.

    Raises:
        FileNotFoundError: the folder has no notebook of this course.
    """
    originals = {source.stem: notebook_of(source) for source in sources(folder)}
    rows: list[dict[str, Any]] = []
    for path in sorted(handed_in.rglob("*.ipynb")):
        stem = next((stem for stem in originals if path.name.startswith(stem)), None)
        if stem is None or ".ipynb_checkpoints" in path.parts:
            continue
        said = verdicts(nbformat.read(path, as_version=4), originals[stem])
        for number, verdict in sorted(said.items()):
            status = verdict.partition(":")[0]
            rows.append({"file": path.relative_to(handed_in), "exercise": number, "status": status, "verdict": verdict})
        print(
            f"{path.relative_to(handed_in)}: {sum(v.startswith('Right') for v in said.values())} of {len(said)} right"
        )
    if not rows:
        raise FileNotFoundError(f"{handed_in} has no notebook of this course (they are called {', '.join(originals)})")
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {out}")


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"notebooks": write_notebooks, "editions": write_editions, "grade": grade})
