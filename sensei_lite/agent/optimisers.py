"""One optimiser step: gradient, clipped by its global norm, then Adam. Every part that learns has a rate of its own."""

from typing import Any, TypeVar

import equinox as eqx
import optax
from jaxtyping import Array, Float, PyTree

from sensei_lite.config import BehaviourConfig, EnsembleConfig, NoveltyConfig, WorldModelConfig

Network = TypeVar("Network")
Settings = WorldModelConfig | EnsembleConfig | NoveltyConfig | BehaviourConfig


def adam(settings: Settings, *, eps: float) -> optax.GradientTransformation:
    """Make Adam with clipping from any settings that have ``learning_rate``, ``beta2`` and ``clip``."""
    # Call-out A2 (ours): beta 2 is a setting, and 0.95 in the lab preset, for the reason given in `WorldModelConfig`.
    return optax.chain(
        optax.clip_by_global_norm(settings.clip), optax.adam(settings.learning_rate, b2=settings.beta2, eps=eps)
    )


def init(optimiser: optax.GradientTransformation, network: PyTree) -> PyTree:
    """Initialise an optimiser's state for the arrays of a network."""
    return optimiser.init(eqx.filter(network, eqx.is_inexact_array))


def step(
    optimiser: optax.GradientTransformation, gradient: PyTree, opt_state: PyTree, network: Network
) -> tuple[Network, PyTree, Float[Array, ""]]:
    """Take one step. Returns the network, the optimiser's state, and the gradient's global norm before clipping."""
    changes: Any
    changes, opt_state = optimiser.update(gradient, opt_state, eqx.filter(network, eqx.is_inexact_array))
    return eqx.apply_updates(network, changes), opt_state, optax.tree.norm(gradient)
