"""The report finds what is planted, and its figures are those of the books."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensei_lite.annotators.agreement import (
    agreement_report,
    cohen_kappa,
    intransitive_triads,
    report_lines,
    wilson_interval,
)
from sensei_lite.annotators.base import AnnotatorId, Answer, Reply
from sensei_lite.annotators.combine import combine_answers
from sensei_lite.annotators.store import Store

FIRST, SECOND, TIE, UNKNOWN = Answer


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        images = np.zeros((100, 1, 2, 3), np.uint8)
        images[:, 0, 0, 0] = np.arange(100)
        store.hashes = store.add_images(images, np.arange(100), np.arange(100))
        yield store


def answer(store, name, says, pairs, orders=2):
    """Record what ``says(i, j)`` answers about pictures i and j. Returns the annotator."""
    questions = [q for i, j in pairs for q in [(i, j), (j, i)][:orders]]
    hashes = [(store.hashes[i], store.hashes[j]) for i, j in questions]
    store.record(AnnotatorId(name, "1"), hashes, [Reply(says(i, j), cost=0.001) for i, j in questions])


def some_pairs(n=400, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(list(itertools.combinations(range(100), 2)))[:n]
    return rng.permuted(pairs, axis=1).tolist()


def higher(i, j):
    return FIRST if i > j else SECOND


# statsmodels 0.15: stats.inter_rater.cohens_kappa (kappa, kappa_low, kappa_upp).
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # By hand: alike 35/50, by chance 1/2, so (0.7 - 0.5) / 0.5.
        ([[20, 5], [10, 15]], (0.4, 0.151092290476661, 0.6489077095233389)),
        ([[44, 5, 1], [7, 20, 3], [9, 5, 6]], (0.49152542372881347, 0.35015820121748686, 0.6328926462401401)),
        ([[3, 1, 2], [0, 2, 5], [8, 1, 0]], (-0.14373088685015287, -0.41020090443650026, 0.1227391307361945)),
        ([[10, 0], [0, 10]], (1.0, 1.0, 1.0)),
        ([[0, 10], [10, 0]], (-1.0, -1.0, -1.0)),
        ([[25, 25], [25, 25]], (0.0, -0.195996398454, 0.195996398454)),  # by hand: 1.96 / sqrt(100)
    ],
)
def test_kappa_of_known_tables(table, expected):
    np.testing.assert_allclose(cohen_kappa(np.array(table, float)), expected, atol=1e-12)


@pytest.mark.parametrize("table", [[[0.0, 0.0], [0.0, 0.0]], [[9.0, 0.0], [0.0, 0.0]]])
def test_kappa_is_not_defined_without_answers_or_with_one_kind_of_them(table):
    assert all(math.isnan(figure) for figure in cohen_kappa(np.array(table)))


# statsmodels 0.15: stats.proportion.proportion_confint(..., method="wilson").
@pytest.mark.parametrize(
    ("happened", "times", "low", "high"),
    [
        (0, 10, 0.0, 0.27753279986288926),
        (5, 10, 0.23659309051256394, 0.7634069094874361),
        (83, 100, 0.7445199523239887, 0.8910643388594006),
        (10, 10, 0.7224672001371106, 1.0),
    ],
)
def test_wilson_of_known_shares(happened, times, low, high):
    np.testing.assert_allclose(wilson_interval(happened, times), (happened / times, low, high), atol=1e-12)


def test_an_annotator_that_looks_at_the_pictures(store):
    answer(store, "higher", higher, some_pairs())
    (report,) = agreement_report(store).annotators
    assert (report.questions, report.tie_rate, report.unknown_rate, report.warnings) == (800, 0, 0, ())
    assert report.first.value == 0.5
    assert report.cost == pytest.approx(0.8)
    assert (report.both_orders, report.contradiction.value) == (400, 0)
    assert report.triads > 0
    assert report.intransitive == 0


@pytest.mark.parametrize("orders", [1, 2])
@pytest.mark.parametrize(("position", "share"), [(FIRST, 0.83), (SECOND, 0.42)])
def test_a_planted_bias_to_a_position_is_found(store, position, share, orders):
    # Looks at the picture, but with a probability says a position whatever there is, as often as real models did.
    rng = np.random.default_rng(1)
    blind = abs(2 * share - 1)
    answer(store, "biased", lambda i, j: position if rng.random() < blind else higher(i, j), some_pairs(3000), orders)
    (report,) = agreement_report(store).annotators
    assert report.first.low < share < report.first.high
    assert report.first.high - report.first.low < 0.04
    assert report.warnings == (f"it favours the {position.name.lower()} position",)
    if orders == 2:
        # Both answers name one position where both were blind, or where one was, and the other looked and it was so.
        expected = blind**2 + 2 * blind * (1 - blind) / 2
        assert report.contradiction.low < expected < report.contradiction.high


def test_ties_unknown_answers_and_contradictions_are_counted(store):
    said = {(0, 1): TIE, (1, 0): FIRST, (2, 3): UNKNOWN, (3, 2): FIRST, (4, 5): TIE, (5, 4): TIE, (6, 7): SECOND}
    said |= {(7, 6): FIRST}
    questions = [(store.hashes[i], store.hashes[j]) for i, j in said]
    store.record(AnnotatorId("me", "1"), questions, [Reply(a) for a in said.values()])
    (report,) = agreement_report(store).annotators
    assert (report.questions, report.tie_rate, report.unknown_rate) == (8, 3 / 8, 1 / 8)
    assert report.first == wilson_interval(3, 4)
    assert (report.both_orders, report.contradiction) == (3, wilson_interval(1, 3))


@pytest.mark.parametrize(
    ("says", "warnings"),
    [
        (lambda i, j: TIE, ["all its judgements are ties: there is nothing to learn from them"]),
        (lambda i, j: UNKNOWN, ["it knew no answer at all: there are no preferences"]),
        (
            lambda i, j: FIRST,
            [
                "all its judgements are ties: there is nothing to learn from them",
                "one-sided: it never said 'second'",
                "it favours the first position",
            ],
        ),
        (higher, []),
    ],
)
def test_answers_that_teach_nothing_are_warned_of(store, says, warnings):
    answer(store, "odd", says, some_pairs(30))
    report = agreement_report(store)
    assert list(report.annotators[0].warnings) == warnings
    assert [line.strip() for line in report_lines(report) if "warning" in line] == [f"warning: {w}" for w in warnings]


def test_one_sided_answers_in_one_order_are_warned_of(store):
    answer(store, "odd", lambda i, j: SECOND, some_pairs(30), orders=1)
    (report,) = agreement_report(store).annotators
    assert report.warnings == ("one-sided: it never said 'first'", "it favours the second position")
    assert (report.both_orders, math.isnan(report.contradiction.value)) == (0, True)


def judged(edges):
    first, second, said = np.array([(i, j, a) for (i, j), a in edges.items()]).T
    return combine_answers(first, second, said)


def test_an_intransitive_triad_is_counted():
    assert intransitive_triads(judged({(5, 1): FIRST, (1, 9): FIRST, (9, 5): FIRST})) == (1, 1)
    assert intransitive_triads(judged({(5, 1): FIRST, (1, 9): FIRST, (9, 5): SECOND})) == (1, 0)
    assert intransitive_triads(judged({(5, 1): FIRST, (1, 9): FIRST, (9, 5): TIE})) == (1, 0)
    assert intransitive_triads(judged({(5, 1): FIRST, (1, 9): FIRST})) == (0, 0)
    assert intransitive_triads(judged({(5, 1): FIRST, (1, 9): FIRST, (9, 5): UNKNOWN})) == (0, 0)


@given(st.integers(0, 2**32 - 1), st.integers(3, 9), st.floats(0.2, 1))
@settings(max_examples=60, deadline=None)
def test_intransitive_triads_are_those_found_one_by_one(seed, n, asked):
    rng = np.random.default_rng(seed)
    edges = {
        (i, j) if rng.random() < 0.5 else (j, i): Answer(int(rng.integers(4)))
        for i, j in itertools.combinations(range(n), 2)
        if rng.random() < asked
    }
    beats = {pair if a is FIRST else pair[::-1] for pair, a in edges.items() if a in (FIRST, SECOND)}
    known = {frozenset(pair) for pair, a in edges.items() if a is not UNKNOWN}
    triads = intransitive = 0
    for i, j, k in itertools.combinations(range(n), 3):
        triads += {frozenset(p) for p in ((i, j), (j, k), (i, k))} <= known
        intransitive += {(i, j), (j, k), (k, i)} <= beats or {(j, i), (k, j), (i, k)} <= beats
    if edges:
        assert intransitive_triads(judged(edges)) == (triads, intransitive)


def test_guessing_makes_one_triad_in_four_intransitive(store):
    rng = np.random.default_rng(0)
    answer(store, "guess", lambda i, j: Answer(int(rng.integers(2))), list(itertools.combinations(range(60), 2)), 1)
    (report,) = agreement_report(store).annotators
    assert report.triads == math.comb(60, 3)
    assert abs(report.intransitive / report.triads - 0.25) < 0.02


def test_two_annotators_that_agree_now_and_then(store):
    rng = np.random.default_rng(0)
    pairs = some_pairs(2000)
    answer(store, "higher", higher, pairs)
    answer(store, "noisy", lambda i, j: higher(i, j) if (i * j) % 5 else higher(j, i), pairs[:1000])
    answer(store, "blind", lambda i, j: Answer(int(rng.integers(2))), [(j, i) for i, j in pairs], 1)
    answer(store, "stranger", higher, some_pairs(4950)[2000:], 1)
    found = agreement_report(store)
    between = {(b.one.name, b.other.name): b for b in found.between}
    assert len(between) == 6
    same = between["higher", "noisy"]
    share = np.mean([i * j % 5 != 0 for i, j in pairs[:1000]])
    assert (same.pairs, same.alike) == (1000, share)
    # No ties, and every pair both ways round, so half of the answers are alike by chance.
    assert same.kappa.value == pytest.approx(2 * share - 1)
    assert same.kappa.high - same.kappa.value == pytest.approx(1.96 * 2 * (share * (1 - share) / 1000) ** 0.5, rel=1e-4)
    assert between["higher", "blind"].kappa.low < 0 < between["higher", "blind"].kappa.high
    assert between["higher", "stranger"].pairs == 0
    assert math.isnan(between["higher", "stranger"].alike)
    lines = report_lines(found)
    assert f"higher 1 and noisy 1: alike in {100 * share:.1f}% of 1,000 common pairs" in "\n".join(lines)
    assert not any("stranger" in line and "higher" in line for line in lines)
    assert "higher 1: 4,000 questions, $4.00" in lines


def test_kappa_does_not_depend_on_which_picture_comes_first(tmp_path):
    rng = np.random.default_rng(0)
    edges = {pair: (Answer(int(rng.integers(3))), Answer(int(rng.integers(3)))) for pair in map(tuple, some_pairs(150))}
    found = []
    for order in (range(100), rng.permutation(100)):
        with Store(tmp_path / f"{len(found)}.sqlite") as store:
            images = np.zeros((100, 1, 2, 3), np.uint8)
            images[:, 0, 0, 0] = order
            hashes = dict(zip(order, store.add_images(images, np.arange(100), np.arange(100)), strict=True))
            for who in (0, 1):
                questions = [(hashes[i], hashes[j]) for i, j in edges]
                store.record(AnnotatorId(str(who), "1"), questions, [Reply(said[who]) for said in edges.values()])
            found.append(agreement_report(store).between[0])
    np.testing.assert_allclose(found[0].kappa, found[1].kappa)
    assert found[0].alike == found[1].alike == np.mean([a == b for a, b in edges.values()])


def test_the_interval_of_kappa_holds_for_pairs_counted_both_ways_round():
    # The formula is for independent rows, and a pair and its mirror are none. So: drawn again many times.
    rng = np.random.default_rng(0)
    p = np.array([[0.3, 0.05, 0.05], [0.06, 0.1, 0.04], [0.1, 0.1, 0.2]])
    tables = rng.multinomial(400, p.ravel(), 4000).reshape(-1, 3, 3)
    found = np.array([cohen_kappa((t + t[::-1, ::-1]) / 2) for t in tables])
    truth = cohen_kappa((p + p[::-1, ::-1]) / 2 * 1e9).value
    inside = ((found[:, 1] <= truth) & (truth <= found[:, 2])).mean()
    assert 0.935 < inside < 0.965


def test_an_empty_store_has_no_report(store):
    with pytest.raises(ValueError, match="is empty"):
        agreement_report(store)
