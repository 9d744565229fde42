"""What a check says, and the few helpers with which checks are written.

    @check
    def value_target(attempt):
        found = result_of(attempt, 0.0, 0.9, 2.0)
        expect(found, 1.8, of="a truncated row", mistakes={"Did is_last stop the future here?": 0.0})
        return "all three sorts of row"

The most useful part of a verdict is a likely cause. So a check computes what the well-known mistakes would give, and
names the one that fits.
"""

import functools
import html
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

Status = Literal["Right", "Not yet", "Not quite"]
SIGNS: dict[Status, str] = {"Right": "✓", "Not yet": "…", "Not quite": "✗"}
COLOURS: dict[Status, str] = {"Right": "#1a7f37", "Not yet": "#6e7781", "Not quite": "#bc4c00"}


class Verdict(NamedTuple):
    """What a check found. It prints as a sentence, and in a notebook as a small box."""

    status: Status
    message: str

    def __repr__(self) -> str:
        return f"{self.status}: {self.message}"

    def _repr_html_(self) -> str:
        """Return the box: a sign, the status in words, and the message; its colour only repeats the words."""
        colour, words = COLOURS[self.status], html.escape(self.message)
        return (
            f'<div role="status" style="border-left: 4px solid {colour}; padding: 0.4em 0.8em; margin: 0.4em 0; '
            f'white-space: pre-wrap; max-width: 46em">{SIGNS[self.status]} <b>{self.status}:</b> {words}</div>'
        )


class NotYet(Exception):
    """Raised inside a check where the exercise has not been begun."""


class NotQuite(Exception):
    """Raised inside a check where an answer is wrong; the message goes to the reader."""


def check(function: Callable[..., str]) -> Callable[..., Verdict]:
    """Decorate a check: ``function`` returns what is right about the answer, or raises `NotYet` or `NotQuite`."""

    @functools.wraps(function)
    def verdict(*attempt: Any) -> Verdict:
        try:
            return Verdict("Right", function(*attempt))
        except NotYet as answer:
            return Verdict("Not yet", str(answer))
        except NotQuite as answer:
            return Verdict("Not quite", str(answer))

    return verdict


def result_of(attempt: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call what the reader wrote. Raises `NotYet` where it returns None, and `NotQuite` where it raises.

    A None somewhere in a tuple or a dict that is returned counts as None.
    """
    try:
        found = attempt(*arguments, **named)
    except (NotYet, NotQuite):
        raise
    except Exception as error:
        raise NotQuite(f"it raised {type(error).__name__}: {error}{_where(error)}") from error
    if found is None or (isinstance(found, tuple | list) and any(part is None for part in found)):
        name = getattr(attempt, "__name__", "your function")
        raise NotYet(f"{name} returns None. Write it, and run both cells again.")
    return found


def expect(
    found: Any,
    wanted: Any,
    *,
    of: str,
    mistakes: Mapping[str, Any] | None = None,
    hint: str = "",
    atol: float = 1e-5,
    rtol: float = 1e-4,
) -> None:
    """Raise `NotQuite` unless ``found`` has the shape and the values of ``wanted``.

    Args:
        found: the reader's answer.
        wanted: the right one.
        of: what was asked, as the reader would say it; begins the message.
        mistakes: the values that well-known mistakes give, under the sentence that names the cause.
        hint: what to say when no known mistake fits.
        atol: how far off an answer may be.
        rtol: the same, as a share of the right one.
    """
    try:
        have = np.asarray(jax.device_get(found), dtype=np.float64)
    except (TypeError, ValueError):
        raise NotQuite(f"{of}: expected numbers, and yours is {type(found).__name__}. {hint}".strip()) from None
    want = np.asarray(wanted, dtype=np.float64)
    if have.shape != want.shape:
        raise NotQuite(f"{of}: expected {_shape(want)}, and yours is {_shape(have)}. {hint}".strip())
    if np.allclose(have, want, atol=atol, rtol=rtol):
        return
    if not np.isfinite(have).all():
        raise NotQuite(f"{of}: yours is not a finite number. Is there a logarithm of 0, or a division by 0? {hint}")
    cause = hint
    for sentence, value in (mistakes or {}).items():
        if np.shape(value) == have.shape and np.allclose(have, value, atol=atol, rtol=rtol):
            cause = sentence
            break
    raise NotQuite(f"{of}: expected {_show(want, want, have)}, and yours is {_show(have, want, have)}. {cause}".strip())


def _shape(values: np.ndarray) -> str:
    return f"an array of shape {values.shape}" if values.ndim else "one number"


def _show(values: np.ndarray, want: np.ndarray, have: np.ndarray) -> str:
    """Format a number as it is; of an array the entry where the two differ most."""
    if values.ndim == 0:
        return f"{float(values):.4g}"
    place = np.unravel_index(np.abs(np.nan_to_num(want - have)).argmax(), want.shape)
    index = ", ".join(str(int(i)) for i in place)
    return f"{float(values[place]):.4g} at [{index}]"


def _where(error: Exception) -> str:
    """Return the line of the reader's own code at which it went wrong, without the machine's paths."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent != Path(__file__).parent]
    return f" (in the line: {own[0].line})" if own and own[0].line else ""
