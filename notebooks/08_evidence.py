# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Evidence: what the numbers show, and what they do not
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/08_evidence.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/08_evidence.ipynb)
#
# **Your time:** 45 minutes. **The machine's time:** about one minute (the last cell prints what it was).
#
# **Before you start:** you know the agents of this course by name (notebooks 04 and 07), and what a mean is.
#
# **Afterwards you can**
#
# 1. say why one seed misleads, and why more episodes do not help;
# 2. compute an interquartile mean with its 95% bootstrap interval, and say what the interval does not promise;
# 3. read the course's table of agents, also where it does not please;
# 4. compare it with the paper's numbers, and say what cannot be compared;
# 5. say what was shown about "versatile world models", and what was not.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)
    tables = "https://github.com/sensei-lite/sensei_lite"  # the study's tables lie in the repository
    subprocess.run(["git", "clone", "--quiet", "--depth=1", tables, "clone"], check=True)

# %%
from collections import Counter

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import sensei_lite as sl
from sensei_lite.course import learning_curves, study_table, tqdm
from sensei_lite.course.checks import evidence as check
from sensei_lite.plots import LOOKS
from sensei_lite.training import over_seeds, play_episodes, steps_to_success

# %%
notebook = sl.start_notebook()

# %% [markdown]
# ## 1. One run proves little
#
# The study of this course trained every agent with five seeds. Its table holds the value of each seed.


# %%
DOORS, EXITS = "door_opened per 1000 steps", "exit_reached per 1000 steps"
SUCCESS, EVENLY = "steps to 80% success", "situations visited evenly"
study, committed = {}, {}
for row in study_table("keyroom_lab.csv"):
    row_name = row["agent"], row["measure"]
    study[row_name] = np.array([float(value) for key, value in row.items() if key.startswith("seed_")])
    committed[row_name] = [float(row[key]) for key in ("iqm", "low", "high")]
agents = list(dict.fromkeys(agent for agent, _ in study))
figures = list(dict.fromkeys(figure for _, figure in study))
print(f"{len(agents)} agents with {len(figures)} figures each: {', '.join(agents)}")

# %% [markdown]
# Suppose that there is time for one run of SENSEI and one of Plan2Explore. We compare how often the door was opened.
#
# **Predict first.** Five seeds and five seeds make 25 possible papers. Does the same agent win in all of them?

# %% mystnb={"image": {"alt": "A 5 by 5 table of factors, one for each pair of seeds. Factors below 1 are dark."}}
ours, theirs = study["sensei", DOORS], study["plan2explore", DOORS]
factors = np.sort(ours)[:, None] / np.sort(theirs)
figure, axes = plt.subplots(figsize=(5.6, 3.4))
axes.imshow(factors < 1, cmap="Greys", vmin=0, vmax=1.6, aspect="auto")
for (row, column), factor in np.ndenumerate(factors):
    loses = factor < 1
    axes.text(column, row, f"{factor:.2f}", ha="center", va="center", color="white" if loses else "black")
axes.set_xticks(range(len(theirs)), [f"{value:.1f}" for value in np.sort(theirs)])
axes.set_yticks(range(len(ours)), [f"{value:.1f}" for value in np.sort(ours)])
axes.set(xlabel="Plan2Explore: doors per 1,000 steps, each seed", ylabel="SENSEI: the same")
axes.set_title("SENSEI opens the door ... times as often")
print(f"Plan2Explore wins {(factors < 1).sum()} of {factors.size} such papers")

# %% [markdown]
# *Figure 1. The same two agents, compared by one run each: all pairs of seeds. Dark cells: Plan2Explore wins. Notice
# how far the factors lie apart. Nothing but the seed differs.*
#
# How many seeds are enough? With real agents the truth is unknown. So we **simulate** two agents, one of them better by
# a known factor. Their logarithms scatter as SENSEI's do.


# %%
def wrong_wins(factor, n, studies=20_000):
    """How often the worse of two simulated agents has the higher mean over n seeds."""
    rng = np.random.default_rng(n)
    worse, better = (np.exp(rng.normal(0, SCATTER, (studies, n))) for _ in range(2))
    return (worse.mean(1) > factor * better.mean(1)).mean()


SCATTER = np.log(ours).std(ddof=1)
for factor in (1.2, 1.5, 3.0):  # with one seed there is a formula
    np.testing.assert_allclose(wrong_wins(factor, 1), stats.norm.cdf(-np.log(factor) / SCATTER / 2**0.5), atol=0.02)

# %% [markdown]
# **Predict first.** The better agent is better by a factor of 1.5. In how many of 100 studies does the other one win,
# with 1 seed? With 5?

# %% mystnb={"image": {"alt": "Three falling curves: how often the wrong agent wins, against the number of seeds."}}
seed_numbers = [1, 2, 3, 5, 7, 10, 15, 20]
figure, axes = plt.subplots(figsize=(6.8, 3.5))
for factor, marker in {1.2: "o", 1.5: "s", 3.0: "^"}.items():
    shares = [100 * wrong_wins(factor, n) for n in seed_numbers]
    axes.plot(seed_numbers, shares, marker=marker)
    axes.text(20.5, shares[-1], f"{factor} times as good", va="center")
print("1.5 times as good:", {f"n = {n}": f"{wrong_wins(1.5, n):.0%}" for n in (1, 3, 5, 10)})
axes.set_xticks([1, 3, 5, 10, 15, 20])
axes.set(xlabel="seeds of each agent", ylabel="studies in which the wrong agent wins, %", xlim=(0, 26), ylim=(-1, 50))
axes.grid(axis="y", color="0.92")

# %% [markdown]
# *Figure 2. Simulated studies: how often the worse agent has the higher mean. Notice that a large effect needs few
# seeds, and a small one many.*
#
# ### Episodes are not seeds
#
# `play_episodes` lets a finished agent play 200 fresh rooms. Is that not enough data?

# %%
curious, world = sl.trained_agent("plan2explore"), sl.trained_world()
tests, episodes = (2, 20) if notebook.smoke else (5, 200)
again = [
    float(play_episodes(curious, world, episodes, key=jax.random.key(test)).reached["key_picked_up"])
    for test in tqdm(range(tests), desc="tests", leave=False)
]
trained_anew = study["plan2explore", "key_picked_up in test episodes"]
print("takes the key in this share of test episodes")
print("  one agent, tested anew:  ", np.round(again, 2))
print("  five agents, trained anew:", np.round(trained_anew, 2))

# %% [markdown]
# More episodes tell you more about *this* agent, and nothing about the next one. One independent value is a seed of the
# **whole method**: a new D_init, new answers, a new $R_\psi$ and new agents.

# %% [markdown]
# ## 2. The interquartile mean and its interval
#
# Papers often print mean ± standard deviation (std). Look at one row.

# %%
values = study["plan2explore", "exit_reached in test episodes"]
mean, std = values.mean(), values.std(ddof=1)
print("seeds:", values)
print(f"mean - std = {mean - std:.3f}, mean + std = {mean + std:.3f}; a share lies between 0 and 1")

# %% [markdown]
# One lucky seed pulls the mean. A symmetric bar can reach impossible values. And a std says how much *runs* differ, not
# how well their mean is known: it does not shrink with more seeds. Agarwal et al. (2021) propose the **interquartile
# mean** (IQM) with a bootstrap interval. For sorted values $x_{(1)} \le \dots \le x_{(n)}$ and
# $c = \lfloor n/4 \rfloor$,
#
# $$\mathrm{IQM} = \frac{1}{n - 2c} \sum_{i=c+1}^{n-c} x_{(i)}.$$
#
# ### Exercise 1: the interquartile mean
#
# Leave out the lowest $c$ and the highest $c$ values. Average the others.


# %% tags=["exercise-1"]
def iqm(values):
    """The interquartile mean of a NumPy array [n], as the formula says."""
    return None  # your code


# %% tags=["check-1"]
check.iqm(iqm)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Sort first. What is $c$ when $n$ is 5, and when it is 3?
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def iqm(values):
#     cut = len(values) // 4
#     return np.sort(values)[cut : len(values) - cut].mean()
# ```
#
# With 3 seeds nothing is left out: the IQM is the mean. With 5 it is the mean of the middle three.
#
# </details>

# %% [markdown]
# The IQM has a price too: it hides the one seed that failed. So show every seed.
#
# How well is an IQM known? The **percentile bootstrap** asks the data. Draw $n$ of the $n$ seeds *with repetition*.
# Compute the IQM. Do this 9,999 times. The middle 95% of the results are the interval.


# %%
def iqm_of_rows(samples):
    """The interquartile mean over the last axis [... n] -> [...]."""
    cut = samples.shape[-1] // 4
    return np.sort(samples, -1)[..., cut : samples.shape[-1] - cut].mean(-1)


def by_hand(values, resamples=9_999):
    """All resampled IQMs of one row [resamples], and the IQM with its interval [3]."""
    draws = np.random.default_rng(0).integers(0, len(values), (resamples, len(values)))
    resampled = iqm_of_rows(values[draws])
    return resampled, np.array([iqm_of_rows(values), *np.percentile(resampled, [2.5, 97.5])])


for row_name, values in study.items():
    _, summary = by_hand(values)
    np.testing.assert_allclose(summary, over_seeds(values)[:3], atol=1e-9)
    np.testing.assert_allclose(summary, committed[row_name], rtol=2e-3, atol=1e-9)  # rounded in the table
print(f"{len(study)} rows: by hand, by over_seeds, and as committed")

# %% mystnb={"image": {"alt": "A lumpy histogram of resampled IQMs, its interval below it, and the five seeds."}}
resampled, (middle, low, high) = by_hand(ours)
figure, axes = plt.subplots(figsize=(6.8, 3.3))
axes.hist(resampled, bins=60, weights=np.full(len(resampled), 100 / len(resampled)), color="0.75")
axes.plot(ours, np.full(len(ours), -1.6), **{**LOOKS["sensei"], "linestyle": "none"})
axes.plot([low, high], [-4.2, -4.2], "k-", linewidth=3)
axes.plot(middle, -4.2, "kD")
axes.text(1.06 * ours.max(), -1.6, "the seeds", va="center")
axes.text(1.06 * ours.max(), -4.2, "IQM, 95% interval", va="center")
axes.set(xlabel="SENSEI: doors per 1,000 steps", ylabel="resamples, %", xlim=(0, 1.4 * ours.max()))
axes.set_yticks(range(0, 30, 5))
print(f"{((ours < low) | (ours > high)).sum()} of {len(ours)} seeds lie outside of the interval")

# %% [markdown]
# *Figure 3. What the bootstrap draws, and its middle 95%. Notice the lumps (five seeds have few different resamples),
# and that seeds can lie outside: the interval is about the IQM, not about the next run.*
#
# A 95% interval is a promise about a **procedure**: of many studies, 95% have an interval that holds the truth. It does
# not say that *this* interval holds it with 95%. Is the promise kept? In a simulation we can count.
#
# **Predict first.** How many of 100 such intervals hold the truth with 5 seeds?


# %%
def intervals(data, resamples, rng):
    """Percentile bootstrap of the IQM for many studies at once [studies n] -> low, high [studies]."""
    draws = rng.integers(0, data.shape[1], (resamples, data.shape[1]))
    blocks = np.array_split(data, max(1, data.size // 2000))  # a few at a time: this is a lot of numbers
    ends = [np.percentile(iqm_of_rows(block[:, draws]), [2.5, 97.5], axis=-1) for block in blocks]
    return np.concatenate(ends, -1)


middle_half = stats.norm.ppf(np.linspace(0.25, 0.75, 10_001))
truths = {"bell-shaped": 0.0, "skewed": np.exp(SCATTER * middle_half).mean()}
coverage = {shape: [] for shape in truths}
counted = [3, 5, 10, 20, 40]
EXPERIMENTS, RESAMPLES = (200, 200) if notebook.smoke else (2000, 999)
rng = np.random.default_rng(1)
for n in tqdm(counted, desc="seeds", leave=False):
    for shape, truth in truths.items():
        normal = rng.normal(0, 1, (EXPERIMENTS, n))
        low, high = intervals(np.exp(SCATTER * normal) if shape == "skewed" else normal, RESAMPLES, rng)
        coverage[shape].append(100 * ((low <= truth) & (truth <= high)).mean())

# %% mystnb={"image": {"alt": "Coverage against seeds: two curves rise from below towards the dotted line at 95%."}}
figure, axes = plt.subplots(figsize=(6.8, 3.3))
for (shape, shares), marker in zip(coverage.items(), "os", strict=True):
    axes.plot(counted, shares, marker=marker, label=f"{shape} figures")
    print(f"{shape:12}", {f"n = {n}": f"{share:.0f}%" for n, share in zip(counted, shares, strict=True)})
axes.axhline(95, color="black", linestyle=":")
axes.text(41.5, 95.4, "promised", ha="right", va="bottom")
axes.set(xscale="log", xlabel="seeds", ylabel="intervals that hold the truth, %", ylim=(60, 100))
axes.set_xticks(counted, [str(n) for n in counted])
axes.legend(loc="lower right")
axes.minorticks_off()

# %% [markdown]
# *Figure 4. How often the 95% bootstrap interval of the IQM holds the known truth. Notice that with few seeds it stays
# below the dotted line: it is too narrow. Read a five-seed interval as less than 95%.*
#
# Few seeds rarely hold the extremes of their distribution, and no resampling invents them. Only more seeds help.

# %% [markdown]
# ## 3. The study
#
# One room (`keyroom-lab`); the agents differ only in what they want.
#
# **Predict first.** Who opens the door most often? Where does VLM-Motif stand, which has taste and no curiosity? (The
# task agent is paid for the exit.)

# %%
explorers = [agent for agent in agents if not agent.startswith("task-after")]
explorers.sort(key=lambda agent: over_seeds(study[agent, DOORS]).iqm)


def draw_row(axes, place, seeds, agent):
    """One row of a figure: the IQM, its interval, and below it each seed as a short line."""
    look = {"color": "0.35", "marker": "*"} | LOOKS.get(agent, {}) | {"linestyle": "-"}
    summary = over_seeds(seeds)
    axes.plot([summary.low, summary.high], [place, place], color=look["color"], linestyle="-", linewidth=2)
    axes.plot(summary.iqm, place, **look, markersize=6)
    axes.plot(seeds, np.full(len(seeds), place - 0.27), "|", color="0.4", markersize=7)


# %% mystnb={"image": {"alt": "Points with intervals for each agent on logarithmic axes: doors opened, exits reached."}}
figure, panels = plt.subplots(1, 2, figsize=(8.6, 0.42 * len(explorers) + 1.1), sharey=True)
for axes, event in zip(panels, (DOORS, EXITS), strict=True):
    for place, agent in enumerate(explorers):
        draw_row(axes, place, study[agent, event], agent)
    axes.set(xscale="log", xlabel=event.replace("_", " ").replace("1000", "1,000"), ylim=(-0.6, len(explorers) - 0.5))
    axes.set_xticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
    axes.set_yticks(range(len(explorers)), explorers)
    axes.minorticks_off()
    axes.grid(axis="x", color="0.9")

# %% [markdown]
# *Figure 5. Events over all of training: IQM, 95% interval, and each seed as a short line. Notice the logarithmic axes,
# the wide interval of SENSEI, and who stands above it.*


# %%
def compare(agent, other, event):
    """One line: an agent's IQM and interval, and how it stands to another."""
    ours, theirs = over_seeds(study[agent, event]), over_seeds(study[other, event])
    apart = ours.low > theirs.high or ours.high < theirs.low
    said = f"{ours.iqm / theirs.iqm:6.2f} times {other}, intervals {'apart' if apart else 'overlap'}"
    return f"{agent:18}{ours.iqm:7.2f} [{ours.low:5.2f}, {ours.high:5.2f}] {said}"


for event in (DOORS, EXITS, EVENLY):
    print(event)
    print(" ", compare("sensei", "plan2explore", event))
    for agent in explorers:
        if agent not in ("sensei", "plan2explore", "random", "task"):
            print(" ", compare(agent, "sensei", event))

# %% [markdown]
# SENSEI opens the door and reaches the exit more often than Plan2Explore, and the intervals are apart. This is the
# paper's claim: with taste, curiosity does more that means something. (Overlap would not prove that two agents are
# equal: section 6 has a better tool.) The third block tells how evenly situations were visited, which is what curiosity
# is for. Who leads there?
#
# > **Paper vs code, A4.** Plan2Explore, as published and as in the table, is afraid of an episode's end, because nothing
# > follows. In single trials it did better where an average state follows.

# %% [markdown]
# ## 4. The lines that do not please
#
# **VLM-Motif**, with no curiosity at all, opens the door more often than SENSEI. So do **sensei-no-switch** (both
# rewards, fixed weights) and **sensei-paper** (the paper's form). An agent with one idea less that does better is
# evidence against that idea, *here*. In this room, taste alone was enough.
#
# What are curiosity and the switch for, then? Where $R_\psi$ is the same for all that the agent has seen, taste gives
# no direction, and only chance brings something better. In a room of 7 × 7 even a random agent opens the door now and
# then (Figure 5), so there is no gap for curiosity to bridge. That is an *explanation*, and it was not tested. A larger
# room would test it (Exercise 4).

# %% [markdown]
# ## 5. Downstream: is the world model worth something?
#
# A task agent starts with an explorer's world model and replay, and a new policy. After how many steps have 80% of the
# episodes of ten *chunks* (of 50 updates) in a row been solved?
#
# ### Exercise 2: steps to success
#
# Each chunk has `"steps"`, `"episodes"` (finished) and `"reward"` (1 for a solved episode).


# %% tags=["exercise-2"]
def steps_until(chunks, share, window):
    """All steps up to the end of the first `window` chunks in a row in which at least `share` of the episodes
    were solved; the steps of all chunks where there is no such window."""
    return None  # your code


# %% tags=["check-2"]
check.steps_until(steps_until)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# Slide the window: `chunks[end - window : end]`. Add before you divide. A window without an episode shows nothing.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def steps_until(chunks, share, window):
#     def total(name, some):
#         return sum(chunk[name] for chunk in some)
#
#     for end in range(window, len(chunks) + 1):
#         seen = chunks[end - window : end]
#         if total("episodes", seen) and total("reward", seen) >= share * total("episodes", seen):
#             return total("steps", chunks[:end])
#     return total("steps", chunks)
# ```
#
# </details>

# %% mystnb={"image": {"alt": "Share of solved episodes over steps: dots for chunks, a line for ten chunks, crossings."}}
curve = learning_curves("sensei")  # one run, seed 0
steps, solved, finished = (np.array([chunk[name] for chunk in curve]) for name in ("steps", "reward", "episodes"))
of_ten = [np.convolve(counts, np.ones(10))[9 : len(curve)] for counts in (solved, finished)]
figure, axes = plt.subplots(figsize=(7, 3.4))
some, time_axis = finished > 0, np.cumsum(steps) / 1000
axes.plot(time_axis[some], 100 * solved[some] / finished[some], "o", color="0.65", markersize=4)
axes.plot(time_axis[9:], 100 * of_ten[0] / np.maximum(of_ten[1], 1), color=LOOKS["sensei"]["color"], linestyle="-")
axes.axhline(80, color="black", linestyle=":")
for window, side in {1: "right", 10: "left"}.items():
    crossed = steps_to_success(curve, 0.8, window, "reward")
    axes.axvline(crossed / 1000, color="black", linestyle="--", linewidth=1)
    axes.text(crossed / 1000, 108, f"window of {window}: {crossed:,.0f} steps", ha=side, va="bottom")
axes.set(xlabel="environment steps, thousands", ylabel="episodes that end at the exit, %", ylim=(-4, 107))
axes.grid(axis="y", color="0.92")

# %% [markdown]
# *Figure 6. The shipped SENSEI run, one seed. Dots: single chunks. Line: ten chunks together. Dashed: where windows of
# 1 and 10 first reach 80%. Notice that one lucky chunk is success for a window of 1, and what the curve does later.*
#
# The measure is a *first* time: what is forgotten later costs nothing. And it has a **floor**: ten chunks must pass.

# %%
train = sl.trained_agent("sensei").config.train
floor = 10 * train.chunk_updates * train.env_steps_per_update  # a little less: an episode's first row is no step
learners = [agent for agent in agents if agent.startswith("task")]
needed = {agent: over_seeds(study[agent, SUCCESS]) for agent in learners}
explored = 2 * (
    len(curve) * train.chunk_updates * train.env_steps_per_update + train.prefill_steps
)  # for D_init, then SENSEI
each = needed["task"].iqm + train.prefill_steps  # who starts from scratch also begins with random rows
saved = each - needed["task-after-sensei"].iqm
print(f"exploring costs {explored:,.0f} steps and saves {saved:,.0f} a task: it pays from", end=" ")
print(f"{explored / saved:.1f} tasks on")
print("other explorers before the task:", set(learners) - {"task", "task-after-sensei"} or "none in the table")

# %% mystnb={"image": {"alt": "Steps to success with intervals: after SENSEI near the floor, from scratch far right."}}
figure, axes = plt.subplots(figsize=(6.8, 0.6 * len(learners) + 0.9))
for place, agent in enumerate(learners):
    draw_row(axes, place, study[agent, SUCCESS], agent.removeprefix("task-after-"))
axes.axvline(floor, color="black", linestyle=":")
axes.text(floor + 400, -0.2, "floor", va="center")
axes.set_yticks(range(len(learners)), ["from scratch" if agent == "task" else agent for agent in learners])
axes.set(xlabel="environment steps to 80% success (exploration not counted)", ylim=(-0.5, len(learners) - 0.5))
axes.set_xlim(left=0)
axes.xaxis.set_major_formatter("{x:,.0f}")
axes.grid(axis="x", color="0.92")

# %% [markdown]
# *Figure 7. Task agents: IQM, interval, seeds, and the floor. Notice that the seeds after an explorer lie at the floor
# or near it: the measure cannot say how much faster they are.*
#
# A fair comparison counts the exploration too (printed above). For one task, exploring first is the more expensive way.
# It pays where many tasks share one world model, *if* all gain as much. That is what *versatile* means, and only one task
# was tried here. SENSEI's replay also holds the exit and its reward already. And does any explorer help as much? The
# **control** says so: after Plan2Explore, task agents stand at the floor too. So *exploring* helps here, and nothing
# shows that *taste* does.

# %% [markdown]
# ## 6. Beside the paper's numbers
#
# Robodesk is a simulated desk with a robot arm. Three seeds of each agent; the numbers are interactions per 100,000
# steps.

# %%
# Sancaktar, Gumbsch et al. (ICML 2025, arXiv 2503.01584), Robodesk: computed from the public statistics files of
# gilianhonkoop/OpenSourceSensei, first 250,000 steps (RND: 1,000,000). All objects together, one number a seed.
ROBODESK = {
    "Plan2Explore": np.array([6544, 7299, 8214]),
    "SENSEI, GPT-4, specific prompt": np.array([9586, 9261, 9696]),
    "SENSEI, GPT-4, general prompt": np.array([9339, 9346, 9861]),
    "SENSEI, GPT-4, re-run by others": np.array([10498, 10630, 10051]),
    "SENSEI, LLaVA, re-run by others": np.array([1957, 2253, 2120]),
    "RND": np.array([1697, 1130, 1367]),
}
OBJECTS = ["drawer", "slide", "red button", "green button", "blue button", "ball", "upright block", "flat block"]
PLAN2EXPLORE = np.array([632, 1657, 90, 124, 278, 1935, 1805, 830])  # mean over seeds
SPECIFIC, LLAVA = np.array([783, 2441, 117, 103, 268, 2416, 2408, 978]), np.array([1524, 12, 54, 28, 110, 345, 0, 38])

print("times Plan2Explore, mean of 3 seeds    GPT-4   LLaVA")
for name, gpt4, llava in zip(OBJECTS, SPECIFIC / PLAN2EXPLORE, LLAVA / PLAN2EXPLORE, strict=True):
    print(f"  {name:34}{gpt4:8.2f}{llava:8.2f}")

# %% [markdown]
# A total hides its parts: for buttons, the rows go both ways. LLaVA is a warning: its agent plays with the drawer and
# little else. LLaVA chose the *first* image in 83% of the pairs. (Therefore notebook 05 asks in both orders.) A bad
# taste can be worse than none.
#
# Worlds with different units are compared by **ratios** to the same baseline.
#
# ### Exercise 3: the interval of a ratio
#
# Each row of `our_draws` says which of our seeds one resample holds, and the same row of `their_draws` which of theirs.


# %% tags=["exercise-3"]
def ratio_interval(ours, theirs, our_draws, their_draws):
    """The 95% percentile interval (low, high) of IQM of ours / IQM of theirs, from draws [resamples n]."""
    return None  # your code


# %% tags=["check-3"]
check.ratio_interval(ratio_interval)

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# `iqm_of_rows(ours[our_draws])` is one IQM a resample. Divide first, then take percentiles.
#
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# def ratio_interval(ours, theirs, our_draws, their_draws):
#     ratios = iqm_of_rows(ours[our_draws]) / iqm_of_rows(theirs[their_draws])
#     return tuple(np.percentile(ratios, [2.5, 97.5]))
# ```
#
# </details>

# %% [markdown]
# SciPy's `bootstrap` does the same. **Predict first.** Where is SENSEI's ratio larger, on Robodesk or in our room?


# %%
def ratio_of_iqms(ours, theirs, axis):
    return stats.trim_mean(ours, 0.25, axis) / stats.trim_mean(theirs, 0.25, axis)


def ratio(ours, theirs):
    """The ratio of two IQMs, and its interval."""
    ends = stats.bootstrap((ours, theirs), ratio_of_iqms, method="percentile", rng=np.random.default_rng(0))
    return ratio_of_iqms(ours, theirs, 0), *ends.confidence_interval


lines = {}
for agent in explorers:
    if agent not in ("plan2explore", "task"):
        lines[f"room: {agent}, doors"] = ratio(study[agent, DOORS], theirs)
lines["room: sensei, exits"] = ratio(study["sensei", EXITS], study["plan2explore", EXITS])
for agent, seeds in list(ROBODESK.items())[:0:-1]:
    lines[f"Robodesk: {agent}"] = ratio(seeds, ROBODESK["Plan2Explore"])

# %% mystnb={"image": {"alt": "Ratios to Plan2Explore with intervals, logarithmic axis, Robodesk above, the room below."}}
figure, axes = plt.subplots(figsize=(8, 0.3 * len(lines) + 0.9))
for place, (name, (middle, low, high)) in enumerate(lines.items()):
    axes.plot([low, high], [place, place], "k-", linewidth=2)
    axes.plot(middle, place, "ko" if name.startswith("room") else "ks", markerfacecolor="white", markersize=7)
    axes.text(1.02, place, f"{middle:.2f}", transform=axes.get_yaxis_transform(), va="center")
axes.axvline(1, color="black", linestyle=":")
axes.set(xscale="log", xlabel="times Plan2Explore in the same world (IQM, 95% interval)")
axes.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
axes.set_yticks(range(len(lines)), list(lines))
axes.minorticks_off()

# %% [markdown]
# *Figure 8. Ratios to Plan2Explore. Squares: Robodesk, 3 seeds, all objects. Circles: our room, 5 seeds. Notice on
# which side of the dotted line (no difference) SENSEI lies, with a good taste and with a bad one.*
#
# **What can be compared:** the direction. With GPT-4's taste there and CLIP's here, SENSEI lies right of the line.
# **What cannot:** the size. Touching objects is not opening doors; worlds, steps and models differ. Our $R_\psi$
# learned from a small CLIP that was trained for these rooms, with captions that name what is interesting. And with 3
# seeds the IQM is the plain mean, its interval even less sure (Figure 4).

# %% [markdown]
# ## 7. Finding something where nothing is
#
# We simulate two agents with *no* difference, and count how often "their intervals are apart" all the same.
#
# **Predict first.** Which of three habits is worst: one figure and five seeds, fixed before; the best of all figures; a
# look after each seed, until it fits?

# %%
rng = np.random.default_rng(2)


def apart(n, experiments):
    """Whether the intervals of two equal agents are apart [experiments], and the data go on for more seeds."""
    (low, high), (their_low, their_high) = (intervals(data[:, :n], RESAMPLES, rng) for data in experiments)
    return (low > their_high) | (high < their_low)


def equal_agents(experiments):
    return [rng.normal(0, 1, (experiments, 10)) for _ in range(2)]


few = EXPERIMENTS // 2
tables = apart(5, equal_agents(few * len(figures))).reshape(few, len(figures))
growing = equal_agents(EXPERIMENTS)
looks = [apart(n, growing) for n in tqdm(range(3, 11), desc="looks", leave=False)]
print(f"one figure, fixed before, 5 seeds:          {tables[:, 0].mean():6.1%}")
print(f"the best of {len(figures)} figures, 5 seeds:            {tables.any(1).mean():6.1%}")
print(f"a look after each seed from 3 to 10, stop:  {np.any(looks, 0).mean():6.1%}")

# %% [markdown]
# So figure, seeds and settings are fixed **before** looking. (Figures of a real table depend on each other, so the
# middle line is an upper end.) How was it here? Settings were chosen in single runs, with seeds that are not in the
# study.

# %%
trials = study_table("trials.csv")
tuned = {int(trial["seed"]) for trial in trials}
judged = {int(key.removeprefix("seed_")) for key in study_table("keyroom_lab.csv")[0] if key.startswith("seed_")}
assert not tuned & judged
final = [float(trial["door_opened"]) for trial in trials if trial["pictures"] == "curious, two rounds"]
print("trials of each agent:", dict(Counter(trial["agent"] for trial in trials)))
print(f"seeds of the trials: {sorted(tuned)}, of the study: {sorted(judged)}")
print(f"SENSEI, final settings, doors per 1,000 steps: {final} in the trials, IQM {over_seeds(ours).iqm} in the study")

# %% [markdown]
# Settings look best on the seeds that chose them. (Two runs cannot tell this from chance.) And who was tuned how often?
#
# | claim | what this course can say |
# |---|---|
# | with taste, curiosity opens more doors | shown: one small room, five seeds |
# | curiosity improves taste | not shown: taste alone opened more |
# | the switch is better than fixed weights | not shown: fixed weights opened more |
# | the world model makes *this* task faster | shown against a start from scratch, exploration not counted |
# | ... because of the taste | not shown: the control is as fast |
# | ... and *many* tasks (versatile) | not tried |
# | it works with a large VLM, at the paper's size | not run here |
#
# "Not shown" does not mean "false".

# %% [markdown]
# ### Exercise 4 (open): the experiment that would separate them
#
# Plan a study that could show that the switch, or curiosity, is worth its cost, and that could also **fail** to. Write
# down: worlds, agents, one figure, who is tuned, how many seeds, and what would count against your idea.

# %% tags=["exercise-4"]
my_factor, my_seeds = 1.5, 10  # the smallest factor that would matter to you, and seeds of each agent
print(f"the wrong agent wins in {wrong_wins(my_factor, my_seeds):.1%} of such studies")

# %% [markdown]
# <details><summary>Thoughts on 4</summary>
#
# One plan: rooms of size 7, 9 and 11; vlm-motif, sensei-no-switch, sensei. The idea predicts that taste alone wins at 7
# and falls behind as chance gets rarer (measure it). Figure: steps until the exit has been reached ten times. All
# agents get as many trials, on seeds that are not used again. If vlm-motif also wins at 11, section 4 is wrong. If
# nobody finds the door, the study says nothing.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. With one seed each, the wrong agent can win. More episodes describe one agent, not the method.
# 2. The IQM is the mean of the middle half; the bootstrap redraws seeds. With five seeds the interval is **too narrow**.
# 3. SENSEI opens more doors than Plan2Explore. In this small room, VLM-Motif opens more than both.
# 4. The paper's ratios point the same way. Worlds and annotators differ, so the sizes do not compare.
# 5. One task became faster, exploration not counted, after either explorer. "Versatile" needs many tasks.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | IQM and interval; test episodes | `sensei_lite/training/evaluate.py`: `over_seeds`, `play_episodes` |
# | steps to success; events per 1,000 steps | `sensei_lite/training/evaluate.py` |
# | all figures of one agent; the task agent | `sensei_lite/training/pipeline.py`: `measures_of`, `learn_task` |
# | agents × seeds, one table | `sensei_lite/training/study.py` |
# | the table, and what it says | `book/results.md`; checked by `book/make/site/claims.py` |

# %% [markdown]
# ## Further reading
#
# - R. Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, NeurIPS 2021,
#   [arXiv 2108.13264](https://arxiv.org/abs/2108.13264). IQM and intervals.
# - P. Henderson et al., *Deep Reinforcement Learning that Matters*, AAAI 2018,
#   [arXiv 1709.06560](https://arxiv.org/abs/1709.06560).
# - C. Colas, O. Sigaud, P.-Y. Oudeyer, *How Many Random Seeds? Statistical Power Analysis in Deep Reinforcement Learning
#   Experiments*, 2018, [arXiv 1806.08295](https://arxiv.org/abs/1806.08295).
# - C. Sancaktar, C. Gumbsch et al., *SENSEI*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584).
#
# **Next:** 09 · Real worlds: MiniHack, other VLMs, the paper's scale.

# %%
notebook.finish()
