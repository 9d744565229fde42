"""The small CLIP of keys and doors: it knows its worlds, and training it does what it says."""

import functools

import numpy as np
import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from make.clip.caption_data import sample_scenes
from make.clip.captions import interest_level, vocabulary
from make.clip.lessons import CAPTION_TASKS, draw_keys
from make.clip.training import ClipTraining, new_network, save_weights, train_and_measure, update
from safetensors.torch import load_file

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import KEYS, WordTokenizer
from sensei_lite.worlds import KeyRoom

ROOM = KeyRoom(size=6)  # a size that training never saw


@pytest.fixture(scope="module")
def bundled():
    return ClipAnnotator()


@pytest.fixture(scope="module")
def rooms():
    return sample_scenes(ROOM, 300, held_out=True, seed=11)


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


@pytest.mark.parametrize("lesson", CAPTION_TASKS.values(), ids=list(CAPTION_TASKS))
def test_the_vocabulary_that_is_shipped_is_that_of_the_captions(lesson):
    assert lesson.clip.words.read_text().split() == lesson.vocabulary()
    network = new_network(0, lesson.clip)
    tokenizer = WordTokenizer(lesson.vocabulary(), network.context_length)
    assert tokenizer.size == network.vocab_size


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
