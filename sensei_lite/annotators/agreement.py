"""How far the answers can be trusted: does an annotator agree with itself, and with another.

- Position: the share of "first" among its decided answers, with Wilson's interval. Which picture stands first is
  chance, so an annotator that looks at the pictures has 0.5 in it.
- Orders: how often it contradicts itself when the same two pictures are exchanged.
- Circles: of three pictures that were all compared with each other, how often a beats b, b beats c and c beats a. No
  R_psi, being one number for each picture, can fit such answers. By chance alone it is one triple in four.
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

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.combine import Judgements, answer_counts, pair_code
from sensei_lite.annotators.store import AnnotatorId, Store


class Estimate(NamedTuple):
    """A figure with its 95% interval; not numbers where there is nothing to take it from."""

    value: float
    low: float
    high: float


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
    triples: int
    """Three pictures with a judgement (it may be a tie) on each of their three pairs."""
    circles: int
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


class Agreement(NamedTuple):
    """Everything that a store says about its annotators."""

    annotators: list[AnnotatorReport]
    between: list[AgreementBetween]


def agreement(store: Store) -> Agreement:
    """Compare all annotators of a store with themselves and with each other. Raises ValueError for an empty store."""
    counts = store.annotators()
    if not counts:
        raise ValueError(f"{store.path} is empty: nobody has answered anything yet")
    judged = {who: store.judgements(who) for who in counts}
    return Agreement(
        [_report(who, answer_counts(store.answers(who).answer), judged[who], counts[who].cost) for who in counts],
        [_between(one, judged[one], other, judged[other]) for one, other in itertools.combinations(judged, 2)],
    )


def report_lines(found: Agreement) -> list[str]:
    """The report for a person to read, line by line."""
    lines = []
    for report in found.annotators:
        share = 100 * np.array([report.tie_rate, report.unknown_rate, *report.first, *report.contradiction])
        lines += [
            f"{_name(report.who)}: {report.questions:,} questions, ${report.cost:.2f}",
            f"  ties {share[0]:.1f}%, unknown {share[1]:.1f}%",
            f"  'first' in {share[2]:.1f}% of decided answers [{share[3]:.1f}, {share[4]:.1f}]",
        ]
        if report.both_orders:
            interval = f"{share[5]:.1f}% [{share[6]:.1f}, {share[7]:.1f}]"
            lines.append(f"  contradicts itself in {interval} of {report.both_orders:,} pairs asked in both orders")
        if report.triples:
            rate = 100 * report.circles / report.triples
            lines.append(f"  goes in a circle in {report.circles:,} of {report.triples:,} triples ({rate:.1f}%)")
        lines += [f"  warning: {words}" for words in report.warnings]
    for between in found.between:
        if not between.pairs:
            continue
        kappa = "kappa {:.2f} [{:.2f}, {:.2f}]".format(*between.kappa)
        names = f"{_name(between.one)} and {_name(between.other)}"
        lines.append(f"{names}: alike in {100 * between.alike:.1f}% of {between.pairs:,} common pairs, {kappa}")
    return lines


def wilson(happened: int, times: int) -> Estimate:
    """The share of ``happened`` in ``times``, with Wilson's 95% interval: it is right for small numbers and for 0."""
    if not times:
        return Estimate(math.nan, math.nan, math.nan)
    interval = stats.binomtest(happened, times).proportion_ci(0.95, method="wilson")
    return Estimate(happened / times, float(interval.low), float(interval.high))


def cohen_kappa(table: Float[np.ndarray, "kinds kinds"]) -> Estimate:
    """Cohen's kappa of a table of counts [what one said, what the other said].

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


def circles(judged: Judgements) -> tuple[int, int]:
    """How many triples of pictures are judged in all three pairs, and how many of them go in a circle.

    Along the edges of a graph, drawn from the picture with fewer neighbours to the one with more: that bounds the work
    by pairs^1.5, however many pairs one picture is in. A triple i, j, k in this order goes in a circle where i beats j,
    j beats k and k beats i, or all three the other way round.
    """
    names, place = np.unique(np.stack([judged.first, judged.second]), return_inverse=True)
    first, second = place.reshape(2, -1)
    neighbours = np.bincount(place.ravel(), minlength=len(names))
    rank = np.argsort(np.argsort(neighbours, kind="stable"))
    first, second = rank[first], rank[second]
    beats = np.where(first < second, judged.target, 1 - judged.target)
    low, high = np.minimum(first, second), np.maximum(first, second)

    def edges(which: np.ndarray) -> sparse.csr_array:
        ones = np.ones(which.sum(), np.int64)
        return sparse.csr_array((ones, (low[which], high[which])), shape=(len(names), len(names)))

    def triples(one: sparse.csr_array, then: sparse.csr_array) -> int:
        """Paths i, j, k of the first kind whose i, k is of the second."""
        return int((one @ one).multiply(then).sum())

    all_, up, down = edges(np.full(len(low), True)), edges(beats == 1), edges(beats == 0)
    return triples(all_, all_), triples(up, down) + triples(down, up)


def _report(who: AnnotatorId, given: dict[Answer, int], judged: Judgements, cost: float) -> AnnotatorReport:
    questions, decided = judged.questions, given[Answer.FIRST] + given[Answer.SECOND]
    first = wilson(given[Answer.FIRST], decided)
    both, contradicted = int(judged.both_orders.sum()), int(judged.contradicted.sum())
    triples, in_circles = circles(judged)
    return AnnotatorReport(
        who=who,
        questions=questions,
        cost=cost,
        tie_rate=given[Answer.TIE] / questions,
        unknown_rate=given[Answer.UNKNOWN] / questions,
        first=first,
        both_orders=both,
        contradiction=wilson(contradicted, both),
        triples=triples,
        circles=in_circles,
        warnings=tuple(_warnings(judged, first)),
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


def _between(one: AnnotatorId, a: Judgements, other: AnnotatorId, b: Judgements) -> AgreementBetween:
    """On the pairs that both have judged."""
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


def _name(who: AnnotatorId) -> str:
    return " ".join(filter(None, who))
