"""Fast twins: what a CPU computes in the place of a definition, with the same result.

    @_fast.on_cpu(_fast.normed_linear)
    def normed_linear(x, weight, scale, bias): ...      the definition, which a reader meets and a GPU runs

XLA's CPU compiler is slow at some plain formulas: means, gradients of convolutions, activations that do not fit into a
cache. A twin says the same in an order of arithmetic that suits it. The environment variable ``SENSEI_LITE_FAST=0``
switches all twins off; `tests/models/test_fast.py` holds every pair together, values and gradients.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax

Definition = TypeVar("Definition", bound=Callable[..., Any])

TWINS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
"""Every definition and its twin, by the definition's name."""


def is_on() -> bool:
    """Return whether twins are used by what is traced now: on a CPU, unless ``SENSEI_LITE_FAST`` is 0."""
    return os.environ.get("SENSEI_LITE_FAST", "1") != "0" and jax.default_backend() == "cpu"


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Switch twins off for what is traced inside, to count or export what the definitions say."""
    before = os.environ.get("SENSEI_LITE_FAST")
    os.environ["SENSEI_LITE_FAST"] = "0"
    try:
        yield
    finally:
        del os.environ["SENSEI_LITE_FAST"]
        os.environ.update({} if before is None else {"SENSEI_LITE_FAST": before})


def on_cpu(twin: Callable[..., Any]) -> Callable[[Definition], Definition]:
    """Decorate a definition with its twin. Which of the two is used is decided when a program is traced."""

    def decorate(definition: Definition) -> Definition:
        TWINS[definition.__name__] = (definition, twin)

        @functools.wraps(definition)
        def either(*args: Any, **kwargs: Any) -> Any:
            return (twin if is_on() else definition)(*args, **kwargs)

        return either  # type: ignore[return-value]

    return decorate
