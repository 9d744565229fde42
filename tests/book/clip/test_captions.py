"""Captions tell the truth about the picture, and the data leave out what is held out."""

import re

import jax
import numpy as np
import pytest
from make.clip.caption_data import TRAINING_WORLDS, sample_scenes
from make.clip.captions import (
    LEVELS,
    WALL_COLOURS,
    Scene,
    full_caption,
    interest_level,
    scene_of,
    vocabulary,
    write_caption,
)

from sensei_lite.annotators.clip.bundled import WordTokenizer
from sensei_lite.annotators.scripted import interest
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.grid.layout import next_to

WORLDS = [
    KeyRoom(size=5, wall_shades=6),
    KeyRoom(size=9, closet=3, view=5, wall_shades=6),
    KeyChest(wall_shades=6),
]


@pytest.fixture(scope="module", params=WORLDS, ids=["room", "crop", "chest"])
def sample(request):
    return sample_scenes(request.param, 400, held_out=False, seed=3)


def says(caption, *phrases):
    return any(re.search(rf"\b{phrase}\b", caption) for phrase in phrases)


def test_captions_tell_the_truth(sample):
    random = np.random.default_rng(0)
    for i in range(len(sample.images)):
        scene = sample.scene.one(i)
        caption = write_caption(scene, chest=sample.chest, random=random, share=random.random())
        lock, other = ("chest", "door") if sample.chest else ("door", "chest")
        hands = ("holds the key", "carries", "picked up", "key in hand", "key is in the inventory", "shows the key")
        if says(caption, *hands):
            assert scene.key_held, caption
        if says(caption, "empty hands", "without a key", "has no key", "inventory is empty"):
            assert not scene.key_held, caption
        if says(caption, "key lies", "sees a key", "golden key", "a key is in view"):
            assert scene.key_in_view, caption
        if says(caption, "no key in view", "nothing but"):
            assert not scene.key_in_view, caption
        if says(caption, f"locked {lock}"):
            assert scene.lock_in_view, caption
            assert not scene.opened, caption
        if says(caption, f"no {lock} in view"):
            assert not scene.lock_in_view, caption
        beside = says(caption, "beside", "next to", "at the locked")
        assert beside == (scene.at_lock and not scene.opened), caption
        assert says(caption, "open", "opened", "exit inside") == scene.opened, caption
        assert not says(caption, other), caption
        if says(caption, "inside the closet", "behind the open"):
            assert scene.in_closet or scene.on_exit, caption
        if says(caption, "in the open door", "through the open door"):
            assert scene.in_doorway, caption
        if says(caption, "reached the exit", "on the exit"):
            assert scene.on_exit, caption
        for name in WALL_COLOURS:
            if says(caption, f"{name} walls", f"walls are {name}"):
                assert scene.walls == WALL_COLOURS.index(name), caption
        if says(caption, "in the corridor"):
            assert sample.chest, caption
            assert not scene.in_room, caption


def test_what_matters_most_is_always_said(sample):
    random = np.random.default_rng(1)
    for i in range(200):
        scene = sample.scene.one(i)
        caption = write_caption(scene, chest=sample.chest, random=random, share=0.0)
        level = int(interest_level(Scene(*(np.array([part]) for part in scene)))[0])
        if level >= 4:
            assert says(caption, "open", "opened", "exit"), caption
        elif level >= 2:
            assert says(caption, "key"), caption
            assert (level == 3) == says(caption, "beside", "next to", "at the"), caption


def test_scenes_and_facts_agree_where_the_picture_shows_all():
    sample = sample_scenes(WORLDS[0], 300, held_out=False, seed=4)
    assert (interest_level(sample.scene) == interest(sample.facts)).all()
    for fact, part in {"key_picked_up": "key_held", "key_in_view": "key_in_view", "door_opened": "opened"}.items():
        np.testing.assert_array_equal(sample.facts[fact], getattr(sample.scene, part))
    np.testing.assert_array_equal(sample.facts["door_reached"], sample.scene.at_lock)
    np.testing.assert_array_equal(sample.facts["exit_reached"], sample.scene.on_exit)


def test_a_scene_does_not_know_what_lies_behind_the_agent():
    sample = sample_scenes(WORLDS[1], 600, held_out=False, seed=5)
    behind = sample.facts["door_opened"] & ~sample.scene.opened
    assert behind.any(), "some open doors are out of view"
    assert not (sample.scene.opened & ~sample.facts["door_opened"]).any()
    assert (interest_level(sample.scene)[behind] == LEVELS.index("holding the key")).all()


def test_levels_rise_along_the_task():
    """One room, the state set by hand: the key taken, then the agent put beside the door, the door opened, the exit."""
    world = WORLDS[0]
    start = world.reset(key=jax.random.key(0))
    yes = jax.numpy.ones((), bool)
    held = start._replace(has_key=yes, agent=start.layout.key)
    beside = held._replace(agent=start.layout.lock + start.layout.lock_side)
    opened = beside._replace(unlocked=yes)
    out = opened._replace(agent=start.layout.goal)
    states = jax.tree.map(lambda *parts: jax.numpy.stack(parts), start, held, beside, opened, out)
    scenes = jax.vmap(lambda state: scene_of(world, state))(states)
    levels = interest_level(scenes)
    assert bool(next_to(beside.agent, start.layout.lock))
    assert levels.tolist()[2:] == [3, 4, 5]
    assert levels[0] == 1
    assert levels[1] in (2, 3), "the key may have lain beside the door"


def test_rare_situations_are_as_frequent_as_common_ones(sample):
    levels = np.bincount(interest_level(sample.scene), minlength=6)
    assert levels[2:5].min() > 0.5 * len(sample.images) / 6
    assert levels.max() < 2.5 * len(sample.images) / 6
    codes = sum(np.asarray(part).astype(int) << i for i, part in enumerate(sample.scene[:-1]))
    assert len(set(codes.tolist())) >= 7, "and there are many scenes"


def test_held_out_layouts_are_in_one_part_only():
    training, held_out = (sample_scenes(WORLDS[0], 512, held_out=which, seed=6) for which in (False, True))
    names = [{image.tobytes() for image in part.images} for part in (training, held_out)]
    assert 400 < len(training.images) < 512, "about one layout in eight is not training's"
    assert len(held_out.images) > 400
    assert not names[0] & names[1]


def test_every_word_is_in_the_vocabulary_and_fits(sample):
    tokenizer = WordTokenizer(vocabulary(), 36)
    captions = [full_caption(sample.scene.one(i), chest=sample.chest) for i in range(100)]
    rows = tokenizer(captions).numpy()
    assert (rows.max(1) == tokenizer.end).all(), "the end has the largest number: open_clip reads the text there"
    assert ((rows == tokenizer.end).sum(1) == 1).all()
    assert tokenizer.size == tokenizer.end + 1
    with pytest.raises(ValueError, match="never taught dragon"):
        tokenizer("the agent sees a dragon")
    with pytest.raises(ValueError, match="reads 34 at most"):
        tokenizer("key " * 35)


def test_training_never_saw_the_sizes_that_are_held_out():
    sizes = {(type(world).__name__, getattr(world, "size", getattr(world, "room", None))) for world in TRAINING_WORLDS}
    assert not sizes & {("KeyRoom", 6), ("KeyRoom", 8), ("KeyRoom", 11), ("KeyChest", 3)}
