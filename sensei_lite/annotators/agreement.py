"""How far the answers can be trusted: does an annotator agree with itself, and with another.

- Position: the share of "first" among its decided answers, with Wilson's interval. Which picture stands first is
  chance, so an annotator that looks at the pictures has 0.5 in it.
- Orders: how often it contradicts itself when the same two pictures are exchanged.
- Intransitive triads: of three pictures that were all compared with each other, how often a beats b, b beats c and c
  beats a. No R_psi, being one number for each picture, can fit such answers. By chance alone it is one triad in four.
- Two annotators: the share p_o of common pairs on which they judge alike, and Cohen's (1960)

      kappa = (p_o - p_e) / (1 - p_e),   p_e: the share that would be alike by chance, given how often each says what

  with the interval of Fleiss, Cohen and Everitt (1969). Which picture of a pair is called first is arbitrary, so every
  pair is counted both ways round, with half its weight each.

In the answers that SENSEI's authors published, GPT-4 chose the second picture in 58% and LLaVA the first in 83%.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import sparse, stats

from sensei_lite.annotators.base import AnnotatorId
from sensei_lite.annotators.combine import Judgements, pair_code
from sensei_lite.annotators.store import Store


class Estimate(NamedTuple):
    """A figure with its 95% interval; not numbers where there is nothing to take it from."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "{:.1%} [{:.1%}, {:.1%}]".format(*self)


class AnnotatorReport(NamedTuple):
    """How one annotator answered."""

    who: AnnotatorId
    questions: int
    cost: float
    """US dollars."""
    tie_rate: float
    """Share of TIE among all its answers."""
    unknown_rate: float
    """Share of UNKNOWN."""
    first: Estimate
    """Share of FIRST among FIRST and SECOND."""
    both_orders: int
    """Pairs with an answer other than UNKNOWN in both orders."""
    contradiction: Estimate
    """Share of these whose two answers are different judgements."""
    triads: int
    """Three pictures with a judgement (it may be a tie) on each of their three pairs."""
    intransitive: int
    """Of these, those in which each picture beats one and loses to the other."""
    warnings: tuple[str, ...]
    """What is wrong with these answers, in words."""


class AgreementBetween(NamedTuple):
    """How two annotators judge the pairs that both have judged."""

    one: AnnotatorId
    other: AnnotatorId
    pairs: int
    alike: float
    """Share of these pairs with the same judgement out of three: this one, that one, a tie."""
    kappa: Estimate


class AgreementReport(NamedTuple):
    """Everything that a store says about its annotators."""

    annotators: list[AnnotatorReport]
    between: list[AgreementBetween]


def agreement_report(store: Store) -> AgreementReport:
    """Compare all annotators of a store with themselves and with each other. Raises ValueError for an empty store."""
    counts = store.annotators()
    if not counts:
        raise ValueError(f"{store.path} is empty: nobody has answered anything yet")
    judged = {who: store.judgements(who) for who in counts}
    return AgreementReport(
        [_report(who, store.answers(who).answer, judged[who], counts[who].cost) for who in counts],
        [agreement_between(one, judged[one], other, judged[other]) for one, other in itertools.combinations(judged, 2)],
    )


def report_lines(found: AgreementReport) -> list[str]:
    """Format the report for a person to read, line by line."""
    lines = []
    for report in found.annotators:
        lines += [
            f"{report.who}: {report.questions:,} questions, ${report.cost:.2f}",
            f"  ties {report.tie_rate:.1%}, unknown {report.unknown_rate:.1%}",
            f"  'first' in {report.first} of decided answers",
        ]
        if report.both_orders:
            pairs = f"{report.both_orders:,} pairs asked in both orders"
            lines.append(f"  contradicts itself in {report.contradiction} of {pairs}")
        if report.triads:
            rate = report.intransitive / report.triads
            lines.append(f"  intransitive in {report.intransitive:,} of {report.triads:,} triads ({rate:.1%})")
        lines += [f"  warning: {words}" for words in report.warnings]
    for between in found.between:
        if between.pairs:
            kappa = "kappa {:.2f} [{:.2f}, {:.2f}]".format(*between.kappa)
            alike = f"alike in {between.alike:.1%} of {between.pairs:,} common pairs"
            lines.append(f"{between.one} and {between.other}: {alike}, {kappa}")
    return lines


def wilson_interval(successes: int, trials: int) -> Estimate:
    """Compute a share of ``trials`` with Wilson's 95% score interval, which is right for small numbers and for 0."""
    if not trials:
        return Estimate(math.nan, math.nan, math.nan)
    interval = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def cohen_kappa(table: Float[np.ndarray, "kinds kinds"]) -> Estimate:
    """Compute Cohen's kappa of a table of counts [what one said, what the other said].

    Not numbers where it is not defined: for an empty table, and where both said one and the same thing throughout.
    """
    n = table.sum()
    p = table / max(n, 1)
    rows, columns = p.sum(1), p.sum(0)
    alike, chance = np.trace(p), rows @ columns
    if not n or math.isclose(chance, 1):
        return Estimate(math.nan, math.nan, math.nan)
    kappa = (alike - chance) / (1 - chance)
    # Fleiss, Cohen and Everitt (1969), their equation for kappa that is not 0.
    lack = 1 - kappa
    on = (np.diag(p) * (1 - (rows + columns) * lack) ** 2).sum()
    beside = p * (columns[:, None] + rows[None, :]) ** 2
    off = lack**2 * (beside.sum() - np.trace(beside))
    variance = (on + off - (kappa - chance * lack) ** 2) / (n * (1 - chance) ** 2)
    half = float(stats.norm.ppf(0.975)) * math.sqrt(max(variance, 0.0))
    return Estimate(float(kappa), float(max(kappa - half, -1)), float(min(kappa + half, 1)))


def intransitive_triads(judged: Judgements) -> tuple[int, int]:
    """Count the triples of pictures that are judged in all three pairs, and those of them that are intransitive.

    With matrices of zeros and ones, K for "the pair is judged" and B for "the first beats the second": a closed walk of
    three steps along K meets a triad in any of 6 ways, and one along B an intransitive triad in 3.

        triads = trace(K^3) / 6,    intransitive = trace(B^3) / 3
    """
    names, place = np.unique(np.stack([judged.first, judged.second]), return_inverse=True)
    first, second = place.reshape(2, -1)

    def closed_walks(source: np.ndarray, goal: np.ndarray) -> int:
        edges = sparse.csr_array((np.ones(len(source), np.int64), (source, goal)), shape=(len(names), len(names)))
        return int((edges @ edges).multiply(edges.T).sum())

    better, worse = np.where(judged.target == 1, (first, second), (second, first))[:, judged.target != 0.5]
    both_ways = np.concatenate([first, second]), np.concatenate([second, first])
    return closed_walks(*both_ways) // 6, closed_walks(better, worse) // 3


def agreement_between(one: AnnotatorId, a: Judgements, other: AnnotatorId, b: Judgements) -> AgreementBetween:
    """Compare two annotators on the pairs that both have judged."""
    pairs, at_a, at_b = np.intersect1d(
        pair_code(a.first, a.second), pair_code(b.first, b.second), assume_unique=True, return_indices=True
    )
    # Three kinds: the picture of the higher number is more interesting, a tie, that of the lower number.
    said_a, said_b = (
        (2 * np.where(judged.first < judged.second, judged.target, 1 - judged.target)[at]).astype(int)
        for judged, at in ((a, at_a), (b, at_b))
    )
    table = np.zeros((3, 3))
    np.add.at(table, (said_a, said_b), 1)
    alike = float(np.trace(table) / len(pairs)) if len(pairs) else math.nan
    # The other way round, the first kind and the last change places for both.
    return AgreementBetween(one, other, len(pairs), alike, cohen_kappa((table + table[::-1, ::-1]) / 2))


def _report(who: AnnotatorId, answers: np.ndarray, judged: Judgements, cost: float) -> AnnotatorReport:
    firsts, seconds, ties, unknown = np.bincount(answers, minlength=4).tolist()
    first = wilson_interval(firsts, firsts + seconds)
    both = int(judged.both_orders.sum())
    return AnnotatorReport(
        who,
        len(answers),
        cost,
        ties / len(answers),
        unknown / len(answers),
        first,
        both,
        wilson_interval(int(judged.contradicted.sum()), both),
        *intransitive_triads(judged),
        tuple(_warnings(judged, first)),
    )


def _warnings(judged: Judgements, first: Estimate) -> list[str]:
    warnings = []
    if not len(judged.target):
        warnings.append("it knew no answer at all: there are no preferences")
    elif (judged.target == 0.5).all():
        warnings.append("all its judgements are ties: there is nothing to learn from them")
    if first.value in (0.0, 1.0):
        warnings.append(f"one-sided: it never said '{'first' if first.value == 0 else 'second'}'")
    if not (math.isnan(first.value) or first.low <= 0.5 <= first.high):
        warnings.append(f"it favours the {'first' if first.value > 0.5 else 'second'} position")
    return warnings
