# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · SENSEI: go where it is interesting, then explore
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/07_sensei.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/07_sensei.ipynb)
#
# **Your time:** 75 minutes. **The machine's time:** about three minutes (the last cell prints what it was).
#
# **Before you start:** returns and advantages (notebook 03), disagreement $r_{dis}$ (04), and the taste $R_\psi$ (06).
#
# **Afterwards you can**
#
# 1. write the go/explore switch in the paper's form and in the research code's, and say how they differ;
# 2. compute its threshold as a running percentile;
# 3. read a trace of an episode: $r_{sem}$, $r_{dis}$, threshold, branch, weights;
# 4. train the full agent, and say what one seed is worth;
# 5. predict what each ablation does, and then check.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)
    tables = "https://github.com/sensei-lite/sensei_lite"  # the study's tables lie in the repository
    subprocess.run(["git", "clone", "--quiet", "--depth=1", tables, "clone"], check=True)

# %%
import dataclasses

import jax
import matplotlib.pyplot as plt
import numpy as np

import sensei_lite as sl
from sensei_lite.agent import (
    PercentileNormaliser,
    ReturnSwitch,
    RewardSwitch,
    RunningQuantile,
    absorbing_state_reward,
    advantages,
)
from sensei_lite.course import learning_curves, study_table, switch_explorer, tqdm, weigh
from sensei_lite.course.checks import switch as check
from sensei_lite.plots import LOOKS, play_trace, rates, spans, state_figure, trace_figure
from sensei_lite.training import start_training, train_chunk

# %%
notebook = sl.start_notebook()
# The settings that the shipped agents learned with, in their one room.
shipped = sl.trained_agent("sensei").config
PRESET, UPDATES, WINDOW = (sl.PRESETS["smoke"](), 20, 2) if notebook.smoke else (shipped, 3000, 5)

# %% [markdown]
# ## 1. The idea in one picture
#
# A corridor has 30 cells. How *interesting* they are is a hill with its top at cell 24. What is *new* in a cell shrinks
# with every visit. An agent starts in cell 12, plans ahead, and takes 150 steps.
#
# **Predict first.** Where does it spend its time if it wants (a) only what is interesting, (b) only what is new, (c)
# the sum of both, (d) what is new, but only where it is interesting enough?


# %%
def plan(reward, discount=0.9):
    """Values of all cells, by value iteration: in each step stay, go left, or go right."""
    value = np.zeros(len(reward))
    for _ in range(60):
        left, right = np.r_[value[0], value[:-1]], np.r_[value[1:], value[-1]]
        value = reward + discount * np.max([value, left, right], axis=0)
    return value


def visits_of(want, start=12, steps=150):
    """How often the agent is in each cell, if it wants ``want(taste, what is new)``."""
    cell, visits = start, np.zeros(30, int)
    visits[cell] += 1
    for _ in range(steps):
        value = plan(want(interest, 1 / (1 + visits)))
        near = [c for c in (cell - 1, cell, cell + 1) if 0 <= c < 30]
        cell = max(near, key=lambda c: value[c])
        visits[cell] += 1
    return visits


interest = np.clip(1 - np.abs(np.arange(30) - 24) / 20, 0, 1)
best = interest >= np.percentile(interest, 75)  # the most interesting cells

# %% mystnb={"image": {"alt": "Four bar charts of visits to 30 cells, one for each agent; the best cells are hatched."}}
wants = {
    "(a) only interesting": lambda taste, new: taste,
    "(b) only new": lambda taste, new: new,
    "(c) the sum": lambda taste, new: taste + 3 * new,
    "(d) with a switch": lambda taste, new: np.where(best, taste + 3 * new, taste + 0.1 * new),
}
figure, panels = plt.subplots(2, 2, figsize=(8, 4.4), sharex=True)
for axes, (name, want) in zip(panels.flat, wants.items(), strict=True):
    visits = visits_of(want)
    axes.axvspan(*(np.flatnonzero(best)[[0, -1]] + [-0.5, 0.5]), hatch="////", facecolor="0.95", edgecolor="0.8")
    axes.bar(range(30), visits, color="black", width=0.7)
    axes.plot(interest * 0.9 * visits.max(), color="0.55", linestyle="--")
    known = f"{visits[best].sum()} of 151 visits there, to {(visits[best] > 0).sum()} of {best.sum()} cells"
    axes.set_title(f"{name}: {known}", fontsize=9, loc="left")
for axes in panels[1]:
    axes.set_xlabel("cell")
for axes in panels[:, 0]:
    axes.set_ylabel("visits")
plt.show()

# %% [markdown]
# *Figure 1. Visits to each cell (bars), interest (dashed, scaled), and the most interesting quarter (hatched). Notice
# that (a) finds the top and stays, (b) treats all cells alike, (c) mixes both everywhere, and (d) walks straight to the
# hatched part and visits all of it.*
#
# That is SENSEI: **go** to what is interesting; once there, **explore**.

# %% [markdown]
# ## 2. The paper's form: rewards are weighed
#
# For every state of a dream, the world model predicts $r_{sem}$, and the ensemble gives $r_{dis}$. A threshold chooses
# the branch:
#
# $$r_t = r_{sem,t} + \beta\, r_{dis,t}, \qquad
# \beta = \begin{cases}\beta_{explore} & r_{sem,t} \ge Q_k\\ \beta_{go} & \text{otherwise}\end{cases}
# \qquad \beta_{explore} > \beta_{go}$$
#
# $Q_k$ is a *running* $k$-th percentile of $r_{sem}$: with every batch of dreams, it moves a little towards that
# batch's percentile $p$.
#
# $$Q \leftarrow \delta\, Q + (1-\delta)\, p, \qquad \delta = 0.99.$$
#
# **Predict first.** The agent learns to reach interesting states more often. What happens to $Q$, and to a state that
# was once called interesting?

# %%
rng = np.random.default_rng(0)
batches = [rng.normal(mean, 1, (11, 64)) for mean in (0, 0, 5)]  # [time dreams]: the third batch is better
seen = RunningQuantile.create()
for batch in batches:
    seen = seen.update(batch, 90.0, decay=0.99)
    print(f"90th percentile of the batch {np.percentile(batch, 90):.2f}, running {seen.value:.2f}")

p = [np.percentile(batch, 90) for batch in batches]
by_hand = 0.99 * (0.99 * p[0] + 0.01 * p[1]) + 0.01 * p[2]
np.testing.assert_allclose(seen.value, by_hand, rtol=1e-5)

# %% [markdown]
# So what was interesting becomes ordinary. "Interesting" means: better than most of what the agent dreams of **now**.
#
# > **Paper vs code, R2.** The research code's average starts at 0. Here the first batch sets it.

# %% [markdown]
# ### Exercise 1: the threshold
#
# Write $Q$ after a list of batches: the first batch sets it, all others move it.


# %% tags=["exercise-1"]
def running_threshold(batches, k, decay):
    """Q after all batches. k goes from 0 to 100."""
    return None  # your code


# %% tags=["check-1"]
check.running_threshold(running_threshold)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `np.percentile(batch, k)` counts `k` from 0 to 100, over all axes. What stays, what moves: which weight is 0.99?
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def running_threshold(batches, k, decay):
#     Q = np.percentile(batches[0], k)
#     for batch in batches[1:]:
#         Q = decay * Q + (1 - decay) * np.percentile(batch, k)
#     return Q
# ```
#
# </details>

# %% [markdown]
# Now the branches, state by state: three dreams of six states, weighed by hand and by the package.

# %%
go = {"semantic": 1.0, "disagreement": 1.0}
explore = {"semantic": 1.0, "disagreement": 10.0}
settings = sl.config.SwitchConfig(rule="reward", percentile=60, go=tuple(go.items()), explore=tuple(explore.items()))
for _ in range(3):  # three dreams
    r_sem, r_dis = rng.normal(0, 1, 6), rng.uniform(0, 0.1, 6)
    Q = np.percentile(r_sem, 60)
    by_hand = []
    for t in range(6):
        w = explore if r_sem[t] >= Q else go
        by_hand.append(w["semantic"] * r_sem[t] + w["disagreement"] * r_dis[t])
    switch = RewardSwitch.create(settings).update(r_sem)
    exploring = switch.is_exploring(r_sem)
    rewards = {"semantic": r_sem, "disagreement": r_dis}
    np.testing.assert_allclose(switch.threshold, Q, rtol=1e-5)
    np.testing.assert_allclose(switch.reward(rewards, exploring), by_hand, rtol=1e-5)
for t in range(6):
    branch = "explore" if exploring[t] else "go     "
    print(f"r_sem {r_sem[t]:5.2f}, Q {Q:.2f}: {branch} r_dis {r_dis[t]:.3f}, together {by_hand[t]:5.2f}")

# %% [markdown]
# ### Exercise 2: the paper's reward
#
# Write it for arrays of any shape, without a loop. `go` and `explore` are dictionaries as above.


# %% tags=["exercise-2"]
def exploration_reward(r_sem, r_dis, Q, go, explore):
    """The weighed reward of every state."""
    return None  # your code


# %% tags=["check-2"]
check.exploration_reward(exploration_reward)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# `np.where(condition, a, b)` chooses in every place. A state *at* the threshold explores.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def exploration_reward(r_sem, r_dis, Q, go, explore):
#     exploring = r_sem >= Q
#     w_sem = np.where(exploring, explore["semantic"], go["semantic"])
#     w_dis = np.where(exploring, explore["disagreement"], go["disagreement"])
#     return w_sem * r_sem + w_dis * r_dis
# ```
#
# </details>

# %% [markdown]
# ## 3. The research code's form: advantages are weighed
#
# The published code does something else. Each stream $s$ has a critic $v_s$ and a $\lambda$-return $R_s$, and the
# switch compares the **return** of $r_{sem}$:
#
# $$\text{explore}_t = R_{sem,t} \ge Q_k(R_{sem}), \qquad
# A_t = \frac{1}{W}\sum_s w_{s,t}\,\frac{R_{s,t} - v_s(s_t)}{\text{scale}_s}, \qquad
# W = \sum_s w_s^{explore}$$
#
# | | paper | research code |
# |---|---|---|
# | held against $Q$ | $r_{sem}$ | its return |
# | weighed | rewards | advantages, each on its own scale |
# | critics | one | one for each stream |
# | go: sem, dis (KeyRoom) | 1, $\beta_{go}$ | 1, 0.1 |
# | explore: sem, dis | 1, $\beta_{explore}$ | 0.3, 1 |
# | divided by | nothing | $W$, in both branches |
#
# $\text{scale}_s$ is the running range of the returns, at least 1. So streams in different units become comparable, and
# small noise stays small. One state by hand, in both branches:

# %%
code = sl.config.SwitchConfig()  # the package's default, with the weights of the table
returns = {"semantic": np.array([[30.0]]), "disagreement": np.array([[0.30]])}  # [steps dreams]
values = {"semantic": np.array([[28.0]]), "disagreement": np.array([[0.20]])}
scales = {"semantic": PercentileNormaliser(20.0, 31.0), "disagreement": PercentileNormaliser(0.1, 0.4)}  # low, high
of_semantic = (30.0 - 28.0) / max(1, 31.0 - 20.0)
of_disagreement = (0.30 - 0.20) / max(1, 0.4 - 0.1)  # a small range is not stretched
if_go = (1.0 * of_semantic + 0.1 * of_disagreement) / (0.3 + 1.0)
if_explore = (0.3 * of_semantic + 1.0 * of_disagreement) / (0.3 + 1.0)
total = ReturnSwitch.create(code).total_weight
for branch, by_hand in {"go": if_go, "explore": if_explore}.items():
    weights = dict(getattr(code, branch))
    found = advantages(returns, values, scales, weights, total)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    print(f"{branch:8} A = {by_hand:.3f}")

# %% [markdown]
# ### Exercise 3: the combined advantage
#
# Write $A_t$ for all imagined states. All arguments but `exploring` are dictionaries over the streams.


# %% tags=["exercise-3"]
def combined_advantage(returns, values, scales, exploring, go, explore):
    """A_t, of the shape of ``exploring``. Every entry of scales is one number."""
    return None  # your code


# %% tags=["check-3"]
check.combined_advantage(combined_advantage)

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# Scale each stream's advantage, then weigh it by the branch. Divide the sum once.
#
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# def combined_advantage(returns, values, scales, exploring, go, explore):
#     total = 0.0
#     for name in returns:
#         w = np.where(exploring, explore[name], go[name])
#         total = total + w * (returns[name] - values[name]) / scales[name]
#     return total / sum(explore.values())
# ```
#
# </details>

# %% [markdown]
# The package does the same for a whole batch. A loop over single states agrees:

# %%
shape = (10, 64)  # steps, dreams
R = {"semantic": rng.normal(30, 3, shape), "disagreement": rng.uniform(0, 0.5, shape)}
v = {name: returns + rng.normal(0, 0.1, shape) for name, returns in R.items()}
switch = ReturnSwitch.create(code).update(R["semantic"])
exploring = np.asarray(switch.is_exploring(R["semantic"]))
found = advantages(R, v, scales, switch.weights(exploring), switch.total_weight)
for place in np.ndindex(shape):
    w = dict(code.explore if R["semantic"][place] >= np.percentile(R["semantic"], 90) else code.go)
    parts = [w[name] * (R[name][place] - v[name][place]) / scales[name].scale for name in R]
    np.testing.assert_allclose(found[place], sum(parts) / 1.3, rtol=1e-3, atol=1e-4)
print(f"{found.size} states agree; {exploring.mean():.0%} of them explore")

# %% [markdown]
# > **Paper vs code, S1.** In place of $Q_k$, the research code has a *range*: the distance from the 5th to the $k$-th
# > percentile, at least 1. `threshold="range"` repeats this, as in the `paper` preset.
#
# **Predict first.** Preferences fix $r_{sem}$ only up to a constant. We add a constant to all returns. Which
# threshold still says explore in 10% of the states?

# %%
ranged = dataclasses.replace(code, threshold="range")
for constant in (0, -24, -60):
    shifted = R["semantic"] + constant
    told = []
    for kind in (code, ranged):
        switch = ReturnSwitch.create(dataclasses.replace(kind, decay=0.0)).update(shifted)  # no memory: this batch only
        told.append(f"{kind.threshold} {switch.threshold:6.2f}, explore {switch.is_exploring(shifted).mean():4.0%}")
    print(f"returns around {shifted.mean():5.1f}:  {told[0]}   |   {told[1]}")

# %% [markdown]
# With a range, the constant decides. So `lab` takes the percentile.
#
# In an advantage $R - v$, a constant cancels. In the paper's sum it does so only if $r_{sem}$ has the same weight
# in both branches. Section 5 shows what happens otherwise.

# %% [markdown]
# ## 4. Read a recorded episode
#
# We play the shipped agents. A played episode has no dream, so the critic's guess $v_{sem}(s_t)$ stands for the return.

# %%
world, reward_model = sl.trained_world(), sl.trained_reward_model()
sensei, films = sl.trained_agent("sensei"), {}
curious = sensei if notebook.smoke else sl.trained_agent("plan2explore")  # every agent compiles a program of its own
for name, agent in tqdm({"sensei": sensei, "curious": curious}.items(), desc="play", leave=False):
    films[name] = play_trace(agent, world, reward_model=reward_model, key=jax.random.key(0))
    print(f"{name}: {films[name].steps} steps, the world ended: {films[name].is_terminal}")

# %% mystnb={"image": {"alt": "Pictures of an episode of SENSEI; below, interest, critic's value and disagreement."}}
figure = trace_figure(films["sensei"], width=8.0).figure
figure.set_size_inches(8, 6)
figure

# %% [markdown]
# *Figure 2. One episode of SENSEI: its moments, the predicted interest beside $R_\psi$, the value that is held against
# the threshold, and disagreement. Hatched: explore. Notice that $r_{sem}$ rises in stairs, and the value before each
# stair. (Where the world has ended, the value means nothing.)*
#
# **Predict first.** The next figure is state E, where the door has just opened. Which branch, and which weights?

# %% mystnb={"image": {"alt": "One state: its picture, four numbers on their ranges, the threshold, and two weights."}}
opens_door = int(films["sensei"].events["door_opened"].argmax())
state_figure(films["sensei"], opens_door, width=8.5).figure

# %% [markdown]
# *Figure 3. One state; grey strokes are the others. Notice that the value is below the threshold, so it is "go",
# although $r_{sem}$ is high. When most dreams lead to the exit, "better than 90% of them" is a narrow place.*

# %% mystnb={"image": {"alt": "Pictures of an episode of the curious agent; below, interest and disagreement by step."}}
figure = trace_figure(films["curious"], width=8.0).figure
figure.set_size_inches(8, 4.8)
figure

# %% [markdown]
# *Figure 4. One episode of the curious agent, Plan2Explore. It has no switch, and never sees $R_\psi$ (grey). Notice
# the disagreement: when training is over, little is left to find out, and nothing pulls this agent.*

# %% [markdown]
# ## 5. Turn the knobs
#
# A longer episode shows more: a **random policy** walks about, and SENSEI's model, critics and ensemble judge it.

# %%
blank = jax.tree.map(lambda weight: 0 * weight, sensei.actor)  # a policy of zeros: all actions are equally likely
lost = dataclasses.replace(sensei, actor=blank)
for seed in tqdm(range(2 if notebook.smoke else 40), desc="looking for a walk that opens the door", leave=False):
    walk = play_trace(lost, world, reward_model=reward_model, key=jax.random.key(seed))
    if walk.events["door_opened"][30:70].any():
        break
opened = int(walk.events["door_opened"].argmax())
print(f"a walk of {walk.steps} steps; the door was opened at step {opened}" if opened else "no door was opened")

# %% [markdown]
# Below, $Q$ is a percentile of **this episode**. In training it is a running percentile over thousands of dreams.
#
# **Predict first.** (1) You lower $k$ from 90 to 50. Where does the agent explore now? (2) At first, the weights are
# the research code's. After the door, what does the *weighed reward* do at the edge of a hatched part?

# %%
switch_explorer(walk)

# %% mystnb={"image": {"alt": "Six panels: where the switch says explore in one walk, for three k and both forms."}}
figure, panels = plt.subplots(3, 2, figsize=(8, 4.8), sharex=True, sharey="col")
names = {"reward": "held against $Q$: $r_{sem}$ (paper)", "return": "held against $Q$: $v_{sem}$ (research code)"}
for row, k in zip(panels, (50, 75, 90), strict=True):
    for axes, (compares, name) in zip(row, names.items(), strict=True):
        weighed = weigh(walk, k, dict(code.go), dict(code.explore), compares)
        for begin, end in spans(weighed.exploring):
            axes.axvspan(begin - 0.5, end - 0.5, hatch="////", facecolor="0.93", edgecolor="0.75", linewidth=0)
        axes.plot(walk.semantic if compares == "reward" else walk.compared, "k-", linewidth=1.2)
        axes.axhline(weighed.threshold, color="black", linestyle=":")
        title = f"k = {k}: explore in {weighed.exploring.mean():.0%}"
        axes.set_title(f"{name}\n{title}" if k == 50 else title, fontsize=9, loc="left")
for axes in panels[-1]:
    axes.set_xlabel("step of the walk")
plt.show()

# %% [markdown]
# *Figure 5. The same walk with three percentiles (rows), held against the reward (left) and the value (right). Hatched:
# explore. Notice on the left that many states have nearly the same $r_{sem}$; if $Q$ falls among them, tiny errors
# choose the branch. The value grows on the way to a discovery, so exploring can begin before it.*
#
# Did you see the trap? With weights 1 and 0.3 on plain rewards, an interesting state above 0 pays *less* in the explore
# branch than just below the threshold. The weights of one form do not fit the other. For the paper's form, try 1, 1
# (go) and 1, 10 (explore).

# %% [markdown]
# ## 6. Train the whole agent
#
# Now everything at once: world model, ensemble, critics, switch, policy. Only $R_\psi$ is given. The shipped agents had
# 5,000 updates; you run 3,000.


# %%
def train(config, updates, seed=1):
    """Train from nothing. Returns the state, and for every chunk of updates its metrics and counts."""
    state, rows = start_training(config, world, reward_model, key=jax.random.key(seed)), []
    with tqdm(total=updates, desc="updates (the first ones compile)", leave=False) as bar:
        while bar.n < updates:
            state, metrics, counts = train_chunk(config, world, state)
            rows.append({name: float(value) for name, value in (metrics | counts).items()})
            bar.update(config.train.chunk_updates)
    return state, rows


_, live = train(sl.agent_config(PRESET, "sensei-return"), UPDATES)
total_steps, doors = (sum(row[name] for row in live) for name in ("steps", "door_opened"))
print(f"{total_steps:,.0f} steps, the door opened {doors:.0f} times")

# %% [markdown]
# **Predict first.** Draw door openings over time for Plan2Explore and SENSEI. Who is ahead after a third of your run?

# %% mystnb={"image": {"alt": "Left: door openings of three runs over time. Right: threshold, return, explore share."}}
figure, panels = plt.subplot_mosaic([["door", "return"], ["door", "share"]], figsize=(9, 4.2), width_ratios=[1.5, 1])
looks = {
    "SENSEI, shipped run": (learning_curves("sensei"), LOOKS["sensei"] | {"color": "0.55", "marker": ""}),
    "Plan2Explore, shipped run": (learning_curves("plan2explore"), LOOKS["plan2explore"] | {"markevery": 10}),
    "SENSEI, your run": (live, LOOKS["sensei"] | {"markevery": 6, "linewidth": 2.2}),
}
for name, (rows, look) in looks.items():
    steps, rate = rates(rows, "door_opened", WINDOW)
    panels["door"].plot(steps / 1000, rate, label=name, **look)
panels["door"].set(xlabel="environment steps, thousands", ylabel="door openings per 1,000 steps")
panels["door"].legend(fontsize=9)
steps = np.cumsum([row["steps"] for row in live]) / 1000
for name, style in {"switch/threshold": "k-", "return/semantic": "k--"}.items():
    panels["return"].plot(steps, [row[name] for row in live], style, label=name)
panels["return"].legend(["threshold Q", "mean return"], fontsize=8)
panels["return"].set(title="semantic return in your dreams")
panels["share"].plot(steps, [100 * row["switch/exploring"] for row in live], "k-")
panels["share"].axhline(10, color="black", linestyle=":")
panels["share"].set(title="% of dreamed states that explore", xlabel="steps, thousands", ylim=(0, None))
plt.show()

# %% [markdown]
# *Figure 6. Left: the door, while three agents learn. Right: inside your run. Notice the long flat start. The mean
# return falls at first, because critics begin at 0 and most states are dull. When it rises fast, far more than 10%
# (dotted) of the states explore: $Q$ follows slowly.*
#
# SENSEI starts late: model, semantic head and critics must first learn what leads where. It can also fall again: an
# agent that explores *around* the open door does not end its episode, so it opens fewer doors. One seed proves little.

# %% [markdown]
# ## 7. Predict the ablations
#
# The course's study trained every agent with five seeds. An ablation takes one part away.
#
# **Predict first.** Does the door open more often than with SENSEI, or less? Fill in `"more"` or `"less"`.

# %%
my_predictions = {
    "plan2explore": "",  # curiosity alone: without the taste
    "rnd": "",  # another curiosity alone: random network distillation
    "vlm-motif": "",  # the taste alone: without curiosity
    "sensei-no-switch": "",  # both, with the weights 0.5 and 0.5 everywhere
    "sensei-paper": "",  # both, with the switch in the paper's form
    "sensei-range": "",  # the switch with the threshold that the research code computes (call-out S1)
    "sensei:one-round": "",  # as SENSEI, but all questions about random pairs (call-out P1, below)
    "sensei:scripted": "",  # the truth answers, in place of CLIP
    "sensei:noisy": "",  # the truth, but a quarter of the answers is wrong
    "sensei:few": "",  # CLIP, asked about a twentieth of the pairs
    "sensei:llava": "",  # answers by position, as LLaVA gave them (notebook 05)
    "sensei:llava-both-orders": "",  # the same, asked in both orders
}


# %%
DOORS, EXITS = "door_opened per 1000 steps", "exit_reached per 1000 steps"
study = {(row["agent"], row["measure"]): row for row in study_table("keyroom_lab.csv")}
there = [name for name in my_predictions if (name, DOORS) in study]
for name in there:
    (low, high), ours = ([float(study[agent, DOORS][edge]) for edge in ("low", "high")] for agent in (name, "sensei"))
    found = "more" if low > ours[1] else "less" if high < ours[0] else "not told apart (the intervals overlap)"
    print(f"{name:17} you: {my_predictions[name] or '-':5} study: {found}")
if missing := [name for name in my_predictions if name not in there]:
    print("not in this table:", ", ".join(missing))

# %% mystnb={"image": {"alt": "Door openings and exits per 1,000 steps for each agent: five seeds, mean, interval."}}
shown = ["random", *there, "sensei"]
figure, panels = plt.subplots(1, 2, figsize=(8.5, 0.9 + 0.42 * len(shown)), sharey=True)
for axes, figure_name in zip(panels, (DOORS, EXITS), strict=True):
    for place, name in enumerate(shown):
        row = study[name, figure_name]
        look = {"color": "black", "marker": "*"} | {k: v for k, v in LOOKS.get(name, {}).items() if k != "linestyle"}
        axes.hlines(place, float(row["low"]), float(row["high"]), color=look["color"], linewidth=5, alpha=0.35)
        seeds = [float(value) for key, value in row.items() if key.startswith("seed_") and value]
        axes.plot(seeds, [place] * len(seeds), "|", color="black", markersize=11)
        axes.plot(float(row["iqm"]), place, linestyle="", markersize=8, **look)
    axes.set(xlabel=figure_name.replace("_", " ").replace(" per 1000", "\nper 1,000"), xlim=(0, None))
panels[0].set_yticks(range(len(shown)), shown)
panels[0].set_ylim(-0.5, len(shown) - 0.5)
plt.show()

# %% [markdown]
# *Figure 7. Five seeds of each agent (strokes), the mean of their middle half (marker) and its 95% interval (band), over all
# of training. Notice how far apart SENSEI's seeds lie, and that its band still lies to the right of Plan2Explore's.
# Where bands overlap, five seeds cannot tell two agents apart.*
#
# **Taste** carries the effect here: without it (plan2explore, rnd), doors open seldom; also with answers by
# position (llava). Without curiosity, without the switch, and with the paper's form, they open *more* often than with
# SENSEI. In this room, the switch costs more than it brings.
#
# Our explanation: the room is **small**. Random steps reach every next stair of $r_{sem}$, so taste alone
# is enough, and curiosity costs time. The research code's switch explores where the return is highest, at the open
# door, and lowers the weight of $r_{sem}$ there. The paper's form keeps it.
#
# What stops VLM-Motif? A stair that chance does not reach. The study's second world, **KeyChest**, has one: there
# VLM-Motif stays where the key was (four of five seeds), Plan2Explore finds the chest and leaves it, and SENSEI, with
# threshold `range`, keeps opening it.
#
# > **Paper vs code, P1.** In the paper, pairs of pictures are drawn at random. In `lab`, half are; the others are
# > pictures that a first $R_\psi$ finds interesting.

# %% [markdown]
# ## 8. What can go wrong
#
# **The agent stands at the door.** The exit ends an episode. What is it worth to go there, and what to stay in front of
# it for ever? We take $r_{sem}$ from SENSEI's episode. **Predict first.** If nothing follows an end, does a good
# learner take the exit?

# %%
GAMMA = sensei.config.behaviour.discount
r_exit, r_open = films["sensei"].semantic[-1], films["sensei"].semantic[-2]  # the last state, and the one before it
for constant in (0, -3):
    exit_, open_ = r_exit + constant, r_open + constant
    lasts = absorbing_state_reward(np.array([exit_]), np.array([0.0]), GAMMA)[0]  # 0: the episode does not continue
    np.testing.assert_allclose(lasts, exit_ / (1 - GAMMA), rtol=1e-4)
    stay = open_ / (1 - GAMMA)
    print(f"r_sem {constant:+}: stay {stay:6.1f} | exit, then nothing {exit_:5.1f} | exit that lasts {lasts:6.1f}")

# %% [markdown]
# > **Paper vs code, R3.** In paper and research code, nothing follows an end. With rewards above 0 an agent then avoids
# > ends; with rewards below 0 it wants any end. In `lab`, the last semantic reward lasts for ever, and no constant
# > matters.
#
# > **Paper vs code, A4.** The same holds for disagreement: the curious fear exits. The shipped agents learned so;
# > in `lab`, an average state follows.
#
# Here are **single** pilot runs, from the time when settings were chosen. They say nothing about spread.

# %%
print(f"{'R_psi was taught with':21} {'changed':43} updates  seed  doors  exits, per 1,000 steps")
for row in study_table("trials.csv"):
    if row["world"] == "keyroom-lab" and row["agent"] == "sensei":
        told = f"{row['pictures']:21} {row['changes'] or '-':43} {row['updates']:>7} {row['seed']:>5}"
        print(f"{told} {row['door_opened']:>6} {row['exit_reached']:>6}")

# %% [markdown]
# Where doors and exits are far apart, the agent did not go on from the open door. One round of questions and two
# differ greatly here; in Figure 7, five seeds do not tell them apart.
#
# **The taste can be hacked.** If an easy picture gets a high $R_\psi$, the agent repeats it (notebook 06).
#
# **The answers are biased.** In published data, LLaVA chose the first picture in 83% of the pairs, and its agent did
# worse than Plan2Explore. Ask in both orders (notebook 05).

# %% [markdown]
# ### Exercise 4 (open): your own switch
#
# Choose $k$ and the weights. Predict, train, compare. What would you need to say that yours is better?

# %% tags=["exercise-4"]
my_switch = None  # such as sl.config.SwitchConfig(rule="return", percentile=75.0)
if my_switch:
    mine = dataclasses.replace(sl.agent_config(PRESET, "sensei-return"), switch=my_switch)
    _, my_rows = train(mine, UPDATES)
    for name, rows in {"default": live, "mine": my_rows}.items():
        print(name, rates(rows, "door_opened", len(rows) // 5)[1][:: max(1, len(rows) // 5)].round(1))

# %% [markdown]
# <details><summary>Hint 4</summary>
#
# Change one thing only. A low $k$ explores more states.
#
# </details>
#
# <details><summary>Thoughts on 4</summary>
#
# One run each cannot decide (Figure 7). You need several seeds of both, and other seeds than those with which you chose
# the settings.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. **Paper:** compare $r_{sem}$, add $\beta\, r_{dis}$, one critic. **Research code:** compare the return, weigh
#    advantages on their own scales, divide by the explore weights' total.
# 2. The **threshold** is a running percentile, and rises with the agent.
# 3. In a **trace**, the compared number against $Q$ gives the branch, and the branch gives the weights.
# 4. The full agent starts late, and **one seed** proves little.
# 5. Without taste, doors open less often. In this small room they open more often without curiosity, without the switch,
#    or with the paper's form.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | the switch, both forms; advantages | `sensei_lite/agent/switch.py` |
# | running percentile, the absorbing state's reward | `sensei_lite/agent/returns.py` |
# # | one update with everything | `sensei_lite/agent/update.py` (`update`, `learn_to_act`) |
# | traces, figures, knobs | `sensei_lite/plots/trace.py`, `exploration.py`, `sensei_lite/course/widgets/switch.py` |
# | the whole method in one command | `sensei_lite/training/plan.py`, `pipeline.py` |

# %% [markdown]
# ## Further reading
#
# - C. Sancaktar, C. Gumbsch et al., *SENSEI: Semantic Exploration Guided by Foundation Models to Learn Versatile World
#   Models*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584).
# - R. Sekar et al., *Planning to Explore via Self-Supervised World Models*, ICML 2020,
#   [arXiv 2005.05960](https://arxiv.org/abs/2005.05960). Plan2Explore.
# - M. Klissarov et al., *Motif: Intrinsic Motivation from Artificial Intelligence Feedback*, ICLR 2024,
#   [arXiv 2310.00166](https://arxiv.org/abs/2310.00166).
# - A. Ecoffet et al., *Go-Explore: a New Approach for Hard-Exploration Problems*, 2019,
#   [arXiv 1901.10995](https://arxiv.org/abs/1901.10995).
#
# **Next:** 08 · Evidence: what the numbers show, and what they do not.

# %%
notebook.finish()
