# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Curiosity: an agent that looks for what it does not know
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/04_curiosity.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/04_curiosity.ipynb)
#
# **Your time:** 45 minutes. **The machine's time:** about three minutes (the last cell prints what it was).
#
# **Before you start:** notebooks 02 and 03: a world model with the state $s_t = (h_t, z_t)$, and a policy that learns in
# dreams.
#
# **Afterwards you can**
#
# 1. name four measures of "new", and say which of them noise can fool;
# 2. compute disagreement as variance, as deviation and as information, and say what each measures;
# 3. train an ensemble, and say which time step it reads and which it predicts;
# 4. read a map of disagreement: where does the agent expect to find something out?
# 5. collect D_init, and say what is in it and what is missing.

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
import textwrap

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from matplotlib.patheffects import withStroke

import sensei_lite as sl
from sensei_lite.course import curious_observations, learning_curves, study_table, tqdm
from sensei_lite.course.checks import curiosity as check
from sensei_lite.models import (
    Ensemble,
    PosteriorRollout,
    ensemble_std,
    ensemble_variance,
    mutual_information,
    unimix,
)
from sensei_lite.plots import LOOKS
from sensei_lite.training import over_seeds, perplexity, random_chunks, remembered, start_training, train_chunk

# %%
notebook = sl.start_notebook()
STEPS, ROUNDS, TOY_SEEDS = (200, 3, 1) if notebook.smoke else (2000, 14, 3)

# %% [markdown]
# ## 1. What is new?
#
# An agent without a task needs a reason to go anywhere. "Go where it is new" is one. But what is *new*?
#
# | measure | asks | is fooled by |
# |---|---|---|
# | counts | how often was I in this state? | pictures, which hardly ever repeat |
# | novelty (`sensei_lite/models/rnd.py`) | how often did I see something like this? | looks that are new and mean nothing |
# | prediction error | how wrong was my guess? | noise, which nobody can guess |
# | **disagreement** | do several networks (**heads**) guess the same? | we shall see |
#
# The classic trap is a television that shows only snow. Every picture is a surprise, so an agent that loves surprise
# watches for ever. Here is the trap in one dimension. Left of $x = 1$ the toy world follows a law, right of it there is
# only noise. We have data on the left and on the right, and **none in the middle**.

# %%
HEADS, NOISE = 8, 0.7


def answer(x, noise=NOISE, *, key):
    """What the toy world answers: a smooth law left of 1, pure noise right of it."""
    return jnp.where(x < 1, jnp.sin(2 * x), noise * jax.random.normal(key, x.shape))


def new_head(key):
    """A small network. Its starting weights are large, so that heads begin far apart."""
    head = eqx.nn.MLP("scalar", "scalar", 32, 2, jax.nn.silu, key=key)
    return jax.tree.map(lambda w: 2 * w if eqx.is_array(w) else w, head)


@eqx.filter_jit
def new_heads(number, *, key):
    """Several heads as one: every weight has a further axis in front."""
    return eqx.filter_vmap(new_head)(jax.random.split(key, number))


def guesses_of(heads, x):
    """Every head's guess [heads rows]."""
    return eqx.filter_vmap(lambda head: jax.vmap(head)(3 * x))(heads)


# %% [markdown]
# All heads see **the same** data. Only their starting weights differ.

# %%
optimiser = optax.adam(3e-3)


@eqx.filter_jit
def fit(heads, x, y, filled, steps, *, key):
    """Teach all heads with the first ``filled`` rows of x and y, in batches of 128."""
    weights, rest = eqx.partition(heads, eqx.is_array)

    def loss(weights, x, y):
        return jnp.square(guesses_of(eqx.combine(weights, rest), x) - y).mean(-1).sum()

    def step(carry, key):
        weights, state = carry
        rows = jax.random.randint(key, (128,), 0, filled)
        changes, state = optimiser.update(jax.grad(loss)(weights, x[rows], y[rows]), state)
        return (optax.apply_updates(weights, changes), state), None

    carry, _ = jax.lax.scan(step, (weights, optimiser.init(weights)), jax.random.split(key, steps))
    return eqx.combine(carry[0], rest)


# %% [markdown]
# **Predict first.** After training, where is the *error* large: left, middle, right? And where is the *disagreement*
# large, the variance over the heads' guesses?


# %%
@eqx.filter_jit
def toy(heads, noise, *, key):
    """Every head's guess at x [heads places], its squared error there, the variance over heads; and the data."""
    x_key, y_key, head_key, fit_key, answer_key = jax.random.split(key, 5)
    data_x = jax.random.uniform(x_key, (2000,), minval=-2, maxval=2)
    data_x += jnp.sign(data_x)  # nothing between -1 and 1
    data_y = answer(data_x, noise, key=y_key)
    learned = fit(new_heads(heads, key=head_key), data_x, data_y, 2000, STEPS, key=fit_key)
    guesses = guesses_of(learned, x)
    answers = jax.vmap(lambda key: answer(x, noise, key=key))(jax.random.split(answer_key, 300))
    error = jnp.square(answers[:, None] - guesses).mean((0, 1))
    return guesses, error, guesses.var(0), (data_x, data_y)


x = np.linspace(-3, 3, 121)
guesses, error, disagreement, (data_x, data_y) = jax.device_get(toy(HEADS, NOISE, key=jax.random.key(0)))
for place, inside in {"known": x < -1, "no data": abs(x) < 1, "noise": x > 1}.items():
    print(f"{place:8} error {error[inside].mean():6.3f}   disagreement {disagreement[inside].mean():6.3f}")

# %% mystnb={"image": {"alt": "Above: eight curves agree left and right and fan out in the middle. Below: error and variance."}}
figure, (above, below) = plt.subplots(2, 1, figsize=(7.5, 5), sharex=True, height_ratios=(3, 2))
above.plot(data_x[:400], data_y[:400], ".", color="0.75", markersize=4)
above.plot(x, guesses.T, color="#0072B2", linestyle="-", linewidth=1)
above.set(ylim=(-2.6, 3.2), ylabel="answer y")
for middle, word in {-2: "known", 0: "no data", 2: "noise"}.items():
    above.text(middle, 2.6, word, ha="center")
below.plot(x, error, color="#D55E00", linestyle="--")
below.plot(x, disagreement, color="#0072B2", linestyle="-")
below.text(2.95, NOISE**2 + 0.15, "error", color="#D55E00", ha="right")
below.text(2.95, 0.1, "disagreement", color="#0072B2", ha="right")
below.set(xlabel="place x", ylabel="squared units of y", ylim=(-0.05, 2))
for axes in (above, below):
    axes.axvspan(-1, 1, facecolor="none", edgecolor="0.8", hatch="//", linewidth=0)
plt.show()

# %% [markdown]
# *Figure 1. Above: data (grey points) and the guesses of eight heads (lines). Below: their mean squared error (dashed)
# and their variance (solid). Notice the right side: the error stays, but the heads nearly agree, on the best guess for
# noise, which is its mean.*
#
# So **unknown** and **noisy** come apart. Both have a large error. Only the unknown makes heads disagree: there, nothing
# has pulled their different starting weights together. And disagreement needs no answer. The agent can compute it
# *before* it goes there, in a dream.
#
# Now two agents follow their measure. In every round, each visits the places with the largest values and learns from
# the answers. Both start with data from the left side only.


# %%
@eqx.filter_jit
def visit(wants_error, heads, x, y, filled, *, key, number=256):
    """One round: learn from the data so far, choose the best of many places, and add them; also the measure there."""
    fit_key, place_key, look_key, answer_key = jax.random.split(key, 4)
    heads = fit(heads, x, y, filled, 300, key=fit_key)
    places = jax.random.uniform(place_key, (4 * number,), minval=-3, maxval=3)
    guesses = guesses_of(heads, places)
    error = jnp.square(answer(places, key=look_key) - guesses).mean(0)
    value = jnp.where(wants_error, error, guesses.var(0))
    best = value.argsort()[-number:]
    rows = filled + jnp.arange(number)
    x, y = x.at[rows].set(places[best]), y.at[rows].set(answer(places[best], key=answer_key))
    return heads, x, y, filled + number, value[best].mean()


# %%
def follow(measure, seed, number=256):
    """The mean of the measure at the places that an agent visits, for every round."""
    x_key, y_key, head_key, key = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.uniform(x_key, ((ROUNDS + 1) * number,), minval=-3, maxval=-1)  # the first 256 count
    y, filled, wants_error = answer(x, key=y_key), jnp.asarray(number), jnp.asarray(measure == "error")
    heads, found = new_heads(HEADS, key=head_key), []
    for round_key in jax.random.split(key, ROUNDS):
        heads, x, y, filled, value = visit(wants_error, heads, x, y, filled, key=round_key)
        found.append(float(value))
    return found


runs = [(measure, seed) for measure in ("error", "disagreement") for seed in range(TOY_SEEDS)]
found = {run: follow(*run) for run in tqdm(runs, desc="two agents, some seeds", leave=False)}

# %% [markdown]
# **Predict first.** Which agent has something to look for after fourteen rounds?

# %% mystnb={"image": {"alt": "What is found in each round: of the error's follower it stays high, of the other it falls."}}
figure, axes = plt.subplots(figsize=(7, 3.2))
for (measure, seed), values in found.items():
    look = {"color": "#D55E00", "linestyle": "--"} if measure == "error" else {"color": "#0072B2", "linestyle": "-"}
    axes.semilogy(range(1, ROUNDS + 1), values, marker=".", **look)
    if seed == 0:
        axes.text(ROUNDS + 0.2, values[-1], f"follows the\n{measure}", color=look["color"], va="center")
axes.set_xticks(range(1, ROUNDS + 1))
axes.set(xlabel="round", ylabel="its measure there (mean)", xlim=(0.5, ROUNDS * 1.22))
plt.show()

# %% [markdown]
# *Figure 2. How large the measure is at the places that each agent chooses (one line for each seed). Notice that the
# follower of the error finds as much surprise at the end as in the middle. It watches television. The other one's reward
# falls: there is little left to find out.*
#
# But it does not reach zero. A little disagreement remains, mostly in the noise. So the *size* of the reward matters,
# not only where it is largest.

# %% [markdown]
# ## 2. Three ways to measure disagreement
#
# The world model's $z$ is a row of categorical variables. Take one of them, with classes $k$, and heads $n$ that give
# probabilities $p_{n,k}$:
#
# $$\text{variance} = \mathrm{mean}_k\, \mathrm{Var}_n\, p_{n,k} \qquad
# \text{deviation} = \mathrm{mean}_k \sqrt{\mathrm{Var}_n\, p_{n,k}}$$
#
# $$\text{information} = \mathrm{H}\big[\mathrm{mean}_n\, p_n\big] - \mathrm{mean}_n\, \mathrm{H}[p_n],
# \qquad \mathrm{H}[p] = -\sum_k p_k \ln p_k$$
#
# The third is the *mutual information* between "which head is right?" and "which class comes?". Its first term is all
# uncertainty. The second is what each head admits: noise. What remains can be learned.


# %%
def entropy(p):
    return -sum(p_k * np.log(p_k) for p_k in p)


def three_measures(heads):
    """Variance, deviation, information of one categorical, from a list of probabilities for each head."""
    number, classes = len(heads), range(len(heads[0]))
    mean = [sum(p[k] for p in heads) / number for k in classes]
    variances = [sum((p[k] - mean[k]) ** 2 for p in heads) / number for k in classes]
    variance = sum(variances) / len(variances)
    deviation = sum(np.sqrt(v) for v in variances) / len(variances)
    return variance, deviation, entropy(mean) - sum(entropy(p) for p in heads) / number


SITUATIONS = {
    "all sure, the same": [[0.98, 0.01, 0.01]] * 3,
    "a fair die, all agree": [[1 / 3, 1 / 3, 1 / 3]] * 3,
    "unsure, not alike": [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.2, 0.3, 0.5]],
    "all sure, not the same": [[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98]],
}
for heads in SITUATIONS.values():
    p = jnp.array(heads)[:, None]  # [heads stoch classes]; here one categorical
    package = ensemble_variance(p.reshape(3, -1)), ensemble_std(p.reshape(3, -1)), mutual_information(jnp.log(p))
    np.testing.assert_allclose(three_measures(heads), package, atol=1e-6)

# %% [markdown]
# **Predict first.** Which of the four situations have information 0? What is the most that
# three heads can reach?

# %% mystnb={"image": {"alt": "Four groups of bars: probabilities of three heads, with the three measures in words above."}}
figure, panels = plt.subplots(1, 4, figsize=(9, 3.3), sharey=True)
for axes, (name, heads) in zip(panels, SITUATIONS.items(), strict=True):
    for n, (p, hatch) in enumerate(zip(heads, ("", "///", "..."), strict=True)):
        axes.bar(np.arange(3) + 0.27 * (n - 1), p, 0.25, color=f"{0.9 - 0.2 * n}", edgecolor="black", hatch=hatch)
    values = [abs(value) for value in three_measures(heads)]  # rounding can make a 0 negative
    axes.set_title("{}\n\nvariance {:.3f}\ndeviation {:.3f}\ninformation {:.2f}".format(name, *values), fontsize=9)
    axes.set_xticks(range(3), ["class 1", "class 2", "class 3"], fontsize=8)
panels[0].set_ylabel("probability")
panels[1].text(1, 0.5, "one bar for each head,\nin each class", ha="center", fontsize=8)
plt.show()

# %% [markdown]
# *Figure 3. What three heads (white, striped, dotted bars) say about one categorical, and how much they disagree.
# Notice the fair die: every head is completely unsure, and yet there is nothing to learn. On the right the information
# is almost $\ln 3 \approx 1.10$ nats, the most that three heads can reach.*
#
# **Variance** gives most weight to a few large differences, **deviation** more to many small ones. **Information** has a
# unit (nats) and an upper end, $\ln N$ for each categorical.
#
# > **Paper and package.** Plan2Explore derives its reward as information and takes the variance in its place. SENSEI's
# > text has the variance, its research code the deviation (the `paper` preset). The `lab` preset has the information:
# > with the other two, the reward grew with how much there is to encode in a picture, known or not.

# %% [markdown]
# ### Exercise 1: variance and deviation
#
# Now for whole arrays, with the mean over all dimensions.


# %% tags=["exercise-1"]
def variance_and_deviation(guesses):
    """From guesses [heads batch size] to (variance [batch], deviation [batch])."""
    return None  # your code


# %% tags=["check-1"]
check.variance_and_deviation(variance_and_deviation)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which axis holds the heads? And is the square root taken before the mean over dimensions, or after it?
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def variance_and_deviation(guesses):
#     variances = guesses.var(0)
#     return variances.mean(-1), jnp.sqrt(variances).mean(-1)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2: information
#
# The categoricals of $z$ are independent in the model, so their information adds up. The package hands probabilities
# around as logarithms.


# %% tags=["exercise-2"]
def information_in_nats(log_p):
    """From log-probabilities [heads batch stoch classes] to information [batch], summed over the categoricals."""
    return None  # your code


# %% tags=["check-2"]
check.information_in_nats(information_in_nats)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# Take the mean over heads of the *probabilities*, not of their logarithms. Each entropy is a sum over classes.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def information_in_nats(log_p):
#     mean = jnp.exp(log_p).mean(0)
#     of_mean = -(mean * jnp.log(mean)).sum(-1)
#     of_heads = -(jnp.exp(log_p) * log_p).sum(-1).mean(0)
#     return (of_mean - of_heads).sum(-1)
# ```
#
# </details>

# %% [markdown]
# ## 3. The ensemble in the world model
#
# In the agent, head $n$ guesses the next stochastic state from the state and the action:
#
# $$f_n(s_t, a_t) \approx z_{t+1}.$$
#
# Time is where mistakes hide. $a_t$, which leads from $s_t$ to $s_{t+1}$, **stands in row $t+1$**. And where row $t+1$
# begins a new episode, no action led there: that pair must not count. We start an agent with random play in its memory,
# and cut out rows around the end of an episode.

# %%
WORLD = sl.trained_world()
CONFIG = sl.trained_agent("plan2explore").config
if notebook.smoke:  # few updates, but a memory in which episodes end
    train = sl.config.TrainConfig(envs=4, batch=4, capacity=2048, prefill_steps=1024, chunk_updates=2)
    CONFIG = dataclasses.replace(CONFIG, train=train)
with tqdm(total=1, desc="an agent and its random play (compiles)", leave=False) as bar:
    curious = start_training(CONFIG, WORLD, key=jax.random.key(7))
    bar.update()
ordered, _ = curious.replay.in_order()  # [rows worlds ...], the oldest row first
second_start = np.flatnonzero(ordered.is_first[:, 0])[1]
around = slice(second_start - 4, second_start + 4)
rows = jax.tree.map(lambda leaf: jnp.swapaxes(leaf[around, :4], 0, 1), ordered)  # [batch time ...]
states, log_posterior, _ = eqx.filter_jit(curious.agent.world_model.observe)(rows, key=jax.random.key(0))
rollout = PosteriorRollout(states, jnp.exp(log_posterior))
del ordered  # it is a copy of the whole memory
print(f"{rows.reward.shape[0]} sequences of {rows.reward.shape[1]} rows; rows that begin an episode:")
print(np.asarray(rows.is_first).astype(int))

# %% [markdown]
# **Predict first.** How many pairs $(t, t+1)$ can the heads learn from?


# %%
def loss_by_hand(ensemble, rollout, action, is_first):
    """`Ensemble.loss` with a loop over pairs; also the number of pairs."""
    settings, states, errors = ensemble.config, rollout.states, []
    every_head = eqx.filter_jit(eqx.filter_vmap(lambda head, x: head(x), in_axes=(eqx.if_array(0), None)))
    batch, time_steps = is_first.shape
    for b, t in np.ndindex(batch, time_steps - 1):
        if is_first[b, t + 1]:
            continue  # nothing led from row t to row t+1
        s_t, a_t = states.features[b, t], action[b, t + 1]
        x = states.h[b, t + 1] if settings.reads == "memory" else np.concatenate([s_t, a_t])
        z_tp1 = rollout.posterior[b, t + 1] if settings.target == "mean" else states.z[b, t + 1]
        guess = every_head(ensemble.heads, x).reshape(settings.heads, *z_tp1.shape)
        if settings.measure == "mutual_information":
            errors.append(np.sum(-z_tp1 * unimix(guess)))  # cross-entropy of probabilities
        else:
            errors.append(np.sum(np.square(guess - z_tp1)))  # squared error of numbers
    return np.mean(errors), len(errors)


# %%
sizes = CONFIG.world_model.deter, WORLD.actions.size, CONFIG.world_model.stoch, CONFIG.world_model.classes
as_in_paper = sl.config.EnsembleConfig(heads=3, hidden=16, reads="state", target="sample", measure="std")
two = {
    "the agent's": curious.agent.streams["disagreement"].network,
    "as in the paper": Ensemble(as_in_paper, *sizes, key=jax.random.key(1)),
}
for name, ensemble in two.items():
    by_hand, pairs = loss_by_hand(ensemble, *jax.device_get((rollout, rows.action, rows.is_first)))
    package = eqx.filter_jit(Ensemble.loss)(ensemble, rollout, rows.action, rows.is_first)
    np.testing.assert_allclose(by_hand, package, rtol=1e-4)
    print(f"{name}: {by_hand:.2f} by hand and in the package, from {pairs} of {4 * 7} pairs")

# %% [markdown]
# > **Paper vs code, E1.** The research code also learns from pairs that span two episodes. Which room comes next is
# > chance, so the package leaves these pairs out.
# >
# > **Paper vs code, E2.** In the paper heads read $(s_t, a_t)$ and are taught a drawn $z_{t+1}$ (the `paper` preset). In
# > the `lab` preset they read the memory $h_{t+1}$, which already knows where $a_t$ leads, and are taught the
# > probabilities of $z_{t+1}$: they fit sooner, and the noise of a draw does not shake them.

# %% [markdown]
# ## 4. A curious agent, live
#
# Plan2Explore is the agent of notebook 03, and its reward in a dream is the disagreement. Nobody tells it about keys. To
# see what it is curious about, we put it in **every cell**, without the key, with it, and with the door open. We ask the
# ensemble before any action is taken.


# %%
@eqx.filter_jit
def expected_news(model, ensemble, room, has_key, unlocked, *, key):
    """Disagreement in nats, the mean over actions, for an agent that stands in each cell of a room [rows columns]."""
    actions = jnp.eye(WORLD.actions.size)

    def of_cell(cell, key):
        picture = WORLD.render(room._replace(agent=cell, has_key=has_key, unlocked=unlocked))
        nothing = jnp.zeros(len(actions))  # no action before: the agent opens its eyes here
        s_t, _ = model.rssm.observe_step(model.rssm.initial(), nothing, model.embed(picture, None), True, key=key)
        h_tp1 = jax.vmap(lambda a_t: model.rssm.recur(s_t, a_t))(actions)
        features = jnp.broadcast_to(s_t.features, (len(actions), len(s_t.features)))
        return mutual_information(ensemble.predict(features, actions, h_tp1)).mean()

    cells = jnp.indices(WORLD.grid_shape).reshape(2, -1).T
    return jax.vmap(of_cell)(cells, jax.random.split(key, len(cells))).reshape(WORLD.grid_shape)


# %% [markdown]
# The plan of this room is always the same, but its looks differ. So each value is a mean over several looks.

# %%
STAGES = {"without the key": (False, False), "with the key": (True, False), "door open": (True, True)}
LOOKS_OF_ROOM = 2 if notebook.smoke else 12
rooms = jax.jit(jax.vmap(lambda key: WORLD.reset(key=key)))(jax.random.split(jax.random.key(0), LOOKS_OF_ROOM))
rooms = jax.device_get(rooms)
ROOMS = [jax.tree.map(lambda leaf, i=i: leaf[i], rooms) for i in range(LOOKS_OF_ROOM)]
LAYOUT = ROOMS[0].layout
KEY, DOOR, EXIT = tuple(LAYOUT.key), tuple(LAYOUT.lock), tuple(LAYOUT.goal)


# %%
def possible(has_key, unlocked):
    """Where the agent can stand and act: not in walls, nor on the exit, where the episode is over."""
    can = sl.worlds.WALKABLE[LAYOUT.kind]
    can[DOOR], can[EXIT], can[KEY] = unlocked, False, has_key
    return can


def maps_of(agent):
    """The expected news in every cell for each stage, the mean over looks; NaN where the agent cannot act."""
    maps = {}
    for stage, flags in STAGES.items():
        each = [
            expected_news(
                agent.world_model,
                agent.streams["disagreement"].network,
                room,
                *map(jnp.asarray, flags),
                key=jax.random.key(0),
            )
            for room in ROOMS
        ]
        maps[stage] = np.where(possible(*flags), np.mean(each, axis=0), np.nan)
    return maps


# %%
LOOK_AT = (1, 2) if notebook.smoke else (1, 20, 60)  # after these chunks of 50 updates
long_trained = None if notebook.smoke else sl.trained_agent("plan2explore")
history, maps = [], {}
for chunk in tqdm(range(1, LOOK_AT[-1] + 1), desc="curious agent (compiles first)", unit="chunk", leave=False):
    curious, metrics, counts = train_chunk(CONFIG, WORLD, curious)
    history.append({name: float(value) for name, value in (metrics | counts).items()})
    if chunk in LOOK_AT:
        maps[f"{int(curious.agent.updates):,} updates"] = maps_of(curious.agent)
if long_trained:
    maps[f"shipped, {int(long_trained.updates):,}"] = maps_of(long_trained)
steps = sum(chunk["steps"] for chunk in history)
print(f"{int(curious.agent.updates):,} updates, {steps:,.0f} steps of its own")

# %% [markdown]
# **Predict first.** Where is the disagreement largest, early, later, and after long training? Is it large everywhere in
# the beginning?

# %% mystnb={"image": {"alt": "Twelve maps of the room: disagreement in each cell, for three stages and four ages of agents."}}
LETTER = {
    "ha": "center",
    "va": "center",
    "weight": "bold",
    "path_effects": [withStroke(linewidth=3, foreground="white")],
}
figure, panels = plt.subplots(3, len(maps), figsize=(8.6, 6.4))
most = np.nanpercentile([list(of_agent.values()) for of_agent in maps.values()], 98)
for column, (name, of_agent) in enumerate(maps.items()):
    panels[0, column].set_title(f"{name}\n", fontsize=10)
    for axes, (stage, news) in zip(panels[:, column], of_agent.items(), strict=True):
        drawn = axes.imshow(news, vmin=0, vmax=most)
        letters = {DOOR: "D", EXIT: "E"} | ({} if STAGES[stage][0] else {KEY: "K"})
        for (row, at), letter in letters.items():
            axes.text(at, row, letter, **LETTER)
        axes.set_xlabel(f"mean {np.nanmean(news):.2f}, most {np.nanmax(news):.2f}", fontsize=8)
        axes.set(xticks=[], yticks=[], ylabel="" if column else stage)
        axes.spines[:].set_visible(False)
figure.colorbar(drawn, ax=panels, label="disagreement, nats (mean over actions)", shrink=0.6, extend="max")
plt.show()

# %% [markdown]
# *Figure 4. Disagreement in every cell. Columns: how long the agent has learned. Rows: what it has done. K is the key, D
# the door, E the exit; white cells are no places to stand. Notice the first column: low, and the same everywhere.*
#
# One might expect the opposite. But heads guess $z$, and a young model's $z$ says hardly anything about a picture: there
# is little to disagree about. As the model learns to tell pictures apart, disagreement appears where data is
# *rare*. Compare the means from top to bottom: few pictures have an open door. Look also at the doorway below, one step
# from the exit. For the long-trained agent the open door is no longer special.
#
# > **Paper and package.** The reward is this number times `ensemble.scale`, 0.1 in the `lab` preset (paper: 1). Small
# > returns are not stretched. So when all is known, the entropy bonus wins, and what is left, the noise, does not steer.

# %% [markdown]
# **Predict first.** Did this agent pick up the key and open the door more often than random play? All the time?


# %%
MILESTONES = {"key_picked_up": "takes key", "door_reached_with_key": "at door with key"}
MILESTONES |= {"door_opened": "opens door", "exit_reached": "reaches exit"}
random_counts, random_visits = random_chunks(CONFIG, WORLD, 5 * len(history), key=jax.random.key(1))
random_rate = {name: 1000 * counts.sum() / random_counts["steps"].sum() for name, counts in random_counts.items()}
for event, words in MILESTONES.items():
    mine = 1000 * sum(chunk[event] for chunk in history) / steps
    print(f"{words:17} {mine:5.2f} per 1,000 steps; random play {random_rate[event]:5.2f}")


def per_1000_steps(chunks, event, window=1 if notebook.smoke else 10):
    """Environment steps (in thousands) at the end of each window of chunks, and events per 1,000 steps in it."""
    columns = [np.array([chunk[name] for chunk in chunks]) for name in ("steps", event)]
    taken, happened = (column.reshape(-1, window).sum(1) for column in columns)
    return taken.cumsum() / 1000, 1000 * happened / taken


# %%
study = {
    (row["agent"], row["measure"]): [float(row[f"seed_{seed}"]) for seed in range(1, 6)]
    for row in study_table("keyroom_lab.csv")
}

# %% mystnb={"image": {"alt": "Left: door openings over training steps. Right: events of five seeds, random and curious."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
shipped_look = {"color": "black", "marker": "o"}
for name, chunks, look in (
    ("this run", history, LOOKS["plan2explore"]),
    ("the shipped run", learning_curves("plan2explore"), shipped_look),
):
    left.plot(*per_1000_steps(chunks, "door_opened"), label=name, markersize=4, **look)
left.axhline(random_rate["door_opened"], label="random play", color="#666666", linestyle=":")
left.set(xlabel="environment steps (thousands)", ylabel="door openings per 1,000 steps", title="two single runs")
left.legend(fontsize=8)
for offset, agent in ((-0.12, "random"), (0.12, "plan2explore")):
    look = {"color": LOOKS[agent]["color"], "marker": LOOKS[agent]["marker"]}
    for place, event in enumerate(MILESTONES):
        iqm, low, high, _ = over_seeds(study[agent, f"{event} per 1000 steps"])
        right.errorbar(place + offset, iqm, [[iqm - low], [high - iqm]], capsize=4, **look)
    right.text(3 + 2.5 * offset, high * 1.15, agent, color=look["color"], ha="center", fontsize=8)
right.set_xticks(range(4), [textwrap.fill(words, 8) for words in MILESTONES.values()])
right.set(yscale="log", xlim=(-0.6, 3.8), ylim=(0.3, 25), ylabel="events per 1,000 steps")
right.set_title("five seeds, all of training")
plt.show()

# %% [markdown]
# *Figure 5. Left: door openings in windows of 500 updates. Right: mean of the middle half (IQM) and 95% interval over five seeds
# of the study (squares: Plan2Explore, crosses: random). Notice that curiosity is not always better than chance.*
#
# Two runs prove little. On the right is the evidence: without any hint, curiosity opens the door several times as often
# as chance. But what is known is boring: in the end the shipped agent leaves the door again.

# %% [markdown]
# ## 5. What curiosity does not know
#
# Nothing in the reward says that a key matters more than a floor tile. Here is where the agent spent its time.

# %% mystnb={"image": {"alt": "Six maps: the share of steps per cell and stage, of the curious agent and of random play."}}
figure, panels = plt.subplots(2, 3, figsize=(8, 5))
of_agents = {"curious": np.asarray(curious.visits), "random play": np.asarray(random_visits)}
for line, (name, visits) in zip(panels, of_agents.items(), strict=True):
    share = 1000 * visits.reshape(*WORLD.grid_shape, 2, 2) / visits.sum()  # cells, has the key, door open
    line[0].set_ylabel(f"{name}\n{perplexity(visits):.0f} situations,\nvisited evenly", fontsize=9)
    for axes, (stage, (has_key, unlocked)) in zip(line, STAGES.items(), strict=True):
        here = share[..., int(has_key), int(unlocked)]
        drawn = axes.imshow(np.where(here > 0, here, np.nan), vmin=0, vmax=30)
        for (row, column), letter in {KEY: "K", DOOR: "D", EXIT: "E"}.items():
            axes.text(column, row, letter, **LETTER)
        axes.set_title(f"{stage}: {here.sum() / 10:.0f}% of steps", fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
figure.colorbar(drawn, ax=panels, label="steps of 1,000", shrink=0.7, extend="max")
plt.show()

# %% [markdown]
# *Figure 6. Where each agent was, in steps of 1,000 (white: never; all of training). Letters as in Figure 4. Notice how
# the share of steps with the door open differs, and which cells are the curious agent's favourites.*
#
# Curiosity spreads over more situations (on the left; rare ones count less). But in our run its favourite cells were
# corners of plain floor. A corner that is hard to predict is as good as a key. Which situations *matter*? For that,
# SENSEI asks somebody else.

# %% [markdown]
# ## 6. D_init: what the curious agent saw
#
# Here the first stage of SENSEI ends. Pictures from the agent's memory go to a vision-language model (VLM), which says
# which are interesting. **Predict first.** In how many of 1,000 pictures does the agent hold the key? Is the door open?
# Does it stand on the exit?

# %%
d_init = remembered(curious.replay, 300 if notebook.smoke else 12_000, seed=0)
shipped = curious_observations()
print(f"live: {len(d_init.images):,} pictures of {len(set(d_init.episode))} episodes; shipped: {len(shipped.images):,}")


def shares(observations):
    """How many of 1,000 pictures show each situation, from the facts that no agent sees."""
    facts = observations.facts
    told = {
        "key lies there": ~facts["key_picked_up"],
        "holds the key": facts["key_picked_up"] & ~facts["door_opened"],
        "at the locked door, no key": facts["door_reached"] & ~facts["key_picked_up"],
        "at the locked door, with key": facts["door_reached_with_key"],
        "door open": facts["door_opened"],
        "on the exit": facts["exit_reached"],
    }
    return {name: 1000 * is_true.mean() for name, is_true in told.items()}


# %% mystnb={"image": {"alt": "Bars on a log axis: how many of 1,000 pictures show each situation; the exit is rare."}}
figure, axes = plt.subplots(figsize=(7.5, 3.4))
for place, (name, share) in enumerate(shares(d_init).items()):
    axes.barh(place, share, color="0.8", edgecolor="black")
    axes.plot(shares(shipped)[name], place, "kD", markersize=5)
    axes.text(1400, place, f"{share:.1f}  ({shares(shipped)[name]:.1f})", va="center")
axes.text(1400, -0.9, "live  (shipped)", va="center")
axes.set_yticks(range(6), shares(d_init))
axes.set(xscale="log", xlim=(0.1, 1000), xlabel="of 1,000 pictures (log axis)")
axes.invert_yaxis()
plt.show()

# %% [markdown]
# *Figure 7. What D_init shows, of 1,000 pictures: this run (bars) and the shipped part of D_init (diamonds). Some
# situations overlap. Notice the exit.*
#
# The exit is rare for two reasons. It ends the episode, so there is one such picture at most. And:
#
# > **Paper vs code, A4.** In a dream nothing follows an episode's end, so the curious are afraid of ends. The setting
# > `curiosity_end="average"` lets an average state follow.
#
# Why does it matter? The VLM compares pairs of these pictures. What is not in them, it cannot prefer.

# %%
p_exit, p_open = (shares(shipped)[name] / 1000 for name in ("on the exit", "door open"))
print(f"of 5,000 random pairs, about {5000 * 2 * p_exit * (p_open - p_exit):.0f} compare the exit with the open door")

# %% [markdown]
# > **Paper vs code, P1.** In the paper all pairs (100,000) are drawn at random. The `lab` preset draws half of its 5,000
# > so. The other half compares pictures that a first $R_\psi$, taught with these, finds interesting (notebook 06).

# %% [markdown]
# ### Exercise 3 (open): more heads, more noise
#
# Change the number of heads, or the noise of the toy world: two heads and 32, noise 0 and 2. **Predict** first: what
# happens to the disagreement in the middle, and on the right? How much do the seeds differ?

# %% tags=["exercise-3"]
my_heads, my_noise = 8, 0.7  # your settings
for seed in range(TOY_SEEDS):
    _, error, disagreement, _ = toy(my_heads, my_noise, key=jax.random.key(seed))
    for name, at in {"no data": abs(x) < 1, "noise": x > 1}.items():
        print(f"seed {seed}, {name:8} error {error[at].mean():6.3f}   disagreement {disagreement[at].mean():6.3f}")

# %% [markdown]
# <details><summary>Thoughts on 3</summary>
#
# More noise raises the error on the right with its square. The disagreement there stays small: all heads see the same
# data and seek the same mean. With two heads the variance in the middle depends on luck, and seeds differ widely; with
# 32 they differ less.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. **Counts** fail where nothing repeats, **novelty** is drawn to new looks, **prediction error** to noise.
#    **Disagreement** is large where data is missing, and small in noise.
# 2. **Variance** and **deviation** are spreads over heads. **Information** is the entropy of the mean, less the mean of
#    the entropies, in nats.
# 3. Heads read $s_t$ and the action in row $t+1$ (or $h_{t+1}$) and predict $z_{t+1}$, within one episode.
# 4. A map of disagreement shows what is rare, as far as the model can tell it apart. It is flat in the beginning.
# 5. **D_init** holds much floor and few exits. Curiosity finds things, and does not know which ones matter.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | the three measures, `Ensemble`, its loss and reward | `sensei_lite/models/ensemble.py`, `sensei_lite/agent/streams/disagreement.py` |
# | novelty by random network distillation | `sensei_lite/models/rnd.py`, `sensei_lite/agent/streams/novelty.py` |
# | what each agent wants; one update | `sensei_lite/presets.py` (`AGENTS`), `sensei_lite/agent/update.py` |
# | collect, remember, learn | `sensei_lite/training/jax_loop.py`, `sensei_lite/agent/replay.py` |
# | D_init | `sensei_lite/training/collect.py` (`remembered`), `sensei_lite/annotators/data.py` |

# %% [markdown]
# ## Further reading
#
# - R. Sekar et al., *Planning to Explore via Self-Supervised World Models*, ICML 2020,
#   [arXiv 2005.05960](https://arxiv.org/abs/2005.05960). Plan2Explore.
# - D. Pathak, D. Gandhi, A. Gupta, *Self-Supervised Exploration via Disagreement*, ICML 2019,
#   [arXiv 1906.04161](https://arxiv.org/abs/1906.04161). Disagreement as a reward.
# - Y. Burda et al., *Exploration by Random Network Distillation*, 2018,
#   [arXiv 1810.12894](https://arxiv.org/abs/1810.12894). Novelty.
# - B. Lakshminarayanan, A. Pritzel, C. Blundell, *Simple and Scalable Predictive Uncertainty Estimation using Deep
#   Ensembles*, NeurIPS 2017, [arXiv 1612.01474](https://arxiv.org/abs/1612.01474).
#
# **Next:** 05 · VLM annotation, where somebody says which of these pictures are interesting.

# %%
notebook.finish()
