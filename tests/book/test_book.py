"""The book: its dream is the package's, its pages are mended as they should be, its reference misses nothing."""

import csv
import json
from pathlib import Path

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from make.site import dream, film
from PIL import Image

from sensei_lite.course import pretrained
from sensei_lite.models.rssm import State

ROOT = Path(__file__).parents[2]

SIZES = {"h": (128,), "z": (32, 8), "action": (5,), "uniform": (32,)}


@pytest.fixture(scope="module")
def agent():
    return pretrained.trained_agent("sensei")


def test_a_step_of_the_dream_is_the_packages(agent):
    keys = jax.random.split(jax.random.key(0), 3)
    h = jnp.tanh(jax.random.normal(keys[0], SIZES["h"]))
    z = jax.nn.one_hot(jax.random.randint(keys[1], (32,), 0, 8), 8)
    action, uniform = jax.nn.one_hot(2, 5), jax.random.uniform(keys[2], SIZES["uniform"])
    out = dict(zip(dream.OUTPUTS, jax.jit(dream.dream_step(agent))(h, z, action, uniform), strict=True))
    model = agent.world_model
    np.testing.assert_allclose(out["next_h"], model.rssm.recur(State(h, z), action), atol=1e-6)
    # The draw is the inverse of the cumulated probabilities: the drawn class's interval holds the uniform number.
    upper = np.cumsum(np.exp(model.rssm.prior(out["next_h"])), axis=-1)
    drawn = np.asarray(out["next_z"]).argmax(-1)
    rows = np.arange(32)
    assert (np.asarray(uniform) <= upper[rows, drawn] + 1e-6).all()
    assert (np.asarray(uniform) >= np.where(drawn > 0, upper[rows, drawn - 1], 0) - 1e-6).all()
    state = State(out["next_h"], out["next_z"])
    pair = jax.tree.map(lambda a, b: jnp.stack([a, b])[:, None], State(h, z), state)
    expected = {
        "semantic": model.semantic(state.features),
        "value": agent.critics["semantic"](state.features),
        "goes_on": model.continues(state.features),
        "disagreement": agent.streams["disagreement"].network.reward(pair, action[None, None])[0, 0],
        "policy": jnp.exp(agent.actor(state.features).log_probs),
        "picture": jnp.clip(model.decoder(state.features) + 0.5, 0, 1),
    }
    for name, wanted in expected.items():
        np.testing.assert_allclose(out[name], wanted, rtol=2e-4, atol=2e-5, err_msg=name)


def test_the_exported_program_agrees_with_jax(agent, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    dream.write_dream(tmp_path)
    assert (tmp_path / "dream.onnx").stat().st_size < 6e6
    session = onnxruntime.InferenceSession(tmp_path / "dream.onnx")
    for row in json.loads((tmp_path / "reference.json").read_text()):
        given = row["inputs"]
        feeds = {"h": given["h"], "z": np.eye(8)[given["z"]], "action": np.eye(5)[given["action"]]}
        feeds["uniform"] = given["uniform"]
        found = session.run(dream.OUTPUTS, {name: np.asarray(value, np.float32) for name, value in feeds.items()})
        for name, value in zip(dream.OUTPUTS, found, strict=True):
            flat = value.reshape(-1)[::97] if name == "picture" else value.reshape(-1)
            np.testing.assert_allclose(flat, row["outputs"][name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_table_of_contents_names_every_notebook_and_page():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    pages = {path.stem for path in (ROOT / "book").glob("*.md")}
    assert set(files) == notebooks | pages | {"api/index"}


def test_pages_are_mended():
    pytest.importorskip("bs4")
    from make.site.mend import mend_page, without_badges

    page = """<html><body><a href="x">Package</a><summary></summary><script src="_static/sphinx-thebe.js"></script>
    <script src="_static/mathjax/tex-svg.js"></script><script src="_static/live/dream.js?v=1"></script>
    <script type="module" src="_static/live/dream.js"></script>
    <script type="application/vnd.jupyter.widget-view+json">{}</script>
    <article class="bd-article"><div class="citation-list" role="list"></div><table><tr></tr></table>
    <div class="pst-scrollable-table-container"><table></table></div></article></body></html>"""
    mended = mend_page(page)
    assert 'role="list"' not in mended
    assert mended.count('class="pst-scrollable-table-container"') == mended.count('tabindex="0"') == 2
    assert "thebe" not in mended
    assert "mathjax" not in mended
    assert mended.count("dream.js") == 1
    assert "when the notebook runs" in mended
    assert 'aria-label="Pages under Package"' in mended
    assert "mathjax" in mend_page(page.replace("<summary>", '<span class="math">x</span><summary>'))
    source = (ROOT / "notebooks" / "00_start_here.ipynb").read_text()
    assert "badge" in source
    assert "badge" not in without_badges(source)
    assert json.loads(without_badges(source))["cells"][0]["source"][0].startswith("# 00")


def test_the_reference_has_every_module_and_its_words(tmp_path):
    pytest.importorskip("griffe")
    from make.site.reference import write_reference

    pages = write_reference(ROOT / "sensei_lite", tmp_path)
    modules = {path.relative_to(ROOT / "sensei_lite") for path in (ROOT / "sensei_lite").rglob("*.py")}
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in modules} - {
        "__init__",
        "__main__",
    }
    assert set(pages) == names
    text = (tmp_path / "exploration.md").read_text()
    assert "def is_exploring(" in text
    assert "True: here it is interesting, so explore." in text


def test_the_film_shows_all_three_and_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "STEPS", 8)
    film.write_film(tmp_path)
    with av.open(str(tmp_path / "film.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) > 8, "it rests on the last one"
    last = np.asarray(Image.open(tmp_path / "film.png"))
    assert np.abs(frames[-1][: len(last)].astype(int) - last).mean() < 8
    pictures = last[3 * film.LINE + film.MARGIN :][: 10 * film.SCALE]
    width = film.SCALE * pretrained.trained_world().image_shape[1]
    assert (pictures[:, film.MARGIN : film.MARGIN + width] != 255).any()
    before = (tmp_path / "film.mp4").stat().st_mtime_ns
    film.write_film(tmp_path)
    assert (tmp_path / "film.mp4").stat().st_mtime_ns == before, "what is there stays"


def test_short_tables_are_made_from_the_long_ones():
    from make.site.summary import summary, with_summaries

    table = summary("keyroom_lab", ["door_opened per 1000 steps", "ties among the judgements"])
    lines = table.splitlines()
    assert lines[0] == "| agent | door opened per 1000 steps | ties among the judgements |"
    with (ROOT / "book" / "data" / "study" / "keyroom_lab.csv").open() as file:
        rows = {(row["agent"], row["measure"]): row for row in csv.DictReader(file)}
    agents = list(dict.fromkeys(agent for agent, _ in rows))
    assert [line.split("`")[1] for line in lines[2:]] == agents
    clip = lines[2 + agents.index("sensei")].split(" | ")
    assert float(clip[1].split("**")[1]) == pytest.approx(
        float(rows["sensei", "door_opened per 1000 steps"]["iqm"]), rel=0.01
    )
    assert lines[2 + agents.index("random")].endswith("|  |")
    with pytest.raises(KeyError, match="no figure 'doors'"):
        summary("keyroom_lab", ["doors"])
    page = (ROOT / "book" / "results.md").read_text()
    asked, written = page.count("<!-- summary"), with_summaries(page)
    assert asked >= 3
    assert "<!-- summary" not in written
    assert written.count("| agent |") == page.count("| agent |") + asked, "every one asked for becomes a table"
