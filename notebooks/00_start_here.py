# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here: three agents in one room
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/00_start_here.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/00_start_here.ipynb)
#
# **Your time:** 15 minutes. **The machine's time:** about one minute (the last cell prints what it was).
#
# **Before you start:** you know Python, and you have seen a neural network. You need nothing else.
#
# **Afterwards you can**
#
# 1. say what your machine can do, and how long the whole method takes on it;
# 2. tell a random, a curious and a SENSEI agent apart by what they do;
# 3. count events per 1,000 steps, the measure of this course;
# 4. name the four stages of SENSEI, and find the notebook that builds each.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import os
import platform
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Video

import sensei_lite as sl
from sensei_lite.course import curious_observations, provenance, tqdm
from sensei_lite.course.checks import start_here as check
from sensei_lite.plots import EVENT_WORDS, LOOKS, save_mp4
from sensei_lite.training import play_random_episodes
from sensei_lite.worlds import random_actions, reset_batch, step_batch

# %%
notebook = sl.start_notebook()  # keeps compiled programs for the next time, sets the figures' style, starts the clock
EPISODES, SEEDS = (40, 2) if notebook.smoke else (100, 5)

# %% [markdown]
# ## 1. Is everything here?
#
# Run each cell with Shift + Enter, from top to bottom. The next one looks at your machine. Then it multiplies large
# matrices for a moment. Learning is mostly such products, so their speed says how long things take.


# %%
def matrix_rate(size=1024, repeats=20):
    """Products of large matrices: billions of operations a second, the best of several runs."""
    product = jax.jit(lambda a: a @ a)
    a = jnp.ones((size, size)) / size
    product(a).block_until_ready()  # compiles
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e9


print(f"Python {platform.python_version()}, JAX {jax.__version__}, on {jax.devices()[0].platform.upper()}")
print(f"{os.cpu_count()} processor cores")
print(f"matrix products: {matrix_rate():,.0f} billion operations a second")
stages = provenance()["run"]
print(f"The agents below learned on two cores of a server, with {stages['updates']:,} updates each.")

# %% [markdown]
# Two cores and 8 GB of memory are enough for everything in this course. A server with two cores at 300 to 400 billion
# operations a second took about 7 minutes for the whole method, `make run`. A machine with half of that rate takes
# about twice as long.
#
# Some cells do something for the first time, and JAX then compiles a program. That takes some seconds. The second time
# it is fast, even after a restart.

# %% [markdown]
# ## 2. A room with a question in it
#
# Our agents live in **KeyRoom**. There is a key, a locked door, and a dark closet with an exit. Nobody tells an agent
# what to do. There is no score for the key or the door. So what should it do?
#
# - The **random** agent chooses every action by chance.
# - The **curious** agent (*Plan2Explore*) goes where it cannot yet predict what happens.
# - The **SENSEI** agent is curious too. But it also has a *taste*: a vision-language model (VLM) looked at pairs of
#   pictures and said which is more interesting.
#
# The curious and the SENSEI agent were trained for this course, for the same number of steps. They are shipped with the
# package, so you need not wait. Here is the loop in which any agent lives: look, choose, step.


# %%
def watch(world, agent, *, key):
    """One episode: pictures, events on the way to each, and where the agent stood. Without an agent: random actions."""
    begin_key, key = jax.random.split(key)
    state, row = begin(world, keys=begin_key[None])  # a batch of one world
    policy_state = None if agent is None else sl.initial_policy_state(agent, 1, world.actions.size)
    pictures, events, places = [np.asarray(row.image[0])], [[]], [tuple(state.agent[0].tolist())]
    while not row.is_last[0]:
        key, choice_key, step_key = jax.random.split(key, 3)
        if agent is None:
            action = random_actions(world, (1,), key=choice_key)
        else:
            policy_state = act(agent, policy_state, row.image, row.is_first, key=choice_key)
            action = sl.agent.decode_action(world.actions, policy_state.action)
        state, row = advance(world, state, row.is_last, action, keys=step_key[None])
        pictures.append(np.asarray(row.image[0]))
        events.append([name for name, happened in row.events.items() if happened[0]])
        places.append(tuple(state.agent[0].tolist()))
    return pictures, events, places


begin, advance = jax.jit(reset_batch, static_argnums=0), jax.jit(step_batch, static_argnums=0)
act = jax.jit(sl.act)

# %% [markdown]
# **Predict first.** Before you run the next two cells: which agent takes the key? Which opens the door? Which one stops
# moving around, and why?

# %%
world = sl.trained_world()
players = {"random": None, "plan2explore": sl.trained_agent("plan2explore"), "sensei": sl.trained_agent("sensei")}
NAMES = {"random": "random", "plan2explore": "curious (Plan2Explore)", "sensei": "SENSEI"}
ROOM = jax.random.key(4)  # the same key: all three begin in the same room
films = {name: watch(world, agent, key=ROOM) for name, agent in tqdm(players.items(), leave=False)}
for name, (pictures, events, _) in films.items():
    noted = ("key_picked_up", "door_reached", "door_opened", "exit_reached")
    told = [f"{EVENT_WORDS[e]} at step {t}" for t, names in enumerate(events) for e in names if e in noted]
    print(f"{NAMES[name]}: {len(pictures) - 1} steps; {'; '.join(told) or 'nothing happened'}")


# %%
def side_by_side(films, scale=6):
    """Frames of all films beside each other; a film that is over rests on its last picture."""
    longest = max(len(pictures) for pictures, _, _ in films.values())
    frames = []
    for t in range(longest):
        now = [pictures[min(t, len(pictures) - 1)] for pictures, _, _ in films.values()]
        frames.append(np.concatenate([np.pad(p, ((2, 2), (2, 2), (0, 0)), constant_values=255) for p in now], axis=1))
    return [frame.repeat(scale, 0).repeat(scale, 1) for frame in frames]


with tempfile.TemporaryDirectory() as folder:
    save_mp4(side_by_side(films), Path(folder) / "three.mp4", frames_per_second=8)
    video = (Path(folder) / "three.mp4").read_bytes()
attributes = (
    "controls loop muted style='max-width: 100%' aria-label='Three agents in the same room: random, curious, SENSEI'"
)
Video(video, embed=True, mimetype="video/mp4", html_attributes=attributes)

# %% mystnb={"image": {"alt": "Three rows of five pictures: one episode of the random, the curious and the SENSEI agent."}}
figure, panels = plt.subplots(3, 5, figsize=(8, 6))
for line, (name, (pictures, _, _)) in zip(panels, films.items(), strict=True):
    moments = np.linspace(0, len(pictures) - 1, 5).round().astype(int)
    for axes, t in zip(line, moments, strict=True):
        axes.imshow(pictures[t])
        axes.set_title(f"step {t}", fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    line[0].set_ylabel(NAMES[name], fontsize=10)
plt.show()

# %% [markdown]
# *Figure 1. The same room, three agents, from left to right: the random, the curious and the SENSEI agent are the rows,
# and time goes to the right. Notice how long each episode is: it ends when the agent stands on the exit, or after the
# last allowed step.*
#
# One episode says little. Agents act with some chance, and rooms differ. So we count.

# %% [markdown]
# ## 3. Count what matters
#
# The world reports **events**, such as *takes the key*. No agent ever sees them; they are our measure. **Predict
# first:** in how many of a hundred episodes does each agent open the door?

# %%
keys = [jax.random.key(100 + seed) for seed in range(SEEDS)]


def shares(agent):
    """In what share of EPISODES episodes each event happens: {event: array [seeds]}."""
    if agent is None:
        outcomes = [play_random_episodes(world, EPISODES, key=key) for key in keys]
    else:
        outcomes = [sl.play_episodes(agent, world, EPISODES, key=key) for key in keys]
    return {name: np.array([outcome.reached[name] for outcome in outcomes]) for name in world.event_names}


found = {name: shares(agent) for name, agent in tqdm(players.items(), desc="agents", leave=False)}

# %% mystnb={"image": {"alt": "For each event and agent the share of episodes in which it happened, as points."}}
milestones = ["key_picked_up", "door_reached_with_key", "door_opened", "exit_reached"]
words = ["takes the key", "stands at the door\nwith the key", "opens the door", "reaches the exit"]
figure, axes = plt.subplots(figsize=(7.5, 3.6))
for name, events in found.items():
    means = [100 * events[event].mean() for event in milestones]
    axes.plot(range(4), means, **LOOKS[name])
    axes.text(0.08, means[0] + 2, NAMES[name], color=LOOKS[name]["color"])
    for place, event in enumerate(milestones):
        axes.plot(np.full(SEEDS, place), 100 * events[event], "_", color=LOOKS[name]["color"], markersize=12)
axes.set_xticks(range(4), words)
axes.set(ylabel="% of episodes", ylim=(-3, 108), xlim=(-0.3, 3.3))
plt.show()

# %% [markdown]
# *Figure 2. In what share of the episodes each event happens, for trained agents. Lines join means; short bars are
# single batches of episodes. Notice that one agent meets the door even less often than chance.*
#
# Is curiosity worse than chance, then? Not while it learns. Here is how often the door was opened during training, when
# the curious agent still had something to find out:

# %%
rates = {
    row["agent"]: float(row["value"]) for row in provenance()["scores"] if row["measure"].startswith("door_opened per")
}
for name, rate in rates.items():
    print(f"{NAMES[name]}: the door opened {rate:.1f} times per 1,000 steps of training")
random_rate = np.mean([play_random_episodes(world, EPISODES, key=key).reached["door_opened"] for key in keys])
print(f"random: about {1000 * random_rate / world.max_steps:.1f}")

# %% [markdown]
# When the curious agent knows the door, nothing there is new, and it leaves. SENSEI still finds the open door
# *interesting*. That is the idea of the paper in one figure.
#
# > **Be careful.** These are two trained agents, one of each kind, in one small room. Notebook 08 shows the same
# > question over five seeds, with intervals, and says what was not shown.

# %% [markdown]
# ### Exercise 1: events per 1,000 steps
#
# An episode that ends early has fewer steps. So this course counts events **per 1,000 steps**. Write it: `events` is a
# list with the number of events in each episode, `steps` a list with the number of steps of each.


# %% tags=["exercise-1"]
def per_1000_steps(events, steps):
    """How often the event happened in 1,000 steps, over all episodes together."""
    return None  # your code


# %% tags=["check-1"]
check.per_1000_steps(per_1000_steps)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# An episode of 10 steps must not count as much as one of 100. So add up first, and divide once.
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def per_1000_steps(events, steps):
#     return 1000 * sum(events) / sum(steps)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2: who is who?
#
# The same three agents, without names. Each map shows where one of them stood, over many episodes. Which one is random,
# which one is curious, which one is SENSEI?


# %%
def where_it_stood(agent, episodes, *, key):
    """The share of steps that the agent spent on each cell [rows columns], in %."""
    steps = np.zeros(world.grid_shape)
    for number in tqdm(range(episodes), desc="episodes", leave=False):
        _, _, places = watch(world, agent, key=jax.random.fold_in(key, number))
        np.add.at(steps, tuple(np.array(places).T), 1)
    return 100 * steps / steps.sum()


letters = check.in_mixed_order(players)  # somebody took the names away: {"A": an agent, "B": ..., "C": ...}
maps = {letter: where_it_stood(agent, 4 if notebook.smoke else 20, key=ROOM) for letter, agent in letters.items()}

# %% mystnb={"image": {"alt": "Three maps of the room, agents A, B and C: the share of steps spent on each cell."}}
figure, panels = plt.subplots(1, 3, figsize=(8, 3.2))
for axes, (letter, share) in zip(panels, maps.items(), strict=True):
    drawn = axes.imshow(share, vmin=0, vmax=15)
    for row, column in np.argwhere(share >= 1):
        shade = "black" if share[row, column] > 9 else "white"
        axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=7, color=shade)
    axes.set_title(f"agent {letter}")
    axes.set(xticks=[], yticks=[])
figure.colorbar(drawn, ax=panels, label="% of its steps", shrink=0.8)
plt.show()

# %% [markdown]
# *Figure 3. Where three agents stood, in % of their steps (cells under 1% carry no number). Compare with the pictures
# in Figure 1: the closet is behind the door. Notice who has a favourite place.*


# %% tags=["exercise-2"]
def who_is_who():
    """The agents' names by letter, such as {"A": "random", "B": "plan2explore", "C": "sensei"}."""
    return None  # your answer


# %% tags=["check-2"]
check.who_is_who(who_is_who)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# Who is often at the door, or behind it? Who spreads its steps over the room, without a plan? Who has a favourite
# corner?
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def who_is_who():
#     return {"A": "sensei", "B": "random", "C": "plan2explore"}
# ```
#
# </details>

# %% [markdown]
# ## 4. How SENSEI comes to its taste: four stages
#
# 1. **Collect.** A curious agent walks around. Its pictures are the data set $D_{init}$.
# 2. **Annotate.** For pairs of these pictures a VLM says which one is more interesting. Here the VLM is a small CLIP
#    that is part of the package.
# 3. **Distil.** A network $R_\psi$ learns from the answers to give any picture a number. From now on the VLM is not needed.
# 4. **Explore.** A world model learns to predict what comes next, how interesting it is, and where it is not sure.
#    The agent learns inside of this model, in *dreams*. A *switch* decides in each state: **go** to what is
#    interesting, or, once there, **explore** what is new.
#
# **Predict first.** Below are pictures from $D_{init}$. Put them in order: what is the most interesting one?

# %% mystnb={"image": {"alt": "Six pictures from the curious agent's memory, in the order of what R_psi gives them."}}
seen, reward_model = curious_observations(), sl.trained_reward_model()
facts = np.stack([seen.facts[name] for name in ("key_picked_up", "door_opened", "exit_reached")], axis=1)
chosen = np.concatenate([np.flatnonzero(facts.sum(1) == level)[[0, -1]] for level in range(3)])
numbers = np.asarray(reward_model(jnp.asarray(seen.images[chosen])))
figure, panels = plt.subplots(1, 6, figsize=(9, 2.2))
for axes, place in zip(panels, numbers.argsort(), strict=True):
    axes.imshow(seen.images[chosen[place]])
    axes.set_title(rf"$R_\psi$ = {numbers[place]:.1f}", fontsize=10)
    axes.set_axis_off()
plt.show()

# %% [markdown]
# *Figure 4. Six pictures that the curious agent saw, in the order that the distilled taste gives them. Notice what the
# agent holds (the strip below the room), and whether the door is open.*
#
# Nobody wrote a rule such as "a key is worth 2". The taste comes from a model that has seen pictures and their
# descriptions. This is why it can be wrong, too. Notebooks 05 and 06 measure how often.

# %% [markdown]
# ## 5. Find your way
#
# | notebook | what you build | minutes |
# |---|---|---|
# | 01 · Worlds | the room: pictures, events, rows of experience | 30 |
# | 02 · RSSM | the world model: what will the next picture be? | 75 |
# | 03 · Imagination | an agent that learns in dreams | 60 |
# | 04 · Curiosity | an ensemble that knows what it does not know | 45 |
# | 05 · VLM annotation | questions and answers about pictures | 60 |
# | 06 · Reward distillation | from answers to a number | 60 |
# | 07 · SENSEI | the switch, and the full agent | 75 |
# | 08 · Evidence | what the numbers show, and what they do not | 45 |
# | 09 · Real worlds | MiniHack, other VLMs, the paper's scale | 30 |
# | 10 · Robots | actions that are numbers, a desk to explore | 45 |
#
# In a hurry? Read 02, 04, 05 and 07. Each notebook stands alone: it loads what the earlier ones made.
#
# Each notebook builds an idea by hand and then uses the same code from the package `sensei_lite`. So you can change
# anything: the whole package is written to be read. The folder's layout is the layout of the method.

# %% [markdown]
# **Exercises** have a check that says *Right*, *Not yet* or *Not quite*, and names a likely mistake. Hints and
# solutions are folded away. Later cells never need your answer, so you can leave an exercise and come back.
#
# **Small numbers or full numbers?** All notebooks run in a few minutes. With the environment variable
# `SENSEI_LITE_PRESET=smoke` they run in seconds and learn nothing, which is good for testing an installation. Set it
# before Jupyter starts: `SENSEI_LITE_PRESET=smoke make lab`.
#
# **Which file?** Open those that end in `.ipynb`. The `.py` files beside them hold the same notebooks as plain text, for
# people who change the course. `make student` writes copies without the solutions to `build/student`: work in these if
# you want to keep the originals clean.

# %% [markdown]
# ### Exercise 3 (open): what would you ask?
#
# Imagine that you may ask a person one question about two pictures of a kitchen robot. You want the robot to find out
# what a kitchen is for. What do you ask? What answer would teach it something wrong? Write two sentences; notebook 05
# comes back to them.
#
# <details><summary>Thoughts on 3</summary>
#
# "Which is more interesting?" leaves it to the one who answers what interesting means. "In which one does the robot use
# something?" is easier to answer, but it contains your own idea of the goal. The paper does both: a *specific* prompt
# describes the world and what counts, and a *general* one first asks the model itself what there could be to do. A
# wrong lesson: if every answer favours pictures with an open flame, the robot learns to switch on the stove and stay.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. Two cores are enough. The rate of matrix products says how long learning takes on your **machine**.
# 2. The **random** agent meets the door rarely. The **curious** agent goes where something is unknown, and leaves when
#    it knows it. **SENSEI** goes on to what its taste finds interesting.
# 3. **Events per 1,000 steps** are counted over all episodes together. Events measure; agents never see them.
# 4. **Collect, annotate, distil, explore**: four stages, and a notebook for each.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | the trained agents, and how they were made | `sensei_lite/course/pretrained.py`, `sensei_lite/course/trained/provenance.json` |
# | look, choose, step | `sensei_lite/agent/state.py` (`act`), `sensei_lite/worlds/base.py` (`step_batch`) |
# | what every notebook begins with | `sensei_lite/course/notebook.py` (`start_notebook`) |
# | counting in whole episodes | `sensei_lite/training/evaluate.py` |
# | all four stages in one command | `sensei_lite/training/plan.py`, `sensei_lite/training/pipeline.py` |
# | who wants what: all agents by name | `sensei_lite/presets.py` |

# %% [markdown]
# ## Further reading
#
# - C. Sancaktar, C. Gumbsch et al., *SENSEI: Semantic Exploration Guided by Foundation Models to Learn Versatile World
#   Models*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584). The paper of this course.
# - R. Sekar et al., *Planning to Explore via Self-Supervised World Models*, ICML 2020,
#   [arXiv 2005.05960](https://arxiv.org/abs/2005.05960). Plan2Explore, the curious agent.
# - D. Hafner et al., *Mastering Diverse Domains through World Models*, 2023,
#   [arXiv 2301.04104](https://arxiv.org/abs/2301.04104). DreamerV3, the world model and its agent.
# - M. Klissarov, P. D'Oro et al., *Motif: Intrinsic Motivation from Artificial Intelligence Feedback*, 2023,
#   [arXiv 2310.00166](https://arxiv.org/abs/2310.00166). Preferences of a language model as a reward.
#
# **Next:** 01 · Worlds, where you play the room yourself.

# %%
notebook.finish()
