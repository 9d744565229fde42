"""The annotator who knows the truth, and errs only as it is told to.

A world's facts are put in order from dull to interesting, and the level of a state is the highest fact that holds; or,
where facts do not come one after the other (`COUNTED`), how many of them hold:

    level(s) = max { i : fact_i(s) }  or  sum_i fact_i(s),
    answer(a, b) = the one with the higher level, a tie where they are equal.

So other annotators can be measured against the truth, and their known faults can be replayed: errors (noise), a liking
for one position, ties and refusals. Each has a share of all answers of its own:

    1 = unknown_rate + tie_rate + |position_bias| + (the share in which it looks at the pictures).

Source: the order of levels is that of the events of KeyRoom and KeyChest (`sensei_lite.worlds`), and the count of
Tabletop is ours; the shares of GPT-4 and LLaVA are counted in the published answers of SENSEI (arXiv 2503.01584) and of
its re-run with LLaVA. Simplified: real annotators err more often where pictures are alike; here every pair has the same
chance. Used in notebook 05_vlm_annotation.
"""

import dataclasses
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from sensei_lite.annotators.base import Annotator, Answer, HostImages, Reply, image_hash
from sensei_lite.annotators.data import Observations

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
    """Return the order of levels of the world that tells these facts. Raises ValueError where none of `LEVELS` fits."""
    for names in LEVELS.values():
        if set(names) <= set(facts):
            return names
    told = ", ".join(sorted(facts)) or "none"
    raise ValueError(f"facts are {told}, and no order of levels is known for them: give levels, dull facts first")


def interest(facts: Mapping[str, np.ndarray], levels: Sequence[str] | None = None) -> Int[np.ndarray, " n"]:
    """Compute how interesting each state is: the place (from 1) of the last fact that holds, 0 where none does.

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
    """Return whether these are the facts of a world in which it counts how many hold."""
    return tuple(names) in {LEVELS[world] for world in COUNTED}


def situations(facts: Mapping[str, np.ndarray]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Find the states of each level (by `interest`) of their world, dull ones first. Raises as `levels_of` does."""
    names, level = levels_of(facts), interest(facts)
    if is_counted(names):
        names = ("one of these", *(f"{number} of these" for number in range(2, len(names) + 1)))
    return {name: level == number for number, name in enumerate(("none of these", *names))}


@dataclasses.dataclass(frozen=True)
class NoiseModel:
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
        if not abs(self.position_bias) <= 1 or self._looks < -1e-9:
            unseen = f"position_bias {self.position_bias}, tie_rate {self.tie_rate}, unknown_rate {self.unknown_rate}"
            raise ValueError(f"{unseen}: together (without signs) they are more than 1, and are shares of one whole")

    @property
    def _looks(self) -> float:
        """The share of answers for which it looks at the pictures."""
        return 1 - self.unknown_rate - self.tie_rate - abs(self.position_bias)

    def shares(self, truth: Answer) -> dict[Answer, float]:
        """Return P[answer | truth], where the truth is FIRST, SECOND or (for equal levels) TIE."""
        shares = {Answer.FIRST: 0.0, Answer.SECOND: 0.0, Answer.TIE: self.tie_rate, Answer.UNKNOWN: self.unknown_rate}
        shares[Answer.FIRST if self.position_bias > 0 else Answer.SECOND] += abs(self.position_bias)
        if truth == Answer.TIE:
            tossed = 1.0 if self.equal == "toss" else self.noise
            seen = {Answer.FIRST: tossed / 2, Answer.SECOND: tossed / 2, Answer.TIE: 1 - tossed}
        else:
            seen = {truth: 1 - self.noise, truth.swapped(): self.noise}
        for answer, share in seen.items():
            shares[answer] += max(self._looks, 0.0) * share
        return shares


NOISE_MODELS: dict[str, NoiseModel] = {
    "faithful": NoiseModel(),
    "gpt4": NoiseModel(position_bias=-0.16, unknown_rate=10 / 139_409, equal="toss"),
    "gpt4-general": NoiseModel(position_bias=-0.2, tie_rate=0.012, unknown_rate=0.008, equal="toss"),
    "llava": NoiseModel(position_bias=0.79, unknown_rate=0.13, equal="toss"),
}
"""The real ones replay what was counted, over pairs in random order: GPT-4 chose the second picture in 58% (the general
prompt: 59%, with 1.2% ties and 0.8% no idea); LLaVA-1.6 the first in 83%, with 13% no idea. How often they were *wrong*
was not counted: their noise is 0 until it is set, so they are right whenever they look."""


def noise_ceiling(noise_model: NoiseModel, equal: float = 0.0, *, both_orders: bool = False) -> float:
    """Compute the best accuracy that any R_psi can reach on pairs for which this annotator chose a picture.

    Such an R_psi knows the truth, so it fails only where the annotator erred; where both states are equal it is right
    by chance. No function of a picture can learn a position, so a position's share is right by chance too.

    Args:
        noise_model: how the annotator errs.
        equal: the share of pairs whose states have the same level, from 0 to 1.
        both_orders: every pair is asked in both orders and its answers are combined (see `combine`); otherwise it is
            asked once, in random order.

    Raises:
        ValueError: ``equal`` is no share, or the annotator never chooses a picture.
    """
    if not 0 <= equal <= 1:
        raise ValueError(f"equal is {equal}; it must be from 0 to 1")
    better_first, better_second, same = map(noise_model.shares, (Answer.FIRST, Answer.SECOND, Answer.TIE))

    def chosen_in(one: float, other: float) -> float:
        """P[the pair's judgement is this picture], given how often each order names it."""
        # Asked twice, it is named in both orders, or the pair is a tie or dropped.
        return one * other if both_orders else (one + other) / 2

    right = chosen_in(better_first[Answer.FIRST], better_second[Answer.SECOND])
    wrong = chosen_in(better_first[Answer.SECOND], better_second[Answer.FIRST])
    by_chance = 2 * chosen_in(same[Answer.FIRST], same[Answer.SECOND])
    chosen = (1 - equal) * (right + wrong) + equal * by_chance
    if chosen <= 0:
        raise ValueError(f"{noise_model} never chooses a picture of such pairs, so there is no accuracy")
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
        noise_model: how it errs: one of `NOISE_MODELS` by name, or one of your own.
        levels: names of facts from dull to interesting; None takes the world's own (see `interest`).
        seed: chooses which answers are wrong.
        changes: to fields of the noise model, such as ``noise=0.1``.

    Raises:
        ValueError: the observations have no such facts, there is no such noise model, or a share is out of its range.
        TypeError: a change is no field of `NoiseModel`.
    """

    name = "scripted"

    def __init__(
        self,
        observations: Observations,
        noise_model: NoiseModel | str = "faithful",
        *,
        levels: Sequence[str] | None = None,
        seed: int = 0,
        **changes: Any,
    ) -> None:
        if isinstance(noise_model, str):
            if noise_model not in NOISE_MODELS:
                raise ValueError(f"noise_model is {noise_model!r}; there are {', '.join(NOISE_MODELS)}")
            noise_model = NOISE_MODELS[noise_model]
        self.noise_model = dataclasses.replace(noise_model, **changes)
        self.levels = levels_of(observations.facts) if levels is None else tuple(levels)
        self.seed = seed
        found = defaultdict(list)
        for image, level in zip(observations.images, interest(observations.facts, levels), strict=True):
            found[image_hash(image)].append(int(level))
        self._level = {name: sum(levels) / len(levels) for name, levels in found.items()}
        # The pictures belong to the version: with more of them, one that can mean two states may get another mean.
        table = hashlib.sha256(repr(sorted(self._level.items())).encode()).hexdigest()[:12]
        settings = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(self.noise_model).items())
        order = " + " if levels is None and is_counted(self.levels) else " < "
        self.version = f"2: {settings}, seed {seed}, levels {order.join(self.levels)}, pictures {table}"

    def level(self, image: np.ndarray) -> float:
        """Return the (mean) level of the states that look so. Raises ValueError for a picture that it does not know."""
        return self._level_of(image_hash(image))

    def _level_of(self, name: str) -> float:
        if name not in self._level:
            raise ValueError(
                f"picture {name} is none of the {len(self._level)} that this scripted annotator knows: "
                "it must be made from the observations that are asked about"
            )
        return self._level[name]

    def annotate(self, images_a: HostImages, images_b: HostImages) -> Iterator[tuple[int, Reply]]:
        """See `Annotator.annotate`. Raises ValueError for a picture that it does not know."""
        for i, (a, b) in enumerate(zip(map(image_hash, images_a), map(image_hash, images_b), strict=True)):
            first, second = self._level_of(a), self._level_of(b)
            truth = Answer.TIE if first == second else Answer.FIRST if first > second else Answer.SECOND
            shares = self.noise_model.shares(truth)
            chance = random.Random(repr((self.seed, a, b)))  # the question's own, on every machine
            (answer,) = chance.choices(list(shares), list(shares.values()))
            yield i, Reply(answer, f"levels {first:g} and {second:g}")
