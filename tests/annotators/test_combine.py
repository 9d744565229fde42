"""Two orders of a pair make one judgement, a tie where they contradict each other, or none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.combine import combine_answers

FIRST, SECOND, TIE, UNKNOWN = Answer


def test_both_orders_are_combined():
    a, b, c, d, e = range(5)
    answers = {
        (b, a): FIRST, (a, b): SECOND,  # b, twice
        (a, c): FIRST, (c, a): FIRST,  # contradicted
        (c, d): TIE, (d, c): TIE,
        (d, a): SECOND,  # one order only
        (b, c): UNKNOWN, (c, b): FIRST,  # not confirmed
        (b, d): UNKNOWN, (d, b): UNKNOWN,
        (a, e): UNKNOWN,
        (e, d): TIE, (d, e): FIRST,
    }  # fmt: skip
    judged = combine_answers(*np.array(list(answers)).T, np.array(list(answers.values())))
    pairs = list(zip(judged.first, judged.second, judged.target, strict=True))
    assert pairs == [(b, a, 1), (a, c, 0.5), (c, d, 0.5), (d, a, 0), (e, d, 0.5)]
    assert judged.both_orders.tolist() == [True, True, True, False, True]
    assert judged.contradicted.tolist() == [False, True, False, False, True]
    assert judged.dropped == 3


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_combining_is_what_it_says_for_each_pair(data):
    order = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda q: q[0] != q[1])
    questions = data.draw(st.lists(order, unique=True, min_size=1))
    said = {question: data.draw(st.sampled_from(Answer)) for question in questions}
    judged = combine_answers(*np.array(questions).T, np.array(list(said.values())))
    worth = {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}
    found = {(i, j): t for i, j, t in zip(judged.first, judged.second, judged.target, strict=True)}
    pairs = list(dict.fromkeys(frozenset(question) for question in questions))
    assert len(found) + judged.dropped == len(pairs)
    assert [frozenset(pair) for pair in found] == [pair for pair in pairs if pair in map(frozenset, found)]
    for pair in pairs:
        i, j = next(question for question in questions if frozenset(question) == pair)
        answers = [said[i, j], *([said[j, i].swapped()] if (j, i) in said else [])]
        known = {worth.get(answer) for answer in answers}
        expected = None if None in known else known.pop() if len(known) == 1 else 0.5
        assert found.get((i, j)) == expected
    other = combine_answers(
        *np.array([(j, i) for i, j in questions]).T, np.array([said[q].swapped() for q in questions])
    )
    np.testing.assert_array_equal(other.target, 1 - judged.target)
