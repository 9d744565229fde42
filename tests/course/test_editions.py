"""The course's editions and marks, on the real notebooks where nothing runs, and on a small one where it does."""

import csv
import re

import nbformat
import pytest

from sensei_lite.course.editions import (
    checked_exercises,
    grade,
    instructor_edition,
    notebook_of,
    solutions,
    sources,
    student_edition,
    tagged,
    write_editions,
    write_notebooks,
)

SOURCES = sources()

LESSON = """\
# %% [markdown]
# # A lesson

# %%
from sensei_lite.course.checks.verdict import check, expect, result_of


@check
def double(attempt):
    expect(result_of(attempt, 3.0), 6.0, of="the double of 3", mistakes={"That is the square.": 9.0})
    return "it doubles."


@check
def half(attempt):
    expect(result_of(attempt, 3.0), 1.5, of="half of 3")
    return "it halves."


# %% tags=["exercise-1"]
def my_double(x):
    return None  # your code


# %% tags=["check-1"]
double(my_double)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Multiply.
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def my_double(x):
#     return 2 * x
# ```
#
# </details>
#
# And now the other way.


# %% tags=["exercise-2"]
def my_half(x):
    return None  # your code


# %% tags=["check-2"]
half(my_half)

# %% [markdown]
# <details><summary>Solution 2</summary>
#
# ```python
# def my_half(x):
#     return x / 2
# ```
#
# </details>
"""


@pytest.fixture
def course(tmp_path):
    """A folder with one small notebook."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "00_lesson.py").write_text(LESSON, encoding="utf-8")
    return folder


def text_in(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def tags_of(notebook):
    return [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]


# --- the editions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_a_student_gets_every_check_and_hint_and_no_solution(source):
    original = notebook_of(source)
    edition = student_edition(original)
    text = text_in(edition)
    assert not re.search(r"<summary>(Solution|Thoughts)", text)
    for number, code in solutions(original).items():
        assert code.strip() not in text, f"the solution of exercise {number} is still there"
    assert tags_of(edition) == tags_of(original)
    assert text.count("<summary>Hint") == text_in(original).count("<summary>Hint")
    assert text.count("<details>") == text.count("</details>")
    assert [cell.source for cell in edition.cells if cell.cell_type == "code"] == [
        cell.source for cell in original.cells if cell.cell_type == "code"
    ]
    assert all(cell.source.strip() for cell in edition.cells)
    assert solutions(notebook_of(source)), "the original keeps its own"


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_an_instructor_gets_every_exercise_solved(source):
    original = notebook_of(source)
    edition = instructor_edition(original)
    assert tags_of(edition) == tags_of(original)
    for number in checked_exercises(original):
        assert solutions(original)[number].strip() in tagged(edition, f"exercise-{number}").source
    assert "<details><summary>" not in text_in(edition)
    assert text_in(edition).count("<details open>") == text_in(original).count("<details>")


def test_what_follows_a_solution_stays(course):
    edition = student_edition(notebook_of(course / "00_lesson.py"))
    assert "And now the other way." in text_in(edition)
    assert len(edition.cells) == len(notebook_of(course / "00_lesson.py").cells) - 1  # the last held a solution only


def test_editions_are_written(course, tmp_path):
    write_editions(course, tmp_path / "build")
    for name, has_solution in (("student", False), ("instructor", True)):
        notebook = nbformat.read(tmp_path / "build" / name / "00_lesson.ipynb", as_version=4)
        nbformat.validate(notebook)
        assert ("return 2 * x" in text_in(notebook)) == has_solution


def test_a_folder_without_notebooks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run this from the top of the repository"):
        write_notebooks(tmp_path)


# --- marks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hand_in(course, tmp_path):
    """Puts a student's notebook where `grade` finds it; ``change`` gets the cells by tag, and the notebook."""

    def put(student, change, name="00_lesson.ipynb"):
        notebook = student_edition(notebook_of(course / "00_lesson.py"))
        change({tag: tagged(notebook, tag) for tag in tags_of(notebook)}, notebook)
        path = tmp_path / "handed_in" / student / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)

    return put


def rows_of(course, tmp_path):
    out = tmp_path / "grades.csv"
    grade(tmp_path / "handed_in", folder=course, out=out)
    with out.open(newline="", encoding="utf-8") as file:
        return {(row["file"], int(row["exercise"])): row for row in csv.DictReader(file)}


def test_marks_come_from_the_exercise_cells(course, tmp_path, hand_in, capsys):
    def ada(cells, notebook):  # solves one exercise, in a cell that she split, and leaves the other
        cells["exercise-1"].source = "def twice(x):\n    return x + x"
        second = nbformat.v4.new_code_cell("def my_double(x):\n    return twice(x)", metadata={"tags": ["exercise-1"]})
        notebook.cells.insert(notebook.cells.index(cells["exercise-1"]) + 1, second)

    def bob(cells, notebook):  # a wrong answer, an answer that is no Python, and broken code in a cell of his own
        cells["exercise-1"].source = "def my_double(x):\n    return x * x"
        cells["exercise-2"].source = "def my_half(x)\n    return x / 2"
        notebook.cells.insert(0, nbformat.v4.new_code_cell("raise RuntimeError('mine')"))

    hand_in("ada", ada)
    hand_in("bob", bob, "00_lesson (bob).ipynb")
    hand_in("bob/.ipynb_checkpoints", ada)
    hand_in("bob", ada, "Untitled.ipynb")
    rows = rows_of(course, tmp_path)
    assert len(rows) == 4, "checkpoints and other notebooks do not count"
    found = {place: (row["status"], row["verdict"]) for place, row in rows.items()}
    assert found["ada/00_lesson.ipynb", 1] == ("Right", "Right: it doubles.")
    assert found["ada/00_lesson.ipynb", 2][0] == "Not yet"
    status, verdict = found["bob/00_lesson (bob).ipynb", 1]
    assert status == "Not quite"
    assert verdict.endswith("That is the square.")
    assert found["bob/00_lesson (bob).ipynb", 2][0] == "Not quite"
    said = capsys.readouterr().out
    assert "ada/00_lesson.ipynb: 1 of 2 right" in said
    assert "00_lesson (bob).ipynb: 0 of 2 right" in said


def test_code_outside_of_exercise_cells_changes_no_mark(course, tmp_path, hand_in):
    def eve(cells, notebook):
        cells["check-1"].source = "'Right: of course'"
        cells["check-2"].source = "print('Right: of course')"
        pretend = "double = half = lambda attempt: 'Right: of course'\nmy_double = lambda x: 2 * x"
        for place in (0, 2, len(notebook.cells)):
            notebook.cells.insert(place, nbformat.v4.new_code_cell(pretend))
        notebook.cells.remove(cells["exercise-2"])

    hand_in("eve", eve)
    assert {row["status"] for row in rows_of(course, tmp_path).values()} == {"Not yet"}


def test_a_folder_with_nothing_of_this_course_is_named(course, tmp_path):
    (tmp_path / "handed_in").mkdir()
    with pytest.raises(FileNotFoundError, match="00_lesson"):
        grade(tmp_path / "handed_in", folder=course, out=tmp_path / "grades.csv")
