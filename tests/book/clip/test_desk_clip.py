"""The small CLIP of the desk: it knows what happens there, and worlds are asked about with the CLIP that knows them."""

import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("open_clip")

from make.clip.desk_captions import (
    AJAR,
    AWAY,
    LEVELS,
    TOUCHES,
    Scene,
    full_caption,
    interest_level,
    vocabulary,
    write_caption,
)
from make.clip.desk_data import is_clear, sample_desk, sample_play
from make.clip.lessons import CAPTION_TASKS
from make.clip.training import ClipTraining
from safetensors.torch import load_file, save_file

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import DESK, KEYS, WordTokenizer, small_clip_for
from sensei_lite.annotators.clip.prompts import KEY_PROMPTS
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.registry import make_annotator
from sensei_lite.annotators.scripted import interest
from sensei_lite.worlds.registry import world_names
from sensei_lite.worlds.tabletop import Tabletop

WORLD = Tabletop()
UNKNOWN = ("robodesk", "pokemon-red", "gymnasium:MiniGrid-Empty-5x5-v0")


@pytest.fixture(scope="module")
def desk_clip():
    return ClipAnnotator("bundled-desk")


@pytest.fixture(scope="module")
def pictures():
    return sample_desk(WORLD, 200, held_out=True, seed=21)


def agreement(annotator, images, level):
    """Of random pairs of different levels: the share that is decided, and the share of these that is right."""
    first, second = np.random.default_rng(0).integers(0, len(level), (2, 2000))
    apart = level[first] != level[second]
    first, second = first[apart], second[apart]
    scores = annotator.scores(images).tolist()
    answers = [annotator.compare(a, b) for a, b in ((scores[i], scores[j]) for i, j in zip(first, second, strict=True))]
    decided = np.array([answer in (Answer.FIRST, Answer.SECOND) for answer in answers])
    right = np.where(level[first] > level[second], Answer.FIRST, Answer.SECOND) == np.array(answers)
    return decided.mean(), right[decided].mean()


def test_the_mean_score_of_every_level_is_above_that_of_the_one_before(desk_clip, pictures):
    scores, level = desk_clip.scores(pictures.images), interest_level(pictures.scene)
    means = [scores[level == i].mean() for i in range(len(LEVELS)) if (level == i).any()]
    assert len(means) >= len(LEVELS) - 2, "seven and eight things at once are rare"
    assert (np.diff(means) > 0.05).all(), means


def test_pairs_are_answered_as_the_truth_has_it(desk_clip, pictures):
    decided, right = agreement(desk_clip, pictures.images, interest(pictures.facts))
    assert decided > 0.9
    assert right > 0.93


def test_so_are_pictures_of_play(desk_clip):
    played = sample_play(WORLD, 1024, guided=True, held_out=True, seed=22)
    level = interest(played.facts)
    assert 0.05 < (level == 0).mean() < 0.5, "play is not balanced"
    decided, right = agreement(desk_clip, played.images, level)
    assert decided > 0.8
    assert right > 0.93


def test_an_untaught_network_answers_by_chance(pictures, tmp_path):
    """The measure can tell: with weights in another order little is right."""
    weights = load_file(DESK.weights)
    name = "visual.attnpool.c_proj.weight"
    weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, tmp_path / "mixed.safetensors")
    mixed = ClipAnnotator(DESK.architecture, weights=tmp_path / "mixed.safetensors", margin=0.0)
    _, right = agreement(mixed, pictures.images, interest(pictures.facts))
    assert right < 0.75


def test_a_model_has_the_prompts_of_its_lesson(desk_clip):
    assert desk_clip.prompts == dict(DESK.prompts)
    assert ClipAnnotator().prompts == KEY_PROMPTS
    assert set(desk_clip.prompts.values()) == {i / 8 for i in range(len(LEVELS))}
    assert desk_clip.version.startswith("bundled-desk ")
    with pytest.raises(ValueError, match="never taught key"):
        ClipAnnotator("bundled-desk", prompts={"the robot holds the key": 1.0, "drawer open": 0.0})
    with pytest.raises(ValueError, match="give one of the two"):
        ClipAnnotator("bundled-desk", weights=DESK.weights)


def test_every_word_is_in_the_vocabulary_and_fits(pictures):
    tokenizer = WordTokenizer(DESK.words.read_text().split(), 64)
    captions = [full_caption(pictures.scene.one(i)) for i in np.flatnonzero(is_clear(pictures.scene)).tolist()]
    # Blocks of which one stands on the other have not fallen.
    longest = Scene(TOUCHES, 5, AJAR, AJAR, True, True, AWAY, AWAY, AWAY, True, False, False)
    random = np.random.default_rng(0)
    captions += [full_caption(longest), *(write_caption(longest, random=random, share=1.0) for _ in range(50))]
    rows = tokenizer(captions).numpy()
    assert (rows.max(1) == tokenizer.end).all()
    assert tokenizer.size == len(vocabulary()) + 3


def made_for(world, **settings):
    none = Observations(np.zeros((1, 64, 64, 3), np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int32), {})
    return make_annotator("clip", none, world=world, prompt_file=Path("prompt.json"), **settings)


def test_a_world_is_asked_about_with_the_clip_that_knows_it(desk_clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made_for("tabletop").version == desk_clip.version
        for world in ("keyroom-lab", "keychest", "minihack-keyroom-s15"):
            assert made_for(world).version == ClipAnnotator().version
        # What is named is taken.
        assert made_for("tabletop", model="bundled").version == ClipAnnotator().version
        assert made_for("tabletop", margin=0.2).margin == 0.2
        two = {"an open drawer": 1.0, "nothing is touched": 0.0}
        assert made_for("tabletop", prompts=two).prompts == two
        # A model that reads any sentence is asked with the world's prompts.
        assert made_for("tabletop", model=DESK.architecture, weights=DESK.weights).prompts == desk_clip.prompts
    assert [name for name in world_names() if small_clip_for(name) is DESK] == [
        "tabletop",
        "tabletop-lab",
        "tabletop-numbers",
    ]


def test_another_model_is_asked_with_the_worlds_own_prompts(monkeypatch):
    from sensei_lite.annotators import registry as catalogue

    class NotLoaded(ClipAnnotator):
        def __init__(self, model, **settings):
            self.asked_for = (model, settings)

    monkeypatch.setattr(catalogue, "ClipAnnotator", NotLoaded)
    large = "ViT-B-32/laion2b_s34b_b79k"
    assert made_for("tabletop", model=large).asked_for == (large, {"prompts": DESK.prompts})
    assert made_for("keychest-lab", model=large).asked_for == (large, {"prompts": KEYS.prompts})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made_for("robodesk", model=large, prompts={"a": 1.0, "b": 0.0}).asked_for[0] == large


@pytest.mark.parametrize("world", UNKNOWN)
def test_a_world_that_no_small_clip_knows_is_warned_of(world):
    with pytest.warns(UserWarning, match=f"nothing to do with {world}.*model=ViT-B-32/laion2b_s34b_b79k"):
        assert made_for(world).version == ClipAnnotator().version


def test_a_lesson_is_drawn_and_measured(desk_clip, monkeypatch):
    """What training (the same for every lesson, see test_clip) takes from this one."""
    lesson = CAPTION_TASKS["desk"]
    drawn = lesson.draw(64, 64, seed=5, random=np.random.default_rng(0))
    assert drawn.images.shape == (len(drawn.captions), 64, 64, 3)
    assert 56 <= len(drawn.captions) <= 64, "those that hide what is touched are left out"
    again = lesson.draw(64, 64, seed=5, random=np.random.default_rng(0))
    assert again.captions == drawn.captions
    np.testing.assert_array_equal(again.images, drawn.images)

    monkeypatch.setattr("make.clip.desk_evaluation.MORE", 1)
    tables = lesson.measure(desk_clip, 64)
    assert set(tables) == {"agreement", "scores", "levels", "facts", "retrieval"}
    assert [row["pictures_of"] for row in tables["agreement"]] == ["balanced", "guided play", "random play"]
    assert [row["shown"] for row in tables["levels"]] == list(LEVELS)
    for row in tables["levels"]:
        assert not row["pictures"] or sum(row[name] for name in LEVELS) == pytest.approx(1.0, abs=0.01)
    assert ClipTraining(**lesson.settings).steps == lesson.settings["steps"]
