"""What it will cost to ask, what it has cost so far, and whether the next request may leave.

    dollars = (input tokens * price_in + output tokens * price_out) / 1e6

Before the first call tokens can only be estimated. Text: one token for about four letters of English. Images: the rule
that OpenAI publishes for its GPT-4-class models: 85 tokens at low detail; at high detail 85 and 170 for every tile of
512 x 512, after the image was shrunk into 2048 x 2048 and to a short side of 768. Other models count otherwise, some
several times as much, and models that reason aloud write much more than is assumed here: what a server reports with
every answer is what counts. Prices change, so none are built in: give the ones that you pay.
"""

import dataclasses
import itertools
import math
import threading

from sensei_lite.annotators.chat.prompts import Messages

ANSWER_TOKENS = 10
"""Assumed for ``{"answer": "second"}``."""
DESCRIPTION_TOKENS = 300
"""Assumed for the description of an environment (its prompt asks for at most 150 words)."""
MESSAGE_TOKENS = 12
"""Assumed for what a chat format puts around two messages."""


@dataclasses.dataclass(frozen=True)
class Price:
    """What a model costs, in US dollars. Raises ValueError where a price is negative."""

    per_million_input: float
    per_million_output: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value >= 0:
                raise ValueError(f"{name} is {value}; a price is 0 or more")

    def dollars(self, input_tokens: int, output_tokens: int) -> float:
        """Return the price of so many tokens, in US dollars."""
        return (input_tokens * self.per_million_input + output_tokens * self.per_million_output) / 1e6


@dataclasses.dataclass(frozen=True)
class Limits:
    """How hard, how long and how much to ask. Raises ValueError where a limit makes no sense; the message names it."""

    concurrency: int = 4
    """Requests under way at once, at most."""
    requests_per_minute: float | None = None
    """Requests started in a minute, at most, evenly spaced; None: as many as there is time for."""
    budget_calls: int | None = None
    """Requests that may be sent in an annotator's life, retries included; None: any number."""
    budget_dollars: float | None = None
    """What they may cost; None: anything. A request that could go beyond it does not leave: it is taken to cost what
    the dearest reply so far did, or what was estimated if there is none yet. Needs a `Price`."""
    timeout: float = 60.0
    """Seconds until a request without an answer is given up."""
    retries: int = 5
    """How often a request is repeated after a passing trouble: 408, 409, 429, a server's error, a lost connection. The
    pauses are the ``openai`` client's: what the server asks for (retry-after), else half a second, doubled each time
    up to 8."""
    give_up_after: int = 5
    """Questions in a row that stay without an answer, until all is stopped."""

    def __post_init__(self) -> None:
        least = {"concurrency": 1, "budget_calls": 0, "budget_dollars": 0, "retries": 0, "give_up_after": 1}
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not (value >= least[name] if name in least else value > 0):
                raise ValueError(
                    f"{name} is {value}; it must be {f'at least {least[name]}' if name in least else 'above 0'}"
                )


@dataclasses.dataclass(frozen=True)
class CostEstimate:
    """What so many questions will take, if nothing has to be repeated."""

    questions: int
    calls: int
    """One for each question, and one for the description of a general prompt."""
    input_tokens: int
    output_tokens: int
    dollars: float | None
    """None where no price is known."""

    def __str__(self) -> str:
        price = "price not known (give price=Price(...))" if self.dollars is None else f"about ${self.dollars:,.2f}"
        return (
            f"{self.questions:,} questions: {self.calls:,} calls, about {self.input_tokens:,} tokens in and "
            f"{self.output_tokens:,} out, {price}"
        )


@dataclasses.dataclass
class Usage:
    """What an annotator has used since it was made."""

    calls: int = 0
    """Requests that were sent, retries included."""
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    """0 where no price is known."""
    unanswered: int = 0
    """Questions that were given up after all retries. They were not answered, so a later run asks them again."""


class Meter:
    """Counts requests and dollars, and says when the next request may leave, and whether. Threads share it.

    Money is reserved before a request leaves and settled when its reply is there. A request that never gets a reply
    may have been charged, so what was reserved for it stays reserved.
    """

    def __init__(self, limits: Limits, price: Price | None) -> None:
        self.limits, self.price, self.usage = limits, price, Usage()
        self._lock = threading.Lock()
        self._next_start = -math.inf
        self._reserved = self._dearest = 0.0

    def take_turn(self, now: float) -> float:
        """Take the next turn by ``requests_per_minute``. Returns the seconds from ``now`` until it comes."""
        per_minute = self.limits.requests_per_minute
        with self._lock:
            start = max(now, self._next_start)
            self._next_start = start + (60 / per_minute if per_minute else 0.0)
        return start - now

    def reserve(self, estimate: float) -> tuple[float, str]:
        """Count a request that is to leave, with the dollars that it may cost: as the dearest reply, or as estimated.

        Returns these dollars, and the budget that they would exceed: then the request was not counted and must stay.
        """
        calls, most = self.limits.budget_calls, self.limits.budget_dollars
        with self._lock:
            dollars = self._dearest or estimate
            if calls is not None and self.usage.calls >= calls:
                return dollars, f"{calls} calls"
            # Rounding errors of a sum must not keep the last call of a budget that is a multiple of the price.
            if most is not None and self.usage.dollars + self._reserved + dollars > most + 1e-9:
                return dollars, f"${most}"
            self.usage.calls += 1
            self._reserved += dollars
        return dollars, ""

    def settle(self, reserved: float, input_tokens: int | None, output_tokens: int | None) -> float:
        """Replace what was reserved for a request by its price, which is returned; None: the server did not count."""
        counted = input_tokens is not None and output_tokens is not None
        with self._lock:
            self._reserved -= reserved
            self.usage.input_tokens += input_tokens or 0
            self.usage.output_tokens += output_tokens or 0
            if self.price is None:
                return 0.0
            dollars = self.price.dollars(input_tokens or 0, output_tokens or 0) if counted else reserved
            self.usage.dollars += dollars
            self._dearest = max(self._dearest, dollars)
        return dollars


def count_tokens(messages: Messages, height: int, width: int, detail: str) -> int:
    """Estimate how many tokens these messages have, whose images are all of this size, in pixels."""
    contents = [message["content"] for message in messages]
    parts = [[{"text": content}] if isinstance(content, str) else content for content in contents]
    texts = [part.get("text") for part in itertools.chain(*parts)]
    words = " ".join(text for text in texts if text is not None)
    return MESSAGE_TOKENS + math.ceil(len(words) / 4) + texts.count(None) * image_tokens(height, width, detail)


def image_tokens(height: int, width: int, detail: str) -> int:
    """Estimate how many tokens an image of this size (pixels) has; ``auto`` is counted as ``high``, the dearer one."""
    if detail == "low":
        return 85
    shrink = min(1.0, 2048 / max(height, width))
    shrink *= min(1.0, 768 / (shrink * min(height, width)))
    # Rounded to pixels, as sizes are: else 512.0000001 would be two tiles.
    return 85 + 170 * math.prod(math.ceil(round(side * shrink) / 512) for side in (height, width))
