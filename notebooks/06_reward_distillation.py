# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Reward distillation: from answers to a number
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/06_reward_distillation.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/06_reward_distillation.ipynb)
#
# **Your time:** 60 minutes. **The machine's time:** about three minutes (the last cell prints what it was).
#
# **Before you start:** notebook 01 for the world, 05 for where answers come from. You have seen a gradient.
#
# **Afterwards you can**
#
# 1. derive Bradley and Terry's model, and write its loss with ties;
# 2. fit a reward $R_\psi$ to pairs, and hold its accuracy against what the judge's noise allows;
# 3. say why whole episodes are held out, and measure what goes wrong otherwise;
# 4. read a reward: its map of a room, and its calibration;
# 5. find out whether a reward can be hacked, and what an episode's end does to it.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks,vlm] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import dataclasses
import itertools
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import sensei_lite as sl
from sensei_lite.annotators import ClipAnnotator, NoiseModel, ScriptedAnnotator, Store, ask
from sensei_lite.annotators import interest, levels_of, noise_ceiling, random_pairs
from sensei_lite.course import curious_observations, tqdm
from sensei_lite.course.checks import distillation as check
from sensei_lite.plots import episode_figure, pairs_figure, reward_landscape, situation_figure
from sensei_lite.reward import Split, find_reward_hacks, metrics, preference_loss, rewards_of, scores_of

# %%
notebook = sl.start_notebook()
PAIRS, JUDGE_PAIRS, EPOCHS, LONG, SEEDS = (300, 300, 2, 2, 1) if notebook.smoke else (1500, 2000, 15, 40, 3)
CONFIG = sl.config.DistilConfig(epochs=EPOCHS, held_out=0.25)
KEY = jax.random.key(0)

# %% [markdown]
# ## 1. From "a or b?" to a number
#
# A judge compared pictures (notebook 05). An agent needs a **number** for each, $R(x)$. Bradley and Terry (1952) say
# how numbers become answers. Every picture has a strength $e^{R}$ and wins in proportion:
#
# $$P[a \succ b] = \frac{e^{R(a)}}{e^{R(a)} + e^{R(b)}} = \frac{1}{1 + e^{-d}} = \sigma(d), \qquad d = R(a) - R(b).$$
#
# **Only differences count**: add 5 to all rewards, and no answer changes. **The scale is how sure the judge is**: a
# difference of 1 means 73% against 27%, one of 3 means 95% against 5%.
#
# The loss is the cross-entropy with the answer $y$: 1 if $a$ was chosen, 0 if $b$ was, 0.5 for a tie.
#
# $$L(d, y) = -y \log \sigma(d) - (1 - y) \log \sigma(-d), \qquad \frac{dL}{dd} = \sigma(d) - y.$$
#
# The gradient is the prediction minus the answer. (Derive it: $\sigma' = \sigma (1 - \sigma)$.)
#
# **Predict first.** For a tie, at which $d$ is the loss smallest? How large is it there?


# %%
def loss_by_hand(d, y):
    """L(d, y) for one pair, just as it is written above."""
    p = 1 / (1 + jnp.exp(-d))
    return -y * jnp.log(p) - (1 - y) * jnp.log(1 - p)


def package_loss(d, y):
    return preference_loss(d[None], jnp.zeros(1), y[None])


d = jnp.linspace(-5, 5, 101)
for y in (1.0, 0.5, 0.0, 0.3):
    ys = jnp.full_like(d, y)
    np.testing.assert_allclose(loss_by_hand(d, y), jax.vmap(package_loss)(d, ys), rtol=1e-3)
    np.testing.assert_allclose(jax.nn.sigmoid(d) - y, jax.vmap(jax.grad(package_loss))(d, ys), atol=1e-5)
print("loss and gradient agree with the package")

# %% mystnb={"image": {"alt": "Left: the loss for three answers against d. Right: its gradients, S-shaped lines."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2))
for y, name in ((0.0, "b chosen, y = 0"), (0.5, "tie, y = 0.5"), (1.0, "a chosen, y = 1")):
    for axes, values in ((left, loss_by_hand(d, y)), (right, jax.nn.sigmoid(d) - y)):
        (line,) = axes.plot(d, values, linewidth=2)
        axes.text(5.3, values[-1], name, va="center", fontsize=9, color=line.get_color())
for axes, label in ((left, "loss L in nats"), (right, "gradient dL/dd")):
    axes.set(xlabel="d = R(a) - R(b)", ylabel=label, xlim=(-5, 9.8), xticks=range(-4, 5, 2))
    axes.plot([0, 0], axes.get_ylim(), color="0.8", linewidth=0.8, linestyle="-", zorder=0)

# %% [markdown]
# *Figure 1. Loss and gradient for each answer. Notice the tie: it is best at $d = 0$, where it costs $\log 2$, so it
# pulls the two rewards together. Notice too that no pair pulls harder than 1.*
#
# Now make the formula fail. A difference of 1000 should cost 1000, or nothing.

# %%
for y in (0.0, 1.0):
    ours = preference_loss(jnp.array([1000.0]), jnp.zeros(1), jnp.array([y]))
    print(f"d = 1000, y = {y:g}: by hand {loss_by_hand(1000.0, y)}, the package says {ours}")

# %% [markdown]
# ### Exercise 1: a loss that survives
#
# Write the **mean** loss over pairs so that it is right at $d = \pm 1000$ too.


# %% tags=["exercise-1"]
def stable_loss(first, second, target):
    """The mean of L(R(a) - R(b), y) in nats; ``first``, ``second`` and ``target`` are JAX arrays [pairs]."""
    return None  # your code


# %% tags=["check-1"]
check.stable_loss(stable_loss)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Show that $\log \sigma(-d) = -\log(1 + e^d)$, write $L$ with it, and look up `jnp.logaddexp`.
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def stable_loss(first, second, target):
#     d = first - second
#     return (jnp.logaddexp(0.0, d) - target * d).mean()  # log(1 + e^d) - y d
# ```
#
# A small number inside the logarithm would only hide the problem.
#
# </details>

# %% [markdown]
# ## 2. Four pictures, no network
#
# Four numbers, six questions, and the share of ten judges who chose the first picture: that is enough for gradient
# descent. The pictures are from $D_{\mathrm{init}}$, what the curious agent of notebook 04 saw.
#
# **Predict first.** What changes if all four numbers start at 3 instead of 0?

# %%
D_init = curious_observations()
situations = metrics.stages(D_init.facts, levels_of(D_init.facts))
NAMES = ["sees the key", "holds the key", "at the door, with key", "opened the door"]
pictures = [D_init.images[mask.argmax()] for mask in list(situations.values())[:4]]
a, b = np.array([(1, 0), (2, 1), (3, 2), (2, 0), (3, 1), (3, 0)]).T  # the questions
y = np.array([0.9, 0.7, 0.8, 1.0, 0.9, 1.0])  # the share that chose a


def gradient(R, y):
    """dL/dR of the mean loss: each pair pushes its first picture up and its second down by y - P[a > b]."""
    push = (1 / (1 + np.exp(R[b] - R[a])) - y) / len(y)
    total = np.zeros(len(R))
    np.add.at(total, a, push)
    np.add.at(total, b, -push)
    return total


for R in np.random.default_rng(0).normal(size=(3, 4)):
    wanted = jax.grad(lambda R: preference_loss(R[a], R[b], jnp.asarray(y)))(jnp.asarray(R))
    np.testing.assert_allclose(gradient(R, y), wanted, atol=1e-6)


# %%
def descend(R, y, steps, rate=2.0):
    """The four numbers after every step [steps+1 4]."""
    path = [R]
    for _ in range(steps):
        path.append(path[-1] - rate * gradient(path[-1], y))
    return np.array(path)


path, higher = descend(np.zeros(4), y, 150), descend(np.full(4, 3.0), y, 150)
np.testing.assert_allclose(higher, path + 3)
R = path[-1]
for i, j, share in zip(a, b, y, strict=True):
    print(f"{NAMES[i]:21} over {NAMES[j]:21}  asked {share:.2f}  predicted {1 / (1 + np.exp(R[j] - R[i])):.2f}")

# %% mystnb={"image": {"alt": "Four rewards drift apart over gradient steps; beside them the four pictures in order."}}
figure, panels = plt.subplot_mosaic([["path", 3, 2], ["path", 1, 0]], figsize=(8.5, 4.2), width_ratios=[2.6, 1, 1])
for number, name in enumerate(NAMES):
    (line,) = panels["path"].plot(path[:, number], linewidth=2)
    panels["path"].text(153, R[number], name, va="center", fontsize=9, color=line.get_color())
    panels[number].imshow(pictures[number])
    panels[number].set_axis_off()
    panels[number].set_title(f"{name}\nR = {R[number]:.1f}", fontsize=9)
_ = panels["path"].set(xlabel="steps of gradient descent", ylabel="R", xlim=(0, 245), xticks=[0, 50, 100, 150])

# %% [markdown]
# *Figure 2. Four rewards learned from six answers. Notice that they stop where predictions fit the answers best. From a
# start at 3 the same lines come out, moved up by 3.*
#
# **Predict first.** Now all judges agree: every $y$ is 1. Where do the numbers stop?

# %%
for steps in (150, 1500, 15000):
    sure = descend(np.zeros(4), np.ones(6), steps)[-1]
    print(f"after {steps:6,} steps: from lowest to highest {np.ptp(sure):5.1f}")

# %% [markdown]
# They do not stop. To a judge without doubt no difference is large enough. Only stopping in time, ties or noise end the
# growth.

# %% [markdown]
# ## 3. Answers about real pictures
#
# **CLIP** is the small judge from notebook 05. A **scripted judge** looks the true facts up and errs as often as we
# say, so that we can check what follows.


# %%
def answers(judge, pairs, *, both_orders=False, observations=D_init):
    """What a judge's answers teach. The store is forgotten afterwards; in a run folder it stays."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "preferences.sqlite") as store:
        for some in tqdm(np.array_split(pairs, -(-len(pairs) // 100)), desc=f"ask {judge.name}", leave=False):
            ask(store, judge, observations, some, both_orders=both_orders, progress=False)
        return store.preferences(), store.judgements(judge.id)


def fit(preferences, config=CONFIG, key=KEY, split=None):
    with tqdm(total=config.epochs, desc="distil", leave=False) as bar:
        return sl.distil(preferences, config, split=split, progress=lambda _: bar.update(), key=key)


clip = ScriptedAnnotator(D_init) if notebook.smoke else ClipAnnotator()  # tests do without CLIP, which loads slowly
preferences, said = answers(clip, random_pairs(D_init, PAIRS, seed=0), both_orders=True)
print(f"{len(D_init.images):,} pictures, {len(np.unique(D_init.episode))} episodes; {2 * PAIRS:,} questions,")
ties = (said.target == 0.5).sum()
print(f"{len(said.target):,} pairs, {ties:,} ties, {said.contradicted.sum()} contradictions between the orders")
print("(CLIP looks at one picture at a time, so it cannot prefer a position.)")

# %% [markdown]
# ## 4. Fit $R_\psi$
#
# Replace the table by a network $f_\psi(x)$; loss and gradient stay. It can answer for pictures that nobody was asked
# about. After every epoch *held-out* pairs check it, and the best epoch's weights are kept. Besides CLIP, three
# scripted judges teach, who err in none, 10% and 30%.
#
# **Predict first.** A third of CLIP's answers are ties. Can its loss come near 0?

# %%
levels, pairs = interest(D_init.facts), random_pairs(D_init, JUDGE_PAIRS, seed=0)
equal = float((levels[pairs[:, 0]] == levels[pairs[:, 1]]).mean())
taste = fit(preferences)
judged = {"CLIP": (preferences, taste, 1.0)}
for noise in (0.0, 0.1, 0.3):
    said, _ = answers(ScriptedAnnotator(D_init, noise=noise), pairs)
    judged[f"errs in {noise:.0%}"] = said, fit(said), noise_ceiling(NoiseModel(noise=noise), equal)

# %% [markdown]
# **Predict first.** Now the judge who errs in 30% gives 200 training pairs only, and we go on for long. What do training
# and held-out loss do?

# %%
said, pupil, _ = judged["errs in 30%"]
long, few_pairs = dataclasses.replace(CONFIG, epochs=LONG, patience=LONG), pupil.split.train[:200]
by_heart = fit(said, long, split=pupil.split._replace(train=few_pairs))

# %% mystnb={"image": {"alt": "Training and held-out loss by epoch. Left both fall to a floor, right they part."}}
figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.3))
for axes, learned, name in zip(panels, (taste, by_heart), ("CLIP", "errs in 30%, 200 pairs"), strict=True):
    numbers = [epoch.number for epoch in learned.history]
    train, held_out = ([getattr(epoch, name) for epoch in learned.history] for name in ("train_loss", "held_out_loss"))
    axes.plot(numbers, train, color="0.5", linestyle="--", linewidth=2, label="training")
    axes.plot(numbers, held_out, color="black", linestyle="-", linewidth=1.5, label="held out")
    axes.axvline(learned.best.number, color="0.88", linestyle="-", linewidth=6, zorder=0, label="kept epoch")
    axes.axhline(np.log(2), color="0.6", linestyle=":", linewidth=1)
    axes.text(numbers[-1], np.log(2) + 0.01, "a coin", ha="right", va="bottom", fontsize=9)
    axes.set(xlabel="epoch", title=name)
ties = (preferences.target[taste.split.held_out] == 0.5).mean()
panels[0].axhline(ties * np.log(2), color="0.6", linestyle=":", linewidth=1)
panels[0].text(numbers[0], ties * np.log(2) - 0.01, "what the ties cost", va="top", fontsize=9)
panels[0].set(ylabel="cross-entropy in nats", ylim=(0.1, 0.78))
_ = panels[1].legend(loc="upper left")

# %% [markdown]
# *Figure 3. Learning curves. Notice the floor on the left: every tie costs $\log 2$, however well it is predicted.
# Notice on the right how the lines part: errors can only be learned by heart. So held-out pairs choose the epoch.*
#
# ### Exercise 2: accuracy with ties
#
# How often does the sign of $d = R(a) - R(b)$ agree with the answer? Leave the judge's ties out: no difference is right
# there. Where $d = 0$ and the judge decided, give half a point.


# %% tags=["exercise-2"]
def accuracy(d, y):
    """The share of decided pairs on which R and the judge agree; ``d`` and ``y`` are NumPy arrays [pairs]."""
    return None  # your code


# %% tags=["check-2"]
check.accuracy(accuracy)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# `np.sign(d) * np.sign(y - 0.5)` is 1, 0 or -1. Which points should these be?
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def accuracy(d, y):
#     decided = y != 0.5
#     agreement = np.sign(d[decided]) * np.sign(y[decided] - 0.5)
#     return ((agreement + 1) / 2).mean()
# ```
#
# </details>

# %% [markdown]
# How good is good? If a judge errs in 30%, nobody can agree with it in more than about 70%: its **noise ceiling**.
# CLIP's answers follow from its scores, so its ceiling is 1.
#
# **Predict first.** How often does that judge's pupil put pictures of held-out episodes in their *true* order?

# %%
print("judge         held-out accuracy  95% interval  noise ceiling  true order   std of f")
for name, (said, pupil, ceiling) in judged.items():
    decided = int((said.target[pupil.split.held_out] != 0.5).sum())
    low, high = metrics.accuracy_interval(pupil.held_out.accuracy, decided)
    unseen = np.isin(D_init.episode, pupil.split.episodes)
    truth = metrics.accuracy_against_levels(rewards_of(pupil.reward, D_init.images[unseen]), levels[unseen])
    row = f"{pupil.held_out.accuracy:17.3f}  {low:.3f}-{high:.3f}   {ceiling:13.3f}  {truth:10.3f}"
    print(f"{name:13} {row}  {float(pupil.reward.std):11.2f}")

# %% [markdown]
# Compare the last but one column with the ceiling: the pupil can be better than its teacher, because random errors
# cancel over many pairs. (Errors that always fall on the same pictures do not.) The last column is the scale: the less
# sure the judge, the smaller it is.
#
# The interval takes pairs as independent. They share pictures, so it is too narrow.

# %% [markdown]
# ## 5. Hold out episodes, not pairs
#
# Pictures of one episode are nearly alike. If random pairs are held out, their pictures are *also in training pairs*.
# In the lab's world, which is always the same room, this would hardly show. So we take episodes with **a new room
# each**, learn from twelve, and keep the others to see what is true.
#
# **Predict first.** Two networks (patches, and the research code's convolutions), two ways to hold out: where does the
# promise differ most from the truth?


# %%
def split_by_pairs(preferences, share, seed):
    """What one should not do: hold out random pairs, whatever their episodes."""
    order = np.random.default_rng(seed).permutation(len(preferences.first))
    held_out, train = np.split(order, [int(share * len(order))])
    return Split(train, held_out, unseen=held_out, episodes=np.zeros(0, int))


rooms = sl.training.play_observations(sl.KeyRoom(), 16 if notebook.smoke else 60, guided=True, seed=0)
rooms_levels = interest(rooms.facts)
few, new = rooms.choose(rooms.episode < 12), rooms.episode >= 12
patch = dataclasses.replace(CONFIG, held_out=1 / 3)
NETWORKS = {"patches": patch, "convolutions": dataclasses.replace(patch, encoder="cnn", learning_rate=1e-3)}
rows = {(network, way): [] for network in NETWORKS for way in ("pairs", "episodes")}
for seed in tqdm(range(SEEDS), desc="seeds", leave=False):
    said, _ = answers(ScriptedAnnotator(few, seed=seed), random_pairs(few, 600, seed), observations=few)
    for (network, way), found in rows.items():
        split = split_by_pairs(said, 1 / 3, seed) if way == "pairs" else None
        pupil = fit(said, NETWORKS[network], key=jax.random.key(seed), split=split)
        truth = metrics.accuracy_against_levels(rewards_of(pupil.reward, rooms.images[new]), rooms_levels[new])
        found.append((pupil.held_out.accuracy_unseen, truth))

# %% mystnb={"image": {"alt": "For two networks and two ways to hold out: accuracy as promised, and in new rooms."}}
figure, axes = plt.subplots(figsize=(7.5, 3))
for place, found in enumerate(rows.values()):
    promised, true = np.array(found).T
    axes.plot([promised.mean(), true.mean()], [place, place], color="0.6", linewidth=4, linestyle="-", zorder=0)
    axes.scatter(promised, np.full(len(found), place), 70, facecolor="white", edgecolor="black")
    axes.scatter(true, np.full(len(found), place), 50, color="#D55E00", marker="D")
    print(", ".join(list(rows)[place]), f"held out: promised {promised.mean():.3f}, in new rooms {true.mean():.3f}")
axes.set_yticks(range(4), [f"{network}\n{way} held out" for network, way in rows])
axes.set(
    xlabel="accuracy   (circles: held-out pairs; diamonds: truth in new rooms; one for each seed)", ylim=(3.5, -0.5)
)
_ = axes.axvline(0.5, color="0.7", linestyle=":")

# %% [markdown]
# *Figure 4. What held-out pairs promise (circles) and what new rooms show (diamonds). Notice the convolutions with
# random pairs held out: a high promise from a network that learned rooms by heart. With episodes held out it is honest,
# but noisy: four episodes are few.*
#
# With the patches there is little to see. They look at neighbourhoods of tiles, which are alike in every room.
#
# > **Paper and package.** The research code holds out 5% of the pairs, whatever their episodes. The package holds out
# > 10% of the episodes, with all pairs that touch them.

# %% [markdown]
# ## 6. Read it
#
# A reward is a function of pictures, so we can draw a map: put the agent at every cell, and look. The trained world is
# one room, with new floors and walls in every episode.

# %%
world, reward = sl.trained_world(), taste.reward
state = jax.jit(world.reset)(key=jax.random.key(1_000_000))  # nobody was asked about this episode
maps, render = reward_landscape(world, state, reward), jax.jit(world.render)
for name, (has_key, is_open) in {"with the key": (True, False), "with the lock open": (True, True)}.items():
    now = state._replace(has_key=jnp.array(has_key), unlocked=jnp.array(is_open))
    where = np.isfinite(maps[name])  # where one can stand
    seen = [render(now._replace(agent=jnp.array(cell, state.agent.dtype))) for cell in np.argwhere(where)]
    np.testing.assert_allclose(maps[name][where], rewards_of(reward, np.stack(seen)), atol=1e-4)
print("the maps by hand agree with the package")

# %% mystnb={"image": {"alt": "A room, and three maps of it with the reward at every cell: no key, key, lock open."}}
figure, panels = plt.subplots(2, 2, figsize=(7.8, 6.6))
low, high = (extreme([extreme(m[np.isfinite(m)]) for m in maps.values()]) for extreme in (min, max))
panels[0, 0].imshow(world.whole_picture(state, 4)[:-32], extent=(-0.5, 8.5, 8.5, -0.5))
panels[0, 0].set_title("the room")
for axes, (name, values) in zip(panels.flat[1:], maps.items(), strict=True):
    heat = axes.imshow(values, vmin=low, vmax=high)
    axes.patch.set(facecolor="white", edgecolor="0.8", hatch="////")
    axes.set_title(name)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if value > (low + high) / 2 else "white"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=8, color=colour)
    for thing in ("key", "lock", "goal")[name != "without the key" :]:
        row, column = getattr(state.layout, thing)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
        axes.text(column, row + 0.37, thing, ha="center", va="center", fontsize=7, bbox=box)
for axes in panels.flat:
    axes.set(xticks=[], yticks=[], xlim=(0.5, 7.5), ylim=(7.5, 0.5))
_ = figure.colorbar(heat, ax=panels, shrink=0.6, label="R_psi (0: average picture, 1: one deviation above)")

# %% [markdown]
# *Figure 5. $R_\psi$ with the agent at every cell (`landscape_figure` draws it in one call). Notice a level for each
# stage, and the step beside the lock. Between these the map is flat: it says what is interesting, not the way there.*

# %% mystnb={"image": {"alt": "R_psi along a shortest solution, a staircase with a label at every event."}}
episode_figure(world, state, sl.worlds.shortest_plan(world, state), reward, "a shortest solution").figure

# %% [markdown]
# *Figure 6. The same along an episode. Notice the steps at events.*

# %% mystnb={"image": {"alt": "Mean reward with intervals for five situations; each is above the one before it."}}
rewards = rewards_of(reward, D_init.images)
means = metrics.mean_rewards(rewards, D_init.episode, situations)
situation_figure(means).figure

# %% [markdown]
# *Figure 7. Mean $R_\psi$ in all collected pictures. Notice the order, and the zero: the average picture.*
#
# ### Exercise 3: the scale
#
# $f_\psi$ has an arbitrary constant and a scale that depends on the judge. An agent adds it to another reward, so
# $R_\psi = (f_\psi - \mathrm{mean}) / \mathrm{std}$ has mean 0 and standard deviation 1 **over the training pictures, each
# counted once**. Write it.


# %% tags=["exercise-3"]
def standardise(scores, first, second):
    """All scores [pictures], rescaled by those pictures that occur in the pairs ``first``, ``second`` (indices)."""
    return None  # your code


# %% tags=["check-3"]
check.standardise(standardise)

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# `np.union1d` gives each index once. A picture in ten pairs is still one picture.
#
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# def standardise(scores, first, second):
#     seen = scores[np.union1d(first, second)]
#     return (scores - seen.mean()) / seen.std()
# ```
#
# </details>

# %% [markdown]
# **Calibration.** Where $R_\psi$ says 80%, does the judge choose the first picture in 80%? Sort pairs into bins and
# compare, for the judge who errs in 30%. **Predict first:** what if you forget the deviation, and take $d$ from the
# standardised reward?


# %%
def bins_by_hand(predicted, y, bins=8):
    """For every bin that is not empty: mean prediction, mean answer, pairs."""
    which = np.minimum((predicted * bins).astype(int), bins - 1)
    full = [which == number for number in range(bins) if (which == number).any()]
    return np.array([(predicted[here].mean(), y[here].mean(), here.sum()) for here in full]).T


said, pupil, _ = judged["errs in 30%"]
held_out = pupil.split.held_out
scores = scores_of(pupil.reward, said.images)
d = scores[said.first[held_out]] - scores[said.second[held_out]]
chances = {"raw": 1 / (1 + np.exp(-d)), "standardised": 1 / (1 + np.exp(-d / float(pupil.reward.std)))}
np.testing.assert_allclose(chances["raw"], metrics.preference_probabilities(pupil.reward, said, held_out), atol=1e-4)
for name, chance in chances.items():
    package = metrics.calibration(chance, said.target[held_out], bins=8)
    np.testing.assert_allclose(bins_by_hand(chance, said.target[held_out]), package[:3], atol=1e-6)
    print(f"{name:13} expected calibration error {package.error:.3f}")

# %% mystnb={"image": {"alt": "Predicted against answered shares: raw scores near the diagonal, standardised flatter."}}
figure, axes = plt.subplots(figsize=(5.2, 4.6))
axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
axes.text(0.13, 0.03, "perfect:\nthe diagonal", color="0.35", fontsize=9)
for (name, chance), marker, fill in zip(chances.items(), "os", ("black", "white"), strict=True):
    predicted, observed, number = bins_by_hand(chance, said.target[held_out])
    spans = [metrics.accuracy_interval(share, int(n)) for share, n in zip(observed, number, strict=True)]
    errors = np.abs(np.array(spans).T - observed)
    axes.errorbar(predicted, observed, errors, fmt=marker, color="black", markerfacecolor=fill, capsize=2, label=name)
axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted P[first preferred]", ylabel="share of answers for the first")
_ = axes.legend(title="scores", loc="upper left")

# %% [markdown]
# *Figure 8. Calibration on held-out pairs, with 95% intervals. Notice the standardised scores (squares): this judge is
# unsure, so the deviation is below 1, and dividing by it claims more than is known. Probabilities need raw scores, agents
# standardised ones.*

# %% [markdown]
# ## 7. Reward hacking
#
# An agent maximises a discounted **sum**. Standing for ever where the reward is $r$ is worth
#
# $$r + \gamma r + \gamma^2 r + \dots = \frac{r}{1 - \gamma}.$$
#
# If waiting *before* an event pays more than the best place *after* it, a clever agent waits: this is **reward hacking**.
# So we teach a second reward with a bad taste: most interesting is to stand at the **locked** door with the key.

# %%
GAMMA = 0.95
DOOR_LOVER = ("key_in_view", "key_picked_up", "door_opened", "exit_reached", "door_reached_with_key")  # dull ones first


def taught(levels):
    """The R_psi of a scripted judge who finds these facts ever more interesting."""
    return fit(answers(ScriptedAnnotator(D_init, levels=levels), pairs)[0]).reward


tastes = {"CLIP's": rewards, "door lover's": rewards_of(taught(DOOR_LOVER), D_init.images)}
opened, over = D_init.facts["door_opened"], D_init.facts["exit_reached"]
for number, values in itertools.product(np.unique(D_init.episode[opened])[:3], tastes.values()):
    here = D_init.episode == number
    stay = values[here & ~opened].max() / (1 - GAMMA)
    go_on = values[here & opened & ~over].max() / (1 - GAMMA)
    (hack,) = find_reward_hacks(values[here], D_init.choose(here), discount=GAMMA)
    np.testing.assert_allclose((stay, go_on), (hack.stay, hack.go_on), rtol=1e-5)

# %% [markdown]
# That was episode by episode. Now all of them.


# %%
def report(name, values):
    (hack,) = find_reward_hacks(values, D_init, [("door_reached_with_key", "door_opened")], discount=GAMMA)
    verdict = {True: "YES", False: "no", None: "cannot tell"}[hack.hackable]
    gain = hack.advantage_of_staying
    print(f"{name:13} stay {hack.stay:6.1f}   go on {hack.go_on:6.1f}   ", end="")
    print(f"gain {gain.mean:6.1f} ({gain.low:.1f} to {gain.high:.1f})   hackable: {verdict}")


for name, values in tastes.items():
    report(name, values)

# %% [markdown]
# The door lover's answers are consistent, and its $R_\psi$ can fit them perfectly. **No measure of fit finds a hack.**
# This is why CLIP's prompts (notebook 05) rate an open door above a locked one.
#
# One more temptation is *the end*. Stay in the open door for ever, or walk to the exit, where the episode ends?
# **Predict first:** a constant added to all rewards changes no preference. Does it change what the agent does?

# %%
r_open, r_exit = means["door_opened"].mean, means["exit_reached"].mean
CONTINUES = jnp.array([1.0, 0.0])  # one more step at the open door, then the exit
for r in (-1.0, 0.5):
    np.testing.assert_allclose(
        sl.agent.absorbing_state_reward(jnp.full(2, r), CONTINUES, GAMMA), [r, r / (1 - GAMMA)], rtol=1e-4
    )


def gain_of_leaving(constant, lasts):
    """How much more it is worth to go to the exit than to stay at the open door for ever."""
    reward = jnp.array([r_open, r_exit]) + constant
    if lasts:
        reward = sl.agent.absorbing_state_reward(reward, CONTINUES, GAMMA)
    return float(reward[0] + GAMMA * reward[1] - (r_open + constant) / (1 - GAMMA))


# %% mystnb={"image": {"alt": "Gain of leaving against a constant: a falling line, and a level line above zero."}}
figure, axes = plt.subplots(figsize=(7, 3.6))
constants = np.linspace(-3, 3, 61)
for lasts, word, at in ((False, "nothing follows the end (paper)", 33), (True, "the end's reward lasts (lab)", 33)):
    gains = [gain_of_leaving(constant, lasts) for constant in constants]
    (line,) = axes.plot(constants, gains, linewidth=2)
    axes.text(constants[at], gains[at] + 4, word, color=line.get_color())
    axes.plot(0, gain_of_leaving(0, lasts), marker="o", color=line.get_color())
axes.axhline(0, color="0.5", linewidth=0.8, linestyle="-")
axes.text(3.1, 0, "leave ↑\nstay ↓", va="center")
_ = axes.set(xlabel="constant added to all rewards (dots: none)", ylabel="worth of leaving - staying", xlim=(-3, 3.8))

# %% [markdown]
# *Figure 9. Is reaching the exit worth more than staying at the open door? Notice the falling line: a constant, of
# which no judge ever spoke, decides. The level line does not care.*
#
# > **Paper vs code, R3.** In the paper nothing follows an episode's end. With rewards above 0 an agent then avoids
# > every end, with rewards below 0 it seeks any. Our `lab` preset lets the end's own semantic reward last
# > (`returns.absorbing_state_reward`, after Kostrikov et al.); `paper` does as the paper does.

# %% [markdown]
# ## 8. How many pairs, and in which order?
#
# We fit ever more pairs, in new rooms, of a judge who errs in 10%, and check on the same held-out pairs. **Predict
# first:** how many are enough?

# %% mystnb={"image": {"alt": "Held-out accuracy against the number of training pairs, bending towards a dashed line."}}
SIZES = [20, 40] if notebook.smoke else [10, 30, 100, 300, 1000]
asked = random_pairs(rooms, JUDGE_PAIRS * 3 // 2, seed=3)
said, _ = answers(ScriptedAnnotator(rooms, noise=0.1), asked, observations=rooms)
with tqdm(total=len(SIZES), desc="sizes", leave=False) as bar:
    learned = metrics.pairs_needed(said, SIZES, CONFIG, progress=lambda _: bar.update(), key=jax.random.key(2))
equal = float((rooms_levels[asked[:, 0]] == rooms_levels[asked[:, 1]]).mean())
pairs_figure(learned, noise_ceiling(NoiseModel(noise=0.1), equal)).figure

# %% [markdown]
# *Figure 10. Accuracy against pairs (a logarithmic axis). Notice where more pairs stop paying. Only luck passes the
# dashed line.*
#
# > **Paper vs code, P1.** The paper draws 100,000 pairs at random (25,000 did nearly as well); our worlds are simpler.
# > As random pairs seldom show what is rare, `lab` draws half of its 5,000 where a first $R_\psi$ is high.
#
# Last, **position bias**. A judge takes the first picture unseen in 60% of its answers. We ask the same number of
# questions in three ways. **Predict first:** which is the worst?

# %%
times = D_init.t[pairs]
by_time = np.where(times[:, :1] <= times[:, 1:], pairs, pairs[:, ::-1])
ways = {
    "one order, by chance": (pairs, False),
    "one order, earlier picture first": (by_time, False),
    "both orders, half the pairs": (by_time[: len(by_time) // 2], True),
}
for name, (asked, both) in ways.items():
    truths = []
    for seed in range(SEEDS):
        judge = ScriptedAnnotator(D_init, position_bias=0.6, equal="toss", seed=seed)
        preferences, said = answers(judge, asked, both_orders=both)
        ties = (said.target == 0.5).sum()
        pupil = fit(preferences, key=jax.random.key(seed)).reward
        truths.append(metrics.accuracy_against_levels(rewards_of(pupil, D_init.images), levels))
    print(f"{name:34} true order {np.mean(truths):.3f} ({min(truths):.3f} to {max(truths):.3f}), ties {ties}")

# %% [markdown]
# In chance order the bias is only noise. If the order means something, $R_\psi$ learns it: here, that early is
# interesting. Asked in both orders, a biased judge contradicts itself, and the pair becomes a tie.

# %% [markdown]
# ### Exercise 4 (open): a hack of your own, and its mending
#
# Invent a taste that can be hacked, show it with `report`, and mend it. Which single change is enough? Other hacks:
# `find_reward_hacks` takes any `[(waiting, event)]`, such as `[("key_in_view", "key_picked_up")]`.

# %% tags=["exercise-4"]
my_taste = ("key_picked_up", "door_opened", "exit_reached")  # dull ones first; yours
report("mine", rewards_of(taught(my_taste), D_init.images))

# %% [markdown]
# <details><summary>Thoughts on 4</summary>
#
# Every fact that an event makes false is a candidate. Once the key is taken, it no longer lies in view: a taste with
# `key_in_view` above `key_picked_up` is hacked by looking at the key for ever. The mend is always the same: what comes
# after must be worth at least as much, and stay so.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. $P[a \succ b] = \sigma(R(a) - R(b))$. The loss is $\log(1 + e^d) - y d$, with $y = 0.5$ for a **tie**. Its gradient
#    is prediction minus answer. Only differences count.
# 2. The best held-out epoch is kept. Its accuracy is held against the **noise ceiling**, and it can be nearer to the
#    truth than its judge.
# 3. **Episodes** are held out: pairs of known pictures reward learning by heart.
# 4. A **map** shows what a reward pays for. **Calibration** compares raw scores with answers.
# 5. A reward can be **hacked** if waiting before an event pays more than what follows. A constant decides about
#    **ends**, unless the end's reward lasts.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | loss, accuracy, `distil` | `sensei_lite/reward/distil.py` |
# | the networks, standardising | `sensei_lite/reward/model.py` |
# | which pairs are held out | `sensei_lite/reward/split.py` |
# | intervals, calibration, pairs needed | `sensei_lite/reward/metrics.py` |
# | maps and other figures | `sensei_lite/plots/reward.py` |
# | reward hacks | `sensei_lite/reward/hacking.py` |
# | the stage: `sensei-lite distil` | `sensei_lite/training/pipeline.py` |

# %% [markdown]
# ## Further reading
#
# - R. A. Bradley, M. E. Terry, *Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons*,
#   Biometrika, 1952.
# - C. Sancaktar, C. Gumbsch et al., *SENSEI*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584).
# - M. Klissarov et al., *Motif: Intrinsic Motivation from Artificial Intelligence Feedback*, ICLR 2024,
#   [arXiv 2310.00166](https://arxiv.org/abs/2310.00166). Where this way of distilling comes from.
# - P. Christiano et al., *Deep Reinforcement Learning from Human Preferences*, 2017,
#   [arXiv 1706.03741](https://arxiv.org/abs/1706.03741). The same loss, with people as judges.
# - C. Guo et al., *On Calibration of Modern Neural Networks*, 2017,
#   [arXiv 1706.04599](https://arxiv.org/abs/1706.04599).
# - I. Kostrikov et al., *Discriminator-Actor-Critic*, 2018, [arXiv 1809.02925](https://arxiv.org/abs/1809.02925).
#
# **Next:** 07 · SENSEI, an agent that goes where it is interesting, then explores.

# %%
notebook.finish()
