"""World model, ensemble, actor-critic, replay and agent: gradients flow where they should, and time is aligned."""

import dataclasses
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.agent.actor_critic import Actor, actor_loss, imagine
from sensei_lite.agent.replay import Replay
from sensei_lite.agent.returns import PercentileNormaliser
from sensei_lite.agent.switch import advantages
from sensei_lite.config import BehaviourConfig, Config, EnsembleConfig, TrainConfig, WorldModelConfig
from sensei_lite.models.distributions import symlog
from sensei_lite.models.ensemble import Ensemble, ensemble_std, ensemble_variance, mutual_information
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.presets import paper, smoke
from sensei_lite.training.jax_loop import start_training, train_chunk
from sensei_lite.types import Box, Discrete
from sensei_lite.worlds import KeyRoom

CONFIG = smoke()
SHAPE = (16, 24, 3)
FIVE = Discrete(("a", "b", "c", "d", "e"))
KEY = jax.random.key(0)


def batch(size: int = 3, time: int = 5, actions: int = 5) -> Transition:
    """Random sequences; the second one starts a new episode in row 3."""
    return Transition(
        image=jax.random.randint(KEY, (size, time, *SHAPE), 0, 256).astype(jnp.uint8),
        action=jax.nn.one_hot(jax.random.randint(KEY, (size, time), 0, actions), actions),
        reward=jax.random.normal(KEY, (size, time)),
        semantic=jax.random.normal(jax.random.key(1), (size, time)),
        is_first=jnp.zeros((size, time), bool).at[1, 3].set(True),
        is_terminal=jnp.zeros((size, time), bool).at[1, 2].set(True),
    )


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return WorldModel(CONFIG.world_model, SHAPE, 5, key=KEY)


@pytest.fixture(scope="module")
def agent() -> agents.AgentState:
    return eqx.filter_jit(agents.init)(CONFIG, SHAPE, FIVE, key=KEY)


@pytest.fixture(scope="module")
def term_gradients():
    """The gradient of every named term with respect to the whole world model."""

    def term(model, name):
        return model.loss(batch(), key=KEY)[1][0][name]

    names = ("image", "reward", "continue", "semantic", "dynamics", "representation")
    # Free bits would hide both halves of the KL at the start.
    model = WorldModel(dataclasses.replace(CONFIG.world_model, free_bits=0.0), SHAPE, 5, key=KEY)
    # Zero-initialised heads pass no gradient on until they have moved, so they are given weights first.
    model = eqx.tree_at(
        lambda m: (m.reward.mlp.out.weight, m.semantic.mlp.out.weight),
        model,
        replace_fn=lambda w: 0.1 * jnp.sin(jnp.arange(w.size, dtype=jnp.float32)).reshape(w.shape),
    )
    gradient = eqx.filter_jit(lambda m: {name: eqx.filter_grad(term)(m, name) for name in names})
    return gradient(model)


def size(tree) -> float:
    return float(sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(tree)))


@pytest.mark.parametrize(
    ("term", "moves", "leaves_alone"),
    [
        ("image", ["decoder", "encoder", "rssm"], ["reward", "semantic", "continue_head"]),
        ("reward", ["reward", "encoder", "rssm"], ["decoder", "semantic", "continue_head"]),
        ("continue", ["continue_head", "encoder", "rssm"], ["decoder", "reward", "semantic"]),
        ("semantic", ["semantic", "encoder", "rssm"], ["decoder", "reward", "continue_head"]),
        ("dynamics", ["rssm", "encoder"], ["decoder", "reward", "semantic", "continue_head"]),
        ("representation", ["rssm", "encoder"], ["decoder", "reward", "semantic", "continue_head"]),
    ],
)
def test_every_term_moves_its_own_weights(term_gradients, term, moves, leaves_alone):
    gradient = term_gradients[term]
    assert all(size(getattr(gradient, part)) > 0 for part in moves)
    assert all(size(getattr(gradient, part)) == 0 for part in leaves_alone)


def test_each_half_of_the_kl_teaches_its_own_side(term_gradients):
    dynamics, representation = term_gradients["dynamics"].rssm, term_gradients["representation"].rssm
    assert size(dynamics.prior_out) > 0
    assert size(representation.prior_out) == 0
    assert size(representation.posterior_out) > 0


def test_numbers_beside_the_picture_are_seen_and_foretold():
    model = WorldModel(CONFIG.world_model, SHAPE, 5, 3, key=KEY)
    numbers = 10 * jax.random.normal(jax.random.key(2), (3, 5, 3))
    rows = batch()._replace(vector=numbers)

    def loss(model, rows):
        _, (terms, rollout) = model.loss(rows, key=KEY)
        return terms["vector"], rollout.states

    (term, states), gradient = eqx.filter_jit(eqx.filter_value_and_grad(loss, has_aux=True))(model, rows)
    told = jax.vmap(jax.vmap(model.vector_decoder))(states.features)
    assert term == pytest.approx(float(jnp.square(told - symlog(numbers)).sum(-1).mean()), rel=1e-4)
    for part in ("vector_encoder", "vector_decoder", "rssm"):
        assert size(getattr(gradient, part)) > 0, part
    assert size(gradient.decoder) == 0
    last = rows._replace(vector=numbers.at[:, -1].add(5.0))
    (_, base), (_, changed) = (eqx.filter_jit(loss)(model, seen) for seen in (rows, last))
    assert (changed.h == base.h).all(), "a memory is made before its row is seen"
    assert (changed.z[:, :-1] == base.z[:, :-1]).all(), "the future was seen"
    with pytest.raises(ValueError, match="expects numbers beside the picture"):
        model.observe(batch(), key=KEY)
    plain = WorldModel(CONFIG.world_model, SHAPE, 5, key=KEY)
    with pytest.raises(ValueError, match="expects no numbers beside the picture"):
        plain.observe(rows, key=KEY)


def test_a_model_without_eyes_lives_on_numbers_alone():
    settings = dataclasses.replace(CONFIG.world_model, encoder="none", vector_scale=7.0)
    model = WorldModel(settings, SHAPE, 5, 3, key=KEY)
    rows = batch()._replace(vector=jax.random.normal(jax.random.key(2), (3, 5, 3)))
    total, (terms, rollout) = eqx.filter_jit(lambda model, rows: model.loss(rows, key=KEY))(model, rows)
    blank, _ = eqx.filter_jit(lambda model, rows: model.loss(rows, key=KEY))(
        model, rows._replace(image=jnp.zeros_like(rows.image))
    )
    assert total == blank, "it looked at a picture"
    assert "image" not in terms
    weights = {"vector": 7.0, "dynamics": 0.5, "representation": 0.1}
    assert float(total) == pytest.approx(float(sum(weights.get(n, 1.0) * t for n, t in terms.items() if n != "kl")))
    told = model.decode_vector(rollout.states.features)
    error = jnp.square(symlog(told) - symlog(rows.vector)).sum(-1).mean()
    assert float(error) == pytest.approx(float(terms["vector"]), rel=1e-4)
    with pytest.raises(ValueError, match="draws no pictures"):
        model.decode_image(rollout.states.features)
    with pytest.raises(ValueError, match="encoder is 'none', and this world gives no numbers"):
        WorldModel(settings, SHAPE, 5, key=KEY)
    with pytest.raises(ValueError, match="tells no numbers"):
        WorldModel(CONFIG.world_model, SHAPE, 5, key=KEY).decode_vector(rollout.states.features)


@dataclasses.dataclass(frozen=True)
class Compass(KeyRoom):
    """KeyRoom whose agent also feels where it stands."""

    vector_size = 2

    def vector(self, state):
        return state.agent.astype(jnp.float32)


def test_a_worlds_numbers_are_remembered_beside_their_pictures():
    world = Compass(size=4, decorations=0, max_steps=9)
    state, metrics, _ = train_chunk(CONFIG, world, start_training(CONFIG, world, key=KEY))
    rows, written = state.replay.rows, int(state.replay.written)
    assert np.isfinite(metrics["loss/vector"])
    for t, env in ((written - 1, 0), (written - 5, 2), (3, 1)):
        cell = np.asarray(rows.vector[t, env]).astype(int)
        tile = np.asarray(rows.image[t, env]).reshape(7, 8, 6, 8, 3).swapaxes(1, 2)[tuple(cell)]
        floor = np.asarray(rows.image[t, env]).reshape(7, 8, 6, 8, 3).swapaxes(1, 2)[1:5, 1:5].reshape(16, -1)
        others = (floor == tile.reshape(-1)).all(-1).sum()
        assert others == 1, "the agent is drawn where it feels to be, and nowhere else"


def test_the_total_is_the_weighted_sum_of_its_terms(model):
    total, (terms, _) = eqx.filter_jit(lambda m: m.loss(batch(), key=KEY))(model)
    weights = {"dynamics": 0.5, "representation": 0.1, "kl": 0.0}
    assert float(total) == pytest.approx(float(sum(weights.get(n, 1.0) * t for n, t in terms.items())), rel=1e-5)
    assert float(terms["reward"]) == pytest.approx(np.log(CONFIG.world_model.bins), rel=1e-5), "heads start uniform"


def test_the_batchs_order_does_not_matter_to_a_row(model):
    """Sequences are followed each on its own: another order of the batch gives the same beliefs, in that order."""
    rows = batch()
    observe = eqx.filter_jit(lambda r: model.observe(r, key=KEY)[1][:, 0])
    turned = jax.tree.map(lambda x: x[::-1], rows)
    # The first row's posterior depends on its picture and on nothing random.
    np.testing.assert_allclose(observe(rows), observe(turned)[::-1], atol=1e-6)
    assert float(abs(observe(rows) - observe(turned)).max()) > 1e-3, "different pictures give different beliefs"


def test_the_spread_of_an_ensemble_agrees_with_an_independent_implementation():
    golden = json.loads((Path(__file__).parents[1] / "golden" / "disagreement.json").read_text())
    k = np.arange(8 * 4 * 2 * 5, dtype=np.float64)
    predictions = (0.5 * np.sin(0.9 + 0.5 * k + 0.01 * k * k)).reshape(8, 4, 2, 5)
    predictions[:, 3] *= 0.02
    np.testing.assert_allclose(predictions.reshape(-1)[:3], golden["inputs"]["check"]["first3"], rtol=1e-6)
    given = jnp.asarray(predictions, jnp.float32)
    outputs = golden["outputs"]
    theirs = np.asarray(next(v for name, v in outputs.items() if name.startswith("danijar_v1")))
    np.testing.assert_allclose(ensemble_std(given)[1:].reshape(theirs.shape), theirs, rtol=1e-5)
    np.testing.assert_allclose(ensemble_variance(given), outputs["own_float64_variance_biased_mean"], rtol=1e-5)


def test_the_ensemble_learns_the_next_state_from_the_action_that_led_there():
    """Targets that depend on the action in row t+1 can be learned; the pair over an episode's start does not count."""
    ensemble = Ensemble(EnsembleConfig(heads=2, hidden=8, reads="state", measure="variance"), 4, 5, 2, 3, key=KEY)
    rows = batch(4, 6)
    states = State(jnp.zeros((4, 6, 4)), jax.random.normal(KEY, (4, 6, 2, 3)))
    loss = eqx.filter_jit(lambda z, a: ensemble.loss(PosteriorRollout(State(states.h, z), z), a, rows.is_first))
    base = loss(states.z, rows.action)
    assert loss(states.z, rows.action.at[:, 0].add(1.0)) == base, "row 0's action led to row 0: no pair has it"
    assert loss(states.z, rows.action.at[0, 3].add(1.0)) != base
    assert loss(states.z, rows.action.at[1, 3].add(1.0)) == base, "row 3 of sequence 1 starts an episode"


def test_heads_that_read_the_memory_read_the_one_that_the_action_led_to():
    settings = EnsembleConfig(heads=2, hidden=8, reads="memory", measure="variance", scale=1.0)
    ensemble = Ensemble(settings, 4, 5, 2, 3, key=KEY)
    rows = batch(4, 6)
    h, z = jax.random.normal(KEY, (4, 6, 4)), jax.random.normal(KEY, (4, 6, 2, 3))
    loss = eqx.filter_jit(lambda h, a: ensemble.loss(PosteriorRollout(State(h, z), z), a, rows.is_first))
    base = loss(h, rows.action)
    assert loss(h, rows.action + 1.0) == base, "the action is already in the memory"
    assert loss(h.at[:, 0].add(1.0), rows.action) == base, "no pair arrives in row 0"
    assert loss(h.at[0, 3].add(1.0), rows.action) != base
    reward = ensemble.reward(State(jnp.swapaxes(h, 0, 1), jnp.swapaxes(z, 0, 1)), jnp.zeros((5, 4, 5)))
    again = ensemble.predict(jnp.zeros((4, 10)), jnp.zeros((4, 5)), h[:, 3])
    np.testing.assert_allclose(reward[2], ensemble_variance(again.reshape(2, 4, 6)), rtol=1e-5)


def test_information_is_what_heads_could_teach_one_another():
    sure = jnp.log(jnp.array([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98]]))[:, None]
    unsure = jnp.log(jnp.full((3, 1, 3), 1 / 3))
    told = lambda log_probs: float(mutual_information(log_probs))  # noqa: E731
    assert told(unsure) == pytest.approx(0.0, abs=1e-6), "all agree that nothing is known"
    assert told(jnp.broadcast_to(sure[:1], (3, 1, 3))) == pytest.approx(0.0, abs=1e-6), "all know the same"
    entropy = -(0.98 * np.log(0.98) + 0.02 * np.log(0.01))
    assert told(sure) == pytest.approx(np.log(3) - entropy, rel=1e-5), "each knows something else"
    both = told(jnp.concatenate([sure, unsure], axis=1))
    assert both == pytest.approx(told(sure), rel=1e-5), "categoricals add up, and noise adds nothing"


def test_heads_of_probabilities_learn_by_cross_entropy():
    ensemble = Ensemble(EnsembleConfig(heads=2, hidden=8, measure="mutual_information"), 4, 5, 2, 3, key=KEY)
    rows, h = batch(2, 3), jax.random.normal(KEY, (2, 3, 4))
    posterior = jax.nn.softmax(jax.random.normal(KEY, (2, 3, 2, 3)))
    rollout = PosteriorRollout(State(h, posterior), posterior)
    guesses = ensemble.predict(jnp.zeros((2, 2, 10)), jnp.zeros((2, 2, 5)), h[:, 1:])
    np.testing.assert_allclose(jnp.exp(guesses).sum(-1), 1.0, rtol=1e-5)
    expected = -(posterior[:, 1:] * guesses).sum((-1, -2)).sum(0).mean()
    assert ensemble.loss(rollout, rows.action, rows.is_first) == pytest.approx(float(expected), rel=1e-5)


def test_teaching_the_mean_is_teaching_samples_without_their_noise():
    """E_z |f - z|^2 = |f - p|^2 + a number that does not depend on f: averaged gradients must agree."""
    rows, probs = batch(2, 2), jax.nn.softmax(jax.random.normal(KEY, (2, 2, 2, 3)))
    of = {
        target: Ensemble(
            EnsembleConfig(heads=2, hidden=4, target=target, reads="state", measure="variance"), 4, 5, 2, 3, key=KEY
        )
        for target in ("sample", "mean")
    }

    def gradient(target, drawn):
        states = State(jnp.zeros((2, 2, 4)), jnp.stack([probs[:, 0], drawn], axis=1))
        rollout = PosteriorRollout(states, probs)
        return eqx.filter_grad(lambda e: e.loss(rollout, rows.action, rows.is_first))(of[target]).heads.out.bias

    choices = jax.random.categorical(jax.random.key(1), jnp.log(probs[:, 1]), shape=(4096, 2, 2))
    draws = jax.nn.one_hot(choices, 3)
    sampled = jax.jit(jax.vmap(lambda z: gradient("sample", z)))(draws)
    exact = gradient("mean", draws[0])
    error = sampled.std(0) / 64  # of a mean over 4096 draws
    assert (abs(sampled.mean(0) - exact) < 5 * error).all()
    assert (sampled.std(0) > 0.1).all(), "samples are noisy"
    assert (gradient("mean", draws[1]) == exact).all(), "the mean is not"


def test_agreeing_heads_are_not_curious_and_the_world_model_is_not_taught_by_the_ensemble():
    same = jnp.broadcast_to(jnp.arange(6.0), (3, 4, 6))
    assert (ensemble_std(same) == 0).all()
    ensemble = Ensemble(EnsembleConfig(heads=2, hidden=8, reads="state", measure="variance"), 4, 5, 2, 3, key=KEY)
    rows = batch(2, 4)

    def loss(z):
        rollout = PosteriorRollout(State(jnp.zeros((2, 4, 4)), z), z)
        return ensemble.loss(rollout, rows.action[:2, :4], rows.is_first[:2, :4])

    assert (jax.jit(jax.grad(loss))(jax.random.normal(KEY, (2, 4, 2, 3))) == 0).all()


def test_a_dream_is_what_its_own_actions_lead_to(model):
    """Every imagined state follows from the one before by the action that stands between them."""
    actor = Actor(CONFIG.behaviour, 16 + 16, 5, True, 0.01, key=KEY)
    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (6, *x.shape)), model.rssm.initial())
    states, actions, policy = eqx.filter_jit(imagine)(model, actor, start, 4, key=jax.random.key(3))
    assert states.h.shape == (5, 6, 16)
    assert actions.shape == (4, 6, 5)
    said = jax.vmap(jax.vmap(actor))(states.features[:-1])
    np.testing.assert_allclose(policy.log_probs, said.log_probs, rtol=1e-4, atol=1e-5)
    recur = jax.jit(jax.vmap(model.rssm.recur))
    for t in range(4):
        before = State(states.h[t], states.z[t])
        np.testing.assert_allclose(states.h[t + 1], recur(before, actions[t]), atol=1e-6)


def test_a_replayed_sequence_starts_with_an_empty_memory(model):
    """Row 0 is read as the first of an episode, whatever came before it; what led there does not count."""
    rows = batch()
    observe = eqx.filter_jit(lambda rows: model.observe(rows, key=KEY)[0])
    as_first = rows._replace(is_first=rows.is_first.at[:, 0].set(True), action=rows.action.at[:, 0].set(0.0))
    assert (observe(rows).h == observe(as_first).h).all()


def test_dreams_start_from_replayed_states_without_repetition():
    numbers = jnp.arange(12.0)
    states = State(numbers.reshape(3, 4, 1), jnp.zeros((3, 4, 1, 1)))
    rows = batch(3, 4)._replace(is_terminal=numbers.reshape(3, 4) % 3 == 0)
    some, terminal = learning.dream_starts(states, rows, 5, key=KEY)
    chosen = np.asarray(some.h)[:, 0]
    assert len(set(chosen)) == 5
    assert (terminal == (chosen % 3 == 0)).all()
    others = {
        tuple(np.asarray(learning.dream_starts(states, rows, 5, key=jax.random.key(i))[0].h)[:, 0]) for i in range(5)
    }
    assert len(others) > 1, "always the same starts"
    every, _ = learning.dream_starts(states, rows, None, key=KEY)
    assert (every.h[:, 0] == numbers).all()


def test_the_paper_preset_has_the_research_codes_settings():
    """The numbers of SENSEI's research code for MiniHack, from its configuration file."""
    config = paper()
    model, ensemble, behaviour, train = config.world_model, config.ensemble, config.behaviour, config.train
    assert (model.deter, model.stoch, model.classes, model.hidden, model.layers) == (512, 32, 32, 512, 2)
    assert (model.encoder, model.depth, model.bins, model.unimix, model.free_bits) == ("conv", 32, 255, 0.01, 1.0)
    assert (model.dynamics_scale, model.representation_scale, model.clip) == (0.5, 0.1, 1000.0)
    assert (model.learning_rate, ensemble.learning_rate, behaviour.learning_rate) == (1e-4, 1e-4, 3e-5)
    assert {part.beta2 for part in (model, ensemble, behaviour)} == {0.999}
    assert (ensemble.heads, ensemble.layers, ensemble.hidden, ensemble.clip) == (8, 2, 512, 100.0)
    assert (ensemble.reads, ensemble.target, ensemble.measure, ensemble.scale) == ("state", "sample", "std", 1.0)
    assert (behaviour.horizon, behaviour.starts, behaviour.lam, behaviour.entropy) == (15, None, 0.95, 3e-4)
    assert behaviour.discount == 1 - 1 / 333
    assert (behaviour.slow_rate, behaviour.return_decay, behaviour.clip) == (0.02, 0.99, 100.0)
    assert (train.batch, train.length, train.capacity) == (16, 64, 1_000_000)
    assert train.batch * train.length / train.env_steps_per_update == 512, "the train ratio"


def test_an_open_loop_dream_looks_first_and_then_sees_only_actions(model):
    rows, watch = batch(), 2
    dream = eqx.filter_jit(lambda m, rows: m.open_loop(rows, watch, key=KEY))
    states = dream(model, rows)
    assert states.h.shape == (3, 5, CONFIG.world_model.deter)
    seen, _, _ = model.observe(jax.tree.map(lambda leaf: leaf[:, :watch], rows), key=jax.random.split(KEY)[0])
    np.testing.assert_allclose(states.h[:, :watch], seen.h, atol=1e-6)
    after = rows._replace(image=rows.image.at[:, watch:].set(0))
    assert (dream(model, after).h == states.h).all(), "the dream peeped"
    before = rows._replace(image=rows.image.at[:, 0].set(0))
    assert (dream(model, before).h[:, watch:] != states.h[:, watch:]).any(), "the dream forgot what it was shown"
    acted = rows._replace(action=rows.action.at[:, watch].set(jnp.roll(rows.action[:, watch], 1, -1)))
    assert (dream(model, acted).h[:, watch] != states.h[:, watch]).any(), "the dream did not listen to the action"
    with pytest.raises(ValueError, match="watch is 5; of sequences of 5 rows it can be 1 to 4"):
        model.open_loop(rows, 5, key=KEY)


def test_the_policy_turns_towards_actions_with_an_advantage():
    actor = Actor(CONFIG.behaviour, 6, 3, True, 0.01, key=KEY)
    features = jax.random.normal(KEY, (4, 50, 6))
    action = jax.nn.one_hot(jax.random.randint(KEY, (4, 50), 0, 3), 3)
    advantage = jnp.where(action[..., 1] == 1, 1.0, -1.0)

    def said(actor):
        return jax.vmap(jax.vmap(actor))(features)

    @eqx.filter_jit
    def improve(actor):
        gradient = eqx.filter_grad(lambda a: actor_loss(said(a), action, advantage, jnp.ones((4, 50)), 0.0)[0])(actor)
        return jax.tree.map(lambda w, g: w - 0.5 * g, actor, gradient)

    before = said(actor).log_probs[..., 1].mean()
    for _ in range(20):
        actor = improve(actor)
    assert said(actor).log_probs[..., 1].mean() > before + 0.5


def test_no_gradient_reaches_the_advantage_and_weightless_steps_teach_nothing():
    actor = Actor(CONFIG.behaviour, 6, 3, True, 0.01, key=KEY)
    policy = jax.vmap(jax.vmap(actor))(jax.random.normal(KEY, (2, 4, 6)))
    action = jax.nn.one_hot(jnp.ones((2, 4), int), 3)

    def loss(advantage, weight):
        return actor_loss(policy, action, advantage, weight, 1e-3)[0]

    assert (jax.jit(jax.grad(loss))(jnp.ones((2, 4)), jnp.ones((2, 4))) == 0).all()
    assert loss(jnp.ones((2, 4)), jnp.zeros((2, 4))) == 0


def test_streams_are_normalised_each_on_its_own_scale_before_they_are_weighed():
    returns = {"extrinsic": jnp.full((2, 3), 100.0), "disagreement": jnp.full((2, 3), 1.0)}
    values = jax.tree.map(jnp.zeros_like, returns)
    normalisers = {
        "extrinsic": PercentileNormaliser(jnp.zeros(()), jnp.asarray(100.0)),
        "disagreement": PercentileNormaliser.create(),
    }
    mixed = advantages(returns, values, normalisers, {"extrinsic": 1.0, "disagreement": 3.0}, 4.0)
    np.testing.assert_allclose(mixed, (1.0 * 1 + 3.0 * 1) / 4.0)


def ring(slots: int, rows: int) -> Replay:
    """A replay of two worlds whose reward says world * 1000 + row."""

    def row(i):
        value = jnp.array([i, 1000 + i], jnp.float32)
        return Transition(
            image=jnp.zeros((2, 1, 1, 3), jnp.uint8),
            action=jnp.zeros((2, 1)),
            reward=value,
            semantic=value,
            is_first=jnp.zeros(2, bool),
            is_terminal=jnp.zeros(2, bool),
        )

    replay = Replay.create(slots, row(0))
    for i in range(rows):
        replay = replay.add(row(i))
    return replay


@pytest.mark.parametrize("rows", [5, 8, 13, 21])
def test_sequences_are_rows_in_order_and_never_cross_the_seam(rows):
    replay = ring(8, rows)
    drawn = np.asarray(jax.jit(lambda r: r.sample(400, 4, key=KEY).reward)(replay))
    assert (np.diff(drawn, axis=1) == 1).all()
    row = drawn % 1000
    assert row.min() == max(0, rows - 8)
    assert row.max() == rows - 1
    assert set(np.unique(drawn // 1000)) == {0, 1}
    assert len(np.unique(row[:, 0])) == min(rows, 8) - 3


def test_acting_depends_on_nothing_before_an_episodes_start(agent):
    image = jax.random.randint(KEY, (2, *SHAPE), 0, 256).astype(jnp.uint8)
    yes, no = jnp.ones(2, bool), jnp.zeros(2, bool)
    act = eqx.filter_jit(lambda m, is_first: agents.act(agent, m, image, is_first, key=KEY))
    memory = agents.initial_policy_state(agent, 2, 5)
    other = jax.tree.map(lambda x: x + 1.0, memory)
    assert (act(memory, yes).state.h == act(other, yes).state.h).all()
    assert (act(memory, no).state.h != act(other, no).state.h).any()


@pytest.mark.parametrize(
    ("actions", "streams"),
    [(FIVE, ("semantic", "disagreement")), (Box(("x", "y")), ("extrinsic",))],
    ids=["discrete", "continuous"],
)
def test_one_update_changes_everything_that_learns(actions, streams):
    config = dataclasses.replace(
        CONFIG, behaviour=dataclasses.replace(CONFIG.behaviour, reward_weights=tuple((s, 1.0) for s in streams))
    )
    agent = eqx.filter_jit(agents.init)(config, SHAPE, actions, key=KEY)
    rows = batch()
    if isinstance(actions, Box):
        rows = rows._replace(action=jax.random.uniform(KEY, (3, 5, 2), minval=-1))
    after, metrics = eqx.filter_jit(learning.update)(agent, rows, key=jax.random.key(4))
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert set(after.critics) == set(streams)
    for part in ("world_model", "actor", "critics", "slow_critics"):
        assert size(jax.tree.map(lambda a, b: a - b, getattr(after, part), getattr(agent, part))) > 0, part
    assert set(after.streams) == set(streams)
    for name, stream in after.streams.items():
        learned = jax.tree.map(lambda a, b: a - b, stream.network, agent.streams[name].network)
        assert (size(learned) > 0) == (name == "disagreement"), name
    assert int(after.updates) == 1
    assert jax.tree.structure(after) == jax.tree.structure(agent)


def test_a_chunk_collects_learns_and_repeats_exactly():
    world = KeyRoom(size=4, decorations=0, max_steps=9)
    runs = []
    for _ in range(2):
        state = start_training(CONFIG, world, key=jax.random.key(5))
        warm = int(state.steps)
        for _ in range(2):
            state, metrics, counts = train_chunk(CONFIG, world, state)
        runs.append(state)
    assert warm == CONFIG.train.prefill_steps
    assert int(state.agent.updates) == 2 * CONFIG.train.chunk_updates
    collected = int(state.replay.written) - 1 - warm // CONFIG.train.envs
    assert collected * CONFIG.train.envs == 2 * CONFIG.train.chunk_updates * CONFIG.train.env_steps_per_update
    assert set(counts) >= {"episodes", "steps", "key_picked_up"}
    assert all(np.isfinite(float(value)) for value in metrics.values())

    def raw(leaf):
        return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    for one, other in zip(jax.tree.leaves(runs[0]), jax.tree.leaves(runs[1]), strict=True):
        assert (np.asarray(raw(one)) == np.asarray(raw(other))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BehaviourConfig(horizon=0), "behaviour.horizon is 0"),
        (lambda: BehaviourConfig(discount=1.0), "behaviour.discount is 1.0"),
        (
            lambda: agents.init(
                Config(behaviour=BehaviourConfig(reward_weights=(("curiosity", 1.0),))), SHAPE, FIVE, key=KEY
            ),
            "no reward stream 'curiosity'; there are disagreement, extrinsic",
        ),
        (lambda: BehaviourConfig(starts=0), "behaviour.starts is 0"),
        (lambda: EnsembleConfig(heads=1), "fewer than 2 cannot disagree"),
        (lambda: WorldModelConfig(deter=0), "world_model.deter is 0"),
        (lambda: TrainConfig(length=1), "train.length is 1"),
        (lambda: TrainConfig(envs=16, env_steps_per_update=24.0), "multiple or a whole fraction"),
        (lambda: TrainConfig(capacity=100), "fewer than two sequences"),
        (lambda: TrainConfig(prefill_steps=16), "train.prefill_steps is 16"),
        (lambda: agents.init(Config(), (60, 64, 3), FIVE, key=KEY), r"60 x 64 does not fit the patch encoder"),
        (lambda: agents.init(paper(), (72, 64, 3), FIVE, key=KEY), r"a multiple of 16, because 4 layers halve it"),
    ],
)
def test_sizes_that_cannot_work_fail_before_compiling(make, message):
    with pytest.raises(ValueError, match=message):
        make()
