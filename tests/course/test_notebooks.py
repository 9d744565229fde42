"""Every notebook: the .ipynb follows from the .py, it runs from a fresh kernel, and its exercises can be solved.

``make notebooks`` writes the .ipynb files anew from the .py files.
"""

import ast
import json
import re
import shutil
import symtable
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from sensei_lite.course.editions import checked_exercises, notebook_of, solutions, sources, tagged, text_of

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sources(FOLDER)
REGENERATE = "write it anew with: make notebooks"
LONGEST_CELL = 25
SECONDS_A_CELL = 180  # generous: other work may share the machine

# The one place that says where the repository is; the notebooks' addresses are compared with it.
REPOSITORY, BRANCH = "sensei-lite/sensei_lite", "main"


def wrong_answers(source: Path) -> dict[int, list[str]]:
    """Plausible wrong answers, by the number of their exercise: the cells of tests/wrong_answers/<notebook>.py."""
    found: dict[int, list[str]] = {}
    path = Path(__file__).parent / "wrong_answers" / source.name
    for cell in re.split(r"^# %% ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, code = cell.split("\n", 1)
        found.setdefault(int(title.partition(":")[0]), []).append(code.strip())
    return found


def differences(source: Path, notebook: Path) -> list[str]:
    """Where a .ipynb file is not what its .py file stands for, in words."""
    if not notebook.exists():
        return [f"{notebook.name} is missing"]
    wanted, found = notebook_of(source), nbformat.read(notebook, as_version=4)
    wrong = []
    if wanted.metadata != found.metadata:
        wrong.append(f"metadata is {found.metadata}, not {wanted.metadata}")
    if len(wanted.cells) != len(found.cells):
        wrong.append(f"{len(found.cells)} cells instead of {len(wanted.cells)}")
    for number, (want, have) in enumerate(zip(wanted.cells, found.cells, strict=False)):
        for part in sorted(set(want) | set(have)):
            if want.get(part) != have.get(part):
                wrong.append(f"cell {number}: {part} is {have.get(part)!r}, not {want.get(part)!r}")
    return wrong


def one_per_notebook(function):
    return pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])(function)


@one_per_notebook
def test_the_ipynb_is_in_step_with_the_py(source):
    assert not differences(source, source.with_suffix(".ipynb")), REGENERATE


def test_every_ipynb_has_a_py():
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == [path.stem for path in SOURCES]


@one_per_notebook
def test_the_ipynb_has_no_outputs(source):
    for cell in nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells:
        assert not cell.get("outputs"), "outputs are not committed: " + REGENERATE
        assert cell.get("execution_count") is None


@one_per_notebook
def test_no_cell_is_long(source):
    for cell in notebook_of(source).cells:
        lines = cell.source.splitlines()
        assert len(lines) <= LONGEST_CELL, f"{len(lines)} lines in the cell that begins {lines[0]!r}"


def _edit_py(source: Path, notebook: Path) -> None:
    source.write_text(source.read_text(encoding="utf-8").replace("Predict first", "Guess first", 1), encoding="utf-8")


def _edit_ipynb(change):
    def edit(source: Path, notebook: Path) -> None:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        change(content)
        notebook.write_text(json.dumps(content), encoding="utf-8")

    return edit


def _code(content):
    return next(cell for cell in content["cells"] if cell["cell_type"] == "code")


@pytest.mark.parametrize(
    "edit",
    [
        _edit_py,
        _edit_ipynb(lambda content: _code(content)["source"].append("\n# edited")),
        _edit_ipynb(lambda content: _code(content)["metadata"].update(tags=["edited"])),
        _edit_ipynb(lambda content: _code(content).update(cell_type="raw")),
        _edit_ipynb(lambda content: _code(content).update(execution_count=1)),
        _edit_ipynb(lambda content: _code(content)["outputs"].append({"output_type": "stream", "name": "stdout"})),
        _edit_ipynb(lambda content: content["cells"].pop()),
        _edit_ipynb(lambda content: content["metadata"].update(title="edited")),
        lambda source, notebook: notebook.unlink(),
    ],
    ids=["py", "source", "metadata", "type", "count", "output", "cell gone", "notebook metadata", "file gone"],
)
def test_an_edited_copy_is_noticed(edit, tmp_path):
    source, notebook = tmp_path / "copy.py", tmp_path / "copy.ipynb"
    shutil.copy(SOURCES[0], source)
    shutil.copy(SOURCES[0].with_suffix(".ipynb"), notebook)
    assert not differences(source, notebook)
    edit(source, notebook)
    assert differences(source, notebook)


@one_per_notebook
def test_addresses_lead_to_this_repository(source):
    text = source.read_text(encoding="utf-8")
    path = f"notebooks/{source.stem}.ipynb"
    assert f"https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/{path}" in text
    assert f"https://mybinder.org/v2/gh/{REPOSITORY}/{BRANCH}?urlpath=lab/tree/{path}" in text
    assert f"git+https://github.com/{REPOSITORY}@{BRANCH}" in text
    assert set(re.findall(r"(?:github\.com|/gh|/github)/([\w-]+/[\w-]+)", text)) == {REPOSITORY}


def free_names(code: str) -> set[str]:
    """The names that a piece of a notebook takes from what stands above it."""

    def of(table: symtable.SymbolTable) -> set[str]:
        own = {one.get_name() for one in table.get_symbols() if one.is_referenced() and one.is_global()}
        return own.union(*map(of, table.get_children()))

    module = symtable.symtable(code, "cell", "exec")
    return of(module) | {one.get_name() for one in module.get_symbols() if one.is_referenced()}


def bound_names(code: str) -> set[str]:
    """The names that a piece of a notebook gives a value, at its top level."""
    symbols = symtable.symtable(code, "cell", "exec").get_symbols()
    return {one.get_name() for one in symbols if one.is_assigned() or one.is_imported() or one.is_namespace()}


def what_it_stands_on(cells: list[NotebookNode], code: str) -> list[str]:
    """The imports of some cells, and of their other statements those that give `code` its names, in order."""
    statements = [statement for cell in cells if cell.cell_type == "code" for statement in ast.parse(cell.source).body]
    wanted, kept = free_names(code), []
    for statement in reversed(statements):
        text = ast.unparse(statement)
        if isinstance(statement, ast.Import | ast.ImportFrom) or bound_names(text) & wanted:
            wanted |= free_names(text)
            kept.append(text)
    return kept[::-1]


def said_by(check: str, names: dict[str, Any]) -> str:
    """What the last line of a cell gives."""
    *before, last = ast.parse(check).body
    exec(compile(ast.Module(before, []), "check", "exec"), names)
    assert isinstance(last, ast.Expr)
    return repr(eval(compile(ast.Expression(last.value), "check", "eval"), names))


@one_per_notebook
def test_checks_tell_right_answers_from_wrong_ones(source, tmp_path, monkeypatch):
    """In this process, with as much of the notebook as an exercise needs; the whole of it runs in the next test."""
    monkeypatch.setenv("SENSEI_LITE_PRESET", "smoke")
    monkeypatch.chdir(tmp_path)
    notebook, names = notebook_of(source), {"__name__": "__main__"}
    right, wrong, done = solutions(notebook), wrong_answers(source), []
    for number in checked_exercises(notebook):
        exercise, check = (tagged(notebook, f"{kind}-{number}") for kind in ("exercise", "check"))
        answers = [exercise.source, right[number], *wrong[number]]
        assert len(wrong[number]) >= 2
        above = notebook.cells[: notebook.cells.index(exercise)]
        for text in what_it_stands_on(above, "\n".join([*answers, check.source])):
            if text not in done:
                exec(text, names)
                done.append(text)
        for answer, verdict in zip(answers, ["Not yet", "Right", *["Not"] * len(wrong[number])], strict=True):
            exec(answer, names)
            said = said_by(check.source, names)
            assert said.startswith(verdict), f"exercise {number}: {answer}\n-> {said}"
            assert "NameError" not in said, "an answer that is wrong for this reason shows nothing"


# The first stands for all where minutes count.
@pytest.mark.parametrize(
    "source",
    [SOURCES[0], *(pytest.param(path, marks=pytest.mark.slow) for path in SOURCES[1:])],
    ids=lambda path: path.stem,
)
def test_it_runs_from_top_to_bottom(source, tmp_path, monkeypatch):
    monkeypatch.setenv("SENSEI_LITE_PRESET", "smoke")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    notebook = notebook_of(source)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources=place).execute()
    check_outputs(notebook.cells)
    assert not list(tmp_path.iterdir()), "a notebook writes to temporary or run folders only"
    for number in checked_exercises(notebook):
        assert text_of(tagged(notebook, f"check-{number}")).startswith("Not yet"), (
            f"exercise {number} is solved already"
        )


def check_outputs(cells: list[NotebookNode]) -> None:
    """No warnings, no path of this machine, and every figure with alt text and a caption below."""
    figures = 0
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            said = text_of(cell)
            assert "Warning" not in said, said
            assert sys.prefix not in said, said
            assert str(FOLDER.parent) not in said, said
            assert str(Path.home()) not in said, said
            if "image/png" in output.get("data", {}):
                figures += 1
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                assert len(alt) > 20, f"figure {figures} has no alt text"
                assert following is not None
                assert following.source.startswith(f"*Figure {figures}."), f"figure {figures} has no caption"
    assert figures
