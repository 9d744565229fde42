"""The scripted annotator: it tells the truth, and errs as often as it says."""

import itertools
import math

import numpy as np
import pytest

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.combine import combine_answers
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.scripted import (
    COUNTED,
    LEVELS,
    NOISE_MODELS,
    NoiseModel,
    ScriptedAnnotator,
    interest,
    is_counted,
    noise_ceiling,
    situations,
)

FIRST, SECOND, TIE, UNKNOWN = Answer


def blank(levels: list[int], images: np.ndarray | None = None) -> Observations:
    """Pictures that are all different (unless given), of states at these levels of KeyRoom."""
    n = len(levels)
    if images is None:
        images = np.zeros((n, 2, 2, 3), np.uint8)
        images.reshape(n, 12)[:, :4] = np.arange(n, dtype=np.uint32)[:, None].view(np.uint8)
    facts = {name: np.array(levels) == place for place, name in enumerate(LEVELS["KeyRoom"], 1)}
    return Observations(images, np.zeros(n, np.int64), np.arange(n, dtype=np.int32), facts)


def ask(annotator: ScriptedAnnotator, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    replies = dict(annotator.annotate(a, b))
    assert sorted(replies) == list(range(len(a)))
    return np.array([replies[i].answer for i in range(len(a))])


@pytest.mark.parametrize("world", ["KeyRoom", "KeyChest"])
def test_interest_is_the_highest_fact_that_holds(world):
    names = LEVELS[world]
    holds = np.random.default_rng(0).random((len(names), 60)) < 0.3
    facts = dict(zip(names, holds, strict=True)) | {"something_else": np.ones(60, bool)}
    level = interest(facts)
    assert level.tolist() == [max((i for i, held in enumerate(state, 1) if held), default=0) for state in holds.T]
    np.testing.assert_array_equal(level, interest(facts, names))


def test_on_the_desk_it_counts_how_many_facts_hold():
    names = LEVELS["Tabletop"]
    holds = np.random.default_rng(0).random((len(names), 40)) < 0.4
    holds[:, 0], holds[:, 1] = False, True
    facts = dict(zip(names, holds, strict=True)) | {"object_off_table": np.ones(40, bool)}
    level = interest(facts)
    np.testing.assert_array_equal(level, [sum(facts[name][i] for name in names) for i in range(40)])
    assert level[:2].tolist() == [0, len(names)]
    # Somebody who names an order gets the highest fact, on the desk as anywhere.
    assert interest({"light_on": np.ones(1, bool), "slide_opened": np.zeros(1, bool)}, ["light_on"]).tolist() == [1]
    np.testing.assert_array_equal(interest(facts, names), [np.flatnonzero([False, *h]).max(initial=0) for h in holds.T])

    images = np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3)
    seen = Observations(images, np.zeros(40, np.int64), np.arange(40, dtype=np.int32), facts)
    counts, orders = ScriptedAnnotator(seen), ScriptedAnnotator(seen, levels=names)
    assert [counts.level(image) for image in images] == level.tolist()
    assert [orders.level(image) for image in images] == interest(facts, names).tolist()
    assert "flat_displaced + light_on" in counts.version
    assert "flat_displaced < light_on" in orders.version


@pytest.mark.parametrize("world", LEVELS)
def test_situations_are_the_levels(world):
    names = LEVELS[world]
    holds = np.random.default_rng(1).random((len(names), 60)) < 0.3
    facts = dict(zip(names, holds, strict=True))
    found, level = situations(facts), interest(facts)
    assert is_counted(names) == (world in COUNTED)
    assert next(iter(found)) == "none of these"
    np.testing.assert_array_equal(np.stack(list(found.values())).argmax(0), level)
    assert (np.stack(list(found.values())).sum(0) == 1).all()
    if world not in COUNTED:
        assert list(found)[1:] == list(names)


def test_interest_in_hand_made_facts():
    facts = {"seen": np.array([0, 1, 1, 0], bool), "held": np.array([0, 0, 1, 1], bool)}
    assert interest(facts, ["seen", "held"]).tolist() == [0, 1, 2, 2]
    assert interest(facts, ["held", "seen"]).tolist() == [0, 2, 2, 1]
    with pytest.raises(ValueError, match=r"levels has flown, opened, and the facts are held, seen"):
        interest(facts, ["seen", "flown", "opened"])
    with pytest.raises(ValueError, match="levels is empty"):
        interest(facts, [])
    with pytest.raises(ValueError, match=r"facts are held, seen, and no order of levels is known"):
        interest(facts)
    with pytest.raises(ValueError, match="facts are none"):
        ScriptedAnnotator(blank([0, 1])._replace(facts={}))


def test_a_faithful_annotator_tells_the_truth():
    observations, a, b = random_pairs(400)
    level = interest(observations.facts).reshape(2, -1)
    truth = np.select([level[0] > level[1], level[0] < level[1]], [FIRST, SECOND], TIE)
    np.testing.assert_array_equal(ask(ScriptedAnnotator(observations), a, b), truth)


def test_levels_can_be_chosen():
    observations = blank([1, 2])
    a, b = observations.images[:1], observations.images[1:]
    assert ask(ScriptedAnnotator(observations), a, b) == [SECOND]
    assert ask(ScriptedAnnotator(observations, levels=["key_picked_up", "key_in_view"]), a, b) == [FIRST]
    assert ask(ScriptedAnnotator(observations, levels=["exit_reached"]), a, b) == [TIE]


def test_pictures_that_look_the_same_have_their_mean_level():
    observations = blank(
        [2, 4, 4, 3], np.array([7, 7, 7, 9], np.uint8)[:, None, None, None] * np.ones((2, 2, 3), np.uint8)
    )
    annotator = ScriptedAnnotator(observations)
    assert annotator.level(observations.images[0]) == pytest.approx(10 / 3)
    assert annotator.level(observations.images[3]) == 3
    assert ask(annotator, observations.images[:1], observations.images[3:]) == [FIRST]


# --- how it errs -----------------------------------------------------------------------------------------------------


def assert_shares(answers: np.ndarray, expected: dict[Answer, float]) -> None:
    """Within 4 standard deviations of a binomial: wrong once in 16,000 comparisons if the shares are right."""
    for answer, share in expected.items():
        tolerance = 4 * math.sqrt(share * (1 - share) / len(answers)) + 1e-12
        assert abs((answers == answer).mean() - share) <= tolerance, f"{answer.name}: {share}"


def random_pairs(n: int, levels: int = 6, seed: int = 0) -> tuple[Observations, np.ndarray, np.ndarray]:
    """n pairs of pictures at random levels; no question occurs twice."""
    rng = np.random.default_rng(seed)
    observations = blank(rng.integers(levels, size=2 * n).tolist())
    return observations, observations.images[:n], observations.images[n:]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gpt4", {SECOND: 0.58, UNKNOWN: 10 / 139_409, TIE: 0.0}),
        ("gpt4-general", {SECOND: 0.59, TIE: 0.012, UNKNOWN: 0.008}),
        ("llava", {FIRST: 0.83, UNKNOWN: 0.13}),
    ],
)
@pytest.mark.parametrize("levels", [1, 6])
def test_named_noise_models_replay_the_published_shares(name, published, levels):
    observations, a, b = random_pairs(2_000, levels)
    assert_shares(ask(ScriptedAnnotator(observations, name), a, b), published)


def test_a_share_that_is_off_is_noticed():
    observations, a, b = random_pairs(2_000)
    answers = ask(ScriptedAnnotator(observations, "gpt4"), a, b)
    with pytest.raises(AssertionError, match="SECOND"):
        assert_shares(answers, {SECOND: 0.62})


ODD_MODELS = [
    NoiseModel(noise=0.2, position_bias=-0.3, tie_rate=0.1, unknown_rate=0.05),
    NoiseModel(noise=0.3, position_bias=0.2, equal="toss"),
    NoiseModel(tie_rate=0.6, unknown_rate=0.4),
    NoiseModel(position_bias=1.0),
]


@pytest.mark.parametrize("noise_model", ODD_MODELS)
def test_shares_are_those_that_are_foretold(noise_model):
    observations, a, b = random_pairs(2_000, levels=3)
    level = interest(observations.facts)
    annotator = ScriptedAnnotator(observations, noise_model)
    answers = ask(annotator, a, b)
    truth = np.sign(level[2_000:] - level[:2_000])
    for way, expected in ((-1, FIRST), (0, TIE), (1, SECOND)):
        assert sum(noise_model.shares(expected).values()) == pytest.approx(1)
        assert_shares(answers[truth == way], noise_model.shares(expected))


def test_answers_depend_on_the_question_and_the_seed_alone():
    observations, a, b = random_pairs(300)
    noise_model = {"noise": 0.3, "position_bias": 0.2, "tie_rate": 0.1, "unknown_rate": 0.1}
    annotator = ScriptedAnnotator(observations, **noise_model, seed=3)
    answers = ask(annotator, a, b)
    order = np.random.default_rng(1).permutation(300)
    again = ScriptedAnnotator(observations, **noise_model, seed=3)
    assert again.version == annotator.version
    np.testing.assert_array_equal(ask(again, a[order], b[order]), answers[order])
    one_by_one = [ask(again, a[i : i + 1], b[i : i + 1])[0] for i in range(300)]
    np.testing.assert_array_equal(one_by_one, answers)
    assert (ask(ScriptedAnnotator(observations, **noise_model, seed=4), a, b) != answers).mean() > 0.2
    # The other order is another question: a coin of its own.
    swapped = np.array([Answer(answer).swapped() for answer in ask(annotator, b, a)])
    assert 0.2 < (swapped != answers).mean() < 0.8
    assert (
        ask(ScriptedAnnotator(observations), b, a)
        == [Answer(x).swapped() for x in ask(ScriptedAnnotator(observations), a, b)]
    ).all()


def test_the_version_tells_every_setting():
    observations = blank([0, 1, 2])
    made = [
        ScriptedAnnotator(observations),
        ScriptedAnnotator(observations, levels=LEVELS["KeyRoom"][:3]),
        ScriptedAnnotator(observations, noise=0.1),
        ScriptedAnnotator(observations, position_bias=0.1),
        ScriptedAnnotator(observations, position_bias=-0.1),
        ScriptedAnnotator(observations, tie_rate=0.1),
        ScriptedAnnotator(observations, unknown_rate=0.1),
        ScriptedAnnotator(observations, equal="toss"),
        ScriptedAnnotator(observations, seed=1),
        ScriptedAnnotator(blank([0, 1, 3])),
    ]
    assert len({annotator.version for annotator in made}) == len(made)
    assert ScriptedAnnotator(observations.choose(np.array([2, 0, 1, 1]))).version == made[0].version
    assert ScriptedAnnotator(observations, "faithful").version == made[0].version


# --- the noise ceiling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both_orders", [False, True])
@pytest.mark.parametrize("noise_model", [ODD_MODELS[0], ODD_MODELS[1], NOISE_MODELS["gpt4"], NoiseModel(noise=0.8)])
def test_no_reader_of_the_truth_does_better_or_worse_than_the_ceiling(noise_model, both_orders):
    n = 2_000
    observations, a, b = random_pairs(n, levels=3, seed=5)
    level = interest(observations.facts)
    annotator = ScriptedAnnotator(observations, noise_model)
    answers = ask(annotator, a, b)
    if both_orders:
        forth, back = np.arange(n), n + np.arange(n)
        again = ask(annotator, b, a)
        judged = combine_answers(np.r_[forth, back], np.r_[back, forth], np.r_[answers, again])
        answers = np.full(n, UNKNOWN)
        answers[judged.first] = np.select([judged.target == 1, judged.target == 0], [FIRST, SECOND], TIE)
    # The best R_psi: the true level (upside down where most answers are wrong), equal ones told apart by a coin.
    value = level * (-1 if noise_model.noise > 0.5 else 1) + np.random.default_rng(6).uniform(0, 0.5, 2 * n)
    predicted = np.where(value[:n] > value[n:], FIRST, SECOND)
    chosen = answers <= SECOND
    equal = (level[:n] == level[n:]).mean()
    ceiling = noise_ceiling(noise_model, equal, both_orders=both_orders)
    tolerance = 4 * math.sqrt(ceiling * (1 - ceiling) / chosen.sum())
    assert (predicted == answers)[chosen].mean() == pytest.approx(ceiling, abs=tolerance)


def test_ceilings_that_are_known():
    assert noise_ceiling(NoiseModel(), 0.4) == 1
    assert noise_ceiling(NoiseModel(noise=0.1)) == pytest.approx(0.9)
    assert noise_ceiling(NoiseModel(noise=0.1, tie_rate=0.5, unknown_rate=0.2)) == pytest.approx(0.9)
    assert noise_ceiling(NoiseModel(equal="toss"), 0.4) == pytest.approx(0.6 + 0.2)
    # As results.md says: answers by position teach little when asked once, and asked twice, what is left is right.
    assert noise_ceiling(NOISE_MODELS["llava"]) < 0.6
    assert noise_ceiling(NOISE_MODELS["llava"], both_orders=True) == 1
    assert noise_ceiling(NoiseModel(position_bias=-0.4)) == pytest.approx(0.6 + 0.2)
    assert noise_ceiling(NoiseModel(position_bias=0.4), both_orders=True) == 1, "both orders show what a position hid"
    for noise_model, both in itertools.product(NOISE_MODELS.values(), (False, True)):
        assert 0.5 <= noise_ceiling(noise_model, 0.3, both_orders=both) <= 1
    with pytest.raises(ValueError, match="never chooses"):
        noise_ceiling(NoiseModel(tie_rate=1.0))
    with pytest.raises(ValueError, match="never chooses"):
        noise_ceiling(NoiseModel(), 1.0)
    with pytest.raises(ValueError, match="equal is 1"):
        noise_ceiling(NoiseModel(), 1.5)


# --- wrong use -------------------------------------------------------------------------------------------------------


def test_unknown_pictures_are_refused():
    observations = blank([0, 1])
    a, b = observations.images[:1], observations.images[1:]
    with pytest.raises(ValueError, match=r"picture [0-9a-f]{32} is none of the 2 that this"):
        ask(ScriptedAnnotator(observations), a, b + 1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"noise": 1.2}, "noise is 1.2"),
        ({"tie_rate": -0.1}, "tie_rate is -0.1"),
        ({"unknown_rate": math.nan}, "unknown_rate is nan"),
        ({"position_bias": -1.1}, "position_bias -1.1, .* more than 1"),
        ({"position_bias": 0.5, "tie_rate": 0.4, "unknown_rate": 0.2}, "more than 1"),
    ],
)
def test_settings_out_of_range_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        ScriptedAnnotator(blank([0, 1]), **setting)


def test_a_noise_model_that_nobody_has_is_named():
    with pytest.raises(ValueError, match="noise_model is 'gpt5'; there are faithful, gpt4, gpt4-general, llava"):
        ScriptedAnnotator(blank([0, 1]), "gpt5")
    with pytest.raises(TypeError, match="loudness"):
        ScriptedAnnotator(blank([0, 1]), "gpt4", loudness=1.0)
    assert ScriptedAnnotator(blank([0, 1]), "gpt4", noise=0.1).noise_model.position_bias == -0.16
