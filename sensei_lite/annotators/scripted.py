"""The annotator who knows the truth, and errs only as it is told to.

A world's facts are put in order from dull to interesting, and the level of a state is the highest fact that holds; or,
where facts do not come one after the other (`COUNTED`), how many of them hold:

    level(s) = max { i : fact_i(s) }  or  sum_i fact_i(s),
    answer(a, b) = the one with the higher level, a tie where they are equal.

So other annotators can be measured against the truth, and their known faults can be replayed: errors (noise), a liking
for one position, ties and refusals. Each has a share of all answers of its own:

    1 = unknown_rate + tie_rate + |position_bias| + (the share in which it looks at the pictures).

Source: the order of levels is that of the events of KeyRoom and KeyChest (`sensei_lite.worlds`), and the count of
Tabletop is ours; the shares of GPT-4
and LLaVA are counted in the published answers of SENSEI (arXiv 2503.01584) and of its re-run with LLaVA. Simplified:
real annotators err more often where pictures are alike; here every pair has the same chance. Used in notebook
05_vlm_annotation.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from sensei_lite.annotators.base import Annotator, Answer, Reply, image_hash
from sensei_lite.annotators.data import Observations, check_images

LEVELS: dict[str, tuple[str, ...]] = {
    "KeyRoom": ("key_in_view", "key_picked_up", "door_reached_with_key", "door_opened", "exit_reached"),
    "KeyChest": ("key_in_view", "key_picked_up", "chest_reached_with_key", "chest_opened"),
    "Tabletop": (
        "ball_displaced",
        "upright_displaced",
        "flat_displaced",
        "light_on",
        "slide_opened",
        "ball_lifted",
        "block_lifted",
        "drawer_opened",
        "block_stacked",
    ),
}
"""The facts of each world that count, from dull to interesting."""

# A lamp that was switched on stays on. If the highest fact alone counted, nothing that is below it on the list would be
# worth anything for the rest of an episode, and an agent that follows this taste would stop handling things.
COUNTED = ("Tabletop",)
"""Worlds whose facts do not come one after the other: there the level of a state is how many of them hold."""


def levels_of(facts: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The order of levels of the world that tells these facts. Raises ValueError where none of `LEVELS` fits."""
    for names in LEVELS.values():
        if set(names) <= set(facts):
            return names
    told = ", ".join(sorted(facts)) or "none"
    raise ValueError(f"facts are {told}, and no order of levels is known for them: give levels, dull facts first")


def interest(facts: Mapping[str, np.ndarray], levels: Sequence[str] | None = None) -> Int[np.ndarray, " n"]:
    """How interesting each state is: 0 if no fact of ``levels`` holds, else the place (from 1) of the last that holds.

    Args:
        facts: named truths, bool [n] each, as in `Observations`.
        levels: names of facts from dull to interesting; None takes the world's own (`levels_of`), and counts those that
            hold if the world is `COUNTED`.

    Raises:
        ValueError: a name is not among the facts, or ``levels`` is empty.
    """
    names = levels_of(facts) if levels is None else levels
    if not names:
        raise ValueError("levels is empty; at least one fact must count")
    if missing := [name for name in names if name not in facts]:
        raise ValueError(f"levels has {', '.join(missing)}, and the facts are {', '.join(sorted(facts)) or 'none'}")
    holds = np.stack([np.asarray(facts[name], bool) for name in names])
    if levels is None and is_counted(names):
        return holds.sum(0)
    return (holds * np.arange(1, len(names) + 1)[:, None]).max(0)


def is_counted(names: Sequence[str]) -> bool:
    """Whether these are the facts of a world in which it counts how many hold."""
    return tuple(names) in {LEVELS[world] for world in COUNTED}


def situations(facts: Mapping[str, np.ndarray]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Which states are of each level (by `interest`) of their world, dull ones first. Raises as `levels_of` does."""
    names, level = levels_of(facts), interest(facts)
    if is_counted(names):
        names = ("one of these", *(f"{number} of these" for number in range(2, len(names) + 1)))
    return {name: level == number for number, name in enumerate(("none of these", *names))}


@dataclasses.dataclass(frozen=True)
class Manner:
    """How a scripted annotator errs. Raises ValueError where the shares are no shares."""

    noise: float = 0.0
    """When it looks: the chance of a wrong answer (where the truth is a tie, of preferring either)."""
    position_bias: float = 0.0
    """The share of answers that take the first position (if positive) or the second (if negative) unseen."""
    tie_rate: float = 0.0
    """The share of answers that are a tie unseen."""
    unknown_rate: float = 0.0
    """The share of answers that are no idea."""
    equal: Literal["tie", "toss"] = "tie"
    """What it says when it sees two states of the same level: a tie, or either of them as a coin falls."""

    def __post_init__(self) -> None:
        for name in ("noise", "tie_rate", "unknown_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if self.equal not in ("tie", "toss"):
            raise ValueError(f"equal is {self.equal!r}; it must be 'tie' or 'toss'")
        if not abs(self.position_bias) <= 1 or self.looks < -1e-9:
            unseen = f"position_bias {self.position_bias}, tie_rate {self.tie_rate}, unknown_rate {self.unknown_rate}"
            raise ValueError(f"{unseen}: together (without signs) they are more than 1, and are shares of one whole")

    @property
    def looks(self) -> float:
        """The share of answers for which it looks at the pictures."""
        return 1 - self.unknown_rate - self.tie_rate - abs(self.position_bias)

    def shares(self, truth: Answer) -> dict[Answer, float]:
        """P[answer | truth], where the truth is FIRST, SECOND or (for equal levels) TIE."""
        shares = {Answer.FIRST: 0.0, Answer.SECOND: 0.0, Answer.TIE: self.tie_rate, Answer.UNKNOWN: self.unknown_rate}
        shares[Answer.FIRST if self.position_bias > 0 else Answer.SECOND] += abs(self.position_bias)
        if truth == Answer.TIE:
            tossed = 1.0 if self.equal == "toss" else self.noise
            seen = {Answer.FIRST: tossed / 2, Answer.SECOND: tossed / 2, Answer.TIE: 1 - tossed}
        else:
            seen = {truth: 1 - self.noise, truth.swapped(): self.noise}
        for answer, share in seen.items():
            shares[answer] += max(self.looks, 0.0) * share
        return shares


MANNERS: dict[str, Manner] = {
    "faithful": Manner(),
    "gpt4": Manner(position_bias=-0.16, unknown_rate=10 / 139_409, equal="toss"),
    "gpt4-general": Manner(position_bias=-0.2, tie_rate=0.012, unknown_rate=0.008, equal="toss"),
    "llava": Manner(position_bias=0.79, unknown_rate=0.13, equal="toss"),
}
"""Named manners. The real ones replay what was counted, over pairs in random order: GPT-4 chose the second picture in
58% (the general prompt: 59%, with 1.2% ties and 0.8% no idea); LLaVA-1.6 the first in 83%, with 13% no idea. How often
they were *wrong* was not counted: their noise is 0 until it is set, so they are right whenever they look."""


def noise_ceiling(manner: Manner, equal: float = 0.0, *, both_orders: bool = False) -> float:
    """The best accuracy that any R_psi can reach against this annotator, on pairs for which it chose a picture.

    Such an R_psi knows the truth, so it fails only where the annotator erred; where both states are equal it is right
    by chance. No function of a picture can learn a position, so a position's share is right by chance too.

    Args:
        manner: how the annotator errs.
        equal: the share of pairs whose states have the same level, from 0 to 1.
        both_orders: every pair is asked in both orders and its answers are combined (see `combine`); otherwise it is
            asked once, in random order.

    Raises:
        ValueError: ``equal`` is no share, or the annotator never chooses a picture.
    """
    if not 0 <= equal <= 1:
        raise ValueError(f"equal is {equal}; it must be from 0 to 1")
    better_first, same, better_second = (manner.shares(truth) for truth in (Answer.FIRST, Answer.TIE, Answer.SECOND))

    def chosen_in(one: float, other: float) -> float:
        """P[the pair's judgement is this picture], given how often each order names it."""
        if not both_orders:
            return (one + other) / 2
        return one * other  # named in both orders, or it is a tie or dropped

    right = chosen_in(better_first[Answer.FIRST], better_second[Answer.SECOND])
    wrong = chosen_in(better_first[Answer.SECOND], better_second[Answer.FIRST])
    by_chance = 2 * chosen_in(same[Answer.FIRST], same[Answer.SECOND])
    chosen = (1 - equal) * (right + wrong) + equal * by_chance
    if chosen <= 0:
        raise ValueError(f"{manner} never chooses a picture of such pairs, so there is no accuracy")
    # One that is wrong more often than right teaches R_psi just as well, upside down.
    return ((1 - equal) * max(right, wrong) + equal * by_chance / 2) / chosen


class ScriptedAnnotator(Annotator):
    """Knows the true state of every picture that it was shown, and errs as it is told to.

    It is asked with pictures only, as every annotator is, and looks them up by their hash. Two states can look the same
    (a door was opened, but is out of view): such a picture has the mean of their levels, which is the best that anyone
    could say who sees the picture alone.

    The answer to a question depends on the seed and on its two pictures in their order, and on nothing else, so a run
    that is resumed, or asks in other groups, gets the same answers.

    Args:
        observations: every picture that will be asked about, with facts.
        levels: names of facts from dull to interesting; None takes the world's own (see `interest`).
        noise: see `Manner`, as are the next four.
        position_bias: see `Manner`.
        tie_rate: see `Manner`.
        unknown_rate: see `Manner`.
        equal: see `Manner`.
        seed: chooses which answers are wrong.

    Raises:
        ValueError: the observations have no such facts, or a setting is out of its range.
    """

    name = "scripted"

    def __init__(
        self,
        observations: Observations,
        levels: Sequence[str] | None = None,
        *,
        noise: float = 0.0,
        position_bias: float = 0.0,
        tie_rate: float = 0.0,
        unknown_rate: float = 0.0,
        equal: Literal["tie", "toss"] = "tie",
        seed: int = 0,
    ) -> None:
        check_images(observations.images)
        self.manner = Manner(noise, position_bias, tie_rate, unknown_rate, equal)
        self.levels = levels_of(observations.facts) if levels is None else tuple(levels)
        self.seed = seed
        found = defaultdict(list)
        for image, level in zip(observations.images, interest(observations.facts, levels), strict=True):
            found[image_hash(image)].append(int(level))
        self._level = {name: sum(levels) / len(levels) for name, levels in found.items()}
        # The pictures belong to the version: with more of them, one that can mean two states may get another mean.
        table = hashlib.sha256(repr(sorted(self._level.items())).encode()).hexdigest()[:12]
        settings = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(self.manner).items())
        order = " + " if levels is None and is_counted(self.levels) else " < "
        self.version = f"1: {settings}, seed {seed}, levels {order.join(self.levels)}, pictures {table}"

    @classmethod
    def like(
        cls,
        name: str,
        observations: Observations,
        levels: Sequence[str] | None = None,
        *,
        seed: int = 0,
        **changes: Any,
    ) -> "ScriptedAnnotator":
        """One with a named manner of `MANNERS`, and with ``changes`` to it, such as ``noise=0.1``.

        Raises ValueError where there is no such name, TypeError where a change is no field of `Manner`.
        """
        if name not in MANNERS:
            raise ValueError(f"there is no manner called {name!r}; there are {', '.join(MANNERS)}")
        manner = dataclasses.replace(MANNERS[name], **changes)
        return cls(observations, levels, seed=seed, **dataclasses.asdict(manner))

    def level(self, image: np.ndarray) -> float:
        """How interesting a picture is: the (mean) level of the states that look so. Raises ValueError if unknown."""
        return self._level_of(image_hash(image))

    def _level_of(self, name: str) -> float:
        if name not in self._level:
            raise ValueError(
                f"picture {name} is none of the {len(self._level)} that this scripted annotator knows: "
                "it must be made from the observations that are asked about"
            )
        return self._level[name]

    def annotate(self, images_a: np.ndarray, images_b: np.ndarray) -> Iterator[tuple[int, Reply]]:
        """See `Annotator.annotate`. Raises ValueError too for a picture that it does not know."""
        check_images(images_a)
        check_images(images_b)
        if len(images_a) != len(images_b):
            raise ValueError(f"there are {len(images_a)} first pictures and {len(images_b)} second ones")
        questions = zip(map(image_hash, images_a), map(image_hash, images_b), strict=True)
        return ((i, self._reply(a, b)) for i, (a, b) in enumerate(questions))

    def _reply(self, a: str, b: str) -> Reply:
        first, second = self._level_of(a), self._level_of(b)
        truth = Answer.TIE if first == second else Answer.FIRST if first > second else Answer.SECOND
        answer, why = _answer(self.manner, truth, _chances(self.seed, a, b))
        return Reply(answer, f"levels {first:g} and {second:g}: {why}")


def _chances(*question: object) -> list[float]:
    """Three numbers in [0, 1) that belong to a question: the same on every machine and in every order of asking."""
    digest = hashlib.sha256(repr(question).encode()).digest()
    return [int.from_bytes(digest[8 * i : 8 * i + 6]) / 2**48 for i in range(3)]


def _answer(manner: Manner, truth: Answer, chances: Sequence[float]) -> tuple[Answer, str]:
    kind, error, coin = chances
    either = Answer.FIRST if coin < 0.5 else Answer.SECOND
    if kind < manner.unknown_rate:
        return Answer.UNKNOWN, "no idea"
    if kind < manner.unknown_rate + manner.tie_rate:
        return Answer.TIE, "tie unseen"
    if kind < manner.unknown_rate + manner.tie_rate + abs(manner.position_bias):
        return (Answer.FIRST if manner.position_bias > 0 else Answer.SECOND), "by position"
    if truth == Answer.TIE and manner.equal == "toss":
        return either, "tossed"
    if error < manner.noise:
        return (either if truth == Answer.TIE else truth.swapped()), "wrong"
    return truth, "true"
