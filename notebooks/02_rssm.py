# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · RSSM: a network that dreams what comes next
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/02_rssm.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/02_rssm.ipynb)
#
# **Your time:** 75 minutes. **The machine's time:** about two minutes (the last cell prints what it was).
#
# **Before you start:** notebook 01. You have seen a neural network, a softmax and a gradient.
#
# **Afterwards you can**
#
# 1. write a categorical latent variable, and let a gradient pass through its draw;
# 2. write the prior and the posterior, and say which one sees the picture;
# 3. write the balanced KL loss with free bits, and say what each of its numbers does;
# 4. train a small world model, and read the terms of its loss;
# 5. read a dream: where does it go wrong, and what does the model not know?

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import sensei_lite as sl
from sensei_lite.course import picture_of, scrub, step_inside, tqdm
from sensei_lite.course.checks import rssm as check
from sensei_lite.models import State, WorldModel, balanced_kl, kl_categorical, normalize_image, sample_one_hot, unimix
from sensei_lite.plots import LOOKS
from sensei_lite.worlds import random_actions, reset_batch, shortest_plan, step_batch

# %%
notebook = sl.start_notebook()
EPISODES, TIME = (12, 33) if notebook.smoke else (32, 97)  # worlds side by side, and rows of each
ROUNDS, UPDATES, TRIAL, CHUNK = (1, 20, 10, 10) if notebook.smoke else (8, 5000, 300, 50)  # of collecting and learning

world, reward_model = (
    sl.trained_world(),
    sl.trained_reward_model(),
)  # KeyRoom as the shipped agents know it; R_psi is built in notebook 06
sensei = sl.trained_agent("sensei").world_model  # trained for a long time; you train your own in section 5
rssm = sensei.rssm

# %% [markdown]
# ## 1. Why not predict the next picture directly?
#
# A world model answers: *what comes next, if I do this?* Could a network simply draw the next picture from this one?
#
# **Predict first.** A network must draw the next picture, and its mistake is the squared error. It is not told which
# of the five actions comes, and all are equally likely. What does it draw?

# %%
begin = jax.jit(partial(reset_batch, world))
SEED = jax.random.key(0)


@jax.jit
def follow(state, first, actions, *, key):
    """Rows [time episodes] from actions [time-1 episodes], as in notebook 01, and what happened."""

    def one_row(carry, chance):
        state, row = step_batch(world, *carry, chance[0], keys=chance[1])
        return (state, row.is_last), row

    keys = jax.random.split(key, actions.shape)
    _, rows = jax.lax.scan(one_row, (state, first.is_last), (actions, keys))
    rows = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later]), first, rows)
    return sl.training.to_transition(world.actions, rows, reward_model), rows.events


# %% mystnb={"image": {"alt": "A room; five next rooms that differ in the agent's place; their mean with five ghosts."}}
many, first = begin(keys=jax.random.split(SEED, EPISODES))
same, same_first = jax.tree.map(lambda leaf: jnp.repeat(leaf[3:4], EPISODES, axis=0), (many, first))
each = jnp.broadcast_to(jnp.arange(EPISODES) % world.actions.size, (TIME - 1, EPISODES))  # copy i does action i
rows, _ = follow(same, same_first, each, key=SEED)
futures = np.asarray(rows.image[1, : world.actions.size])
figure, panels = plt.subplots(1, 4, figsize=(8.4, 2.7))
shown = {"now": rows.image[0, 0], "next, after north": futures[0], "next, after west": futures[3]}
shown["the best single guess"] = futures.mean(0) / 255
for axes, (title, picture) in zip(panels, shown.items(), strict=True):
    axes.imshow(picture)
    axes.set_title(title)
    axes.set_axis_off()

# %% [markdown]
# *Figure 1. One room, two of its possible futures, and the mean of all five. Notice the pale ghosts: the squared error
# is smallest for the mean, a picture that can never be seen.*
#
# So we want a **state** between the pictures. It can *choose* one future, where a mean blurs. It is small: a picture has
# 17,280 numbers, and notebook 03 needs millions of dreamt steps. And it can *remember* what is no longer in the picture.
#
# The recurrent state-space model (RSSM) has a state of two parts, $s_t = (h_t, z_t)$: a **memory** $h_t$ without
# chance, and a **latent** $z_t$ that is drawn.

# %% [markdown]
# ## 2. A latent made of choices
#
# $z_t$ is a row of categorical variables: think of 32 questions with 8 possible answers each. The network learns the
# questions by itself. One percent of uniform noise (`unimix`) keeps every answer possible. From logits $\ell$
# of $K$ answers:
#
# $$p_k = (1 - \epsilon)\,\mathrm{softmax}(\ell)_k + \epsilon / K, \qquad \epsilon = 0.01.$$
#
# To draw, lay the probabilities side by side from 0 to 1, and see into which one a random number falls.


# %%
def unimix_by_hand(logits, mix=0.01):
    """Logits to log-probabilities."""
    probs = np.exp(logits - logits.max(-1, keepdims=True))
    probs /= probs.sum(-1, keepdims=True)
    return np.log((1 - mix) * probs + mix / logits.shape[-1])


def sample_by_hand(log_probs, *, key):
    """A one-hot draw for each row of log_probs."""
    upper_edges = jnp.cumsum(jnp.exp(log_probs), axis=-1)[..., :-1]
    random = jax.random.uniform(key, (*log_probs.shape[:-1], 1))
    return jax.nn.one_hot((random >= upper_edges).sum(-1), log_probs.shape[-1])


for seed in range(3):
    logits = 3 * np.random.default_rng(seed).normal(size=(32, 8)).astype(np.float32)
    np.testing.assert_allclose(unimix_by_hand(logits), unimix(logits), atol=1e-5)
    key = jax.random.key(seed)
    np.testing.assert_allclose(sample_by_hand(unimix(logits), key=key), sample_one_hot(unimix(logits), key=key))
print("one variable, drawn 5 times:")
for seed in range(5):
    print(sample_by_hand(unimix(logits / 3), key=jax.random.key(seed))[0].astype(int))

# %% [markdown]
# **Predict first.** A later score likes some answers better than others. What is its gradient with respect to the
# logits, through the draw?

# %%
likes = np.random.default_rng(1).normal(size=(1, 8)).astype(np.float32)


def score(logits, draw):
    return (likes * draw(unimix(logits), key=SEED)).sum()


def through_probabilities(log_probs, key):
    return jnp.exp(log_probs)  # no draw at all


logits = jax.random.normal(jax.random.key(1), (1, 8))
print("through the draw:         ", np.asarray(jax.grad(score)(logits, sample_by_hand)).round(2))
print("through the probabilities:", np.asarray(jax.grad(score)(logits, through_probabilities)).round(2))

# %% [markdown]
# A draw is a jump: its gradient is 0, and nothing can learn. The **straight-through** trick uses the draw forwards, and
# the gradient of the probabilities backwards:
#
# $$\text{value: } z = \text{one-hot draw} \qquad \text{gradient: } \partial z := \partial p.$$
#
# ### Exercise 1: straight through
#
# `jax.lax.stop_gradient(x)` has the value of `x` and the gradient 0.


# %% tags=["exercise-1"]
def straight_through(log_probs, key):
    """A one-hot draw whose gradient is that of the probabilities."""
    return None  # your code; sample_by_hand gives the draw


# %% tags=["check-1"]
check.straight_through(straight_through)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Add something to the draw that has the value 0, but not the gradient 0.
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def straight_through(log_probs, key):
#     one_hot = sample_by_hand(log_probs, key=key)
#     probs = jnp.exp(log_probs)
#     return one_hot + probs - jax.lax.stop_gradient(probs)
# ```
#
# </details>

# %% [markdown]
# The package's `sample_one_hot` does this. Where the score is linear in $z$, as here, the result is the exact gradient of
# its mean. Otherwise it is a useful approximation.

# %%
for seed in (3, 2, 1):
    logits = jax.random.normal(jax.random.key(seed), (1, 8))
    package = jax.grad(score)(logits, sample_one_hot)
    np.testing.assert_allclose(package, jax.grad(score)(logits, through_probabilities), atol=1e-6)
print("straight through the package's draw:", np.asarray(package).round(2))

# %% [markdown]
# ## 3. Remember, expect, look
#
# One step has three parts. (As in notebook 01, $a_{t-1}$ is the action that led to the picture $x_t$.)
#
# $$\begin{aligned}
# \text{memory} \quad & h_t = f(h_{t-1}, z_{t-1}, a_{t-1}) \\
# \text{prior} \quad & p(z_t \mid h_t) && \text{what it expects, eyes closed} \\
# \text{posterior} \quad & q(z_t \mid h_t, x_t) && \text{what it believes after looking}
# \end{aligned}$$


# %% mystnb={"image": {"alt": "Two diagrams of a step. Looking: h and the picture give q, then z. Dreaming: h gives p, then z."}}
past, memory, z, heads = (
    ["$h_{t-1}$", "$z_{t-1}$", "$a_{t-1}$"],
    "$h_t$",
    "$z_t$",
    "heads:\n$\\hat{x}_t, \\hat{r}_t$ ...",
)
places = dict(zip(past, [(0, 2), (0, 1), (0, 0)], strict=True)) | {memory: (1.5, 2), z: (4.5, 1), heads: (6.3, 2)}


def draw_step(axes, title, belief, picture=()):
    where = places | {belief: (3, 1)} | {x: (1.5, 0) for x in picture}
    arrows = [(one, memory) for one in past] + [(one, belief) for one in (memory, *picture)]
    for one, other in [*arrows, (belief, z), (memory, heads), (z, heads)]:
        style = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 17, "shrinkB": 30 if other == heads else 19}
        axes.annotate("", xy=where[other], xytext=where[one], arrowprops=style)
    for name, place in where.items():
        box = {"boxstyle": "square,pad=0.4", "linestyle": "--" if name in (belief, z) else "-", "facecolor": "white"}
        axes.text(*place, name, ha="center", va="center", bbox=box)
    axes.set(xlim=(-0.5, 7.2), ylim=(-0.5, 2.6), title=title)
    axes.set_axis_off()


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.7))
draw_step(left, "looking: z from the posterior", "$q(z_t|h_t,x_t)$", ["$x_t$"])
draw_step(right, "dreaming: z from the prior", "$p(z_t|h_t)$")

# %% [markdown]
# *Figure 2. One step, with eyes open and with eyes closed. Dashed boxes involve chance. Notice the one difference: the
# picture.*
#
# Now by hand, with the weights of the shipped model. $f$ is a layer and a GRU (a recurrent layer), whose gate $u$ mixes
# the old memory with a new candidate $c$.


# %%
def norm(x, layer):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-3) * layer.scale + layer.bias


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def block(x, layer):
    y = norm(x, layer)
    return y * sigmoid(y)  # SiLU


def recur_by_hand(w, h, z, action):
    into, gates = w.into.normed, w.cell.gates
    x = block(into.weight @ np.concatenate([z.ravel(), action]), into)
    r, c, u = np.split(norm(gates.weight @ np.concatenate([x, h]), gates), 3)
    u = sigmoid(u - 1)  # the -1: keep the memory, until you learn better
    return u * np.tanh(sigmoid(r) * c) + (1 - u) * h


# %%
def answers(w, hidden, out):
    return unimix_by_hand((out.weight @ hidden + out.bias).reshape(w.stoch, w.classes))


def prior_by_hand(w, h):
    layer = w.prior_block.normed
    return answers(w, block(layer.weight @ h, layer), w.prior_out)


def posterior_by_hand(w, h, x):
    """x is the picture, embedded by the encoder."""
    return answers(w, block(w.from_memory.weight @ h + w.from_picture.weight @ x, w.from_memory), w.posterior_out)


# %% [markdown]
# Are they right? We compare on real rows: first a shortest plan, then random actions.

# %%
plans = [shortest_plan(world, jax.tree.map(lambda leaf, i=i: leaf[i], many)) for i in range(EPISODES)]
actions = np.array(random_actions(world, (TIME - 1, EPISODES), key=jax.random.key(1)))
for i, plan in enumerate(plans):
    actions[: len(plan), i] = plan
rows, events = follow(many, first, jnp.asarray(actions), key=SEED)
rows, events = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1)[:, :24], (rows, events))  # [episodes time ...]

w = jax.tree.map(np.asarray, rssm)
embeddings = eqx.filter_jit(sensei.embed)(rows.image, None)
look, imagine = eqx.filter_jit(rssm.observe_step), eqx.filter_jit(rssm.imagine_step)
for episode in range(3):
    state = rssm.initial()
    for t in range(6):
        action, x, key = rows.action[episode, t] * (t > 0), embeddings[episode, t], jax.random.key(t)
        h = recur_by_hand(w, state.h, state.z, action)
        by_hand = State(h, sample_by_hand(prior_by_hand(w, h), key=key))
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4), imagine(state, action, key=key), by_hand)
        state, posterior = look(state, action, x, rows.is_first[episode, t], key=key)
        np.testing.assert_allclose(posterior_by_hand(w, h, x), posterior, atol=1e-3)
        np.testing.assert_allclose(sample_by_hand(posterior_by_hand(w, h, x), key=key), state.z, atol=1e-6)
print("memory, prior and posterior agree with the package in 18 steps")

# %% [markdown]
# What do the two say? `WorldModel.observe` watches the whole batch.

# %% mystnb={"image": {"alt": "Three grids of 32 questions by 8 answers: prior spread out in places, posterior sharp, draw."}}
new_room = [len(plan) + 1 for plan in plans]  # the row in which the second episode starts
watch = eqx.filter_jit(lambda rows: sensei.observe(rows, key=SEED))
states, posteriors, priors = watch(rows)
shown = {
    "prior p, eyes closed": jnp.exp(priors),
    "posterior q, after looking": jnp.exp(posteriors),
    "z, drawn": states.z,
}
figure, panels = plt.subplots(3, 1, figsize=(7, 5), sharex=True)
for axes, (title, probs) in zip(panels, shown.items(), strict=True):
    image = axes.imshow(probs[0, new_room[0]].T, cmap="Greys", vmin=0, vmax=1)
    axes.set(title=title, ylabel="answer", yticks=[0, 7])
panels[-1].set_xlabel("question")
figure.colorbar(image, ax=panels, label="probability", shrink=0.6)
plt.show()

# %% [markdown]
# *Figure 3. The 32 variables in the first row of a new episode. Notice how the prior spreads: it cannot know the new
# room. The posterior is sure of many answers. Those that it leaves open say little.*
#
# ### Where an episode starts, forget
#
# Replayed sequences run over the ends of episodes. There a new room appears that no action caused. So where `is_first`
# is true, the state becomes the initial one (a learned memory), and the action becomes 0.
#
# ### Exercise 2: wipe
#
# Write what enters the recurrent step. `jnp.where(flag, a, b)` chooses.


# %% tags=["exercise-2"]
def wipe(before, action, is_first, fresh):
    """The State before this row and the action that led here, wiped where the row starts an episode."""
    return None  # your code: a State (h, z), and an action


# %% tags=["check-2"]
check.wipe(wipe)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# Three things are chosen: `h`, `z` and the action. `State(h, z)` makes a state.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def wipe(before, action, is_first, fresh):
#     h = jnp.where(is_first, fresh.h, before.h)
#     z = jnp.where(is_first, fresh.z, before.z)
#     return State(h, z), jnp.where(is_first, 0.0, action)
# ```
#
# </details>

# %% [markdown]
# **Predict first.** Somebody forgets to wipe. For how many rows does the old room disturb the new one? We measure
# **surprise**: how far what the model sees is from what it expected, $\mathrm{KL}(q \| p)$ in nats (section 4).

# %% mystnb={"image": {"alt": "Surprise by row. It jumps in a new episode's first row, far higher if memory is not wiped."}}
forgot = rows._replace(is_first=jnp.zeros_like(rows.is_first))
around = np.array(new_room)[:, None] + np.arange(-4, 8)  # the rows around the start of the new episode
figure, axes = plt.subplots(figsize=(7, 3.2))
for name, watched, look_of_line in (("wiped", rows, "o-"), ("forgot to wipe", forgot, "s--")):
    _, posteriors, priors = watch(watched)
    surprise = np.take_along_axis(np.asarray(kl_categorical(posteriors, priors)), around, axis=1).mean(0)
    axes.plot(np.arange(-4, 8), surprise, look_of_line)
    axes.text(7.2, surprise[-1], name, va="center")
axes.axvline(-0.5, color="0.6", linewidth=1)
axes.set(xlabel="row, counted from the first one of the new episode", ylabel="surprise KL(q || p), nats", yscale="log")
axes.text(-0.7, 60, "old room", ha="right")
axes.set_xlim(-4.3, 9.5)
plt.show()

# %% [markdown]
# *Figure 4. Surprise around the start of a new episode, the mean of all sequences. Notice that even a wiped memory is
# surprised once, by the new looks. Without wiping the surprise is larger, and it lasts: the old room leaks.*
#
# > **Paper vs code, W1.** Here, as in the code that SENSEI stands on, every replayed sequence starts with an empty memory
# > too. Today's danijar/dreamerv3 stores memory with the rows.

# %% [markdown]
# ## 4. Pull prior and posterior together, not too much
#
# To dream well, the prior must foresee the posterior. So the loss contains their divergence
#
# $$\mathrm{KL}(q \| p) = \sum_k q_k (\ln q_k - \ln p_k), \quad \text{added up over the 32 variables.}$$


# %%
def kl_by_hand(log_q, log_p):
    return (jnp.exp(log_q) * (log_q - log_p)).sum((-2, -1))


for seed in range(3):
    q, p = unimix(jax.random.normal(jax.random.key(seed), (2, 32, 8)))
    np.testing.assert_allclose(kl_by_hand(q, p), kl_categorical(q, p), rtol=1e-5)

# %% [markdown]
# But it can become small in two ways. The prior can learn to foresee. Or the posterior can stop seeing: if $z$ says
# nothing, it is easy to foresee. We want the first. So there are two terms, and in each $\mathrm{sg}$ (stop-gradient)
# holds one side still:
#
# $$L_\mathrm{KL} = 0.5 \max(1, \mathrm{KL}(\mathrm{sg}(q) \| p)) + 0.1 \max(1, \mathrm{KL}(q \| \mathrm{sg}(p))).$$
#
# - **Balance:** 0.5 teaches the prior, 0.1 the posterior.
# - **Free bits** (they are nats): below 1 the maximum is flat, and nothing is pulled. So much may $z$ say at no cost.
#
# > **Paper vs code.** 0.5 and 0.1 are SENSEI's, and DreamerV3's of 2023. Today's danijar/dreamerv3 has 1 and 0.1.
#
# ### Exercise 3: the loss
#
# Write it for one state. Arguments are log-probabilities.


# %% tags=["exercise-3"]
def kl_loss(posterior, prior):
    """L_KL, one number."""
    return None  # your code


# %% tags=["check-3"]
check.kl_loss(kl_loss)

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# `kl_by_hand` gives one number for the whole state: take the maximum of that. Hold `posterior` in one term and `prior`
# in the other.
#
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# def kl_loss(posterior, prior):
#     stop = jax.lax.stop_gradient
#     dynamics = jnp.maximum(1.0, kl_by_hand(stop(posterior), prior))
#     representation = jnp.maximum(1.0, kl_by_hand(posterior, stop(prior)))
#     return 0.5 * dynamics + 0.1 * representation
# ```
#
# </details>

# %% [markdown]
# **Predict first.** We let only this loss pull at two distributions. Which one walks further, how many times as far, and
# where do they stop?


# %% mystnb={"image": {"alt": "Left: KL falls and stops at 1 with free bits, goes on without. Right: the prior walks further."}}
def pull(free_bits, steps=100, rate=0.5):
    """Gradient steps on the logits of a posterior and a prior: all KLs, and how far each has walked."""
    start = 1.5 * jax.random.normal(jax.random.key(4), (2, 4, 8))

    def loss(logits):
        kl = balanced_kl(unimix(logits[0]), unimix(logits[1]), free_bits)
        return 0.5 * kl.dynamics + 0.1 * kl.representation, kl.raw

    def step(logits, _):
        gradient, kl = jax.grad(loss, has_aux=True)(logits)
        return logits - rate * gradient, (kl, jnp.sqrt(jnp.square(logits - start).sum((1, 2))))

    return jax.jit(lambda: jax.lax.scan(step, start, length=steps)[1])()


figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
(kl, walked), (kl_without, _) = pull(free_bits=1.0), pull(free_bits=0.0)
lines = {"free bits 1": (left, kl, "-"), "free bits 0": (left, kl_without, "--")}
lines |= {"posterior (0.1)": (right, walked[:, 0], "--"), "prior (0.5)": (right, walked[:, 1], "-")}
for name, (axes, values, line) in lines.items():
    axes.plot(values, line, color="black")
    axes.annotate(name, (99, values[-1]), xytext=(-5, 6), textcoords="offset points", ha="right")
left.set(xlabel="gradient step", ylabel="KL(q || p), nats", ylim=(0, None))
right.set(xlabel="gradient step", ylabel="distance walked by the logits", ylim=(0, 3.5))
plt.show()

# %% [markdown]
# *Figure 5. The two KL terms at work, on 4 variables. Notice that with free bits the pull ends at about 1 nat (left), and
# that the prior walks about five times as far (right).*

# %% [markdown]
# ## 5. The whole loss, and your own world model
#
# Four **heads** read $s_t$. They tell the picture, the reward, whether the world goes on, and the semantic reward
# $r^{sem}$. One loss teaches everything at once:
#
# $$L = L_\mathrm{image} + L_\mathrm{reward} + L_\mathrm{continue} + L_\mathrm{semantic} + L_\mathrm{KL}.$$

# %%
settings = sl.trained_agent("sensei").config.world_model  # the shipped model's sizes
few = jax.tree.map(lambda leaf: leaf[:8, :8], rows)
total, (terms, _) = eqx.filter_jit(lambda model: model.loss(few, key=SEED))(sensei)
weights = dict.fromkeys(terms, 1.0) | {"dynamics": settings.dynamics_scale, "kl": 0.0}
weights["representation"] = settings.representation_scale
for name, value in terms.items():
    print(f"{name:15} {value:7.3f}   {f'weight {weights[name]}' if weights[name] else '(only shown)'}")
np.testing.assert_allclose(total, sum(weights[name] * terms[name] for name in terms), rtol=1e-5)

# %% [markdown]
# `image` is a sum over all pixels. Rewards are told as distributions over bins (`two_hot`).
#
# > **Paper vs code, W2 and D2.** SENSEI's settings keep the gradients of both reward heads out of the state. Here both
# > shape it. SENSEI's bins are even in symlog space. Here they are symexp bins, as in today's danijar/dreamerv3.
#
# Now yours. It learns from **random play**, with as many updates as the shipped agents had.

# %%
parts = []
for number in tqdm(range(ROUNDS), desc="random play", leave=False):
    begin_key, action_key, step_key = jax.random.split(jax.random.key(100 + number), 3)
    start = begin(keys=jax.random.split(begin_key, EPISODES))
    parts.append(follow(*start, random_actions(world, (TIME - 1, EPISODES), key=action_key), key=step_key))
played, happened = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
replay = sl.agent.Replay(
    played, {}, jnp.asarray(ROUNDS * TIME)
)  # sequences are drawn from it; they run over episodes' ends
del parts, played
print(
    f"{ROUNDS * TIME * EPISODES:,} rows, in which it happened:", {name: int(of.sum()) for name, of in happened.items()}
)

# %%
optimiser = optax.chain(optax.clip_by_global_norm(settings.clip), optax.adam(settings.learning_rate, b2=settings.beta2))


@eqx.filter_jit(donate="all-except-first")
def learn(replay, model, adam, *, key):
    """CHUNK updates, each on 8 sequences of 8 rows."""

    def update(carry, key):
        (model, adam), (sample_key, loss_key) = carry, jax.random.split(key)
        rows = replay.sample(8, 8, key=sample_key)
        gradient, (terms, _) = eqx.filter_grad(lambda model: model.loss(rows, key=loss_key), has_aux=True)(model)
        change, adam = optimiser.update(gradient, adam)
        return (optax.apply_updates(model, change), adam), terms

    (model, adam), terms = jax.lax.scan(update, (model, adam), jax.random.split(key, CHUNK))
    return model, adam, jax.tree.map(jnp.mean, terms)


# %%
def train_model(settings, updates, seed=0):
    """A new world model: as it is after every fifth of the updates, and all terms of its loss along the way."""
    model = WorldModel(settings, world.image_shape, world.actions.size, key=jax.random.key(seed))
    adam, history, kept = optimiser.init(model), [], {}
    with tqdm(total=updates, desc="updates (the first ones compile)", leave=False) as bar:
        for done in range(CHUNK, updates + 1, CHUNK):
            model, adam, terms = learn(replay, model, adam, key=jax.random.fold_in(SEED, done))
            history.append(jax.device_get(terms))
            bar.update(CHUNK)
            bar.set_postfix(image=f"{history[-1]['image']:.1f}", kl=f"{history[-1]['kl']:.1f}")
            if done == updates or done * 5 % updates == 0:
                kept[done] = jax.tree.map(jnp.copy, model)  # a copy, for `learn` uses its argument up
    return kept, {name: np.array([terms[name] for terms in history]) for name in history[0]}


growing, curves = train_model(settings, UPDATES)
mine = growing[UPDATES]

# %% mystnb={"image": {"alt": "Left: the image term falls in steps. Right: the KL rises and falls, the semantic term falls."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), sharex=True)
updates = CHUNK * np.arange(1, len(curves["image"]) + 1)
left.plot(updates, curves["image"], color="black")
left.set(ylabel="image: squared error of a picture", yscale="log")
for name, line in {"kl": "-", "semantic": "--"}.items():
    right.plot(updates, curves[name], line, color="black")
    right.text(updates[-1] * 1.02, curves[name][-1], name, va="center")
right.set(ylabel="nats", xlim=(0, updates[-1] * 1.25), ylim=(0, None))
plt.setp((left, right), xlabel="updates")
plt.show()

# %% [markdown]
# *Figure 6. Terms of the loss while your model learns. Notice the steps on the left: large walls and floors come first,
# the small agent later. Notice the KL: as soon as $z$ says more, the prior has more to foresee. A KL that rises is not
# a fault.*

# %% [markdown]
# ## 6. Let it dream
#
# The test is **open loop**: look at one picture, close the eyes, and follow the actions that were taken. We compare your
# model with those of the shipped agents. They have the same size and as many updates, but each saw what its own policy
# visited.
#
# **Predict first.** Does your model know that the key disappears? That the door opens?


# %%
@eqx.filter_jit
def dream(model, rows):
    """Look at row 0 only, then dream: pictures, predicted semantic reward, probability that the world goes on."""
    features = model.open_loop(rows, 1, key=SEED).features
    told_by = lambda head: jax.vmap(jax.vmap(head))(features)  # noqa: E731
    return model.decoder(features), told_by(model.semantic), told_by(model.continues)


shipped = {"plan2explore": sl.trained_agent("plan2explore").world_model, "sensei": sensei}
models = {"yours": mine} | shipped
dreams = {name: dream(model, rows) for name, model in models.items()}

# %% mystnb={"image": {"alt": "Three rows of pictures: reality, your model's dream, SENSEI's dream, at five moments."}}
key_t, door_t, exit_t = (
    np.asarray(events[name]).argmax(1) for name in ("key_picked_up", "door_opened", "exit_reached")
)
moments = {0: "the one real look", 2: "", key_t[0]: "key taken", door_t[0]: "door opened", exit_t[0]: "exit"}
figure, panels = plt.subplots(3, len(moments), figsize=(8, 5.6))
rows_of = {"reality": rows.image} | {name: picture_of(dreams[name][0]) for name in ("yours", "sensei")}
for line, (name, pictures) in zip(panels, rows_of.items(), strict=True):
    line[0].text(-0.1, 0.5, name, rotation=90, ha="right", va="center", transform=line[0].transAxes)
    for axes, (t, word) in zip(line, moments.items(), strict=True):
        axes.imshow(pictures[0, t])
        axes.set_axis_off()
        if name == "reality":
            axes.set_title(f"step {t}\n{word}", fontsize=9)

# %% [markdown]
# *Figure 7. A shortest plan in reality and in two dreams of it. Notice the agent, the key, the door, and the strip that
# shows what the agent holds. A ghost is a decoder that is not sure. Notice the decorations: are they in the dreams?*
#
# One episode can mislead. So we ask in all, at the step of each event: is the dreamt tile close to the real one *after*
# the event (closer than half of the way from before)?


# %%
def tile(pictures, row, column, side=world.tile_pixels):
    return pictures[:, row * side : (row + 1) * side, column * side : (column + 1) * side]


def share_that_knows(pictures, t, place):
    """The share of episodes whose dream is right at step t about the tile that the event changes."""
    episodes, real = np.arange(EPISODES), np.asarray(normalize_image(rows.image))
    seen, after = tile(np.asarray(pictures)[episodes, t], *place), tile(real[episodes, t], *place)
    before = tile(real[episodes, t - 1], *place)
    distance = lambda one, other: np.sqrt(np.square(one - other).sum((1, 2, 3)))  # noqa: E731
    return (distance(seen, after) < distance(before, after) / 2).mean()


layout = jax.tree.map(lambda leaf: np.asarray(leaf)[0], many.layout)  # key, door and exit lie the same in all episodes
strip = (world.grid_shape[0], world.grid_shape[1] // 2)  # the slot that shows the key in the agent's hand
tests = {"key taken": (key_t, strip), "door opened": (door_t, layout.lock), "exit reached": (exit_t, layout.goal)}
print(f"{'knows in its dream:':22}", *(f"{name:>13}" for name in tests))
for name, model in ({f"yours, {done:,} updates": model for done, model in growing.items()} | shipped).items():
    pictures = dream(model, rows)[0]
    print(f"{name:22}", *(f"{share_that_knows(pictures, *test):13.0%}" for test in tests.values()))

# %% [markdown]
# First come walls, then the agent, then events: the rarer, the later, or not at all. Random play contained few opened
# doors and fewer exits (the count is above Figure 6). In a large room it may contain none, and then no number of updates
# helps: **a world model knows what its data has shown.** That is why exploration matters.
#
# How fast does a dream go wrong? Now the actions are random, and the baseline is the laziest model of all: nothing
# changes.

# %% mystnb={"image": {"alt": "Squared error by dreamt step of three models; that of the baseline, nothing changes, is far higher."}}
start = begin(keys=jax.random.split(jax.random.key(7), EPISODES))
walk, _ = follow(*start, random_actions(world, (TIME - 1, EPISODES), key=jax.random.key(8)), key=SEED)
walk = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1)[:, :24], walk)
whole = ~np.asarray(walk.is_first[:, 1:]).any(1)  # a dream cannot know the next episode's room
real = np.asarray(normalize_image(walk.image))[whole]
looks = {"yours": LOOKS["random"] | {"linestyle": (0, (2, 1))}, **LOOKS}
figure, axes = plt.subplots(figsize=(7.5, 3.8))
ends = {}
for name in ("nothing changes", *models):
    drawn = real[:, :1] if name == "nothing changes" else np.asarray(dream(models[name], walk)[0])[whole]
    error = np.square(drawn - real).sum((2, 3, 4)).mean(0)
    axes.plot(error, **looks.get(name, {"color": "black", "linestyle": "-"}), markersize=4)
    ends[name] = error[-1]
height = -np.inf
for name, end in sorted(ends.items(), key=lambda item: item[1]):
    height = max(end, height + 2)  # names must not lie on each other
    axes.text(23.4, height, name, va="center")
axes.set(xlabel="step (0: looked at, then dreamt)", ylabel="squared error of the picture", xlim=(0, 29), ylim=(0, None))
axes.set_xticks(range(0, 24, 4))
plt.show()

# %% [markdown]
# *Figure 8. Error of open-loop dreams, the mean of all episodes. Notice step 0: even with eyes open there is a small
# error, the details that $z$ leaves out. Compare with the table: a model is best where its data is. SENSEI's knows the
# way to the exit, but goes wrong sooner where steps are random. Where was your model's data?*

# %% [markdown]
# ### Scrub through a dream
#
# The episode of Figure 7, step by step. Where does your model's dream first go wrong?

# %%
length = int(exit_t[0]) + 1
names = ["eyes open", *(world.actions.names[int(a)] for a in rows.action[0, 1:length].argmax(-1))]
words = [", ".join(name.replace("_", " ") for name, of in events.items() if of[0, t]) for t in range(length)]
captions = [f"{action}{': ' if word else ''}{word}" for action, word in zip(names, words, strict=True)]
scrub(rows.image[0, :length], {name: rows_of[name][0, :length] for name in ("yours", "sensei")}, captions)

# %% [markdown]
# ### Step inside
#
# Below, all that you see is drawn by the model. Take the key, open the door. Walk into a wall. Apply the key where no
# door is. What does the model believe? Meters show the semantic reward and the probability of going on that it
# predicts. Then try `step_inside(mine)`.

# %%
step_inside(sensei)

# %% mystnb={"image": {"alt": "Two lines by step: semantic reward rises at key and door in reality and in SENSEI's dream."}}
figure, (top, below) = plt.subplots(2, 1, figsize=(7, 4), sharex=True, height_ratios=(2, 1))
_, semantic, continue_head = (np.asarray(part)[0, :length] for part in dreams["sensei"])
top.plot(rows.semantic[0, :length], "-", color="0.75", linewidth=7, label="what R_psi says of the real picture")
top.plot(semantic, **LOOKS["sensei"], label="predicted in the dream")
below.plot(continue_head, **LOOKS["sensei"])
for t, word in list(moments.items())[2:]:
    top.annotate(word, (t, semantic[t]), xytext=(-6, 4), textcoords="offset points", ha="right")
top.set(ylabel="semantic reward", ylim=(None, 2.4))
top.legend(loc="upper left")
below.set(xlabel="step", ylabel="goes on\n(probability)", ylim=(-0.05, 1.1))
plt.show()

# %% [markdown]
# *Figure 9. The two meters along SENSEI's dream of Figure 7. Notice that it saw one picture only, and tells all the same
# when something interesting comes and when the episode ends.*

# %% [markdown]
# ### Exercise 4 (open): fewer questions
#
# How small can $z$ be? Change `stoch` (questions) and `classes` (answers). **Predict** the image term and the KL, train
# with `UPDATES` instead of `TRIAL`, and `step_inside(my_models[UPDATES])`.

# %% tags=["exercise-4"]
my_settings = dataclasses.replace(settings, stoch=32, classes=8)  # your numbers
my_models, my_curves = train_model(my_settings, TRIAL)
print({name: round(float(values[-1]), 2) for name, values in my_curves.items()})

# %% [markdown]
# <details><summary>Hint 4</summary>
#
# How many bits can $z$ hold? How many are needed for the agent's place, the looks of floor and wall, the key, the door?
#
# </details>
#
# <details><summary>Thoughts on 4</summary>
#
# 4 × 4 holds 8 bits. In our runs it kept the looks of the room and lost the agent. 4 × 64 (24 bits) did better, and
# 16 × 4 (32 bits) came close to 32 × 8. Many small questions are easier than few large ones.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. A categorical latent **chooses**, where a mean would blur. Straight through: the value of the draw, the gradient of
#    the probabilities.
# 2. The **prior** has only its memory. The **posterior** sees the picture. A dream takes the prior at every step. Where
#    an episode starts, memory and action are wiped.
# 3. $0.5$ pulls the prior to the posterior, $0.1$ the other way, and below **1 nat** nothing is pulled.
# 4. The loss is a sum of named terms: image, reward, continue, semantic, and two of KL.
# 5. A dream shows what the model has understood. It cannot contain what the data has never shown.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | unimix, draw, KL, two-hot | `sensei_lite/models/distributions.py` |
# | memory, prior, posterior, wiping | `sensei_lite/models/rssm.py`; its layers in `layers.py`, `image_layers.py` |
# | heads, loss, `open_loop` | `sensei_lite/models/world_model.py` |
# | the replay, one update of the model | `sensei_lite/agent/replay.py`, `update.py` (`learn_model`) |
# | collecting and learning in one loop | `sensei_lite/training/jax_loop.py` |
# | the two widgets | `sensei_lite/course/widgets/dream.py` |

# %% [markdown]
# ## Further reading
#
# - D. Hafner et al., *Mastering Diverse Domains through World Models* (DreamerV3), 2023,
#   [arXiv 2301.04104](https://arxiv.org/abs/2301.04104). The world model of this course.
# - D. Hafner et al., *Mastering Atari with Discrete World Models* (DreamerV2), ICLR 2021,
#   [arXiv 2010.02193](https://arxiv.org/abs/2010.02193). Categorical latents and balanced KL.
# - D. Hafner et al., *Learning Latent Dynamics for Planning from Pixels* (PlaNet), ICML 2019,
#   [arXiv 1811.04551](https://arxiv.org/abs/1811.04551). Where the RSSM comes from.
# - Y. Bengio, N. Léonard, A. Courville, *Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
#   Computation*, 2013, [arXiv 1308.3432](https://arxiv.org/abs/1308.3432). The straight-through gradient.
# - D. P. Kingma et al., *Improved Variational Inference with Inverse Autoregressive Flow*, NeurIPS 2016,
#   [arXiv 1606.04934](https://arxiv.org/abs/1606.04934). Free bits.
# - D. Ha, J. Schmidhuber, *World Models*, 2018, [arXiv 1803.10122](https://arxiv.org/abs/1803.10122). Acting in dreams.
#
# **Next:** 03 · Imagination, a policy that learns inside these dreams.

# %%
notebook.finish()
