"""KeyRoom and KeyChest keep their rules, in every layout."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.worlds import KeyChest, KeyRoom, make_world, reset_batch, step_batch
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.layout import choose, random_cells
from sensei_lite.worlds.grid.oracle import shortest_plan, transition_table
from sensei_lite.worlds.grid.world import GridState
from sensei_lite.worlds.rollout import begin_rollout, random_policy, rollout

SMALL = [KeyRoom(), KeyChest()]
VARIED = [
    KeyRoom(size=4, closet=1, decorations=0),
    KeyRoom(size=9, closet=3, moves=8),
    KeyRoom(rooms=3),
    make_world("keyroom-s15"),
    KeyChest(rows=1, room=1, decorations=0),
    KeyChest(houses=3),
    make_world("keychest-s4r3"),
]


def few_layouts(world):
    """How many layouts there are; None where every episode has its own."""
    return getattr(world, "rooms", None) or getattr(world, "houses", None)


def name_of(world):
    rooms = few_layouts(world)
    shape = "x".join(map(str, world.grid_shape))
    return f"{type(world).__name__}-{shape}-{world.moves}" + (f"-rooms{rooms}" if rooms else "")


def layouts(world, number):
    """Many layouts at once, as NumPy arrays."""
    reset = jax.jit(jax.vmap(lambda key: world.reset(key=key)))
    return jax.tree.map(np.asarray, reset(jax.random.split(jax.random.key(7), number)))


def pick(tree, i) -> GridState:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[i]), tree)


def stepper(world):
    return jax.jit(lambda state, action: world.step(state, action, key=jax.random.key(0)))


def follow(world, state, plan):
    """Take the actions; returns the steps."""
    step, steps = stepper(world), []
    for action in plan:
        steps.append(step(state, jnp.int32(action)))
        state = steps[-1].state
    return steps


def can_be_solved(world, states, number) -> np.ndarray:
    """Search all layouts at once: spread from each start over the world's own transition table until nothing is new."""
    table, succeeds = jax.vmap(lambda state: transition_table(world, state))(states)
    table, succeeds = np.asarray(table), np.asarray(succeeds)
    start = (states.agent[:, 0] * world.grid_shape[1] + states.agent[:, 1]) * 4
    layout, reached = np.arange(number), np.zeros(table.shape[:2], bool)
    frontier = layout * table.shape[1] + start
    following = table + layout[:, None, None] * table.shape[1]
    while len(frontier):
        reached.flat[frontier] = True
        frontier = np.unique(following.reshape(-1, table.shape[2])[frontier])
        frontier = frontier[~reached.flat[frontier]]
    return (reached[..., None] & succeeds).any((1, 2))


@pytest.mark.parametrize("world", SMALL + VARIED, ids=name_of)
def test_every_layout_can_be_solved(world):
    assert can_be_solved(world, layouts(world, 500), 500).all()


@pytest.mark.parametrize("world", SMALL + VARIED, ids=name_of)
def test_a_shortest_plan_succeeds_with_its_events_in_order(world):
    states = layouts(world, 8)
    for i in range(8):
        plan = shortest_plan(world, pick(states, i))
        steps = follow(world, pick(states, i), plan)
        assert [bool(s.terminated) for s in steps] == [False] * (len(plan) - 1) + [True]
        assert float(sum(s.reward for s in steps)) == 1.0
        first = {name: next(t for t, s in enumerate(steps) if s.events[name]) for name in world.event_names}
        assert first["key_seen"] <= first["key_picked_up"] < first[world.event_names[-1]]
        if isinstance(world, KeyRoom):
            assert first["door_reached"] <= first["door_reached_with_key"] < first["door_opened"]
            assert first["key_picked_up"] <= first["door_reached_with_key"]


@pytest.mark.parametrize("world", SMALL + VARIED, ids=name_of)
def test_layouts_are_what_they_should_be(world):
    states = layouts(world, 200)
    rows, columns = world.grid_shape
    seen_locks = set()
    for i in range(200):
        state = pick(states, i)
        kind, layout = np.asarray(state.layout.kind), state.layout
        border = np.ones((rows, columns), bool)
        border[1:-1, 1:-1] = False
        assert not tiles.WALKABLE[kind[border]].any(), "the outer wall has a hole"
        agent, key, lock = (tuple(map(int, cell)) for cell in (state.agent, layout.key, layout.lock))
        assert len({agent, key, lock}) == 3
        assert tiles.WALKABLE[kind[agent]]
        assert tiles.WALKABLE[kind[key]]
        assert not tiles.WALKABLE[kind[lock]]
        assert (kind == (tiles.DOOR_LOCKED if isinstance(world, KeyRoom) else tiles.CHEST_LOCKED)).sum() == 1
        decorated = (kind >= tiles.FLOOR) & ((kind.astype(int) - tiles.FLOOR) % (1 + tiles.DECORATIONS) > 0)
        assert decorated.sum() == world.decorations
        if isinstance(world, KeyRoom):
            closet = np.asarray(layout.region) == 1
            assert closet.sum() == world.closet**2
            assert closet[tuple(layout.goal)]
            assert kind[tuple(layout.goal)] == tiles.EXIT
            entry = np.asarray(layout.lock) - np.asarray(layout.lock_side)
            assert np.abs(layout.lock_side).sum() == 1
            inside, outside = entry + 2 * np.asarray(layout.lock_side), entry
            assert closet[tuple(inside)] != closet[tuple(outside)]
        seen_locks.add(lock)
    few = min(world.grid_shape) < 6 or few_layouts(world)
    assert len(seen_locks) > 5 or few, "the lock hardly moves between episodes"


def test_a_layout_is_uniform_over_its_places():
    """The agent's start is equally likely on every floor cell (chi-square, fixed seed)."""
    free = jnp.ones((3, 4), bool).at[1, 1].set(False)
    noise = jax.random.uniform(jax.random.key(3), (6000, 3, 4))
    cells = np.asarray(jax.vmap(lambda n: random_cells(free, 2, n))(noise))
    assert (cells[:, 0] != cells[:, 1]).any(-1).all()
    for which in (0, 1):
        counts = np.zeros((3, 4))
        np.add.at(counts, tuple(cells[:, which].T), 1)
        assert counts[1, 1] == 0
        expected = 6000 / 11
        statistic = ((counts[counts > 0] - expected) ** 2 / expected).sum()
        assert statistic < 29.6  # the 99.9th percentile of chi-square with 10 degrees of freedom


def test_choices_are_in_range():
    u = jnp.array([0.0, 0.2499, 0.25, 0.9999999])
    assert choose(u, 4).tolist() == [0, 0, 1, 3]


def room(**changes) -> tuple[KeyRoom, GridState]:
    """A KeyRoom of size 5 laid out by hand: door at (1, 3) entered from the west, exit at (1, 4), key at (3, 1)."""
    world = KeyRoom(size=5, closet=1, decorations=0, moves=8, **changes)
    state = world.reset(key=jax.random.key(0))
    kind = np.full((7, 7), tiles.WALL, np.uint8)
    kind[1:6, 1:6] = tiles.FLOOR
    kind[0:3, 3:6] = tiles.WALL
    kind[1, 3], kind[1, 4] = tiles.DOOR_LOCKED, tiles.EXIT
    region = np.zeros((7, 7), np.uint8)
    region[1, 4] = 1
    layout = state.layout._replace(
        kind=jnp.asarray(kind),
        region=jnp.asarray(region),
        key=jnp.array([3, 1], jnp.int32),
        lock=jnp.array([1, 3], jnp.int32),
        lock_side=jnp.array([0, 1], jnp.int32),
        goal=jnp.array([1, 4], jnp.int32),
    )
    return world, state._replace(layout=layout, agent=jnp.array([1, 1], jnp.int32))


NORTH, EAST, SOUTH, WEST, NORTH_EAST, SOUTH_EAST, SOUTH_WEST, NORTH_WEST, APPLY = range(9)


def test_walls_and_the_locked_door_stop_the_agent():
    world, state = room()
    steps = follow(world, state, [NORTH, WEST, EAST, EAST, APPLY, EAST])
    assert [tuple(map(int, s.state.agent)) for s in steps] == [(1, 1), (1, 1), (1, 2), (1, 2), (1, 2), (1, 2)]
    assert [bool(s.events["door_reached"]) for s in steps] == [False, False, True, False, False, False]
    assert not any(s.events["door_reached_with_key"] | s.events["door_opened"] for s in steps)


def test_events_are_changes_and_the_key_opens_the_door():
    world, state = room()
    plan = [SOUTH, SOUTH, NORTH, NORTH_EAST, APPLY, APPLY, WEST, EAST, EAST, EAST]
    steps = follow(world, state, plan)
    happened = [{name for name, flag in s.events.items() if flag} for s in steps]
    assert happened == [
        {"key_seen"},
        {"key_picked_up"},
        set(),
        {"door_reached", "door_reached_with_key"},
        {"door_opened"},
        set(),
        set(),
        set(),
        set(),
        {"exit_reached"},
    ]
    assert [bool(s.terminated) for s in steps] == [False] * 9 + [True]
    assert not any(bool(s.truncated) for s in steps)


def test_a_door_is_not_crossed_diagonally():
    world, state = room()
    state = state._replace(has_key=jnp.array(True), unlocked=jnp.array(True))
    outside = state._replace(agent=jnp.array([2, 2], jnp.int32))
    assert tuple(follow(world, outside, [NORTH_EAST])[0].state.agent) == (2, 2)
    in_door = state._replace(agent=jnp.array([1, 3], jnp.int32))
    assert tuple(follow(world, in_door, [SOUTH_WEST])[0].state.agent) == (1, 3)
    assert tuple(follow(world, in_door, [WEST])[0].state.agent) == (1, 2)


def test_the_time_limit_truncates_and_does_not_terminate():
    world, state = room(max_steps=3)
    steps = follow(world, state, [SOUTH, NORTH, SOUTH])
    assert [(bool(s.terminated), bool(s.truncated)) for s in steps] == [(False, False), (False, False), (False, True)]


def test_success_at_the_last_moment_is_not_a_truncation():
    world, state = room(max_steps=1)
    at_exit = state._replace(agent=jnp.array([1, 3], jnp.int32), has_key=jnp.array(True), unlocked=jnp.array(True))
    step = follow(world, at_exit, [EAST])[0]
    assert (float(step.reward), bool(step.terminated), bool(step.truncated)) == (1.0, True, False)


@pytest.mark.parametrize("view", [None, 3, 5])
def test_the_picture_shows_what_the_agent_knows(view):
    world, state = room(view=view)
    picture = np.asarray(world.render(state))
    with_key = np.asarray(world.render(state._replace(has_key=jnp.array(True))))
    strip = world.tile_pixels
    assert (picture[-strip:] != with_key[-strip:]).any(), "the strip does not show the key"
    opened = np.asarray(world.render(state._replace(unlocked=jnp.array(True))))
    moved = np.asarray(world.render(state._replace(agent=jnp.array([5, 5], jnp.int32))))
    assert (moved != picture).any()
    in_view = view is None or view >= 5
    assert (opened != picture).any() == in_view


def test_the_closet_is_dark_until_it_is_opened():
    world, state = room()
    size = world.tile_pixels
    dark = np.asarray(world.render(state))[size : 2 * size, 4 * size : 5 * size]
    lit = np.asarray(world.render(state._replace(unlocked=jnp.array(True))))[size : 2 * size, 4 * size : 5 * size]
    assert (dark == tiles.atlas(size)[tiles.DARK]).all()
    assert (lit == tiles.atlas(size)[tiles.EXIT]).all()


def test_the_crop_is_the_part_of_the_whole_picture_around_the_agent():
    whole, crop = KeyRoom(size=9, closet=2), KeyRoom(size=9, closet=2, view=5)
    states = layouts(whole, 30)
    size = whole.tile_pixels
    draw_whole, draw_crop = jax.jit(whole.render), jax.jit(crop.render)
    for i in range(30):
        state = pick(states, i)
        padded = np.pad(np.asarray(draw_whole(state))[:-size], ((2 * size, 2 * size), (2 * size, 2 * size), (0, 0)))
        row, column = (int(x) * size for x in state.agent)
        expected = padded[row : row + 5 * size, column : column + 5 * size]
        got = np.asarray(draw_crop(state))[: 5 * size]
        inside = (expected != 0).any(-1)  # beyond the wall the crop shows the dark tile, the padding is black
        assert (got[inside] == expected[inside]).all()
        assert inside.mean() > 0.3


@pytest.mark.parametrize("world", [KeyChest(), VARIED[-1]], ids=name_of)
def test_a_room_lights_up_when_the_agent_is_in_it_or_in_its_doorway(world):
    """Wherever the agent stands, the cells it could step on next are lit, and at most one room is."""
    lit = jax.jit(world.lit)
    rooms = 2 * world.rows
    for i in range(4):
        state = pick(layouts(world, 4), i)
        kind = np.asarray(state.layout.kind)
        for cell in np.argwhere(tiles.WALKABLE[kind]):
            shown = np.asarray(lit(state._replace(agent=jnp.asarray(cell, jnp.int32))))
            for move in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                assert shown[tuple(cell + move)], (cell, move)
            in_corridor = np.asarray(state.layout.region)[tuple(cell)] == 0
            assert (~shown).sum() == (rooms - (not in_corridor)) * world.room**2


def test_larger_scales_show_the_same_scene():
    world, state = room()
    small, large = np.asarray(world.render(state)), np.asarray(world.render(state, 4))
    assert large.shape == (small.shape[0] * 4, small.shape[1] * 4, 3)
    averaged = large.reshape(small.shape[0], 4, small.shape[1], 4, 3).mean((1, 3))
    assert np.abs(averaged - small).mean() < 3


@pytest.mark.parametrize("pixels", [8, 12])
def test_tiles_can_be_told_apart_without_colour(pixels):
    """Every meaningful tile differs from floor, and from every other, in grey and not by a shade only."""
    grey = tiles.atlas(pixels).astype(float) @ [0.299, 0.587, 0.114]
    floor = tiles.FLOOR
    things = {
        "floor": grey[floor],
        "agent": grey[tiles.AGENT * tiles.KINDS + floor],
        "key": grey[tiles.KEY * tiles.KINDS + floor],
        "wall": grey[tiles.WALL],
        **{
            name: grey[kind]
            for name, kind in vars(tiles).items()
            if name in ("DARK", "DOOR_LOCKED", "DOOR_OPEN", "EXIT", "CHEST_LOCKED", "CHEST_OPEN")
        },
    }
    names = sorted(things)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.abs(things[one] - things[other]).mean() > 8, (one, other)
    assert np.abs(grey[tiles.SLOT_KEY] - grey[tiles.SLOT_EMPTY]).mean() > 8


def test_looks_vary_between_episodes_and_mean_nothing():
    world = KeyRoom()
    states = layouts(world, 60)
    looks = {bytes(np.asarray(pick(states, i).layout.kind)[0, :1]) for i in range(60)}
    assert len(looks) == world.wall_shades
    plain = dataclasses.replace(world, floor_textures=1, wall_shades=1, decorations=0)
    kinds = np.unique(layouts(plain, 60).layout.kind)
    assert set(kinds) == {tiles.WALL, tiles.FLOOR, tiles.DOOR_LOCKED, tiles.EXIT}


@pytest.mark.parametrize(
    ("few", "many", "starts"),
    [(KeyRoom(rooms=3), KeyRoom(), 30), (KeyChest(houses=3), KeyChest(), 4)],
    ids=["keyroom", "keychest"],
)
def test_a_world_with_few_layouts_has_no_others_but_starts_anywhere_in_them(few, many, starts):
    def different(*parts):
        return len(np.unique(np.concatenate([part.reshape(200, -1) for part in parts], -1), axis=0))

    few, many = layouts(few, 200), layouts(many, 200)
    assert different(few.layout.region, few.layout.lock, few.layout.key, few.layout.goal) == 3
    assert different(many.layout.region, many.layout.lock, many.layout.key, many.layout.goal) > 190
    assert different(few.agent) > starts
    assert different(few.layout.kind) > 150, "looks are drawn anew"


@pytest.mark.parametrize("world", SMALL, ids=name_of)
def test_a_batch_restarts_finished_episodes_one_row_later(world):
    """Compare the batch with worlds that are stepped one by one, over several episode ends."""
    world = dataclasses.replace(world, max_steps=4)
    batch = 3
    state, row = reset_batch(world, keys=jax.random.split(jax.random.key(1), batch))
    assert row.is_first.all()
    step = jax.jit(lambda s, last, a, k: step_batch(world, s, last, a, keys=k))
    one_step, one_reset = stepper(world), jax.jit(lambda key: world.reset(key=key))
    draw = jax.jit(world.render)
    own, ends = [pick(state, i) for i in range(batch)], 0
    for t in range(12):
        keys = jax.random.split(jax.random.key(100 + t), batch)
        action = jax.random.randint(jax.random.key(200 + t), (batch,), 0, world.actions.size)
        was_last = np.asarray(row.is_last)
        state, row = step(state, row.is_last, action, keys)
        for i in range(batch):
            if was_last[i]:
                own[i] = one_reset(keys[i])
                assert row.is_first[i]
                assert not row.is_last[i]
                assert int(row.action[i]) == 0
                assert float(row.reward[i]) == 0.0
            else:
                own[i] = one_step(own[i], action[i]).state
                assert not row.is_first[i]
                assert int(row.action[i]) == int(action[i])
            assert (np.asarray(row.image[i]) == np.asarray(draw(own[i]))).all()
        ends += int(row.is_last.sum())
    assert ends >= 2 * batch


def test_a_rollout_resets_what_has_ended_and_goes_on_where_it_stopped():
    """Episodes of 5 steps and a time step that starts the next one: 12 rows hold 10 steps and 2 ends in each world."""
    world = KeyRoom(max_steps=5)
    play = jax.jit(lambda now, key: rollout(world, random_policy(world), now, 12, key=key))
    now = begin_rollout(world, 40, key=jax.random.key(0))
    after, seen = play(now, jax.random.key(1))
    assert int(seen.events["exit_reached"].sum()) == 0, "choose another key: a lucky episode ends early"
    assert (int((~seen.is_first).sum()), int(seen.is_last.sum())) == (400, 80)
    # The whole room is in view, so every episode sees its key once, at its first step.
    assert int(seen.events["key_seen"].sum()) == 80
    assert 0 < int(seen.events["key_picked_up"].sum()) < 80
    assert (np.asarray(after.timestep.image) == np.asarray(seen.image[-1])).all()
    _, more = play(after, jax.random.key(2))
    assert bool(more.is_first[0].all()) == bool(seen.is_last[-1].all())


def test_the_same_key_gives_the_same_episode_and_another_key_another():
    world = KeyRoom()
    reset = jax.jit(lambda key: world.reset(key=key))
    one, same, other = (np.asarray(world.render(reset(jax.random.key(i)))) for i in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KeyRoom(size=5, closet=3), "too small for a closet of 3"),
        (lambda: KeyRoom(closet=0), "closet is 0"),
        (lambda: KeyRoom(rooms=0), "rooms is 0; there must be at least 1"),
        (lambda: KeyRoom(view=4), "odd"),
        (lambda: KeyRoom(view=1), "from 3 to 17"),
        (lambda: KeyRoom(view=99), "from 3 to 17"),
        (lambda: KeyRoom(moves=5), "4 or 8"),
        (lambda: KeyRoom(max_steps=0), "at least 1 step"),
        (lambda: KeyRoom(tile_pixels=2), "4 is the smallest"),
        (lambda: KeyRoom(image_size=64), "the tiles need 80 x 72 pixels"),
        (lambda: KeyRoom(floor_textures=7), "floor_textures is 7; it must be from 1 to 6"),
        (lambda: KeyRoom(wall_shades=0), "wall_shades is 0"),
        (lambda: KeyRoom(decorations=-1), "cannot be negative"),
        (lambda: KeyRoom(size=4, decorations=30), "no place for so many"),
        (lambda: KeyChest(rows=0), "rows is 0"),
        (lambda: KeyChest(houses=0), "houses is 0; there must be at least 1"),
        (lambda: KeyChest(decorations=30), "no place for so many"),
        (lambda: KeyRoom().render(KeyRoom().reset(key=jax.random.key(0)), 0), "scale is 0"),
        (lambda: make_world("keyrom"), "there are keyroom, keyroom-whole, keyroom-lab"),
    ],
)
def test_settings_that_make_no_world_say_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_setting_names_the_known_ones():
    with pytest.raises(TypeError, match=r"keyroom has no setting siez; it has .*size"):
        make_world("keyroom", siez=9)


def test_a_state_without_a_solution_says_so():
    world, state = room()
    walled_in = state._replace(
        layout=state.layout._replace(kind=state.layout.kind.at[1:4, 1:3].set(tiles.WALL).at[1, 1].set(tiles.FLOOR))
    )
    with pytest.raises(ValueError, match="no plan"):
        shortest_plan(world, walled_in)
    alone = jax.tree.map(lambda leaf: np.asarray(leaf)[None], walled_in)
    assert not can_be_solved(world, alone, 1).any()
