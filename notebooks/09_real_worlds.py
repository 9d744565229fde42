# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Real worlds: MiniHack, another VLM, and the price of the paper's scale
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/09_real_worlds.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/09_real_worlds.ipynb)
#
# **Your time:** 30 minutes. **The machine's time:** about two minutes (the last cell prints what it was).
#
# **Before you start:** you know what a world gives (01), who annotates (05), and what SENSEI's stages are (07).
#
# **Afterwards you can**
#
# 1. run the same agent on the real MiniHack KeyRoom-S15, through Gymnasium;
# 2. say what changes when a world is not written in JAX, and what does not;
# 3. swap the VLM and its prompt, and test whether an annotator knows your pictures before you trust it;
# 4. compute what the paper's scale costs in steps, updates, questions, GPU hours and money.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks,vlm,minihack] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import dataclasses
import importlib.util
import tempfile
import textwrap
import time
from collections import deque
from functools import partial
from pathlib import Path

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import clear_output

# %%
import sensei_lite as sl
from sensei_lite.annotators import Answer, ChatAnnotator, Price, prompt_for, wilson_interval
from sensei_lite.course import flops_of, tqdm
from sensei_lite.course.checks import real_worlds as check
from sensei_lite.training import (
    begin_host_training,
    chunk_schedule,
    play_at_random,
    read_stages,
    to_transition,
    train_host_chunk,
)
from sensei_lite.worlds.minihack import world as minihack

# %%
notebook = sl.start_notebook()
SEED = jax.random.key(0)

# %% [markdown]
# ## 1. The real level
#
# So far the agent lived in worlds of pure functions. The paper's KeyRoom is a level of **MiniHack**, and under MiniHack
# runs NetHack, a game written in C. JAX cannot compile it. All that we get is Gymnasium's interface: `reset`, `step`, a
# picture.
#
# MiniHack is an optional part of this package, for Linux only. One variable decides which world this notebook uses.
# Without MiniHack it is the package's own KeyRoom-S15 *behind Gymnasium*, which is just as foreign to the agent's loop.

# %%
if all(importlib.util.find_spec(name) for name in ("nle", "minihack")):
    world_name, world_settings = "minihack-keyroom-s15", {}
else:
    world_name, world_settings = "gymnasium:SenseiLite/KeyRoom-v0", {"world": "keyroom-s15"}
    print("MiniHack is not installed here, so the package's own KeyRoom-S15, behind Gymnasium, takes its place.")

IS_REAL = world_name.startswith("minihack")
LABEL = "real MiniHack" if IS_REAL else "behind Gymnasium"
host = sl.make_world(world_name, num_envs=4, **world_settings)
row = host.reset(seed=0)
print(f"{host.name}: {host.num_envs} copies, pictures {host.image_shape}, {host.actions.size} actions")
for action in ("east", "south", "apply"):
    row = host.step(np.full(host.num_envs, host.actions.names.index(action)))
    happened = {name: int(now.sum()) for name, now in row.events.items() if now.any()}
    print(f"{action:6} -> reward {row.reward}, events {happened or 'none'}")

# %% [markdown]
# The rows are the `TimeStep` of notebook 01, as NumPy arrays. `reset` and `step` are all that a **host world**
# (`HostWorld`) offers. Its state stays inside the game.
#
# What does a solution look like? In the package's KeyRoom-S15 the oracle of notebook 01 searches in the true states.
# For the real level we write a player who reads the game's map, as no agent may. Breadth-first search leads it to its
# next goal. It takes no diagonal steps, so its plan is not the shortest.


# %%
EXIT = minihack.STAIRS_UP + 1  # NetHack's number for the staircase down
FREE = (minihack.FLOOR, minihack.FLOOR + 1, minihack.STAIRS_UP, EXIT, minihack.KEY, *minihack.OPEN_DOORS)


def find(level, *glyphs):
    """Where the known map shows one of these numbers: a set of (column, row)."""
    return {(int(x), int(y)) for y, x in np.argwhere(np.isin(level.glyphs, glyphs))}


def beside(places):
    return {(x + dx, y + dy) for x, y in places for dx, dy in minihack.MOVES[:4]}


def goals_of(level, been):
    """Where somebody who knows the task goes next; without a goal, to the edge of what is known."""
    door, unknown = find(level, *minihack.CLOSED_DOORS), find(level, minihack.STONE)
    if level.key_held and door:
        return beside(door)
    return find(level, EXIT) or find(level, minihack.KEY) or beside(unknown) - been


# %%
def next_move(level, been):
    """The first step of a shortest way to a goal; APPLY beside the closed door with the key."""
    goals, free = goals_of(level, been), find(level, *FREE)
    if level.key_held and level.position in beside(find(level, *minihack.CLOSED_DOORS)):
        return minihack.APPLY
    first, queue = {level.position: minihack.APPLY}, deque([level.position])
    while queue:
        here = queue.popleft()
        if here in goals and here != level.position:
            return first[here]
        for action, (dx, dy) in enumerate(minihack.MOVES[:4]):
            there = here[0] + dx, here[1] + dy
            if there in free and there not in first:
                first[there] = action if here == level.position else first[here]
                queue.append(there)
    return minihack.APPLY  # nowhere to go: wait


# %%
def play_real(seed):
    """One episode of the real level: for each step the agent's picture, a finer one, and the events."""
    level = gymnasium.make("SenseiLite/MiniHackKeyRoom-v0", render_mode="rgb_array").unwrapped
    picture, _ = level.reset(seed=seed)
    steps, been, over = [(picture, level.render(), [])], set(), False
    while not over:
        been.add(level.position)
        picture, _, terminated, truncated, info = level.step(next_move(level, been))
        steps.append((picture, level.render(), [name for name, happened in info["events"].items() if happened]))
        over = terminated or truncated
    level.close()
    return steps


ours = sl.make_world("keyroom-s15")
reset, draw, draw_fine = jax.jit(ours.reset), jax.jit(ours.render), jax.jit(partial(ours.render, scale=4))


def play_ours(seed):
    """The same for a shortest plan in the package's KeyRoom-S15."""
    start = reset(key=jax.random.key(seed))
    states, events = sl.plots.episode(ours, start, sl.worlds.shortest_plan(ours, start))
    return [(np.asarray(draw(state)), draw_fine(state), names) for state, names in zip(states, events, strict=True)]


# %% [markdown]
# **Predict first.** Both levels have the same rules and the same 5 × 5 view. What will look different to the agent?

# %% mystnb={"image": {"alt": "Five moments of a solution in two rows: drawn by the package, and by the host world."}}
WORDS = {
    "key_seen": "sees the key",
    "key_picked_up": "takes the key",
    "door_reached_with_key": "at door with key",
    "door_opened": "opens the door",
    "exit_reached": "on the exit",
}
solutions = {"the package": play_ours(3), LABEL: (play_real if IS_REAL else play_ours)(0)}
figure, panels = plt.subplots(2, 5, figsize=(9, 4.6))
for line, (name, steps) in zip(panels, solutions.items(), strict=True):
    for axes, (event, words) in zip(line, WORDS.items(), strict=True):
        t = next(t for t, (_, _, events) in enumerate(steps) if event in events)
        axes.imshow(steps[t][1])
        axes.set(xticks=[], yticks=[], title=f"step {t}\n{words}")
        axes.spines[:].set_visible(False)
    line[0].set_ylabel(f"{name}:\n{len(steps) - 1} steps in all")

# %% [markdown]
# *Figure 1. Five moments of a solution, drawn finer than the agent sees them. Above: KeyRoom-S15 as this package draws
# it. Below: the world of this notebook. Notice that rules, view and key slot agree. MiniHack draws every tile in its own
# way.*
#
# > **Paper and package.** The paper's agent gets the key in its inventory as an extra number; here the slot shows it.
# > Rewards are 1 at the exit and 0 before; MiniHack's own reward also takes a little for keystrokes that cost no game
# > time, and is not used.

# %% [markdown]
# ## 2. The host loop
#
# The agent's loop has four parts: **act**, **step** the world, **remember** the row, **learn**. In a JAX world all
# four are one compiled program, and nothing leaves it for many rounds. A host world must be called from Python, so the
# program is cut open at this place.

# %% mystnb={"image": {"alt": "Four boxes twice: one frame holds all in a JAX world; in a host world step is outside."}}
figure, axes = plt.subplots(figsize=(8, 2.7))
for y, name, frames in (1.4, "JAX world", [(0, 4)]), (0.0, "host world", [(0, 1), (2, 4)]):
    axes.text(-0.15, y + 0.5, name, ha="right", va="center", weight="bold")
    for left, right in frames:
        axes.add_patch(plt.Rectangle((left, y), right - left - 0.1, 1, facecolor="0.88", edgecolor="black"))
        axes.text((left + right - 0.1) / 2, y + 0.08, "compiled", ha="center", style="italic")
    for x, part in enumerate(("act", "step", "remember", "learn")):
        outside = name == "host world" and part == "step"
        look = {"facecolor": "white", "edgecolor": "black", "linestyle": "--" if outside else "-"}
        axes.add_patch(plt.Rectangle((x + 0.1, y + 0.35), 0.7, 0.5, **look))
        axes.text(x + 0.45, y + 0.6, part + "\n(Python, C)" * outside, ha="center", va="center")
        if x:
            arrow = {"arrowstyle": "-|>", "facecolor": "black", "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x + 0.1, y + 0.6), (x - 0.2, y + 0.6), arrowprops=arrow)
axes.set(xlim=(-0.9, 4), ylim=(-0.05, 2.45))
axes.set_axis_off()

# %% [markdown]
# *Figure 2. The same four parts in both loops; after learn comes act again. Notice the dashed box: only the step of
# the world runs outside of compiled code, so a picture comes in and an action goes out at every step.*
#
# Here is the collecting half of that loop, by hand.


# %%
@eqx.filter_jit
def choose(agent, policy_state, image, is_first, *, key):
    return sl.act(agent, policy_state, image, is_first, key=key)


@partial(jax.jit, static_argnums=1, donate_argnums=0)  # the old replay's memory is used for the new one
def remember(replay, actions, row):
    return replay.add(to_transition(actions, row, None))


def collect_by_hand(config, world, state):
    """Act, step and remember, until it is time to learn."""
    _, collects, _ = chunk_schedule(config.train)
    _, collect_key, _ = jax.random.split(state.key, 3)
    replay, row, policy_state = state.replay, state.timestep, state.policy_state
    for key in jax.random.split(collect_key, collects):
        policy_state = choose(state.agent, policy_state, row.image, row.is_first, key=key)
        action = sl.agent.decode_action(world.actions, policy_state.action)
        row = world.step(np.asarray(action))  # out of the compiled code, into the game, and back
        replay = remember(replay, world.actions, row)
    return replay, row, policy_state


# %% [markdown]
# Does it agree with the package? `train_host_chunk` also learns, but what it stores before the first update must be
# our rows. We test it with the smallest preset and two seeds.

# %%
small = sl.agent_config(sl.PRESETS["smoke"](), "plan2explore")


def ready(seed):
    """A new agent in the host world, after some random play."""
    state = begin_host_training(small, host, key=jax.random.key(seed))
    return play_at_random(small, host, state)


_, collects, _ = chunk_schedule(small.train)
for seed in (0, 1):
    before = ready(seed)
    begin = int(before.replay.written)
    theirs, _, counts = train_host_chunk(small, host, before)
    by_hand, _, _ = collect_by_hand(small, host, ready(seed))
    for name in ("image", "action", "reward", "is_first", "is_terminal"):
        wanted = getattr(theirs.replay.rows, name)[: begin + collects]
        np.testing.assert_array_equal(getattr(by_hand.rows, name)[: begin + collects], wanted, err_msg=name)
    print(f"seed {seed}: {begin} rows of random play and {collects} of the agent's, all equal to the package's")

# %% [markdown]
# Is `act` the same in both kinds of world? The agent looks at the host world's pictures twice: one by one from Python,
# and inside of `lax.scan`, as in a JAX world's loop.

# %%
rows = jax.tree.map(lambda leaf: leaf[: begin + collects], theirs.replay.rows)  # [time envs ...]
agent, keys = theirs.agent, jax.random.split(SEED, begin + collects)
policy_state = sl.initial_policy_state(agent, host.num_envs, host.actions.size)


@eqx.filter_jit
def act_in_scan(agent, policy_state):
    def look(policy_state, seen):
        image, is_first, key = seen
        policy_state = sl.act(agent, policy_state, image, is_first, key=key)
        return policy_state, policy_state

    return jax.lax.scan(look, policy_state, (rows.image, rows.is_first, keys))[1]


in_scan = act_in_scan(agent, policy_state)
for t, key in enumerate(keys):
    policy_state = choose(agent, policy_state, np.asarray(rows.image[t]), np.asarray(rows.is_first[t]), key=key)
    np.testing.assert_array_equal(policy_state.action, in_scan.action[t])
    np.testing.assert_allclose(policy_state.state.h, in_scan.state.h[t], atol=1e-5)
print(f"{rows.reward.size} actions of {len(keys)} steps, the same in both loops")

# %% [markdown]
# ### Where does the time go?
#
# **Predict first.** A game in C, called from slow Python, against a learner in compiled code. For one update of the
# `lab` agent the world is stepped sixteen times. Which of the four parts takes most of the time?

# %%
lab = sl.agent_config(sl.PRESETS["lab"](), "plan2explore")
short = dataclasses.replace(lab.train, capacity=4096, prefill_steps=256, chunk_updates=20)
config = small if notebook.smoke else dataclasses.replace(lab, train=short)
many = sl.make_world(world_name, num_envs=config.train.envs, **world_settings)
state = play_at_random(config, many, begin_host_training(config, many, key=SEED))
chunks = []
for _ in tqdm(range(5), desc="chunks of updates (the first one compiles)", leave=False):
    began = time.perf_counter()
    state, _, _ = jax.block_until_ready(train_host_chunk(config, many, state))
    chunks.append(time.perf_counter() - began)
updates_a_second = config.train.chunk_updates / np.median(chunks[1:])

spent, replay, row, policy_state = [], state.replay, state.timestep, state.policy_state
for key in jax.random.split(state.key, 40):
    clock = [time.perf_counter()]
    policy_state = jax.block_until_ready(choose(state.agent, policy_state, row.image, row.is_first, key=key))
    clock.append(time.perf_counter())
    row = many.step(np.asarray(sl.agent.decode_action(many.actions, policy_state.action)))
    clock.append(time.perf_counter())
    replay = jax.block_until_ready(remember(replay, many.actions, row))
    spent.append(np.diff([*clock, time.perf_counter()]))  # seconds of act, step, remember

# %% mystnb={"image": {"alt": "Bars: milliseconds of act, step, remember and learn for one update, and of a slow world."}}
SLOW = 50  # steps a second of an imagined slow world, such as a robot simulator that draws camera pictures
steps_an_update = config.train.env_steps_per_update
calls = steps_an_update / many.num_envs  # one call of each part serves all copies
parts = dict(zip(("act", "step", "remember"), 1000 * calls * np.median(spent, axis=0), strict=True))
parts["learn"] = max(1000 / updates_a_second - sum(parts.values()), 0.0)
steps_a_second = 1000 * steps_an_update / parts["step"]
print(f"the game: {steps_a_second:,.0f} steps a second; the whole loop: {updates_a_second:.1f} updates a second")

bars = parts | {f"step, if the world made\n{SLOW} steps a second": 1000 * steps_an_update / SLOW}
figure, axes = plt.subplots(figsize=(7.5, 2.8))
axes.barh(list(bars), bars.values(), color=["0.75"] * 4 + ["white"], edgecolor="black", hatch=[""] * 4 + ["//"])
for place, milliseconds in enumerate(bars.values()):
    axes.text(milliseconds, place, f"  {milliseconds:.1f}", va="center")
axes.set(xlabel=f"milliseconds for one update and its {steps_an_update:.0f} steps", xlim=(0, 1.1 * max(bars.values())))
axes.invert_yaxis()

# %% [markdown]
# *Figure 3. Where an update's time goes in the host loop. The first three bars are measured, `learn` is what is left of
# the whole loop, the hatched bar is computed. Notice which bar is the longest, and what a
# slow world would do.*
#
# So a fast host world costs little time. What is lost is the single program, and exact resuming: the game's state
# cannot be stored, so a stopped run goes on in new episodes. For a slow world, `HostWorld(..., processes=True)` runs
# every copy in a process of its own.

# %% [markdown]
# ## 3. The whole pipeline, with almost no budget
#
# `sensei-lite run --preset smoke --world minihack-keyroom-s15` goes through all stages. Here we call the function
# behind it, with smaller numbers. **Nothing is learned in so little time.** The run shows that every stage accepts the
# real world, and no more.
#
# **Predict first.** In a few hundred steps, how often does an agent that knows nothing open the door?

# %%
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
plan = dataclasses.replace(
    sl.PLANS["smoke"],
    world=world_name,
    settings=world_settings,
    pictures=200,
    pairs=100,
    rounds=1,
    updates=4 if notebook.smoke else 20,
    agents=("plan2explore",) if notebook.smoke else ("plan2explore", "sensei"),
)
told = sl.run(folder, plan)
clear_output(wait=True)  # the progress bars of the stages
print("\n".join(told))
for name, numbers in read_stages(folder).items():
    print(f"{name:22} {numbers['seconds']:6.1f} s")
print("in the folder:", ", ".join(sorted(path.name for path in folder.glob("[!.]*"))))

# %% [markdown]
# Folder and stages are those of a JAX world. (`explore-plan2explore` is short: that agent explored in `collect`.) One
# thing is missing: a host world tells no true **facts** about its pictures. So the run cannot say whether the answers,
# and the R_psi that they taught, are right.

# %% [markdown]
# ## 4. Another VLM
#
# The annotator above was the small CLIP of this package. It was trained for some minutes on *our* drawings of KeyRoom
# and KeyChest, with captions written from the true state, and it has never seen NetHack. Does it understand these
# pictures all the same? Our players of section 1 know how far they have come, so we can test it.
#
# **Predict first.** Guessing puts half of all pairs in the right order. What share will CLIP reach on our drawings, and
# what share on the others?


# %%
def with_truth(player):
    """Pictures of whole solutions, and how far each has come: how many of the events of WORDS have happened."""
    pictures, levels = [], []
    for seed in tqdm(range(2 if notebook.smoke else 12), desc="solutions", leave=False):
        level = 0
        for picture, _, events in player(seed):
            level = max([level] + [1 + list(WORDS).index(name) for name in events if name in WORDS])
            pictures.append(picture)
            levels.append(level)
    return np.stack(pictures), np.array(levels)


drawings = {"the package's drawings": with_truth(play_ours)}
if IS_REAL:
    drawings["real MiniHack"] = with_truth(play_real)
else:  # in place of a stranger's drawings: the negatives of our own
    pictures, levels = drawings["the package's drawings"]
    drawings["their negatives"] = 255 - pictures, levels
clip, began = sl.ClipAnnotator(), time.perf_counter()
scores = {name: clip.scores(pictures) for name, (pictures, _) in drawings.items()}
pictures_a_second = sum(map(len, scores.values())) / (time.perf_counter() - began)

# %%
PAIRS = 60  # of each world, all of pictures that have not come equally far
for name, (pictures, levels) in drawings.items():
    a, b = np.random.default_rng(0).integers(len(levels), size=(2, 40 * PAIRS))
    a, b = (side[levels[a] != levels[b]][:PAIRS] for side in (a, b))
    answers = np.array([reply.answer for _, reply in clip.annotate(pictures[a], pictures[b])])
    decided = np.isin(answers, (Answer.FIRST, Answer.SECOND))
    right = (answers == Answer.FIRST) == (levels[a] > levels[b])
    share = wilson_interval(int(right[decided].sum()), int(decided.sum()))
    print(f"{name}: {decided.sum()} of {PAIRS} pairs decided, the others are ties")
    print(f"    right in {share.value:.0%} of those (95% interval {share.low:.0%} to {share.high:.0%})")
chances = clip.prompt_probabilities(pictures[:1])[0]
print(f"of the start of an episode there it says: {list(clip.prompts)[chances.argmax()]!r}")

# %% mystnb={"image": {"alt": "CLIP's score against true progress, for the package's drawings and for the others."}}
figure, axes = plt.subplots(figsize=(8, 3.8))
axes.set_xticks(range(6), [textwrap.fill(words, 10) for words in ("nothing yet", *WORDS.values())])
axes.set(xlim=(-0.4, 7.3), ylim=(-0.03, 1.06), ylabel="CLIP's score", xlabel="how far the solution has come")
spread = np.random.default_rng(0)
for (name, (_, levels)), marker, line, colour in zip(
    drawings.items(), "ox", ("-", "--"), ("#0072B2", "black"), strict=True
):
    places = levels + spread.uniform(-0.16, 0.16, len(levels))
    axes.plot(places, scores[name], marker, color=colour, alpha=0.25, markersize=4)
    means = [scores[name][levels == level].mean() for level in np.unique(levels)]
    axes.plot(np.unique(levels), means, marker + line, color=colour, markersize=9, markeredgewidth=2.5)
    axes.text(5.3, means[-1], name, color=colour, va="center")

# %% [markdown]
# *Figure 4. Score against truth: small marks are single pictures, large ones means. Notice where the score follows the
# truth, and where it is only a number.*
#
# A network has a number for every picture, and does not say when the number means nothing. So before you pay for
# 100,000 answers, look at fifty of them. Where nobody knows the truth, be the judge yourself: `--annotator human`.
#
# Who else can annotate? **Any model of open_clip**, by tag (downloaded once) or from a file:
#
# ```python
# sl.ClipAnnotator("ViT-B-32/laion2b_s34b_b79k", prompts={"a hero holds a key": 1.0, "an empty dungeon floor": 0.0})
# sl.ClipAnnotator("ViT-B-32", weights="my_clip.safetensors")
# ```
#
# Its prompts are sentences, each with an interest from 0 to 1. This notebook downloads nothing, so it shows what you
# read when something is wrong.

# %%
attempts = {
    "a file that is not there": lambda: sl.ClipAnnotator("ViT-B-32", weights="my_clip.safetensors"),
    "a tag that open_clip does not have": lambda: sl.ClipAnnotator("ViT-B-32/the-best"),
    "words for the small CLIP": lambda: sl.ClipAnnotator(prompts={"a dragon sleeps": 1.0, "empty floor": 0.0}),
}
for what, attempt in attempts.items():
    try:
        attempt()
    except (FileNotFoundError, ValueError) as error:
        print(f"{what}: {textwrap.shorten(str(error), 150)}")

# %% [markdown]
# **Any chat model** that speaks OpenAI's protocol: a paid one, with the key in `OPENAI_API_KEY`, or an open one on a
# server of your own. It sees both pictures and a prompt. The *specific* prompt was written by somebody who knows the
# game. With the *general* one (SENSEI General) the model first describes the world from one picture, and its own answer
# becomes the context.

# %%
for kind in ("specific", "general"):
    prompt = prompt_for(world_name, kind)
    print(f"{kind}:", textwrap.shorten(prompt.context, 230))
    print("    asked first:", textwrap.shorten(prompt.describe, 200) or "nothing")

PRICE = Price(per_million_input=1.0, per_million_output=4.0)  # dollars: an ASSUMPTION, put in what you pay
chat = ChatAnnotator("my-model", "http://localhost:8000/v1", prompt=prompt_for(world_name), price=PRICE)
print(chat.estimate(sl.PLANS["paper"].pairs))  # counts only: nobody is asked

# %% [markdown]
# `Prompt("your context")` is a prompt of your own. Its hash is stored with every answer, so answers to different words
# are never mixed.

# %% [markdown]
# ## 5. What the paper's scale costs
#
# The paper explores for 500,000 environment steps and asks 100,000 questions. The **train ratio** says how many replayed
# steps are learned from for each step of the world, and one update learns from batch × length of them:
#
# $$\text{updates} = \text{steps} \cdot \frac{\text{train ratio}}{\text{batch} \cdot \text{length}}.$$

# %% [markdown]
# ### Exercise 1: how many updates?
#
# `env_steps` counts all steps of the world. The first `prefill_steps` of them are random play, and nothing is learned
# meanwhile.


# %% tags=["exercise-1"]
def number_of_updates(env_steps, prefill_steps, train_ratio, batch, length):
    """Updates in a run of so many environment steps."""
    return None  # your code


# %% tags=["check-1"]
check.number_of_updates(number_of_updates)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First count the replayed steps. How many of them does one update use up?
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def number_of_updates(env_steps, warm_up, train_ratio, batch, length):
#     replayed = (env_steps - warm_up) * train_ratio
#     return replayed / (batch * length)
# ```
#
# With 512, 16 and 64, as in the paper's code, it is half an update for every step.
#
# </details>

# %% [markdown]
# How long does an update take? Count its arithmetic. A product of matrices $[m\,k]$ and $[k\,n]$ has $mn$ results of
# $k$ multiplications and $k$ additions each: $2mkn$ operations. `flops_of` adds up all products of a program, those in
# a loop as often as the loop runs. It computes nothing.


# %%
def product_flops(m, k, n):
    return 2 * m * k * n


def seven_times(a, square):
    return jax.lax.scan(lambda now, _: (now @ square, None), a, None, length=7)[0]


for m, k, n in ((1, 1, 1), (3, 5, 2), (64, 512, 1536)):
    a, b, square = jnp.zeros((m, k)), jnp.zeros((k, n)), jnp.zeros((k, k))
    np.testing.assert_allclose(product_flops(m, k, n), flops_of(jnp.matmul, a, b))
    np.testing.assert_allclose(7 * product_flops(m, k, k), flops_of(seven_times, a, square))


def flops_an_update(config):
    """Operations in the matrix products of one update, in a world like ours."""
    shape = (config.train.batch, config.train.length)
    init = partial(sl.init, config, host.image_shape, host.actions)
    agent = eqx.filter_eval_shape(lambda key: init(key=key), SEED)  # shapes without numbers
    of = lambda *more, dtype=jnp.float32: jax.ShapeDtypeStruct((*shape, *more), dtype)  # noqa: E731
    flag, number = of(dtype=bool), of()
    rows = sl.models.Transition(
        of(*host.image_shape, dtype=jnp.uint8), of(host.actions.size), number, number, flag, flag
    )
    return flops_of(lambda agent, rows, key: sl.update(agent, rows, key=key), agent, rows, SEED)


# %% [markdown]
# Now a calculator. What it cannot know stands in capital letters at the top.

# %%
DOLLARS_A_GPU_HOUR = 2.0  # an ASSUMPTION, as PRICE is: put in what you pay
PUBLISHED_STEPS_AN_HOUR = 250_000 / 10  # the research code on one A100, in Robodesk, with a larger model
AGENTS = 2  # Plan2Explore collects, then SENSEI explores
paper = sl.agent_config(sl.PRESETS["paper"](), "sensei")
gflops_here = updates_a_second * flops_an_update(config) / 1e9  # at the size that section 2 measured
cost = {}
for name, train in {"smoke" if notebook.smoke else "lab": config.train, "paper": paper.train}.items():
    plan = sl.PLANS[name]
    gflop = flops_an_update(paper if name == "paper" else config) / 1e9
    cost[name] = {
        "environment steps of an agent": plan.updates * train.env_steps_per_update,
        "train ratio": train.batch * train.length / train.env_steps_per_update,
        "updates of an agent": plan.updates,
        "questions": plan.pairs * (1 + plan.both_orders),
        "GFLOP in an update": gflop,
        "GB of replay": sl.PRESETS[name]().train.capacity * np.prod(host.image_shape) / 1e9,
        "dollars for a chat model's answers": chat.estimate(plan.pairs * (1 + plan.both_orders)).dollars,
        "hours on this machine, all agents": AGENTS * plan.updates * gflop / gflops_here / 3600,
    }
hours_on_a100 = AGENTS * cost["paper"]["environment steps of an agent"] / PUBLISHED_STEPS_AN_HOUR

# %%
print(f"{'':36}" + "".join(f"{name:>14}" for name in cost))
for what in cost["paper"]:
    print(f"{what:36}" + "".join(f"{row[what]:14,.2f}" for row in cost.values()))
print(f"{'hours on one A100, as published':50}{hours_on_a100:14,.2f}")
print(f"{'dollars for these':50}{hours_on_a100 * DOLLARS_A_GPU_HOUR:14,.2f}")
print(f"this machine: {gflops_here:.0f} GFLOP a second while it learned in section 2")

# %% [markdown]
# How much to believe? Steps, updates and questions are exact. GFLOP (billions of operations) counts matrix products
# only. The hours here assume the speed of section 2, and large products may run faster than its small ones. The hours on
# an A100 are those of another code with a larger model. Dollars are as good as your assumptions.
#
# > **Paper vs code, P1.** `lab` asks 5,000 pairs in both orders, half of them chosen by a first R_psi. `paper` asks
# > 100,000 random pairs, once each.
#
# **Predict first.** At the paper's scale, what takes longest on this machine: a million steps of the game, 200,000
# pictures for the bundled CLIP, or the updates? By what factor?

# %% mystnb={"image": {"alt": "Bars on a logarithmic axis: hours for the game, for CLIP, and for the updates."}}
hours = {
    "the game's steps, here": AGENTS * cost["paper"]["environment steps of an agent"] / steps_a_second / 3600,
    "the bundled CLIP, here": 2 * cost["paper"]["questions"] / pictures_a_second / 3600,
    "updates, one A100\n(published speed)": hours_on_a100,
    "updates, here\n(estimated)": cost["paper"]["hours on this machine, all agents"],
}
figure, axes = plt.subplots(figsize=(7.5, 2.8))
colours = ["0.75", "0.75", "white", "white"]
axes.barh(list(hours), hours.values(), color=colours, edgecolor="black", hatch=["", "", "//", "//"])
for place, value in enumerate(hours.values()):
    axes.text(1.2 * value, place, f"{value:,.0f} h" if value > 9 else f"{60 * value:,.0f} min", va="center")
axes.set(xscale="log", xlabel="hours (logarithmic)", xlim=(min(hours.values()) / 3, 10 * max(hours.values())))
axes.invert_yaxis()

# %% [markdown]
# *Figure 5. The paper's scale in hours. Grey bars follow from speeds that this notebook measured, hatched ones as their
# labels say. Notice the axis: game and annotator are small beside the updates.*

# %% [markdown]
# ### Exercise 2: what do the answers cost?
#
# Give dollars and hours for asking a chat model. One question is one request: two pictures, some words, a short answer.
# Prices are per **million** tokens. With `both_orders` every pair is asked twice.


# %% tags=["exercise-2"]
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    """(dollars, hours); words, picture and answer are tokens; per_minute is how many requests the server takes."""
    dollars = hours = None  # your code
    return dollars, hours


# %% tags=["check-2"]
check.cost_of_answers(cost_of_answers)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# Count questions first, then tokens in and tokens out. They have different prices.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
#     questions = pairs * (2 if both_orders else 1)
#     tokens_in, tokens_out = questions * (words + 2 * picture), questions * answer
#     dollars = (tokens_in * price_in + tokens_out * price_out) / 1e6
#     return dollars, questions / per_minute / 60
# ```
#
# </details>

# %% [markdown]
# ## 6. The commands, and where to change what
#
# ```
# sensei-lite run --preset paper --world minihack-keyroom-s15 --folder runs/paper --annotator chat \
#     --annotator-settings model=NAME prompt=specific
# ```
#
# This has not been run for the course. It needs a GPU for the hours above, memory for the replay, a chat model, and
# `sensei-lite[vlm,minihack]` on Linux.
#
# | to change | do this |
# |---|---|
# | the world | `--world NAME`, or `--world gymnasium:ID` for any Gymnasium id with pictures |
# | how much of everything | `--updates --pairs --pictures`, or a `RunPlan` of your own in `sensei_lite/training/plan.py` |
# | sizes and ratios | a preset in `sensei_lite/presets.py` |
# | the VLM | `--annotator`, `--annotator-settings` |
# | the prompt | `sensei_lite/annotators/chat/prompts/` for chat; `prompts=` of `ClipAnnotator` |
# | who explores | `--agents` (`sensei_lite/presets.py`) |
# | GPUs | JAX finds one by itself; `train.devices` in `sensei_lite/config.py` for several |

# %% [markdown]
# ### Exercise 3 (open): your own world
#
# A world needs a uint8 picture, actions that are a choice or a bounded box, and, if you like, `event_names`. Here is a
# very small one. Make it worth exploring, or register an environment of yours, and give the curious agent 20 updates.
# (With 64 × 64 pictures and nine actions the compiled agent fits at once; others compile anew.)


# %% tags=["exercise-3"]
class Dot(gymnasium.Env):
    """A dot on a board of 8 x 8 cells. It moves in eight directions, or waits."""

    observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(9)
    event_names = ("corner_reached",)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.t = self.np_random.integers(1, 8, size=2), 0
        return self.picture(), {}

    def step(self, action):
        was_there, self.t = not self.place.any(), self.t + 1
        self.place = np.clip(self.place + (*minihack.MOVES, (0, 0))[action], 0, 7)
        arrived = not self.place.any() and not was_there
        return self.picture(), 0.0, False, self.t >= 50, {"events": {"corner_reached": arrived}}

    def picture(self):
        board = np.full((8, 8, 3), 40, np.uint8)
        board[tuple(self.place)] = (230, 180, 40)
        return board.repeat(8, 0).repeat(8, 1)


# %%
gymnasium.registry.pop("MyWorld-v0", None)  # so that this cell can be run again
gymnasium.register("MyWorld-v0", entry_point=Dot)
mine = sl.make_world("gymnasium:MyWorld-v0", num_envs=small.train.envs)  # from_render=True takes what render() draws
state = play_at_random(small, mine, begin_host_training(small, mine, key=SEED))
for _ in tqdm(range(20 // small.train.chunk_updates), desc="chunks", leave=False):
    state, metrics, counts = train_host_chunk(small, mine, state)
print(f"{int(state.agent.updates)} updates, {int(state.steps)} steps")
print(
    "the last chunk:",
    {name: int(counts[name]) for name in mine.event_names},
    f"picture loss {metrics['loss/image']:.0f}",
)

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# Draw everything that matters into the picture, at a size that survives (a tile of 8 pixels fits the patch encoder).
# Events go to `info`, never into the picture as a hint.
#
# </details>
#
# <details><summary>Thoughts on 3</summary>
#
# Test the world before you train. Do its events happen in random play at all? Can you tell from one picture what the
# agent can do? Twenty updates only show that everything fits. For a real run put the class into a module that
# registers it: `--world gymnasium:my_module:MyWorld-v0` imports `my_module` first.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. The real level is one name: `make_world("minihack-keyroom-s15")`, or `--world` on the command line.
# 2. A **host world** is stepped from Python between compiled parts. Act, remember and learn are the same functions, with
#    the same values. The single compiled program, the true facts and exact resuming are lost.
# 3. Annotator and prompt are settings. **Test the VLM on pictures whose truth you know**: it has an answer for every
#    picture, and the bundled one knows our drawings only.
# 4. Updates = steps × ratio / (batch × length). They take nearly all the hours; a chat model's answers cost tokens ×
#    price.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | the real levels | `sensei_lite/worlds/minihack/world.py`, `keychest.py` |
# | any Gymnasium environment as a world; names | `sensei_lite/worlds/gym_adapter.py`, `registry.py` |
# | the host loop | `sensei_lite/training/host_loop.py` |
# | stages, plans, the command | `sensei_lite/training/pipeline.py`, `plan.py`, `sensei_lite/cli.py` |
# | CLIP of any kind; chat models; prompts | `clip/`, `chat/` in `sensei_lite/annotators/` |
# | cost of answers; counting operations | `sensei_lite/annotators/chat/limits.py`, `sensei_lite/course/flops.py` |
# | the paper's sizes | `paper()` in `sensei_lite/presets.py`; measured times: `book/run_times.md` |

# %% [markdown]
# ## Further reading
#
# - C. Sancaktar, C. Gumbsch et al., *SENSEI: Semantic Exploration Guided by Foundation Models to Learn Versatile World
#   Models*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584).
# - H. Küttler et al., *The NetHack Learning Environment*, NeurIPS 2020,
#   [arXiv 2006.13760](https://arxiv.org/abs/2006.13760).
# - M. Samvelyan et al., *MiniHack the Planet: A Sandbox for Open-Ended Reinforcement Learning Research*, 2021,
#   [arXiv 2109.13202](https://arxiv.org/abs/2109.13202).
# - A. Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021,
#   [arXiv 2103.00020](https://arxiv.org/abs/2103.00020). CLIP.
# - M. Klissarov et al., *Motif: Intrinsic Motivation from Artificial Intelligence Feedback*, 2023,
#   [arXiv 2310.00166](https://arxiv.org/abs/2310.00166). The same idea with texts of NetHack.
#
# **Next:** [10 · Robots](10_robots.ipynb): actions that are numbers, and a desk to explore.

# %%
host.close(), many.close(), mine.close()
temporary.cleanup()
notebook.finish()
