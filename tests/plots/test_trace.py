"""A trace is what the agent saw, did and thought, each at its own time; figures of it say so."""

import csv
import dataclasses
import functools
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent.returns import RunningQuantile
from sensei_lite.agent.switch import RULES
from sensei_lite.config import DistilConfig
from sensei_lite.models.ensemble import Ensemble
from sensei_lite.models.rssm import State
from sensei_lite.plots.exploration import (
    curves_figure,
    health_figure,
    moments_of,
    rates,
    rounded,
    shares,
    spans,
    state_figure,
    study_figure,
    trace_figure,
)
from sensei_lite.plots.style import words_for
from sensei_lite.plots.trace import agent_internals, play_trace
from sensei_lite.presets import agent_config, smoke
from sensei_lite.reward.model import SemanticReward, rewards_of
from sensei_lite.worlds import KeyRoom
from sensei_lite.worlds.base import World, reset_batch

WORLD = KeyRoom(size=4, max_steps=30, decorations=0)
KEY = jax.random.key(4)
TASTE = SemanticReward(DistilConfig(hidden=8, depth=4), WORLD.image_shape, key=jax.random.key(1))


@functools.cache
def untrained():
    """An agent that has learned nothing, but whose heads say different things of different states."""
    config = agent_config(smoke(), "sensei-return")
    agent = eqx.filter_jit(agents.init)(config, WORLD.image_shape, WORLD.actions, key=KEY)
    heads = lambda a: [a.world_model.semantic.mlp.out.weight, *(c.mlp.out.weight for c in a.critics.values())]  # noqa: E731
    chance = np.random.default_rng(0)
    return eqx.tree_at(heads, agent, [jnp.asarray(chance.normal(size=w.shape), jnp.float32) for w in heads(agent)])


def explorer(name):
    """The same networks, which want something else. (To make new ones takes seconds.)"""
    config = agent_config(smoke(), name)
    return dataclasses.replace(untrained(), config=config, rule=RULES[config.switch.rule].create(config))


def with_threshold(agent, threshold):
    seen = RunningQuantile(jnp.float32(threshold), jnp.ones((), bool))
    return eqx.tree_at(lambda a: a.rule.seen, agent, seen)


@pytest.fixture(scope="module")
def sensei():
    """An agent whose threshold lies in the middle of what it compares, and its episode."""
    agent = explorer("sensei-return")
    values = play_trace(agent, WORLD, reward_model=TASTE, key=KEY).compared
    agent = with_threshold(agent, np.median(values))
    return agent, play_trace(agent, WORLD, reward_model=TASTE, key=KEY)


def test_the_actions_lead_from_picture_to_picture_with_these_events(sensei):
    _, trace = sensei
    # The same start as `play_trace` makes from its key; from there, the world alone.
    state, row = jax.jit(lambda keys: reset_batch(WORLD, keys=keys))(jax.random.split(KEY, 3)[:1])
    state = jax.tree.map(lambda leaf: leaf[0], state)
    np.testing.assert_array_equal(trace.images[0], row.image[0])
    step, render = jax.jit(lambda s, a: WORLD.step(s, a, key=KEY)), jax.jit(WORLD.render)
    assert trace.happened(0) == []
    for t in range(trace.steps):
        result = step(state, trace.actions[t])
        state = result.state
        np.testing.assert_array_equal(trace.images[t + 1], render(state))
        assert trace.happened(t + 1) == [name for name in WORLD.event_names if result.events[name]]
        assert trace.reward[t + 1] == result.reward
        assert bool(result.terminated | result.truncated) == (t + 1 == trace.steps), "cut where the episode ends"
        assert trace.action_name(t) == WORLD.actions.names[trace.actions[t]]
    assert trace.is_terminal == bool(result.terminated)
    assert trace.action_name(trace.steps) == ""
    assert sum(map(len, map(trace.happened, range(trace.steps + 1)))) > 0, "nothing happened: this shows too little"


@pytest.fixture(scope="module")
def wanderings():
    """Six long episodes of an agent that has no switch and has learned nothing."""
    world, agent = dataclasses.replace(WORLD, max_steps=400), explorer("plan2explore")
    return [play_trace(agent, world, reward_model=TASTE, key=jax.random.key(seed)) for seed in range(6)]


def test_an_episode_ends_at_the_exit_and_not_at_the_limit_of_steps(wanderings):
    ended = [trace for trace in wanderings if trace.is_terminal]
    assert ended, "a random walk of 400 steps finds the exit of so small a room now and then"
    for trace in ended:
        assert trace.happened(trace.steps) == ["exit_reached"]
        assert trace.events["exit_reached"].sum() == trace.reward.sum() == 1
        assert len(trace.disagreement) == len(trace.actions) == trace.steps < 400
    assert all(trace.steps == 400 for trace in wanderings if not trace.is_terminal)


def test_r_psi_is_that_of_the_pictures(sensei):
    _, trace = sensei
    np.testing.assert_allclose(trace.r_psi, rewards_of(TASTE, trace.images), rtol=1e-4, atol=1e-5)


class Echo(Ensemble):
    """Its disagreement about a step is the number of the action: so it can be seen which action it was asked about."""

    def reward(self, states, actions):
        return actions.argmax(-1).astype(jnp.float32)


def test_disagreement_is_about_the_action_that_was_taken(sensei):
    agent, trace = sensei
    config = agent.config
    size, model = WORLD.actions.size, config.world_model
    echo = Echo(config.ensemble, model.deter, size, model.stoch, model.classes, key=KEY)
    told = play_trace(eqx.tree_at(lambda a: a.streams["disagreement"].network, agent, echo), WORLD, key=KEY)
    np.testing.assert_array_equal(told.actions, trace.actions)
    np.testing.assert_array_equal(told.disagreement, trace.actions)


def test_thoughts_belong_to_their_states():
    """Another last state changes what is thought of it and of the step into it, and nothing before."""
    agent = explorer("sensei-return")
    model, time = agent.config.world_model, 5
    h = jax.random.normal(KEY, (time, model.deter))
    z = jax.nn.one_hot(jax.random.randint(KEY, (time, model.stoch), 0, model.classes), model.classes)
    actions = jnp.eye(WORLD.actions.size)[jnp.arange(time - 1)]
    images = jnp.zeros((time, *WORLD.image_shape), jnp.uint8)
    think = eqx.filter_jit(lambda h: agent_internals(agent, State(h, z), actions, images, None))
    thoughts, other = think(h), think(h.at[-1].add(1.0))
    for name, kept in (("semantic", 4), ("compared", 4), ("disagreement", 3)):
        same = np.isclose(thoughts[name], other[name], rtol=1e-4)
        assert same[:kept].all(), name
        assert not same[kept:].any(), name
    one, two = State(h[2], z[2]).features, State(h[1:3], z[1:3])
    alone = eqx.filter_jit(
        lambda a: (
            a.world_model.semantic(one),
            a.critics["semantic"](one),
            a.streams["disagreement"].network.reward(two, actions[1:2])[0],
        )
    )(agent)
    told = [thoughts["semantic"][2], thoughts["compared"][2], thoughts["disagreement"][1]]
    np.testing.assert_allclose(told, alone, rtol=1e-4)


def test_the_switch_stands_as_what_it_compares_says(sensei):
    agent, trace = sensei
    assert trace.compares == "return"
    assert trace.threshold == pytest.approx(float(np.median(trace.compared)))
    np.testing.assert_array_equal(trace.exploring, trace.compared >= trace.threshold)
    assert 0 < trace.exploring.sum() < len(trace.exploring)
    assert not np.allclose(trace.compared, trace.semantic)
    settings = agent.rule.settings
    for name in ("semantic", "disagreement"):
        go, explore = dict(settings.go)[name], dict(settings.explore)[name]
        np.testing.assert_allclose(trace.weights[name], np.where(trace.exploring, explore, go), rtol=1e-6)


def test_the_papers_switch_compares_the_reward_itself():
    trace = play_trace(with_threshold(explorer("sensei"), 0.0), WORLD, key=KEY)
    assert (trace.compares, trace.threshold, trace.r_psi) == ("reward", 0.0, None)
    np.testing.assert_array_equal(trace.compared, trace.semantic)
    assert "semantic reward" in drawn(trace_figure(trace))


def test_an_agent_without_a_switch_has_weights_all_the_same(wanderings):
    trace = wanderings[0]
    assert trace.semantic is trace.compares is trace.compared is trace.threshold is trace.exploring is None
    assert list(trace.weights) == ["disagreement"]
    np.testing.assert_array_equal(trace.weights["disagreement"], np.ones(trace.steps + 1))
    assert len(trace.disagreement) == trace.steps
    assert "switch says" not in drawn(trace_figure(trace))
    assert "no switch" in drawn(state_figure(trace, 1))


def test_a_world_without_an_end_is_refused():
    class Endless(World):
        actions = image_shape = property(lambda self: None)
        reset = step = render = lambda self: None

    with pytest.raises(ValueError, match="Endless has no max_steps"):
        play_trace(explorer("plan2explore"), Endless(), key=KEY)


# --- figures ---------------------------------------------------------------------------------------------------------


def drawn(drawing):
    """The figure as PNG, which must not be empty; returns its alt text."""
    file = io.BytesIO()
    drawing.figure.savefig(file, dpi=50)
    assert len(file.getvalue()) > 2000
    return drawing.alt


@pytest.mark.parametrize("width", [9.0, 3.6])
def test_an_episode_is_drawn_with_its_events_bands_and_threshold(sensei, width):
    _, trace = sensei
    drawing = trace_figure(trace, width=width)
    alt = drawn(drawing)
    moments = moments_of(trace)
    for letter, t in zip("ABCDEFG", moments, strict=False):
        assert f"{letter}, step {t}: " in alt
        assert words_for(trace.happened(t)) in alt
    assert f"explore in {trace.exploring.sum()} of {len(trace.exploring)} states" in alt
    figures = drawing.figure.subfigs
    pictures = [axes.images[0].get_array() for axes in figures[0].axes if axes.images]
    assert all((shown == trace.images[t]).all() for shown, t in zip(pictures, moments, strict=True))
    bands = [sum(patch.get_hatch() is not None for patch in axes.patches) for axes in figures[1].axes[1:]]
    assert bands == [len(spans(trace.exploring))] * 3, "hatched, not only coloured, in each of three panels"
    letters = [text.get_position() for text in figures[1].axes[0].texts]
    apart = 0.27 / width * trace.steps
    assert len(letters) == len(moments)
    assert all(abs(a[0] - b[0]) >= apart for a in letters for b in letters if a is not b and a[1] == b[1])


def test_a_state_is_drawn_with_both_rewards_threshold_branch_and_weights(sensei):
    _, trace = sensei
    t = int(trace.exploring.argmax())
    alt = drawn(state_figure(trace, t))
    assert f"Explore: the semantic critic's value {trace.compared[t]:.2f} is at or above the threshold" in alt
    for values in (trace.r_psi, trace.semantic, trace.compared, trace.disagreement):
        assert f" {rounded(float(values[t]))}" in alt
    assert "Weights: semantic 0.3, disagreement 1" in alt
    t = int(trace.exploring.argmin())
    assert "Go: " in drawn(state_figure(trace, t, width=3.6))
    assert "none, for no action follows" in drawn(state_figure(trace, trace.steps))
    with pytest.raises(IndexError, match=f"t is {trace.steps + 1}"):
        state_figure(trace, trace.steps + 1)


def test_a_studys_curves_have_a_band_where_there_are_seeds():
    curves = [
        {"agent": agent, "seed": str(seed), "event": event, "steps": str(100 * t), "share": str(t * share)}
        for agent, seeds in {"random": (1,), "sensei": (1, 2, 3)}.items()
        for seed in seeds
        for event, share in {"door_opened": 0.1 * seed, "exit_reached": 0.05}.items()
        for t in range(5)
    ]
    alt = drawn(study_figure(curves, ["door_opened", "exit_reached"], ["random", "sensei"], columns=2))
    assert "opens the door, SENSEI: 80% at the end, 3 seeds" in alt
    assert "opens the door, random: 40% at the end, 1 seeds" in alt
    drawing = study_figure(curves, ["door_opened"], ["random", "sensei"])
    assert [len(axes.collections) for axes in drawing.figure.axes if axes.lines] == [1], "a band for three seeds only"
    with pytest.raises(ValueError, match="nobody measured door_opened of rnd"):
        study_figure(curves, ["door_opened"], ["rnd"])


def test_health_is_drawn_by_agent():
    alt = drawn(health_figure({"sensei": {0: 0.95, 5: 0.5}, "vlm-motif": {0: 0.9, 5: -0.2}}))
    assert "SENSEI: 0.95 at 0, 0.50 at 5" in alt


def test_spans_are_half_open():
    assert spans(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert spans(np.zeros(3, bool)) == spans(None) == []


def write_events(folder, counts, steps=200):
    folder.mkdir()
    with (folder / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["updates", "episodes with door_opened", "steps", "episodes"])
        writer.writerows([i + 1, count, steps, 20] for i, count in enumerate(counts))
    return folder


def test_rates_are_those_of_whole_windows():
    chunks = [{"steps": 100.0, "a": 1.0}, {"steps": 300.0, "a": 1.0}, {"steps": 100.0, "a": 3.0}]
    steps, rate = rates(chunks, "a", 2)
    np.testing.assert_allclose(rate, [1000 * 2 / 400, 1000 * 4 / 400])
    np.testing.assert_allclose(steps, [200, 300])
    np.testing.assert_allclose(rates(chunks, "a", 1)[1], [10, 1000 / 300, 30])
    with pytest.raises(ValueError, match="of 3 chunks it can be 1 to 3"):
        rates(chunks, "a", 4)


def test_shares_are_of_the_episodes_that_ended_in_a_window():
    counts = [(100.0, 4.0, 1.0), (300.0, 0.0, 0.0), (100.0, 6.0, 4.0)]
    chunks = [{"steps": s, "episodes": n, "episodes with a": k} for s, n, k in counts]
    steps, share = shares(chunks, "a", 2)
    np.testing.assert_allclose(share, [1 / 4, 4 / 6])
    np.testing.assert_allclose(steps, [200, 300])
    np.testing.assert_allclose(shares(chunks, "a", 1)[1], [0.25, np.nan, 4 / 6])


def test_curves_have_a_panel_for_each_event_and_a_line_for_each_agent(tmp_path):
    """However many agents there are: five were drawn once, and the sixth was dropped."""
    counts = {"plan2explore": [0] * 10 + [4] * 10, "sensei": [1] * 20} | {f"agent-{n}": [n] * 20 for n in range(8)}
    runs = {name: write_events(tmp_path / name, each) for name, each in counts.items()}
    drawing = curves_figure(runs, ["door_opened", "exit_reached"])
    alt = drawn(drawing)
    assert "opens the door, Plan2Explore: 0% at first, 20% at the end" in alt
    assert "opens the door, SENSEI: 5% at first, 5% at the end" in alt
    assert "exit" not in alt, "nobody counted it"
    door = drawing.figure.axes[0]
    assert door.get_title() == "opens the door"
    assert [float(line.get_ydata()[-1]) for line in door.lines] == [5.0 * each[-1] for each in counts.values()]
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Plan2Explore", "SENSEI", *list(counts)[2:]]
    looks = {(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in door.lines}
    assert len(looks) == len(counts)
    with pytest.raises(ValueError, match="no events"):
        curves_figure(runs, [])
