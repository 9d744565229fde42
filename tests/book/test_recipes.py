"""The recipes of the developers' page are run as they stand there."""

import dataclasses
import re
import sys
import types
from pathlib import Path
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite import presets
from sensei_lite.agent import streams, switch
from sensei_lite.annotators import registry
from sensei_lite.annotators.pairs import random_pairs
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.store import Store
from sensei_lite.config import DistilConfig, Rule, changed
from sensei_lite.presets import agent_config, smoke
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.collect import play_observations
from sensei_lite.training.jax_loop import start_training, train_chunk
from sensei_lite.worlds import KeyRoom

PAGE = Path(__file__).parents[2] / "book" / "developers.md"
KEY, WORLD = jax.random.key(0), KeyRoom(size=4, decorations=0, max_steps=20)


def recipe(title: str) -> list[str]:
    """The listings of one section."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert section, title
    return re.findall(r"```python\n(.*?)```", section[1], re.DOTALL)


def an_agent_from_a_line(monkeypatch, line: str) -> None:
    monkeypatch.setattr(presets, "AGENTS", presets.AGENTS | eval("{" + line + "}", vars(presets)))


def test_a_reward_stream_is_a_file_and_a_line(monkeypatch, tmp_path):
    file, line = recipe("Add a reward stream")
    (tmp_path / "entropy.py").write_text(file)
    monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(tmp_path)])
    an_agent_from_a_line(monkeypatch, line)
    assert "entropy" in streams.names()
    config = agent_config(smoke(), "entropy")
    state, metrics, _ = train_chunk(config, WORLD, start_training(config, WORLD, key=KEY))
    assert set(state.agent.streams) == {"entropy"} == set(state.agent.critics)
    assert float(metrics["reward/entropy"]) > 0
    sys.modules.pop("sensei_lite.agent.streams.entropy")


@pytest.mark.slow
def test_a_switch_is_a_class_and_a_name(monkeypatch):
    code, names = recipe("Add a switch")
    monkeypatch.setattr(switch, "RULES", dict(switch.RULES))
    exec(code, vars(switch))
    assert set(get_args(eval(names.split("=")[1], {"Literal": Literal}))) == set(get_args(Rule)) | {"soft"}
    # The tests check types when modules are imported: the new rule takes the place of one whose name is known.
    monkeypatch.setattr("sensei_lite.agent.state.RULES", {"return": switch.RULES["soft"]})
    config = changed(agent_config(smoke(), "sensei-return"), {"switch.percentile": 80})
    reward_model = SemanticReward(DistilConfig(hidden=8, depth=4), WORLD.image_shape, key=KEY)
    state, metrics, _ = train_chunk(config, WORLD, start_training(config, WORLD, reward_model, key=KEY))
    assert type(state.agent.rule).__name__ == "SoftSwitch"
    assert 0 < float(metrics["switch/exploring"]) < 1
    weights = state.agent.rule.weights(jnp.array([0.0, 0.5, 1.0]))["semantic"]
    np.testing.assert_allclose(weights, [1.0, 0.65, 0.3], rtol=1e-6)
    del switch.SoftSwitch


@pytest.mark.slow
def test_a_world_is_a_dataclass_and_a_name():
    code, line = recipe("Add a world")
    module = types.ModuleType("corridor")
    sys.modules["corridor"] = module
    exec(code, vars(module))
    world = eval("{" + line + "}", vars(module))["corridor"]
    config = agent_config(smoke(), "task")
    _, metrics, counts = train_chunk(config, world, start_training(config, world, key=KEY))
    assert int(counts["steps"]) > 0
    assert np.isfinite(float(metrics["loss/image"]))
    sys.modules.pop("corridor")


def test_an_annotator_is_a_class_and_a_line(monkeypatch, tmp_path):
    code, line = recipe("Add an annotator")
    module = types.ModuleType("bright")
    exec(code, vars(module))
    monkeypatch.setattr(registry, "MAKERS", registry.MAKERS | eval("{" + line + "}", vars(module)))
    observations = play_observations(WORLD, 4, guided=False, seed=0)
    annotator = registry.make_annotator(
        "bright", observations, world="keyroom", prompt_file=tmp_path / "prompt.json", margin=0.5
    )
    with Store(tmp_path / "preferences.sqlite") as store:
        stats = ask(store, annotator, observations, random_pairs(observations, 20, 0))
        preferences = store.preferences(annotator.id)
    assert (stats.left, annotator.version) == (0, "1 margin=0.5")
    light = preferences.images.mean((1, 2, 3))
    decided = preferences.target != 0.5
    assert decided.any()
    brighter = light[preferences.first] > light[preferences.second]
    assert (brighter == (preferences.target == 1))[decided].all()


def test_an_unknown_stream_is_named():
    config = dataclasses.replace(
        smoke(), behaviour=dataclasses.replace(smoke().behaviour, reward_weights=(("boredom", 1.0),))
    )
    with pytest.raises(ValueError, match="no reward stream 'boredom'; there are disagreement, extrinsic"):
        start_training(config, WORLD, key=KEY)
