"""The report of a run: the template is executed once, on a small run, and says what the run's files say."""

import base64
import csv
import importlib
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import IPython.display
import jax
import nbformat
import pytest
from bs4 import BeautifulSoup
from smoke_plan import PLAN

import sensei_lite
from sensei_lite.annotators.human.lab import template_path
from sensei_lite.plots import report
from sensei_lite.plots.style import agent_style, rounded, words_for
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import MEANINGFUL, read_chunks, share_of_episodes
from sensei_lite.training.plan import ExplorePlan
from sensei_lite.training.stages import read_stages
from sensei_lite.worlds import KeyChest, KeyRoom, Tabletop
from sensei_lite.worlds.minihack.world import MiniHackKeyChest, MiniHackKeyRoom
from sensei_lite.worlds.pokemon.world import PokemonRed
from sensei_lite.worlds.robodesk import Robodesk

PLAYED = ("plan2explore", "sensei", "gentle")
AGENTS = (*PLAYED, "random")
EVENTS = KeyRoom.event_names


@pytest.fixture(scope="module")
def run(smoke_run, tmp_path_factory):
    """A small run; a third agent has a name of its own, as `sensei-lite explore --name` gives it, and one is random."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    shutil.copytree(smoke_run, folder)
    shutil.copytree(folder / "sensei", folder / "gentle")
    pipeline.explore(folder, ExplorePlan("random", "smoke", PLAN.updates, PLAN.seed))
    return folder


@pytest.fixture(scope="module")
def page(run):
    return BeautifulSoup(report.write_report(run).read_text(encoding="utf-8"), "html.parser")


def rows_of(page, first):
    """The rows of the table whose head begins with this word, as words of its cells."""
    (table,) = (table for table in page.find_all("table") if table.th.text == first)
    return [[cell.text for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]


def test_every_event_of_every_agent_has_a_curve(page):
    (alt,) = (image["alt"] for image in page.find_all("img") if "while the agents learned" in image["alt"])
    for event in EVENTS:
        for agent in AGENTS:
            assert alt.count(f"{words_for([event])}, {agent_style(agent).label}: ") == 1


def test_the_headline_has_the_shares_of_events_csv(run, page):
    said = [quote.text.strip() for quote in page.find_all("blockquote")]
    assert len(said) == len(AGENTS)
    for agent in AGENTS:
        (line,) = (line for line in said if line.startswith(f"{agent_style(agent).label}, of the episodes"))
        chunks = read_chunks(run / agent)
        assert f"{sum(chunk['steps'] for chunk in chunks):,.0f} steps" in line
        late = chunks[-max(1, len(chunks) // 5) :]
        for event in EVENTS:
            if event in MEANINGFUL:
                assert f"{words_for([event])} {share_of_episodes(late, event):.0%}" in line


def test_the_table_has_the_numbers_of_evaluation_csv(page, run):
    head, *rows = rows_of(page, "evaluation.csv")
    shown = {(row[0], agent): cell for row in rows for agent, cell in zip(head[1:], row[1:], strict=True) if cell}
    with (run / pipeline.EVALUATION).open(newline="") as file:
        measured = list(csv.DictReader(file))
    assert len(shown) == len(measured) > 30
    for row in measured:
        cell = shown[row["measure"].replace("_", " "), agent_style(row["agent"]).label]
        assert float(cell.replace(",", "")) == float(row["value"])


def test_the_page_asks_no_other_host_for_anything(page):
    anchors = {element["id"] for element in page.find_all(id=True)}
    addresses = [e[name] for name in ("src", "srcset", "href", "poster") for e in page.find_all(attrs={name: True})]
    assert len(addresses) > 20
    assert {a for a in addresses if a.startswith("#")} >= {f"#{title['id']}" for title in page.find_all("h2")}
    assert all(a.startswith(("data:image/png", "data:video/mp4")) or a.removeprefix("#") in anchors for a in addresses)
    assert not page.find_all(["script", "link", "iframe", "object", "embed", "form"])
    assert not re.search(r"@import|url\(", "".join(style.text for style in page.find_all("style")))
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'")


def test_every_picture_is_told_in_words_and_fits_a_phone(page):
    images = page.find_all("img")
    assert len(images) > 18
    assert all(len(image["alt"]) > 3 for image in images)
    assert page.find("meta", attrs={"name": "viewport"})
    assert all(table.parent["style"] == "overflow-x: auto" for table in page.find_all("table"))
    wide = [picture for picture in page.find_all("picture") if int(picture.img["width"]) > 600]
    assert len(wide) >= 3
    assert all(picture.source["media"] == "(max-width: 600px)" for picture in wide)


def test_sample_pairs_stand_with_answers_and_truth(page):
    head, *rows = rows_of(page, "left")
    assert head == ["left", "right", "annotator", "truth"]
    assert len(rows) == 8
    for *_, answer, truth in rows:  # the scripted annotator without faults says the truth, in both orders
        assert answer == truth
        assert answer in ("left", "right", "tie")
    assert "contradicting answers" in page.text


def test_the_films_are_those_of_the_folder(page, run):
    films = page.find_all("video")
    assert len(films) == len(PLAYED)
    for film, agent in zip(films, PLAYED, strict=True):
        kind, _, content = film["src"].partition(";base64,")
        assert kind == "data:video/mp4"
        assert base64.b64decode(content) == (run / f"rollout_{agent}.mp4").read_bytes()
        lines = [item.text for item in film.find_next("ul").find_all("li")]
        assert lines[0].startswith("step 0: ")
        assert re.search(r"(the end|time is up)$", lines[-1])


def test_settings_time_memory_and_versions_are_those_of_the_run(page, run):
    took = read_stages(run)
    assert [row[0] for row in rows_of(page, "stage")[1:]] == list(took)
    for name, seconds, memory in rows_of(page, "stage")[1:]:
        assert float(seconds.replace(",", "")) == pytest.approx(took[name]["seconds"], abs=0.51)
        assert float(memory.replace(",", "")) == pytest.approx(took[name]["peak_memory_mb"], abs=0.51)
    assert f"{rounded(sum(row['seconds'] for row in took.values()) / 60)} minutes in all" in page.text
    tables = [table for table in page.find_all("table") if table.th.text == "setting"]
    assert {"seed": "0", "settings.size": "4"}.items() <= cells(tables[0]).items()
    assert cells(tables[1])["agent.train.chunk_updates"] == "2"
    assert dict(rows_of(page, "package"))["jax"] == jax.__version__


def cells(table):
    return {row.th.text: row.td.text for row in table.tbody.find_all("tr")}


def test_the_notebook_is_whole_and_its_code_is_not_on_the_page(page, run):
    notebook = nbformat.read(run / "report.ipynb", as_version=4)
    nbformat.validate(notebook)
    (parameters,) = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert parameters.startswith('FOLDER = "."')
    assert not any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
    assert "import jax" not in page.text
    assert {path.stem for path in (run / "figures").glob("*.png")} >= {"curves", "landscape", "situations", "trace"}
    assert not list(run.glob(".*.unfinished"))


def test_a_notebook_that_somebody_changed_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "execute", lambda notebook, folder: None)
    (tmp_path / pipeline.WORLD).write_text("{}")
    report.write_report(tmp_path)
    report.write_report(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {pipeline.WORLD, "report.ipynb", "report.html"}
    notebook = nbformat.read(tmp_path / "report.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("mine = 1"))
    nbformat.write(notebook, tmp_path / "report.ipynb")
    report.write_report(tmp_path)
    assert nbformat.read(tmp_path / "report_changed.ipynb", as_version=4).cells[-1].source == "mine = 1"
    assert nbformat.read(tmp_path / "report.ipynb", as_version=4).cells[-1].source != "mine = 1"


def shown_in(folder, monkeypatch):
    """What the template's cells display for another folder, as one page; in this process, which is fast."""
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda thing: shown.append(thing.data))
    monkeypatch.chdir(folder)
    names = {}
    for cell in report.read_template().cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "cell", "exec"), names)
    return BeautifulSoup("\n".join(shown), "html.parser")


def test_what_is_missing_is_left_out_or_named(run, tmp_path, monkeypatch):
    """One agent with a damaged checkpoint, and nothing else."""
    shutil.copy(run / pipeline.WORLD, tmp_path)
    assert "No agent has explored yet" in shown_in(tmp_path, monkeypatch).text
    shutil.copytree(run / "sensei", tmp_path / "sensei")
    (tmp_path / "sensei" / "checkpoint.npz").write_bytes(b"damaged")
    page = shown_in(tmp_path, monkeypatch)
    assert "of the episodes in the last fifth of" in page.text
    assert "checkpoint.npz is damaged" in page.text
    assert "the stage `evaluate` was not run" in page.text
    assert [Path(path).stem for path in (tmp_path / "figures").iterdir()] == ["curves"]
    assert not page.find_all("video")


def test_a_host_world_without_facts_is_told_by_its_counts(run, tmp_path, monkeypatch):
    """It is never made, so its report can be written where its engine is not installed."""
    (tmp_path / "run.json").write_text(json.dumps({"world": "gymnasium:NotInstalled-v0", "agents": ["sensei"]}))
    shutil.copytree(run / "sensei", tmp_path / "sensei")
    shutil.copytree(run / pipeline.REWARD, tmp_path / pipeline.REWARD)
    shutil.copy(run / pipeline.PREFERENCES, tmp_path)
    seen = pipeline.load_observations(run / pipeline.OBSERVATIONS)
    pipeline.save_observations(tmp_path / pipeline.OBSERVATIONS, seen._replace(facts={}))
    page = shown_in(tmp_path, monkeypatch)
    assert "tells no facts" in page.text
    assert "JAX worlds only" in page.text
    _, *rows = rows_of(page, "left")
    assert len(rows) == 8
    assert {truth for *_, truth in rows} == {"not known"}


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run: neither run\.json"):
        report.write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_before_anything_is_done(monkeypatch):
    monkeypatch.delitem(sys.modules, "sensei_lite.plots.report")
    monkeypatch.setitem(sys.modules, "nbconvert", None)
    with pytest.raises(ImportError, match=r"sensei-lite\[notebooks\]"):
        importlib.import_module("sensei_lite.plots.report")


def test_the_template_is_found_in_a_clone_and_where_a_wheel_puts_it(tmp_path, monkeypatch):
    assert len(template_path("run_report.py").read_text().splitlines()) <= 200
    root = Path(sensei_lite.__file__).parents[1]
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, place in wheel["force-include"].items():
        shutil.copytree(root / source, tmp_path / place)
    monkeypatch.setattr(sensei_lite, "__file__", str(tmp_path / "sensei_lite" / "__init__.py"))
    assert template_path("run_report.py").is_relative_to(tmp_path)
    assert template_path("run_report.py").exists()


@pytest.mark.parametrize(
    "world", [KeyRoom, KeyChest, Tabletop, Robodesk, PokemonRed, MiniHackKeyRoom, MiniHackKeyChest]
)
def test_every_world_has_events_that_count(world):
    assert set(world.event_names) & set(MEANINGFUL)
