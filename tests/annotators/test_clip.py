"""The CLIP annotator: any model can be named, every picture is encoded once, and what is wrong is said clearly.

How much the small CLIPs know of their worlds is tested where they are taught (tests/book/clip).
"""

import socket
import sys

import numpy as np
import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from safetensors.torch import load_file, save_file

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.clip import model as clip_model
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import DESK, KEYS
from sensei_lite.annotators.clip.model import fit_pictures
from sensei_lite.annotators.clip.prompts import KEY_PROMPTS

PICTURES = np.random.default_rng(0).integers(0, 256, (60, 10, 9, 3), np.uint8).repeat(8, 1).repeat(8, 2)
"""Rooms of ten by nine tiles in random colours."""
TINY = "tiny_test_clip"
torch.set_num_threads(1)  # small models: a second thread only waits


@pytest.fixture(scope="module")
def bundled():
    return ClipAnnotator()


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


def test_both_orders_give_the_same_judgement(bundled):
    a, b = PICTURES[:30], PICTURES[30:]
    there = dict(bundled.annotate(a, b))
    back = dict(bundled.annotate(b, a))
    assert sorted(there) == list(range(30))
    assert len({reply.answer for reply in there.values()}) > 1, "else there is nothing to exchange"
    for i in range(30):
        assert back[i].answer == there[i].answer.swapped()
        assert back[i].raw.split() == there[i].raw.split()[::-1], "bit by bit the same numbers"


def test_the_order_and_the_size_of_batches_do_not_matter(bundled):
    images = PICTURES[:20]
    order = np.random.default_rng(0).permutation(20)
    scores = bundled.scores(images)
    np.testing.assert_array_equal(bundled.scores(images[order]), scores[order])
    np.testing.assert_allclose(ClipAnnotator(batch=7).scores(images), scores, atol=1e-4)
    np.testing.assert_allclose(bundled.scores(images[:1]), scores[:1], atol=1e-4)


def test_each_distinct_picture_is_encoded_once(bundled, monkeypatch):
    encoded = []
    encode = clip_model.ClipModel.embed_images
    monkeypatch.setattr(
        clip_model.ClipModel,
        "embed_images",
        lambda self, images, batch: encoded.append(images) or encode(self, images, batch),
    )
    a = PICTURES[[0, 1, 0, 2]]
    answers = list(bundled.annotate(a, a[::-1]))
    assert len(answers) == 4
    assert [len({image.tobytes() for image in images}) for images in encoded] == [len(images) for images in encoded]
    assert sum(map(len, encoded)) == len({image.tobytes() for image in a})


def test_near_scores_are_ties(bundled):
    same = list(ClipAnnotator(margin=0.0).annotate(PICTURES[:3], PICTURES[:3]))
    assert {reply.answer for _, reply in same} == {Answer.TIE}
    all_ties = ClipAnnotator(margin=1.0).annotate(PICTURES[:30], PICTURES[30:])
    assert {reply.answer for _, reply in all_ties} == {Answer.TIE}
    assert bundled.compare(0.5, 0.5 + 0.9 * bundled.margin) == Answer.TIE
    assert bundled.compare(0.5, 0.5 + 1.1 * bundled.margin) == Answer.SECOND
    assert bundled.compare(0.5 + 1.1 * bundled.margin, 0.5) == Answer.FIRST


def test_scores_are_the_interest_to_be_expected(bundled):
    chances = bundled.prompt_probabilities(PICTURES[:10])
    np.testing.assert_allclose(chances.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(bundled.scores(PICTURES[:10]), chances @ list(KEY_PROMPTS.values()), rtol=1e-5)
    opposite = ClipAnnotator(prompts={text: 1.0 - interest for text, interest in KEY_PROMPTS.items()})
    np.testing.assert_allclose(opposite.scores(PICTURES[:10]), 1.0 - bundled.scores(PICTURES[:10]), atol=1e-4)


def test_no_pictures_no_answers(bundled):
    none = np.zeros((0, 80, 72, 3), np.uint8)
    assert list(bundled.annotate(none, none)) == []


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


def test_a_local_file_is_loaded_as_any_pretrained_model(tiny, tmp_path):
    annotator = ClipAnnotator(TINY, weights=tiny, prompts={"a dragon": 1.0, "a wall": 0.0})
    scores = annotator.scores(PICTURES[:5])
    assert ((scores > 0) & (scores < 1)).all()
    state = load_file(tiny)
    save_file(state, tmp_path / "renamed.safetensors")
    save_file(state | {"visual.proj": state["visual.proj"] + 1.0}, tmp_path / "other.safetensors")
    renamed, other = (
        ClipAnnotator(TINY, weights=str(tmp_path / f"{name}.safetensors"), prompts=annotator.prompts)
        for name in ("renamed", "other")
    )
    assert renamed.version == annotator.version != other.version


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
        ({"model": "ViT-B-32/never_trained"}, "names no weights .* laion2b_s34b_b79k"),
        ({"model": "ViT-B-32/openai", "weights": tiny}, "give one of the two"),
        ({"model": "bundled", "weights": tiny}, "give one of the two"),
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


def test_the_bundled_models_need_no_network_and_are_small(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network in this test")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for small in (KEYS, DESK):
        assert clip_model.load_clip(small.name).tag == small.name
        assert sum(path.stat().st_size for path in small.folder.iterdir() if path.is_file()) <= 6_000_000


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
