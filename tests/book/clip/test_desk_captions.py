"""Captions tell the truth about a picture of the desk, and the data leave out what is held out."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make.clip import desk_data
from make.clip.desk_captions import (
    AJAR,
    AWAY,
    CLOSED,
    HIDDEN,
    HOLDS,
    IN_PLACE,
    LEVELS,
    LIFTS,
    NOTHING,
    OPEN,
    THINGS,
    TOUCHES,
    UNCLEAR,
    UNSEEN,
    Scene,
    full_caption,
    interest_level,
    scene_of,
    seen_in,
    write_caption,
)
from make.clip.desk_data import draw, is_clear, is_held_out, sample_desk, sample_play

from sensei_lite.annotators.scripted import LEVELS as SCRIPTED
from sensei_lite.annotators.scripted import interest
from sensei_lite.worlds.tabletop import Tabletop
from sensei_lite.worlds.tabletop.desk import BALL, FLAT, FLOOR, HOME, UPRIGHT
from sensei_lite.worlds.tabletop.physics import advance

WORLD = Tabletop()
ALL_SEEN = jnp.ones(3, bool)


@pytest.fixture(scope="module")
def sample():
    return sample_desk(WORLD, 512, held_out=False, seed=3)


@pytest.fixture(scope="module")
def start():
    """Ball, upright and flat block in their places, the gripper high above the desk's front."""
    state = WORLD.reset(key=jax.random.key(0))
    objects = jnp.concatenate([HOME, jnp.zeros((3, 1))], 1)
    return state._replace(objects=objects, gripper=jnp.array([4.8, 1.0, 3.0]))


@pytest.fixture(scope="module")
def states():
    """256 states that were set."""
    return desk_data._set(WORLD, jax.random.split(jax.random.key(5), desk_data.BLOCK))[0]


look = jax.jit(lambda state, seen: scene_of(WORLD, state, seen))


def pictures_of(*states):
    return draw(WORLD, jax.tree.map(lambda *parts: np.stack(parts), *states))


def seen_as(*states):
    """The scene of each state's own picture, as plain values."""
    scene = pictures_of(*states).scene
    return [scene.one(i) for i in range(len(states))]


def says(caption, *phrases):
    return any(re.search(rf"\b{phrase}\b", caption) for phrase in phrases)


def held(state, number, height):
    """The gripper has something, so high above the desk."""
    objects = state.objects.at[number, 2].set(height)
    gripper = objects[number] + jnp.array([0.0, 0.0, 0.2])
    fingers = jnp.asarray([0.8, 0.65, 0.95][number])
    return state._replace(objects=objects, gripper=gripper, fingers=fingers, held=jnp.arange(3) == number)


def test_known_states_have_known_captions(start):
    top = start.objects[FLAT] + jnp.array([0.0, 0.0, 0.7])
    on, on_block = jnp.ones((), bool), start.objects.at[UPRIGHT].set(top)
    tidy = "the red ball in its place, the blue block in its place, the green block in its place"
    closed = "lamp off, door closed, drawer closed"
    without_blue = tidy.replace("the blue block in its place", "the blue block away")
    without_ball = tidy.replace("the red ball in its place", "the red ball away")
    known = {
        f"the gripper touches nothing, {tidy}, {closed}": start,
        f"the gripper holds the red ball on the desk, {tidy}, {closed}": held(start, BALL, 0.0),
        f"the gripper lifts the red ball, {tidy}, lamp on, door closed, drawer closed": held(start, BALL, 1.0)._replace(
            light=on
        ),
        f"the gripper lifts the green block, {tidy}, lamp off, door closed, drawer ajar": held(
            start, FLAT, 1.0
        )._replace(drawer=jnp.asarray(1.0)),
        f"the gripper touches nothing, {tidy}, lamp on, door open, drawer closed": start._replace(
            light=on, slide=jnp.asarray(2.5)
        ),
        f"the gripper holds the blue block on the desk, {tidy}, lamp off, door closed, drawer open": held(
            start, UPRIGHT, 0.0
        )._replace(drawer=jnp.asarray(2.5)),
        f"the gripper touches nothing, {without_blue}, {closed}, one block stands on the other": start._replace(
            objects=on_block
        ),
        f"the gripper touches nothing, {without_blue}, {closed}": start._replace(
            objects=start.objects.at[UPRIGHT, 1].add(1.2)
        ),
        f"the gripper touches the handle of the drawer, {tidy}, {closed}": start._replace(
            gripper=jnp.array([4.6, -0.6, -1.2]), fingers=jnp.asarray(0.3)
        ),
        f"the gripper touches the handle of the door, {tidy}, {closed}": start._replace(
            gripper=jnp.array([3.7, 6.6, 1.2]), fingers=jnp.asarray(0.3)
        ),
        f"the gripper touches nothing, {without_ball}, {closed}, the red ball on the floor": start._replace(
            objects=start.objects.at[BALL].set(jnp.array([0.55, 3.0, FLOOR]))
        ),
    }
    for caption, scene in zip(known, seen_as(*known.values()), strict=True):
        assert full_caption(scene) == caption


def test_a_scene_knows_only_what_can_be_seen(start):
    # The flat block is held up before the ball, and covers all of it.
    objects = start.objects.at[BALL].set(jnp.array([6.0, 5.0, 0.0])).at[UPRIGHT, 0].set(9.5)
    objects = objects.at[FLAT].set(jnp.array([6.0, 2.0, 2.5]))
    covered = start._replace(
        objects=objects, gripper=jnp.array([6.0, 2.0, 2.7]), fingers=jnp.asarray(0.95), held=jnp.arange(3) == FLAT
    )
    away = start._replace(objects=start.objects.at[BALL, 0].set(-50.0))
    fallen = start._replace(objects=start.objects.at[BALL].set(jnp.array([0.55, 3.0, FLOOR])))
    pictures = pictures_of(covered, away, start, fallen)
    assert [seen_in(jnp.asarray(image)).tolist() for image in pictures.images[:2]] == [[False, True, True]] * 2
    assert seen_in(jnp.asarray(pictures.images[2])).all()
    assert pictures.scene.ball_fallen.tolist() == [False, False, False, True]
    assert pictures.scene.ball_place.tolist() == [UNSEEN, UNSEEN, IN_PLACE, AWAY]
    # What is hidden is not on the floor, not touched and not stacked, as far as the picture goes.
    hidden = jnp.zeros(3, bool)
    touched = look(held(start, BALL, 1.0), hidden)
    assert (int(touched.grip), int(touched.thing), int(touched.ball_place)) == (HIDDEN, -1, UNSEEN)
    assert int(interest_level(touched)) == 0
    assert not look(fallen, hidden).ball_fallen
    stacked = start._replace(objects=start.objects.at[UPRIGHT].set(start.objects[FLAT] + jnp.array([0.0, 0.0, 0.7])))
    assert look(stacked, ALL_SEEN).stacked
    assert not look(stacked, ALL_SEEN.at[FLAT].set(False)).stacked


def test_a_drawer_that_is_out_by_less_than_a_pixel_is_not_spoken_of(start):
    known = {0.0: CLOSED, 0.25: UNCLEAR, 1.0: AJAR, 2.0: OPEN}
    scenes = seen_as(*(start._replace(drawer=jnp.asarray(out)) for out in known))
    for scene, expected in zip(scenes, known.values(), strict=True):
        assert scene.drawer == expected
        assert says(full_caption(scene), "drawer") == (expected != UNCLEAR)


def test_furniture_and_lamp_are_never_hidden(states):
    """The picture with one of them otherwise is another one, whatever stands before it."""
    nil, no = jnp.zeros_like(states.drawer), jnp.zeros_like(states.light)
    closed = states._replace(drawer=nil, slide=nil, light=no)
    others = (closed._replace(drawer=nil + 1.5), closed._replace(slide=nil + 1.6), closed._replace(light=~no))
    plain = draw(WORLD, closed).images.astype(int)
    for other in others:
        changed = abs(draw(WORLD, other).images - plain).max(-1) > 30
        assert changed.sum((1, 2)).min() > 20


def test_captions_tell_the_truth(sample):
    random = np.random.default_rng(0)
    for i in np.flatnonzero(is_clear(sample.scene)).tolist():
        scene = sample.scene.one(i)
        caption = write_caption(scene, random=random, share=random.random())
        if says(caption, "lifts", "in the air", "has lifted") and not says(caption, "empty air"):
            assert scene.grip == LIFTS, caption
        if says(caption, "on the desk", "closed on", "grips"):
            assert scene.grip == HOLDS, caption
        if says(caption, "fingers are at", "has reached", "touches the"):
            assert scene.grip == TOUCHES, caption
        if says(caption, "touches nothing", "nothing is", "empty", "away from"):
            assert scene.grip == NOTHING, caption
        names = [name for number, name in enumerate(THINGS) if number != scene.thing]
        grips = ("touches", "reached", "fingers are", "holds", "on the desk", "closed on", "lifts", "lifted", "hangs")
        if says(caption.split(",")[0], *grips):
            assert not says(caption.split(",")[0], *(word for name in names for word in name)), caption
        if says(caption, "lamp on", "shines", "switched on", "yellow light"):
            assert scene.light, caption
        if says(caption, "lamp off", "without light"):
            assert not scene.light, caption
        for part, degree in (("door", scene.door), ("drawer", scene.drawer)):
            if says(caption, f"{part} closed"):
                assert degree == CLOSED, caption
            if says(caption, f"{part} ajar", f"{part} half closed"):
                assert degree == AJAR, caption
            words = (f"{part} open", f"open {part}", f"opened the {part}", f"{part} of the cabinet", f"{part} is")
            if says(caption, *words):
                assert degree == OPEN, caption
        places = (scene.ball_place, scene.blue_place, scene.green_place)
        for (name, *_), place in zip(THINGS, places, strict=False):
            assert not says(caption, f"{name} in its place") or place == IN_PLACE, caption
            assert not says(caption, f"{name} away", f"{name} not in its place") or place == AWAY, caption
        if says(caption, "stands on the other", "stacked", "on top"):
            assert scene.stacked, caption
        for name, fell in zip(
            ("red ball", "blue block", "green block"),
            (scene.ball_fallen, scene.blue_fallen, scene.green_fallen),
            strict=True,
        ):
            if says(caption, f"{name} on the floor", f"{name} has fallen"):
                assert fell, caption


def test_what_the_gripper_lifts_is_always_said(sample):
    random = np.random.default_rng(1)
    words = {
        NOTHING: ("nothing", "away from everything", "empty air"),
        TOUCHES: ("touches", "reached", "fingers are at"),
        HOLDS: ("holds", "grips", "closed on"),
        LIFTS: ("lifts", "lifted", "in the air"),
    }
    said = []
    for i in np.flatnonzero(is_clear(sample.scene)).tolist():
        scene = sample.scene.one(i)
        caption = write_caption(scene, random=random, share=0.0)
        of_gripper = says(caption, *words[scene.grip])
        assert of_gripper or scene.grip != LIFTS, caption
        assert not of_gripper or scene.thing < 0 or says(caption, *THINGS[scene.thing]), caption
        assert "," not in caption, "one thing is said"
        said += [of_gripper] if scene.grip != LIFTS else []
    assert 0.4 < np.mean(said) < 0.65


def test_a_scene_that_hides_what_is_touched_has_no_caption():
    scene = Scene(HIDDEN, -1, CLOSED, CLOSED, False, False, IN_PLACE, AWAY, IN_PLACE, False, False, False)
    with pytest.raises(KeyError):
        write_caption(scene, random=np.random.default_rng(0))


def test_levels_are_those_of_the_scripted_annotator_where_nothing_is_hidden(sample):
    # A ball and a block are never lifted at the same time.
    assert len(LEVELS) - 1 == len(SCRIPTED["Tabletop"]) - 1
    shown, true = interest_level(sample.scene), interest(sample.facts)
    assert (shown <= true).all(), "a picture never shows more than is true"
    assert (shown == true).mean() > 0.85
    places = np.stack([sample.scene.ball_place, sample.scene.blue_place, sample.scene.green_place])
    clear = is_clear(sample.scene) & (places != UNSEEN).all(0)
    assert clear.mean() > 0.8
    assert (shown == true)[clear].all()
    np.testing.assert_array_equal(sample.facts["light_on"], sample.scene.light)
    np.testing.assert_array_equal(sample.facts["drawer_opened"], sample.scene.drawer == OPEN)
    np.testing.assert_array_equal(sample.facts["slide_opened"], sample.scene.door == OPEN)
    # A thing that is held can be out of reach of the fingertips, by the world's rule.
    touched, clear = np.isin(sample.scene.grip, (NOTHING, TOUCHES)), is_clear(sample.scene)
    told = sample.facts["object_reached"]
    np.testing.assert_array_equal(told[touched & clear], (sample.scene.grip == TOUCHES)[touched & clear])


def test_rare_situations_are_as_frequent_as_common_ones(sample):
    scene = sample.scene
    grips = np.bincount(scene.grip[is_clear(scene)], minlength=LIFTS + 1)
    share = len(sample.images) / 6
    assert grips[[HOLDS, LIFTS]].min() > 0.8 * share, grips
    assert grips[[NOTHING, TOUCHES]].min() > 1.6 * share, "what is hard to tell is twice as frequent"
    assert set(range(len(THINGS))) <= set(scene.thing.tolist()), "everything is touched somewhere"
    away = [place == AWAY for place in (scene.ball_place, scene.blue_place, scene.green_place)]
    for holds in (scene.light, scene.door == OPEN, scene.drawer == OPEN, scene.stacked, *away):
        for grip in (NOTHING, TOUCHES):
            assert 0.1 < holds[scene.grip == grip].mean() < 0.8
    assert set(range(len(LEVELS) - 1)) <= set(interest_level(scene).tolist()), "all but the last level are there"


def test_states_that_are_set_are_at_rest(states):
    """What was set could have been played: a step without an action leaves all but a rolling ball where it is."""
    wait = jax.jit(jax.vmap(lambda state: advance(state, jnp.zeros(4), WORLD.speed, WORLD.substeps)[0]))
    after = wait(states)
    moved = np.abs(after.objects - states.objects).max(-1)
    assert (moved[:, BALL] < 0.05).mean() > 0.8
    assert (moved[:, BALL + 1 :] < 0.05).mean() > 0.97
    assert (np.abs(after.gripper - states.gripper).max(-1) < 0.05).mean() > 0.97
    assert states.held.any(1).mean() > 0.1


def test_held_out_arrangements_are_in_one_part_only():
    training, held_out = (
        sample_play(WORLD, 512, guided=True, held_out=which, seed=6) for which in (False, True)
    )  # the same episodes, but for those of the other part
    names = [{image.tobytes() for image in part.images} for part in (training, held_out)]
    assert min(map(len, names)) > 256
    assert not names[0] & names[1]
    out = jax.vmap(lambda key: is_held_out(WORLD.reset(key=key)))(jax.random.split(jax.random.key(0), 2048))
    assert 0.08 < out.mean() < 0.17, "about one arrangement in eight"


def test_an_arrangement_is_known_by_the_places_of_its_objects(start):
    inside = start._replace(objects=start.objects + 0.01, gripper=start.gripper + 1.0, light=jnp.ones((), bool))
    assert is_held_out(start) == is_held_out(inside)
    moved = [start._replace(objects=start.objects.at[BALL, 0].add(0.4 * cells)) for cells in range(20)]
    assert {bool(is_held_out(state)) for state in moved} == {True, False}
