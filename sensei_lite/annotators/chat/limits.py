"""What it will cost to ask, what it has cost so far, and when the next request may start.

    dollars = (input tokens * price_in + output tokens * price_out) / 1e6

Before the first call tokens can only be estimated. Text: one token for about four letters of English. Images: the rule
that OpenAI publishes for its GPT-4-class models: 85 tokens at low detail; at high detail 85 and 170 for every tile of
512 x 512, after the image was shrunk into 2048 x 2048 and to a short side of 768. Other models count otherwise, some
several times as much, and models that reason aloud write much more than is assumed here: what a server reports with
every answer is what counts. Prices change, so none are built in: give the ones that you pay.
"""

import dataclasses
import math

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
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) >= 0:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}; a price is 0 or more")

    def dollars(self, input_tokens: int, output_tokens: int) -> float:
        """The price of so many tokens."""
        return (input_tokens * self.per_million_input + output_tokens * self.per_million_output) / 1e6


@dataclasses.dataclass(frozen=True)
class Limits:
    """How hard, how long and how much to ask. Raises ValueError where a limit makes no sense; the message names it."""

    concurrency: int = 4
    """Requests under way at once, at most."""
    requests_per_minute: float | None = None
    """Requests started in a minute, at most, evenly spaced; None: as many as there is time for."""
    budget_calls: int | None = None
    """Requests that may be sent in an annotator's life, repeated ones included; None: any number."""
    budget_dollars: float | None = None
    """What they may cost; None: anything. A call that could go beyond it is not made: it is taken to cost what the
    dearest answer so far did, or what was estimated if there is none yet. Needs a `Price`."""
    timeout: float = 60.0
    """Seconds until a request without an answer is given up."""
    retries: int = 5
    """How often a question is asked again after a passing trouble."""
    backoff: float = 0.5
    """Seconds before the first retry; doubled with each (up to 30), and times a random number from 0.5 to 1.5. Where
    the server says how long to wait (retry-after), that is done instead."""
    give_up_after: int = 5
    """Questions in a row that stay without an answer, until all is stopped."""

    def __post_init__(self) -> None:
        for name, least in (
            ("concurrency", 1),
            ("budget_calls", 0),
            ("budget_dollars", 0),
            ("retries", 0),
            ("backoff", 0),
            ("give_up_after", 1),
        ):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        for name in ("timeout", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")


@dataclasses.dataclass(frozen=True)
class Estimate:
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
class Spent:
    """What an annotator has used since it was made."""

    calls: int = 0
    """Requests that were sent, repeated ones included."""
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    """0 where no price is known."""
    unanswered: int = 0
    """Questions that were given up after all retries. They were not answered, so a later run asks them again."""


def text_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return math.ceil(len(text) / 4)


def image_tokens(height: int, width: int, detail: str) -> int:
    """About how many tokens an image has; ``auto`` is counted as ``high``, the dearer one."""
    if detail == "low":
        return 85
    shrink = min(1.0, 2048 / max(height, width))
    shrink *= min(1.0, 768 / (shrink * min(height, width)))
    # Rounded to pixels, as sizes are: else 512.0000001 would be two tiles.
    return 85 + 170 * math.prod(math.ceil(round(side * shrink) / 512) for side in (height, width))


class Pace:
    """When the next request may start: requests are evenly spaced, and all wait when the server asks one to."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._gap = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = self._held = -math.inf

    def wait(self, now: float) -> float:
        """Seconds from ``now`` until a request may start; 0: at once. Ask again after waiting: others may be faster."""
        return max(0.0, self._next - now, self._held - now)

    def start(self, now: float) -> None:
        """A request starts now."""
        self._next = now + self._gap

    def hold(self, until: float) -> None:
        """No request may start before this time."""
        self._held = max(self._held, until)
