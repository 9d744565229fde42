# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Worlds: what the agent sees, does, and is measured by
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/01_worlds.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/01_worlds.ipynb)
#
# **Your time:** 30 minutes. **The machine's time:** about one minute (the last cell prints what it was).
#
# **Before you start:** you know Python and NumPy. Neither reinforcement learning nor JAX is assumed.
#
# **Afterwards you can**
#
# 1. say what an agent in KeyRoom sees, what it can do, and what it does not see;
# 2. draw the agent's picture from the state with your own code;
# 3. read *events*, and say why they measure an agent and are never given to it;
# 4. run many copies of a world at once, and store what happens with the time steps in the right place;
# 5. tell a *terminated* episode from a *truncated* one, and say what that does to a value.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import dataclasses
import time
from functools import partial

import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import sensei_lite as sl
from sensei_lite.course import play, tqdm
from sensei_lite.course.checks import worlds as check
from sensei_lite.plots import episode, filmstrip
from sensei_lite.worlds import KeyChest, KeyRoom, random_actions, reset_batch, shortest_plan, step_batch
from sensei_lite.worlds.grid import tiles

# %%
notebook = sl.start_notebook()
EPISODES, SEEDS = (100, 2) if notebook.smoke else (1000, 5)

# %% [markdown]
# ## 1. Play it yourself
#
# SENSEI is an agent that explores without a task. Before we build it, be the agent for five minutes. Click the picture
# below. Move with the arrow keys, use the key with the space bar. Find out how the episode ends.
#
# **Predict first.** Somebody presses random keys. Which of your discoveries will they make often, and which almost
# never? Write your guess down; section 6 counts. (A cell that uses something for the first time compiles it. That takes
# a few seconds.)

# %%
play("keyroom-whole", seed=1)

# %% [markdown]
# These are the agent's own few pixels, only enlarged. Figure 1 draws such a room finer and names what is in it.

# %% mystnb={"image": {"alt": "A room from above with labels: agent, key, locked door, dark closet, strip."}}
world = KeyRoom()
reset, step, render = jax.jit(world.reset), jax.jit(world.step), jax.jit(world.render)  # compiled functions are fast
state = reset(key=jax.random.key(13))
things = {
    "the agent": state.agent,
    "the key": state.layout.key,
    "the locked door": state.layout.lock,
    "the closet, dark (the exit is in it)": state.layout.goal,
    "the strip: what the agent holds": np.array([world.grid_shape[0], world.grid_shape[1] // 2]),
}
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
axes.imshow(world.render(state, 4), extent=(0, 9, 10, 0))  # one unit is one tile
for place, (name, (row, column)) in enumerate(sorted(things.items(), key=lambda item: item[1][0])):
    line = {"arrowstyle": "-|>", "facecolor": "black", "shrinkB": 9}
    axes.annotate(name, xy=(column + 0.5, row + 0.5), xytext=(10, 1.5 + 1.9 * place), va="center", arrowprops=line)
axes.set_axis_off()

# %% [markdown]
# *Figure 1. One layout of KeyRoom. The agent must take the key (by walking over it), stand next to the door, **apply**
# the key, and walk to the exit. Notice the closet: it is dark until its door is open.*
#
# Nothing in the picture says what to do, or that a key matters more than a pattern on the floor. That judgement is what
# SENSEI borrows from a vision-language model, in notebook 05.

# %% [markdown]
# ## 2. A world is three pure functions
#
# $$s_0 = \mathrm{reset}(\mathrm{key}) \qquad
# s_{t+1},\, r_{t+1},\, \mathrm{end},\, \mathrm{events} = \mathrm{step}(s_t, a_t, \mathrm{key}) \qquad
# x_t = \mathrm{render}(s_t)$$
#
# *Pure* means: the result depends on the arguments only, and no argument is changed. The state $s_t$ is a value that
# you hold, not something hidden in an object. (Here `key` is a seed for random numbers, not the golden key.)

# %%
print(world)
print("Actions:", dict(enumerate(world.actions.names)))
SEED = jax.random.key(0)
NORTH = world.actions.names.index("north")

once = step(state, NORTH, key=SEED)
twice = step(state, NORTH, key=SEED)
print(f"The agent was at {state.agent}, and is at {once.state.agent} (row, column)")
assert (once.state.agent == twice.state.agent).all()  # same question, same answer
picture = render(once.state)
print(f"The picture is {picture.dtype} {picture.shape}; the reward is {once.reward}")

# %% [markdown]
# ## 3. Draw the picture yourself
#
# The paper's agent sees a crop of 5 × 5 tiles with itself in the middle. Here is that picture, built by hand. Every
# tile has a number, and an *atlas* holds the drawing of each number. So there are three steps: number the tiles, cut
# out the part around the agent, look the drawings up.
#
# **Predict first.** The agent stands in a corner. What should the crop show beyond the wall?


# %%
def crop_by_hand(world, state):
    """The agent's picture [height width 3], in NumPy, from the state and the atlas."""
    layout, view = state.layout, world.view
    lit = (np.asarray(layout.region) == 0) | bool(state.unlocked)  # region 1 is the closet
    kind = np.where(lit, layout.kind, tiles.DARK)
    on_top = np.full(kind.shape, tiles.NOTHING)
    if state.unlocked:
        kind[tuple(layout.lock)] = tiles.DOOR_OPEN
    if not state.has_key:
        on_top[tuple(layout.key)] = tiles.KEY
    on_top[tuple(state.agent)] = tiles.AGENT

    row, column = state.agent
    beyond = view // 2  # the crop can reach this far beyond the grid, where all is dark
    kind = np.pad(kind, beyond, constant_values=tiles.DARK)[row : row + view, column : column + view]
    on_top = np.pad(on_top, beyond)[row : row + view, column : column + view]
    strip = np.full((1, view), tiles.PANEL)
    strip[0, view // 2] = tiles.SLOT_KEY if state.has_key else tiles.SLOT_EMPTY
    numbers = np.concatenate([on_top * tiles.KINDS + kind, strip])

    drawn = tiles.atlas(world.tile_pixels)[numbers]  # [rows columns pixels pixels 3]
    height, width = np.array(numbers.shape) * world.tile_pixels
    return drawn.transpose(0, 2, 1, 3, 4).reshape(height, width, 3)


# %% [markdown]
# Is it right? We compare it with the package, pixel by pixel, along a shortest solution and along a random walk.

# %%
paper_view = KeyRoom(view=5)
plan = shortest_plan(world, state)
walk = np.random.default_rng(0).integers(0, paper_view.actions.size, 60)
solved, _ = episode(paper_view, state, plan)
wandered, _ = episode(paper_view, state, walk)
draw = jax.jit(paper_view.render)
for moment in [*solved, *wandered]:
    np.testing.assert_array_equal(crop_by_hand(paper_view, moment), draw(moment))
print(f"{len(solved) + len(wandered)} pictures, all equal")

# %% mystnb={"image": {"alt": "Above, three whole rooms; below, the 5 by 5 crop that the agent sees in each."}}
figure, panels = plt.subplots(2, 3, figsize=(7, 5), layout="constrained")
moments = {"start": solved[0], "half way": solved[len(solved) // 2], "at the exit": solved[-1]}
for (name, moment), whole, crop in zip(moments.items(), *panels, strict=True):
    whole.imshow(paper_view.whole_picture(moment, 4))
    whole.set_title(f"{name}, from above", fontsize=10)
    crop.imshow(crop_by_hand(paper_view, moment))
    crop.set_title("seen by the agent", fontsize=10)
for axes in panels.flat:
    axes.set_axis_off()

# %% [markdown]
# *Figure 2. Three moments, from above and as seen with a 5 × 5 view. Notice that the crop moves with the agent, that
# all is dark beyond the outer wall, and that the strip shows the key as soon as the agent holds it.*
#
# > **Paper and package.** The paper's KeyRoom-S15 is a MiniHack level: a room of 15 × 15, a 5 × 5 view, 8 moves, 600
# > steps. Its reward model is also told whether the agent holds the key. Here the strip draws it, so whoever sees the
# > picture knows it. `make_world("keyroom-s15")` has the paper's sizes. The default is smaller and seen whole, so that
# > a laptop can learn it.

# %% [markdown]
# ## 4. Events: measures, never inputs
#
# With every step the world reports events: named facts about what just happened.

# %%
_, events = episode(world, state, plan)
for t, names in enumerate(events):
    if names:
        print(f"step {t:2}: {', '.join(names)}")

# %% [markdown]
# An event is a *change*. If $c(s)$ is a fact about a state, its event is
#
# $$\mathrm{event}(s_t, s_{t+1}) = c(s_{t+1}) \;\text{and not}\; c(s_t).$$
#
# Events answer the question of this course: did the agent find what matters? So they stay **outside** of the agent. An
# agent that is given `door_opened` has been told what to look for, and then we measure our own hint.

# %% [markdown]
# ### Exercise 1: one event by hand
#
# The fact behind `door_reached` is: *the agent is an orthogonal neighbour of the door, and the door is still locked.*
# Write the event. You need `state.agent`, `state.layout.lock` and `state.unlocked`.


# %% tags=["exercise-1"]
def door_reached(before, after):
    """True if the agent came to stand at the locked door in this step."""
    return None  # your code


# %% tags=["check-1"]
check.door_reached(door_reached)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two cells are orthogonal neighbours if their rows and columns differ by 1 in total. Write the fact as a function of
# one state. Then ask it about both states.
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def door_reached(before, after):
#     def stands_at_locked_door(state):
#         distance = abs(state.agent - state.layout.lock).sum()
#         return (distance == 1) & ~state.unlocked
#
#     return stands_at_locked_door(after) & ~stands_at_locked_door(before)
# ```
#
# </details>

# %% [markdown]
# ## 5. Many worlds at once, and rows of experience
#
# Learning needs many steps. `jax.vmap` turns a function of one world into a function of a batch of worlds.
# `jax.lax.scan` turns a step into a loop over time. Both are compiled.

# %% mystnb={"image": {"alt": "Eight rooms: every one has another layout and other looks of floor and wall."}}
many, first = jax.jit(reset_batch, static_argnums=0)(world, keys=jax.random.split(SEED, 64))
figure, panels = plt.subplots(2, 4, figsize=(8, 4.6), layout="constrained")
for axes, image in zip(panels.flat, first.image, strict=False):  # the first 8 of 64
    axes.imshow(image)
    axes.set_axis_off()

# %% [markdown]
# *Figure 3. Eight episodes of one world. Notice that floors, walls and small decorations change too. They mean nothing:
# a curious agent can be distracted by what is new but unimportant.*
#
# What comes back is stored as **rows** (`TimeStep`). Row $t$ holds the picture $x_t$, and the action that **led
# here**, $a_{t-1}$:
#
# | row | image | action | reward | is_first | is_last | is_terminal |
# |---|---|---|---|---|---|---|
# | first | $x_0$ | none (0) | 0 | yes | no | no |
# | middle | $x_t$ | $a_{t-1}$ | $r_t$ | no | no | no |
# | last | $x_T$ | $a_{T-1}$ | $r_T$ | no | yes | did the world end? |
#
# After a last row, `step_batch` gives the first row of a new episode. Here is the loop that stores rows.


# %%
@partial(jax.jit, static_argnames=("world", "keep_images"))
def collect(world, state, first, actions, *, keep_images=True, key):
    """Rows [time batch] from actions [time-1 batch]; ``state`` and ``first`` come from begin_batch."""

    def one_row(carry, chance):
        state, is_last = carry  # what one row hands to the next
        action, keys = chance  # what is new in each row
        state, row = step_batch(world, state, is_last, action, keys=keys)
        return (state, row.is_last), row if keep_images else row._replace(image=None)

    keys = jax.random.split(key, actions.shape)
    _, rows = jax.lax.scan(one_row, (state, first.is_last), (actions, keys))
    first = first if keep_images else first._replace(image=None)
    return jax.tree.map(lambda first, later: jnp.concatenate([first[None], later]), first, rows)


# %% [markdown]
# **Predict first.** How many times faster is the compiled loop over 64 worlds than a Python loop over one world? And
# what costs more, the rules or the drawing?


# %%
def steps_a_second(function, steps, repeats=5):
    """From the best of several runs; the first call, which compiles, is not counted."""
    jax.block_until_ready(function())
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return f"{steps / min(seconds):11,.0f} steps a second"


def python_loop(steps=200):
    now = state
    for _ in range(steps):
        now = step(now, NORTH, key=SEED).state
        picture = render(now)
    return picture


actions = random_actions(world, (50, 64), key=SEED)
run = partial(collect, world, many, first, actions, key=SEED)
print("one world, Python loop, drawn:  ", steps_a_second(python_loop, 200))
print("64 worlds, compiled, drawn:     ", steps_a_second(run, 50 * 64))
print("64 worlds, compiled, not drawn: ", steps_a_second(partial(run, keep_images=False), 50 * 64))

# %% [markdown]
# Nearly all the time goes into drawing and storing pictures. Now look at real rows: a shortest plan and two more
# actions.


# %% mystnb={"image": {"alt": "Four rows in a line: two before the end, the last row, and a new room's first row."}}
one, first = jax.tree.map(lambda leaf: leaf[:1], (many, first))  # a batch of one world
start = jax.tree.map(lambda leaf: leaf[0], one)  # the same without the batch axis
plan = shortest_plan(world, start)
actions = jnp.array([*plan, NORTH, NORTH])[:, None]
rows = collect(world, one, first, actions, key=SEED)
figure, panels = plt.subplots(1, 4, figsize=(10, 3.4), layout="constrained")
for t, axes in enumerate(panels, start=len(plan) - 2):
    action = "none" if rows.is_first[t, 0] else world.actions.names[rows.action[t, 0]]
    flags = [name for name in ("is_first", "is_last", "is_terminal") if getattr(rows, name)[t, 0]]
    axes.imshow(rows.image[t, 0])
    title = f"row {t}: {' '.join(flags) or 'no flag'}\nled here: {action}, reward: {rows.reward[t, 0]:.0f}"
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_axis_off()

# %% [markdown]
# *Figure 4. The end of one episode and the start of the next, as stored. Notice that the picture at the exit is kept,
# because the reward is there. The action that was sent for the new episode's first row is ignored.*
#
# Time alignment is where silent bugs live. So we test it: replaying the stored actions must give the stored pictures.
# Actions read one row too early must not.


# %%
def replay(actions):
    """How many pictures of the episode come out as stored, if these actions are taken from its start."""
    states, _ = episode(world, start, actions)
    return sum(bool((render(s) == x).all()) for s, x in zip(states[1:], rows.image[1:, 0], strict=False))


last = len(plan)  # the row at the exit
assert replay(rows.action[1 : last + 1, 0]) == last
print(f"action led here:      {replay(rows.action[1 : last + 1, 0])} of {last} pictures agree")
print(f"action one row early: {replay(rows.action[:last, 0])} of {last} pictures agree")

# %% [markdown]
# ## 6. What a random agent finds
#
# Now the count that you predicted in section 1: in what share of random episodes does each event happen at least once?


# %%
@partial(jax.jit, static_argnames=("world", "episodes"))
def share_with_event(world, episodes, *, key):
    """For each event: the share of random episodes in which it happens at least once."""
    begin_key, action_key, step_key = jax.random.split(key, 3)
    state, first = reset_batch(world, keys=jax.random.split(begin_key, episodes))
    actions = random_actions(world, (world.max_steps, episodes), key=action_key)
    rows = collect(world, state, first, actions, keep_images=False, key=step_key)
    is_first_episode = jnp.cumsum(rows.is_first, axis=0) == 1
    return {name: (rows.events[name] & is_first_episode).any(0).mean() for name in world.event_names}


def shares_of_seeds(world):
    """Shares for each of SEEDS seeds: {event: array [seeds]}."""
    seeds = tqdm(range(SEEDS), desc="seeds", leave=False)
    found = [share_with_event(world, EPISODES, key=jax.random.key(seed)) for seed in seeds]
    return {name: np.array([shares[name] for shares in found]) for name in world.event_names}


random_shares = shares_of_seeds(world)

# %% mystnb={"image": {"alt": "Bars: how many random episodes have each event. They shrink towards the exit."}}
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for place, shares in enumerate(random_shares.values()):
    axes.barh(place, 100 * shares.mean(), color="0.75", edgecolor="black")
    axes.plot(100 * shares, np.full(SEEDS, place), "k|", markersize=14)
    axes.text(100 * shares.max() + 1.5, place, f"{100 * shares.mean():.1f}%", va="center")
axes.set_yticks(range(len(random_shares)), [name.replace("_", " ") for name in random_shares])
axes.set(xlim=(0, 118), xlabel=f"% of {EPISODES} episodes ({SEEDS} seeds, one line each)")
axes.invert_yaxis()

# %% [markdown]
# *Figure 5. Random play in KeyRoom. Bars are means, short lines single seeds. Notice how each discovery that needs the
# one before it is rarer. (Seeing the key is free here, because the room is seen whole.)*
#
# Compare with what is possible. A search in the true states gives a shortest plan. No agent may do this.

# %% mystnb={"image": {"alt": "A film in pictures: start, key taken, door reached, door opened, exit reached."}}
filmstrip(world, start, plan, f"A shortest solution: {len(plan)} steps")

# %% [markdown]
# *Figure 6. A shortest solution of one layout: the start, and each moment at which something happened. Notice how few
# of an episode's steps it needs. The gap between Figures 5 and 6 is the exploration problem.*

# %% [markdown]
# ## 7. Two ways to end: terminated and truncated
#
# An episode is **terminated** when the world is over: the agent stands on the exit, nothing comes after. It is
# **truncated** when somebody stops the clock. Here the same plan runs in two worlds that differ in the time limit only.

# %%
in_a_hurry = dataclasses.replace(world, max_steps=len(plan) - 1)
endings = []
for name, limited in {"enough time": world, "one step too few": in_a_hurry}.items():
    stored = collect(limited, one, first, actions, key=SEED)
    t = int(stored.is_last[:, 0].argmax())
    endings.append((stored, t))
    print(f"{name:16} row {t}: is_last {stored.is_last[t, 0]}, is_terminal {stored.is_terminal[t, 0]}")

# %% [markdown]
# A *value* $V(s)$ is the reward that an agent can still expect, with a reward $k$ steps away weighted by
# $\gamma^{k-1}$. A learner estimates it from one row to the next:
#
# $$V(s_t) \leftarrow r_{t+1} + \gamma \,(1 - \mathrm{terminal}_{t+1})\, V(s_{t+1}).$$
#
# **Predict first.** The clock stops the agent one step in front of the exit. What does the formula say about the state
# before it? And what if `is_last` stood where `is_terminal` should?

# %%
GAMMA = 0.95
stored, t = endings[1]
value_in_front_of_exit = 1.0  # the next step would give reward 1
reward = float(stored.reward[t, 0])
right = reward + GAMMA * (1 - float(stored.is_terminal[t, 0])) * value_in_front_of_exit
wrong = reward + GAMMA * (1 - float(stored.is_last[t, 0])) * value_in_front_of_exit
print(f"value of the state before it: {right:.2f} with is_terminal, {wrong:.2f} with is_last")

# %% mystnb={"image": {"alt": "Left: the agent on the exit. Right: the agent one step in front of it, time over."}}
figure, panels = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
words = ["terminated: nothing comes after", "truncated: the exit is one step away"]
for axes, (stored, t), word in zip(panels, endings, words, strict=True):
    axes.imshow(stored.image[t, 0])
    axes.set_title(f"row {t}, {word}\nreward {stored.reward[t, 0]:.0f}", fontsize=10)
    axes.set_axis_off()

# %% [markdown]
# *Figure 7. The last rows of the two episodes. Notice that no picture shows a clock. The state on the right is as
# promising as in the middle of an episode, so its value must not be cut to 0.*
#
# A learner that confuses the two is told that a good place is worthless, but only where the clock happened to run out.
# Pardo et al. (2018) study this mistake.

# %% [markdown]
# ### Exercise 2: the target
#
# Write the one-step target for one row.


# %% tags=["exercise-2"]
def value_target(reward, is_last, is_terminal, value_here, gamma):
    """The target for the state before this row, from what is stored in this row and the value of its state."""
    return None  # your code


# %% tags=["check-2"]
check.value_target(value_target)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# The formula is above. One of the five arguments is not needed. Which one, and why was it offered?
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def value_target(reward, is_last, is_terminal, value_here, gamma):
#     return reward + gamma * (1 - is_terminal) * value_here
# ```
#
# `is_last` only says that no more rows follow. It is needed elsewhere: to cut sequences between episodes.
#
# </details>

# %% [markdown]
# ## 8. The same world behind Gymnasium
#
# Much code expects Gymnasium's interface. The worlds are registered there, one copy or many. Events come in `info`,
# where an agent does not look.

# %%
env = gymnasium.make("SenseiLite/KeyRoom-v0", size=9)
observation, info = env.reset(seed=3)
observation, reward, terminated, truncated, info = env.step(NORTH)
print(f"{observation.shape}, reward {reward}, terminated {terminated}, truncated {truncated}")
print("events in this step:", [name for name, happened in info["events"].items() if happened])

envs = gymnasium.make_vec("SenseiLite/KeyRoom-v0", num_envs=4, size=9)
print("four copies:", envs.action_space, envs.observation_space.shape)

# %% [markdown]
# ## 9. A second world: KeyChest
#
# Rooms lie along a corridor, dark until you enter. A key is in one, a locked chest in another. **Predict first:** will
# random play succeed more often here than in KeyRoom? Play, then count.

# %%
play("keychest", seed=0)

# %% mystnb={"image": {"alt": "A film in pictures of KeyChest: rooms light up one by one; at the end a chest opens."}}
house = KeyChest()
house_state = jax.jit(house.reset)(key=jax.random.key(2))
house_plan = shortest_plan(house, house_state)
for name, shares in shares_of_seeds(house).items():
    print(f"{name:14} in {shares.mean():.1%} of random episodes (seeds: {shares.min():.1%} to {shares.max():.1%})")
filmstrip(house, house_state, house_plan, f"KeyChest: a shortest solution takes {len(house_plan)} steps")

# %% [markdown]
# *Figure 8. A shortest solution of one KeyChest layout. Notice that a room is dark again once the agent has left it.
# What the agent has seen is no longer in the picture: here it needs a memory.*

# %% [markdown]
# ### Exercise 3 (open): make a harder and an easier world
#
# `KeyRoom(size=9, closet=2)` is another world. Find settings with which random play opens the door in over 20% of the
# episodes, and settings with which it does so in under 2%. Leave `max_steps` as it is, and predict before you run.
# Which setting matters most? Why does `view` change one share only?

# %% tags=["exercise-3"]
my_world = KeyRoom(size=7)  # your settings
print({name: f"{shares.mean():.1%}" for name, shares in shares_of_seeds(my_world).items()})

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# How does the number of cells grow with `size`? And does a random agent look?
#
# </details>
#
# <details><summary>Thoughts on 3</summary>
#
# `size` matters most. The walk must meet the key, then the door, and then choose `apply` right there. In a larger room
# each of the first two is rarer, and they multiply. `view` changes what is drawn. A random agent does not look, so only
# `key_seen` depends on it.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. The agent **sees** one small picture with a strip for the key. It **moves** or **applies** the key. It does not see
#    the state, the events or the clock.
# 2. A picture is tiles looked up in an atlas. You drew it by hand, and the package agrees on every pixel.
# 3. An **event** is a fact that becomes true. It measures exploration; given to the agent, it would be a hint.
# 4. `vmap` gives many worlds, `scan` gives time. In a row, the **action is the one that led here**.
# 5. **Terminated**: the future is worth 0. **Truncated**: only the clock stopped, and the value stays. A value uses
#    `is_terminal`, never `is_last`.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | reset, step, render; `TimeStep`, `step_batch` | `sensei_lite/worlds/base.py` |
# | the crop, the event rule | `sensei_lite/worlds/grid/world.py` |
# | layouts and facts of the two worlds | `sensei_lite/worlds/grid/keyroom.py`, `keychest.py` |
# | the atlas | `sensei_lite/worlds/grid/tiles.py` |
# | the random agent, the shortest plan | `sensei_lite/worlds/rollout.py`, `sensei_lite/worlds/grid/oracle.py` |
# | Gymnasium | `sensei_lite/worlds/gym_env.py`, and `gym_adapter.py` for any other environment |
# | the game that you played | `sensei_lite/course/widgets/play.py` |

# %% [markdown]
# ## Further reading
#
# - C. Sancaktar, C. Gumbsch et al., *SENSEI: Semantic Exploration Guided by Foundation Models to Learn Versatile World
#   Models*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584). The paper of this course.
# - M. Samvelyan et al., *MiniHack the Planet: A Sandbox for Open-Ended Reinforcement Learning Research*, 2021,
#   [arXiv 2109.13202](https://arxiv.org/abs/2109.13202). Where KeyRoom comes from.
# - M. Chevalier-Boisvert et al., *Minigrid & Miniworld: Modular & Customizable Reinforcement Learning Environments for
#   Goal-Oriented Tasks*, 2023, [arXiv 2306.13831](https://arxiv.org/abs/2306.13831). Its KeyCorridor is KeyChest's
#   model.
# - M. Towers et al., *Gymnasium: A Standard Interface for Reinforcement Learning Environments*, 2024,
#   [arXiv 2407.17032](https://arxiv.org/abs/2407.17032).
# - F. Pardo, A. Tavakoli, V. Levdik, P. Kormushev, *Time Limits in Reinforcement Learning*, ICML 2018,
#   [arXiv 1712.00378](https://arxiv.org/abs/1712.00378). Terminated, truncated, and what goes wrong.
#
# **Next:** 02 · RSSM, a network that predicts what the next picture will be.

# %%
notebook.finish()
