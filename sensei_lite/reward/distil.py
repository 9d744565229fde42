"""From "which is more interesting?" to a number: R_psi is distilled from preferences.

Bradley and Terry's model says how two numbers become a preference, with d = R(a) - R(b):

    P[a > b] = exp R(a) / (exp R(a) + exp R(b)) = sigmoid(d).

The loss is the cross-entropy with the annotator's answer y (1: the first, 0: the second, 0.5: a tie):

    L(d, y) = -y log sigmoid(d) - (1 - y) log sigmoid(-d) = log(1 + exp d) - y d,     dL/dd = sigmoid(d) - y.

A tie pulls the two numbers together. As L(-d, 1 - y) = L(d, y), a pair teaches the same in either order, so there is
nothing to gain from swapping pairs at random while training. (Asking the *annotator* in both orders is another matter.)

Training stops when held-out pairs (see `reward.split`) say that it gets no better, and the best weights are kept.

Source: SENSEI (arXiv 2503.01584), Motif (arXiv 2310.00166), Bradley and Terry (1952). Different from the research
code: it adds weight decay to the gradient (Adam, not AdamW), never stops early and does not standardise the result.
Built in notebook 06_reward_distillation.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree, UInt8

from sensei_lite.annotators.data import Preferences
from sensei_lite.config import DistilConfig
from sensei_lite.reward.model import SemanticReward, scores_of
from sensei_lite.reward.split import Split, check_preferences, deduplicate, split_by_episode
from sensei_lite.types import Scalar, Seed


class Epoch(NamedTuple):
    """One pass over the training pairs."""

    number: int
    """From 1."""
    train_loss: float
    """Mean over the epoch's minibatches, in nats."""
    held_out_loss: float
    held_out_accuracy: float


class HeldOut(NamedTuple):
    """How the best weights do on held-out pairs."""

    loss: float
    """In nats; a coin has log 2 = 0.693."""
    accuracy: float
    """See `pair_accuracy`."""
    pairs: int
    accuracy_unseen: float
    """The same where both pictures are from held-out episodes; not a number where there are no such pairs."""
    pairs_unseen: int


class Distilled(NamedTuple):
    """A distilled R_psi, and how it came about."""

    reward: SemanticReward
    history: list[Epoch]
    best: Epoch
    """The epoch whose weights these are."""
    held_out: HeldOut
    split: Split


def preference_loss(
    first: Float[Array, " pairs"], second: Float[Array, " pairs"], target: Float[Array, " pairs"]
) -> Scalar:
    """Compute the mean preference loss L(R(a) - R(b), y) over pairs, in nats."""
    d = first - second
    return (jax.nn.softplus(d) - target * d).mean()


def pair_accuracy(difference: np.ndarray, target: np.ndarray) -> float:
    """Compute the share of decided pairs for which the sign of R(a) - R(b) [pairs] is the annotator's answer [pairs].

    The annotator's ties are left out, since no difference is a right answer to them; where R is equal, half a point.
    Not a number where there are only ties.
    """
    decided = target != 0.5
    agreement = np.sign(difference[decided]) * np.sign(target[decided] - 0.5)
    return float((agreement + 1).mean() / 2) if decided.any() else float("nan")


def distil(
    preferences: Preferences,
    config: DistilConfig,
    *,
    split: Split | None = None,
    progress: Callable[[Epoch], None] | None = None,
    key: Seed,
) -> Distilled:
    """Distil an R_psi from preferences, until held-out pairs say that it gets no better.

    The weights are those of the epoch with the best held-out loss, standardised over the training pictures. ``split``
    replaces the one that would be drawn. ``progress`` is called after every epoch.

    Raises ValueError where nothing can be learned (`check_preferences`, `split_by_episode`) or pictures do not fit the
    encoder, and FloatingPointError where the loss is no finite number.
    """
    check_preferences(preferences)
    preferences = deduplicate(preferences)
    split_key, init_key, order_key = jax.random.split(key, 3)
    reward = SemanticReward(config, preferences.images.shape[1:], key=init_key)
    split = split or split_by_episode(preferences, config.held_out, key=split_key)
    if (preferences.target[split.train] == 0.5).all():
        raise ValueError(f"all {len(split.train)} training answers are ties: nothing can be learned from them")

    state = optimiser(config).init(eqx.filter(reward.network, eqx.is_array))
    images = jnp.asarray(preferences.images)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(order_key)))
    best: tuple[Epoch, SemanticReward] | None = None
    history: list[Epoch] = []
    while len(history) < config.epochs and (best is None or len(history) - best[0].number < config.patience):
        order, steps = _minibatches(split.train, config.batch, len(preferences.first), rng)
        first, second = (jnp.asarray(part[order]) for part in (preferences.first, preferences.second))
        target = jnp.asarray(preferences.target[order], jnp.float32)
        reward, state, loss = _epoch(reward, state, images, first, second, target, jnp.int32(steps))
        checked = _check(reward, preferences, split)
        history.append(Epoch(len(history) + 1, float(loss), checked.loss, checked.accuracy))
        if not np.isfinite([history[-1].train_loss, checked.loss]).all():
            raise FloatingPointError(f"after epoch {len(history)} the loss is not a finite number: {history[-1]}")
        if best is None or checked.loss < best[0].held_out_loss:
            best = history[-1], reward
        if progress:
            progress(history[-1])
    assert best is not None  # there is at least one epoch
    seen = np.union1d(preferences.first[split.train], preferences.second[split.train])
    reward = best[1].standardised(preferences.images[seen])
    return Distilled(reward, history, best[0], _check(reward, preferences, split), split)


def optimiser(config: DistilConfig) -> optax.GradientTransformation:
    """Make the optimiser, AdamW: weight decay is apart from the gradient's scale."""
    return optax.adamw(config.learning_rate, weight_decay=config.weight_decay)


@eqx.filter_jit
def _epoch(
    reward: SemanticReward,
    state: PyTree,
    images: UInt8[Array, "n height width channel"],
    first: Int[Array, "steps pairs"],
    second: Int[Array, "steps pairs"],
    target: Float[Array, "steps pairs"],
    steps: Int[Array, ""],
) -> tuple[SemanticReward, PyTree, Scalar]:
    """Update once for each of the first ``steps`` minibatches; also return their mean loss.

    The number of steps is an argument, so one compiled program does for every number of training pairs.
    """
    adam = optimiser(reward.config)

    def loss(network: PyTree, a: Array, b: Array, y: Array) -> Scalar:
        both = eqx.tree_at(lambda r: r.network, reward, network).scores(images[jnp.concatenate([a, b])])
        return preference_loss(both[: len(a)], both[len(a) :], y)

    def update(step: Array, carry: tuple[PyTree, PyTree, Scalar]) -> tuple[PyTree, PyTree, Scalar]:
        network, state, total = carry
        value, gradient = eqx.filter_value_and_grad(loss)(network, first[step], second[step], target[step])
        changes, state = adam.update(gradient, state, network)
        return optax.apply_updates(network, changes), state, total + value

    network, state, total = jax.lax.fori_loop(0, steps, update, (reward.network, state, jnp.zeros(())))
    return eqx.tree_at(lambda r: r.network, reward, network), state, total / steps


def _minibatches(
    pairs: np.ndarray, batch: int, most: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, "steps batch"], int]:
    """Shuffle the pairs and cut them into minibatches; also return how many minibatches there are.

    Pairs that fill no minibatch are left out of this epoch. The array has room for ``most`` pairs, so that its shape is
    the same for every number of training pairs; rows that are not needed are zeros.
    """
    batch = min(batch, len(pairs))
    steps = len(pairs) // batch
    order = np.zeros((max(most // batch, steps), batch), np.int64)
    order[:steps] = rng.permutation(pairs)[: steps * batch].reshape(steps, batch)
    return order, steps


def _check(reward: SemanticReward, preferences: Preferences, split: Split) -> HeldOut:
    """Evaluate R_psi on the held-out pairs; a picture is scored once, however many pairs it is in."""
    ends = np.stack([preferences.first[split.held_out], preferences.second[split.held_out]])
    pictures, place = np.unique(ends, return_inverse=True)
    scores = scores_of(reward, preferences.images[pictures])
    first, second = scores[place.reshape(ends.shape)]
    target = preferences.target[split.held_out].astype(np.float32)
    unseen = np.isin(split.held_out, split.unseen)
    return HeldOut(
        loss=float(preference_loss(jnp.asarray(first), jnp.asarray(second), jnp.asarray(target))),
        accuracy=pair_accuracy(first - second, target),
        pairs=len(target),
        accuracy_unseen=pair_accuracy((first - second)[unseen], target[unseen]),
        pairs_unseen=int(unseen.sum()),
    )
