"""The CLIP annotator: the bundled model knows its worlds, any model can be named, and what is wrong is said clearly."""

import functools
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from make.clip.caption_data import sample_scenes
from make.clip.captions import interest_level, vocabulary
from make.clip.lessons import CAPTION_TASKS, draw_keys
from make.clip.training import ClipTraining, new_network, save_weights, train_and_measure, update
from safetensors.torch import load_file, save_file

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.clip import model as clip_model
from sensei_lite.annotators.clip.annotator import PROMPTS, ClipAnnotator
from sensei_lite.annotators.clip.bundled import DESK, KEYS
from sensei_lite.annotators.clip.model import fit_pictures
from sensei_lite.annotators.words import WordTokenizer
from sensei_lite.worlds import KeyRoom

ROOM = KeyRoom(size=6)  # a size that training never saw
TINY = "tiny_test_clip"


@pytest.fixture(scope="module")
def bundled():
    return ClipAnnotator()


@pytest.fixture(scope="module")
def rooms():
    return sample_scenes(ROOM, 300, held_out=True, seed=11)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small architecture of open_clip's usual kind, registered as a user would, and a file of random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / f"{TINY}.json").write_text(
        '{"embed_dim": 16, "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, '
        '"patch_size": 16}, "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, '
        '"layers": 1}}'
    )
    open_clip.add_model_config(folder / f"{TINY}.json")
    torch.manual_seed(0)
    weights = folder / "random.safetensors"
    save_file(open_clip.create_model(TINY, pretrained=None).state_dict(), weights)
    return weights


def test_the_mean_score_of_every_stage_is_above_that_of_the_one_before(bundled, rooms):
    scores, level = bundled.scores(rooms.images), interest_level(rooms.scene)
    means = [scores[level == stage].mean() for stage in sorted(set(level))]
    assert sorted(set(level)) == [1, 2, 3, 4, 5]
    assert (np.diff(means) > 0.1).all(), means


def test_pairs_are_answered_as_the_truth_has_it(bundled, rooms):
    level = interest_level(rooms.scene)
    first, second = np.random.default_rng(0).integers(0, len(level), (2, 600))
    apart = level[first] != level[second]
    first, second = first[apart], second[apart]
    answers = [reply.answer for _, reply in bundled.annotate(rooms.images[first], rooms.images[second])]
    decided = np.array([answer in (Answer.FIRST, Answer.SECOND) for answer in answers])
    right = np.where(level[first] > level[second], Answer.FIRST, Answer.SECOND) == np.array(answers)
    assert decided.mean() > 0.8
    assert right[decided].mean() > 0.85


def test_an_empty_floor_is_the_dullest_of_a_crop(bundled):
    sample = sample_scenes(KeyRoom(size=9, closet=2, view=5), 400, held_out=True, seed=12)
    scores, level = bundled.scores(sample.images), interest_level(sample.scene)
    means = [scores[level == stage].mean() for stage in range(6)]
    assert means[0] < min(means[1:]), means


def test_both_orders_give_the_same_judgement(bundled, rooms):
    a, b = rooms.images[:40], rooms.images[40:80]
    there = dict(bundled.annotate(a, b))
    back = dict(bundled.annotate(b, a))
    assert sorted(there) == list(range(40))
    for i in range(40):
        assert back[i].answer == there[i].answer.swapped()
        assert back[i].raw.split() == there[i].raw.split()[::-1], "bit by bit the same numbers"


def test_the_order_and_the_size_of_batches_do_not_matter(bundled, rooms):
    images = rooms.images[:30]
    order = np.random.default_rng(0).permutation(30)
    scores = bundled.scores(images)
    np.testing.assert_array_equal(bundled.scores(images[order]), scores[order])
    np.testing.assert_allclose(ClipAnnotator(batch=7).scores(images), scores, atol=1e-4)
    np.testing.assert_allclose(bundled.scores(images[:1]), scores[:1], atol=1e-4)


def test_each_distinct_picture_is_encoded_once(bundled, rooms, monkeypatch):
    encoded = []
    encode = clip_model.ClipModel.embed_images
    monkeypatch.setattr(
        clip_model.ClipModel,
        "embed_images",
        lambda self, images, batch: encoded.append(images) or encode(self, images, batch),
    )
    a = rooms.images[[0, 1, 0, 2]]
    answers = list(bundled.annotate(a, a[::-1]))
    assert len(answers) == 4
    assert [len({image.tobytes() for image in images}) for images in encoded] == [len(images) for images in encoded]
    assert sum(map(len, encoded)) == len({image.tobytes() for image in a})


def test_near_scores_are_ties(bundled, rooms):
    same = list(ClipAnnotator(margin=0.0).annotate(rooms.images[:3], rooms.images[:3]))
    assert {reply.answer for _, reply in same} == {Answer.TIE}
    all_ties = ClipAnnotator(margin=1.0).annotate(rooms.images[:50], rooms.images[50:100])
    assert {reply.answer for _, reply in all_ties} == {Answer.TIE}
    assert bundled.compare(0.5, 0.5 + 0.9 * bundled.margin) == Answer.TIE
    assert bundled.compare(0.5, 0.5 + 1.1 * bundled.margin) == Answer.SECOND
    assert bundled.compare(0.5 + 1.1 * bundled.margin, 0.5) == Answer.FIRST


def test_scores_are_the_interest_to_be_expected(bundled, rooms):
    chances = bundled.prompt_probabilities(rooms.images[:20])
    np.testing.assert_allclose(chances.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(bundled.scores(rooms.images[:20]), chances @ list(PROMPTS.values()), rtol=1e-5)
    opposite = ClipAnnotator(prompts={text: 1.0 - interest for text, interest in PROMPTS.items()})
    np.testing.assert_allclose(opposite.scores(rooms.images[:20]), 1.0 - bundled.scores(rooms.images[:20]), atol=1e-4)


def test_no_pictures_no_answers(bundled):
    none = np.zeros((0, 80, 72, 3), np.uint8)
    assert list(bundled.annotate(none, none)) == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((2, 80, 72, 3), np.float32), np.zeros((2, 80, 72, 3), np.float32)),
        (np.zeros((2, 80, 72, 4), np.uint8), np.zeros((2, 80, 72, 4), np.uint8)),
        (np.zeros((2, 80, 72, 3), np.uint8), np.zeros((3, 80, 72, 3), np.uint8)),
    ],
    ids=["floats", "four channels", "not as many"],
)
def test_wrong_pictures_are_refused(bundled, a, b):
    # Called without the run-time check of shapes, as in normal use.
    annotate = getattr(ClipAnnotator.annotate, "__wrapped__", ClipAnnotator.annotate)
    with pytest.raises(ValueError, match=r"pictures (must be uint8|are \[2)"):
        list(annotate(bundled, a, b))


def test_the_version_changes_with_all_that_changes_answers(bundled, tiny):
    versions = {
        who.version
        for who in (
            bundled,
            ClipAnnotator(margin=0.1),
            ClipAnnotator(prompts={"the door is open": 1.0, "empty floor": 0.0}),
            ClipAnnotator(TINY, weights=tiny),
        )
    }
    assert len(versions) == 4
    assert ClipAnnotator().version == bundled.version
    assert ClipAnnotator().prompt_hash == bundled.prompt_hash


def test_a_local_file_is_loaded_as_any_pretrained_model(tiny, rooms, tmp_path):
    annotator = ClipAnnotator(TINY, weights=tiny, prompts={"a dragon": 1.0, "a wall": 0.0})
    scores = annotator.scores(rooms.images[:5])
    assert ((scores > 0) & (scores < 1)).all()
    state = load_file(tiny)
    state["visual.proj"] = state["visual.proj"] + 1.0
    save_file(state, tmp_path / "other.safetensors")
    other = ClipAnnotator(TINY, weights=tmp_path / "other.safetensors", prompts=annotator.prompts)
    assert other.version != annotator.version
    renamed = tmp_path / "random.safetensors"
    shutil.copy(tiny, renamed)
    assert ClipAnnotator(TINY, weights=str(renamed), prompts=annotator.prompts).version == annotator.version


def test_a_file_that_holds_no_weights_is_named(tiny, tmp_path):
    words = tmp_path / "words.safetensors"
    words.write_text("these are no weights")
    with pytest.raises(ValueError, match=rf"words.safetensors holds no weights of {TINY}"):
        ClipAnnotator(TINY, weights=words)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(KEYS.weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"cut.safetensors holds no weights of sensei_small_clip"):
        ClipAnnotator(KEYS.architecture, weights=cut)
    with pytest.raises(ValueError, match="holds no weights of sensei_small_clip"):
        ClipAnnotator(KEYS.architecture, weights=tiny)  # another architecture's
    with pytest.raises(FileNotFoundError, match=r"none.safetensors"):
        ClipAnnotator(TINY, weights=tmp_path / "none.safetensors")


def test_settings_that_make_no_sense_are_named(tiny):
    for settings, message in [
        ({"model": "ViT-Z-1/x"}, "no architecture 'ViT-Z-1'"),
        ({"model": "ViT-B-32"}, "names no weights"),
        ({"model": "ViT-B-32/never_trained"}, "knows no weights 'never_trained'"),
        ({"model": "ViT-B-32/openai", "weights": tiny}, "give one of the two"),
        ({"model": "bundled", "weights": tiny}, "bundled model has its weights"),
        ({"margin": 1.5}, "margin is 1.5"),
        ({"batch": 0}, "batch is 0"),
        ({"prompts": {"the door is open": 1.0}}, "two different interests"),
        ({"prompts": {"the door is open": 2.0, "empty floor": 0.0}}, "interest 2.0"),
        ({"prompts": {"a dragon": 1.0, "empty floor": 0.0}}, "never taught dragon"),
    ]:
        with pytest.raises(ValueError, match=message):
            ClipAnnotator(**settings)


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch):
    def unreachable(*args, **settings):
        raise RuntimeError("no route to anywhere")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", unreachable)
    with pytest.raises(ConnectionError, match=r"ViT-B-32/laion2b_s34b_b79k .*local file"):
        ClipAnnotator("ViT-B-32/laion2b_s34b_b79k")


def test_without_the_extra_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ImportError, match=r"sensei-lite\[vlm\]"):
        ClipAnnotator()


def test_the_bundled_model_needs_no_network_and_is_small():
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network in this test')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from sensei_lite.annotators.clip.annotator import ClipAnnotator\n"
        "print(ClipAnnotator().version)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert told.stdout.startswith("bundled ")
    for folder in (KEYS.folder, DESK.folder):
        assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) <= 6_000_000


@pytest.mark.parametrize("lesson", CAPTION_TASKS.values(), ids=list(CAPTION_TASKS))
def test_the_vocabulary_that_is_shipped_is_that_of_the_captions(lesson):
    assert lesson.clip.words.read_text().split() == lesson.vocabulary()
    network = new_network(0, lesson.clip)
    tokenizer = WordTokenizer(lesson.vocabulary(), network.context_length)
    assert tokenizer.size == network.vocab_size


def test_the_first_small_clip_is_still_the_one_that_runs_and_agents_name(bundled):
    assert bundled.version == "bundled 85d6e3d13048bd97 prompts 1f99d67a0405 margin 0.05"


def test_pictures_are_fitted_without_blurring_their_tiles():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 80, 72, 3), np.uint8)
    fitted = fit_pictures(images, 96)
    np.testing.assert_array_equal(fitted[:, 8:88, 12:84], images)
    assert fitted.astype(int).sum() == images.astype(int).sum(), "the rest is black"
    twice = images.repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(fit_pictures(twice, 96), fitted)
    assert fit_pictures(random.integers(0, 256, (1, 97, 11, 3), np.uint8), 96).shape == (1, 96, 96, 3)


def test_updates_lower_the_loss():
    torch.set_num_threads(1)
    network = new_network(0).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    tokenizer = WordTokenizer(vocabulary(), network.context_length)
    texts = ["the agent holds the key", "the door is open", "empty floor", "a key lies on the floor"]
    images = np.zeros((4, 96, 96, 3), np.uint8)
    for i, image in enumerate(images):
        image[20 * i : 20 * i + 20] = 255
    losses = [update(network, optimiser, open_clip.ClipLoss(), images, tokenizer(texts)) for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]


def test_weights_survive_the_file_in_half_precision(tmp_path):
    network = new_network(1).eval()
    save_weights(network, tmp_path / "weights.safetensors")
    again = ClipAnnotator(KEYS.architecture, weights=tmp_path / "weights.safetensors").model.network
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(again.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_training_runs_end_to_end(tmp_path, monkeypatch):
    from make.clip import evaluation as clip_evaluation

    worlds = clip_evaluation.HELD_OUT_WORLDS[2:3]
    monkeypatch.setattr(clip_evaluation, "HELD_OUT_WORLDS", worlds)
    monkeypatch.setattr("make.clip.training.MEASURED_PICTURES", 64)
    settings = ClipTraining(steps=3, batch=16, per_world=32, warmup=1, threads=1)
    lesson = CAPTION_TASKS["keys"]._replace(draw=functools.partial(draw_keys, worlds=(ROOM,)))
    train_and_measure(settings, tmp_path / "weights.safetensors", tmp_path / "tables", lesson)
    made = {path.name for path in (tmp_path / "tables").iterdir()}
    assert made == {"training.csv", "agreement.csv", "scores.csv", "facts.csv", "retrieval.csv"}
    assert (tmp_path / "weights.safetensors").stat().st_size < 6_000_000
    first = load_file(tmp_path / "weights.safetensors")
    train_and_measure(settings, tmp_path / "again.safetensors", tmp_path / "tables", lesson)
    again = load_file(tmp_path / "again.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first), "the same seed, the same weights"
