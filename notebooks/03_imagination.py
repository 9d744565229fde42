# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · Imagination: learning to act in dreams
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/03_imagination.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/03_imagination.ipynb)
#
# **Your time:** 60 minutes. **The machine's time:** about three minutes (the last cell prints what it was).
#
# **Before you start:** notebooks 01 and 02. You know what a gradient is.
#
# **Afterwards you can**
#
# 1. write the lambda-return with every time step in the right place;
# 2. say why the critic predicts a distribution, and build it (symexp, two-hot);
# 3. write the actor's loss, and say what gets a gradient from it and what must not;
# 4. say why returns are normalised by percentiles, and why the scale is never below 1;
# 5. train an actor and a critic in dreams only, and recognise a dream that does not come true.

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

# %%
import sensei_lite as sl
from sensei_lite.agent import (
    PercentileNormaliser,
    actor_loss,
    critic_loss,
    decode_action,
    dream_starts,
    dream_weights,
    encode_action,
    imagine,
    lambda_return,
    learn_to_act,
)
from sensei_lite.course import tqdm
from sensei_lite.course.checks import imagination as check
from sensei_lite.models import MLP, TwoHotHead, symexp_bins, two_hot, two_hot_loss, two_hot_mean
from sensei_lite.worlds import random_actions, reset_batch, step_batch

# %%
notebook = sl.start_notebook()
SEEDS, UPDATES, EVERY, EPISODES = (1, 20, 10, 8) if notebook.smoke else (3, 1200, 150, 100)
STREAMS = ("extrinsic",) if notebook.smoke else ("extrinsic", "semantic")

# %% [markdown]
# ## 1. A dream
#
# A trained agent from the package (SENSEI, notebook 07) looks once at a room. Then it closes its eyes: from the state
# $s_0$ the **actor** (its policy) chooses $a_0$, the model draws $s_1$ from its prior, and so on.

# %%
world, explorer = sl.trained_world(), sl.trained_agent("sensei")
model, KEY = explorer.world_model, jax.random.key(1)
ROOMS, T = 64, 12  # dreams side by side, steps of each
begin, look = jax.jit(reset_batch, static_argnums=0), jax.jit(sl.act)
dream = jax.jit(imagine, static_argnums=3)
draw = eqx.filter_jit(lambda features: jnp.clip(model.decoder(features) + 0.5, 0, 1))  # pictures for people
read = eqx.filter_jit(lambda head, features: jax.vmap(jax.vmap(head))(features))  # of all states [time rooms]


def first_look(key):
    """New rooms, and the model's state s_0 after a look at each."""
    rooms, row = begin(world, keys=jax.random.split(key, ROOMS))
    blank = sl.initial_policy_state(explorer, ROOMS, world.actions.size)
    return rooms, look(explorer, blank, row.image, row.is_first, key=KEY).state


_, s_0 = first_look(jax.random.key(6))


# %%
def imagine_by_hand(model, actor, start, horizon, *, key):
    """States s_0 to s_T and actions a_0 to a_{T-1}, both [time rooms ...]; keys are split as the package does."""
    states, actions = [start], []
    for step_key in jax.random.split(key, horizon):
        action_key, state_key = jax.random.split(step_key)
        action = jax.vmap(actor)(states[-1].features).sample(key=action_key)
        keys = jax.random.split(state_key, len(action))
        following = jax.vmap(lambda s, a, k: model.rssm.imagine_step(s, a, key=k))(states[-1], action, keys)
        states.append(following)
        actions.append(action)
    return jax.tree.map(lambda *steps: jnp.stack(steps), *states), jnp.stack(actions)


for key in jax.random.split(KEY):
    mine = imagine_by_hand(model, explorer.actor, s_0, T, key=key)
    *theirs, _ = dream(model, explorer.actor, s_0, T, key=key)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-3), mine, tuple(theirs))
print("h", theirs[0].h.shape, " z", theirs[0].z.shape, " actions", theirs[1].shape)

# %% [markdown]
# $T$ steps give $T + 1$ states, but $T$ actions. From every state, heads read a reward $r_t$ and the probability $c_t$
# that the episode goes on. As in notebook 01, both are aligned **on arrival**: $r_t$ is the reward for arriving in
# $s_t$.
#
# **Predict first.** Which is the first reward that action $a_0$ can change? Is $r_0$ of any use?

# %% mystnb={"image": {"alt": "Three rows of eight dreamt rooms each; all rows begin with the same picture."}}
ROOM, MOMENTS = 0, (0, 2, 3, 5, 7, 8, 9, 10)  # all dreams start in this room now
start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[ROOM], leaf.shape), s_0)
states, actions, policy = dream(model, explorer.actor, start, T, key=KEY)
reward, continue_head = read(model.reward, states.features), read(model.continues, states.features)
pictures = draw(states.features)
figure, panels = plt.subplots(3, 8, figsize=(9, 4.6))
for (which, column), axes in np.ndenumerate(panels):
    t = MOMENTS[column]
    axes.imshow(pictures[t, which])
    r, c = (abs(np.round(of[t, which], 1)) for of in (reward, continue_head))  # abs: no "-0.0"
    axes.set_title((f"t = {t}\n" if which == 0 else "") + f"r {r:.1f}  c {c:.1f}", fontsize=10)
    axes.set_axis_off()
plt.show()

# %% [markdown]
# *Figure 1. Three dreams from one state, drawn by the decoder; r is the predicted reward, c the probability of going
# on. Notice that dreams differ, and that on arrival at the exit r is near 1 and c near 0.*
#
# $a_0$ leads to $s_1$, so $r_1$ is its first reward. $r_0$ belongs to the past. Beyond $c_t \approx 0$ lies a dream
# that must teach nothing. So every step has a weight, the discounted chance to get there:
#
# $$d_t = \gamma\, c_t, \qquad w_t = d_1 d_2 \cdots d_t, \qquad w_0 = 1$$

# %%
GAMMA = explorer.config.behaviour.discount
living = jnp.zeros(ROOMS)  # is_terminal of s_0: no dream starts after an end
weight = dream_weights(GAMMA * continue_head, living)
for d, found in ((GAMMA * continue_head, weight), (0.5 * continue_head, dream_weights(0.5 * continue_head, living))):
    by_hand = [np.prod(d[1 : t + 1], axis=0) for t in range(T)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-7)
print("weights in the first dream:", " ".join(f"{w:.2f}" for w in weight[:, 0]))

# %% [markdown]
# > **Paper vs code, R1.** Implementations disagree by one step about these weights.
#
# ## 2. The lambda-return
#
# A critic says $v_t$: what it expects to follow $s_t$. A dream is short, so its end must borrow a value from the
# critic. The lambda-return trusts the critic a little at every step:
#
# $$R_t = r_{t+1} + d_{t+1}((1-\lambda)\, v_{t+1} + \lambda\, R_{t+1}), \qquad R_T = v_T$$
#
# Everything on the right belongs to the **arrival**, $t+1$. Here is a dream of three steps, with
# $\lambda = 0.5$.
#
# | $t$ | 0 | 1 | 2 | 3 |
# |---|---|---|---|---|
# | $r_t$ | not used | 0 | 0 | 1 |
# | $d_t$ | not used | 0.9 | 0.9 | 0 (the end) |
# | $v_t$ | not used | 0.6 | 0.7 | 0.4 |

# %%
r, d, v = np.array([9.0, 0.0, 0.0, 1.0]), np.array([9.0, 0.9, 0.9, 0.0]), np.array([9.0, 0.6, 0.7, 0.4])
R_2 = 1 + 0.0 * (0.5 * 0.4 + 0.5 * 0.4)  # the end: nothing is borrowed
R_1 = 0 + 0.9 * (0.5 * 0.7 + 0.5 * R_2)
R_0 = 0 + 0.9 * (0.5 * 0.6 + 0.5 * R_1)
print(f"R_2 = {R_2:.4f}, R_1 = {R_1:.4f}, R_0 = {R_0:.4f}")
np.testing.assert_allclose(lambda_return(r, v, d, 0.5), [R_0, R_1, R_2], rtol=1e-5)
for lam in (0.0, 1.0):
    print(f"lambda = {lam:.0f}: {' '.join(f'{R:.3f}' for R in lambda_return(r, v, d, lam))}")

# %% [markdown]
# $\lambda = 0$ looks one step ahead and trusts the critic for the rest, so a wrong critic teaches itself. $\lambda = 1$
# adds up what was dreamt, and that depends on luck. In between, $R_t$ is a mean of all $n$-step returns. $n$ has weight
# $(1-\lambda)\lambda^{n-1}$, and the longest one has the rest.


# %%
def shares(lam, longest):
    """How much the n-step returns count, n = 1 to the longest."""
    return np.array([(1 - lam) * lam**n for n in range(longest - 1)] + [lam ** (longest - 1)])


def lambda_return_as_a_mean(r, v, d, lam):
    """The same as `lambda_return` for one dream, from its other definition."""
    returns, last = [], len(r) - 1
    for t in range(last):
        total, carried, n_step = 0.0, 1.0, []
        for k in range(t + 1, last + 1):  # n = k - t rewards, then the value of s_k
            total, carried = total + carried * r[k], carried * d[k]
            n_step.append(total + carried * v[k])
        returns.append(np.dot(shares(lam, last - t), n_step))
    return np.array(returns)


generator = np.random.default_rng(0)
for lam in (0.0, 0.5, 0.95, 1.0):
    one_dream = generator.normal(size=8), generator.normal(size=8), generator.uniform(0.5, 1, 8)
    np.testing.assert_allclose(
        lambda_return(*one_dream, lam), lambda_return_as_a_mean(*one_dream, lam), rtol=1e-4, atol=1e-5
    )
print("Both definitions agree.")

# %% mystnb={"image": {"alt": "Three bar charts over n from 1 to 10: one bar, falling bars, one high last bar."}}
figure, panels = plt.subplots(1, 3, figsize=(8, 2.6), sharey=True)
for axes, lam in zip(panels, (0.0, 0.5, 0.95), strict=True):
    axes.bar(range(1, 11), shares(lam, 10), color="0.75", edgecolor="black")
    axes.set(title=f"λ = {lam}", xlabel="n, steps before the critic is asked", xticks=[1, 5, 10])
panels[0].set_ylabel("weight")
plt.show()

# %% [markdown]
# *Figure 2. What the lambda-return is made of, for a dream of 10 steps. Notice the last bar on the right: with λ =
# 0.95, most of the weight is on the whole dream, and the critic is asked at its end.*
#
# ### Exercise 1: the lambda-return
#
# Write it for one dream. The arrays have $T+1$ entries, the result has $T$. Work backwards from $R_T = v_T$.


# %% tags=["exercise-1"]
def my_lambda_return(r, v, d, lam):
    """R_0 to R_{T-1}, from rewards, values and discounts of s_0 to s_T."""
    return None  # your code


# %% tags=["check-1"]
check.lambda_return(my_lambda_return)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Let `t` run from $T-1$ down to 0. Keep the newest $R$ in a variable. All three arrays are read at `t + 1`.
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def my_lambda_return(r, v, d, lam):
#     R, returns = v[-1], []
#     for t in reversed(range(len(r) - 1)):
#         R = r[t + 1] + d[t + 1] * ((1 - lam) * v[t + 1] + lam * R)
#         returns.append(R)
#     return np.array(returns[::-1])
# ```
#
# </details>

# %% [markdown]
# ## 3. A critic that predicts a distribution
#
# A critic could say one number and learn by squared error. **Predict first.** Most states are worth between -1 and 1, a
# few are worth 1,000. How well does a squared error fit the small values, after 1,000 steps of Adam?
#
# Our critic has 255 outputs instead, a distribution over fixed *bins* $b_i$: dense near 0 and far apart outside (symexp
# of an even grid). A target is written as *two-hot*: two neighbours share a weight of 1, so that $\sum_i w_i b_i$ is
# the target. The loss is a cross-entropy, the prediction a mean:
#
# $$L = -\sum_i w_i \ln p_i, \qquad v = \sum_i p_i\, b_i$$

# %%
bins, critic = symexp_bins(255), explorer.critics["semantic"]
for target, features in zip((2.5, -700.0), states.features[0, :2], strict=True):
    logits = np.asarray(critic.mlp(features), np.float64)
    p, target = np.exp(logits) / np.exp(logits).sum(), jnp.float32(target)
    w = np.asarray(two_hot(target, bins))
    np.testing.assert_allclose(two_hot_loss(logits, target, bins), -(w * np.log(p)).sum(), rtol=1e-4)
    np.testing.assert_allclose(two_hot_mean(logits, bins), (p * bins).sum(), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(critic(features), (p * bins).sum(), rtol=1e-3, atol=1e-3)
few = symexp_bins(41)
w = two_hot(jnp.float32(2.5), few)
for i in np.flatnonzero(w):
    print(f"bin {i}: b = {few[i]:.3f}, w = {w[i]:.3f}")
print(f"sum of w times b = {w @ few:.3f}")

# %% [markdown]
# Both losses now learn the same values with the same optimiser.


# %%
@eqx.filter_jit
def fit(net, says, loss, updates=1000):
    """Adam on all points together. Returns what the net says in the end, and the largest gradient on the way."""
    optimiser, (weights, rest) = optax.adam(3e-3), eqx.partition(net, eqx.is_array)

    def update(carry, _):
        weights, memory = carry
        gradient = jax.grad(lambda w: loss(eqx.combine(w, rest)))(weights)
        change, memory = optimiser.update(gradient, memory)
        return (optax.apply_updates(weights, change), memory), optax.tree.norm(gradient)

    (weights, _), norms = jax.lax.scan(update, (weights, optimiser.init(weights)), None, updates)
    return says(eqx.combine(weights, rest)), norms.max()


# %%
x = jnp.linspace(-1, 1, 101)
inputs, values = jnp.stack([x, x**2, jnp.ones_like(x)], -1), jnp.where(x > 0.9, 1000.0, jnp.sin(4 * x))
one_number = lambda net: jax.vmap(net)(inputs)[:, 0]  # noqa: E731
squared, squared_norm = fit(
    MLP(3, 1, 64, 1, key=KEY), one_number, lambda net: jnp.square(one_number(net) - values).mean()
)
spread = TwoHotHead(3, 64, 1, 255, key=KEY)
spread, spread_norm = fit(
    spread, lambda net: jax.vmap(net)(inputs), lambda net: jax.vmap(net.loss)(inputs, values).mean()
)
print(f"largest gradient: {squared_norm:.0f} with the squared error, {spread_norm:.1f} with two-hot")

# %% mystnb={"image": {"alt": "Left: two bars beside 2.5. Right: a wave; dashes miss it, dots lie on it."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), width_ratios=(1, 1.6))
left.stem(few[20:24], w[20:24], linefmt="k-", markerfmt="ko", basefmt=" ")
left.axvline(2.5, color="0.5", linestyle=":")
left.text(2.6, 0.93, "x = 2.5", color="0.3")
left.set(xlabel="bins (some of 41)", ylabel="weight", ylim=(0, 1))
small = x <= 0.86
right.plot(x[small], values[small], color="0.7", linewidth=6, solid_capstyle="round")
right.plot(x[small], squared[small], color="#D55E00", linestyle="--")
right.plot(x[small][::4], spread[small][::4], "o", color="#0072B2", markersize=4)
right.set(xlabel="state x (where x > 0.9 the value is 1,000)", ylabel="value", ylim=(-6, 6))
plt.show()

# %% [markdown]
# *Figure 3. Left: 2.5 as two-hot. Right, in the small states: the true value (thick grey), learned with squared error
# (dashes) and with two-hot (dots). Notice that a few large values spoil the squared error.*
#
# A squared error has a gradient as large as the error, so few large values pull all shared weights about. With two-hot,
# the gradient of a logit is $p_i - w_i$, never beyond 1, whatever the unit. The last layer starts at 0, so a new critic
# says exactly 0.
#
# > **Paper vs code, D2.** SENSEI's code has even bins in symlog space. There, the mean of "0 or 100, equally likely" is
# > about 9. On symexp bins it is 50.
#
# ### Exercise 2: two-hot
#
# Write the weights for one number. Beyond the ends, all weight lies on the end bin.


# %% tags=["exercise-2"]
def my_two_hot(x, bins):
    """The weights [bins] of one number x; the bins increase."""
    return None  # your code


# %% tags=["check-2"]
check.two_hot(my_two_hot)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# `np.searchsorted(bins, x)` gives the first bin that is not below x. Clip x first. The nearer bin has more weight.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def my_two_hot(x, bins):
#     bins = np.asarray(bins)
#     x = np.clip(x, bins[0], bins[-1])
#     above = np.clip(np.searchsorted(bins, x), 1, len(bins) - 1)
#     below = above - 1
#     weights = np.zeros(len(bins))
#     weights[above] = (x - bins[below]) / (bins[above] - bins[below])
#     weights[below] = 1 - weights[above]
#     return weights
# ```
#
# </details>

# %% [markdown]
# ## 4. The actor
#
# An action is a choice from a list. "A little more of *north*" does not exist, so no derivative leads from a return
# back through the choice. REINFORCE needs none:
#
# $$\nabla\, E[R] = E[(R - v)\, \nabla \ln \pi(a)]$$
#
# for any *baseline* $v$ that does not depend on the action; $\pi$ is the policy. So nothing is backpropagated through the dream.
#
# **Predict first.** Five actions give returns of about 10. Without the baseline, is the estimated gradient wrong, or
# only noisy?

# %% mystnb={"image": {"alt": "Two rows of dots around one dotted line; without a baseline they spread far wider."}}
action_returns = np.array([10.0, 10.5, 11.0, 9.5, 9.0])  # of five actions; the policy is uniform
exact = 0.2 * (action_returns[2] - action_returns.mean())  # the derivative by the logit of action 2
chosen = generator.integers(0, 5, (500, 32))  # 500 times 32 dreams
score = (chosen == 2) - 0.2  # the derivative of ln pi(a) by that logit
figure, axes = plt.subplots(figsize=(7, 2.6))
for height, (baseline, marker) in enumerate(((10.0, "o"), (0.0, "x"))):
    estimates = ((action_returns[chosen] - baseline) * score).mean(1)
    jitter = generator.uniform(-0.3, 0.3, len(estimates))
    axes.plot(estimates, height + jitter, marker, markersize=3, alpha=0.6)
    print(f"baseline {baseline:4.1f}: mean {estimates.mean():.3f}, deviation {estimates.std():.3f} (exact {exact:.3f})")
axes.axvline(exact, color="black", linestyle=":")
axes.set_yticks([0, 1], ["with baseline", "without"])
axes.set_xlabel("estimated gradient (dotted: exact)")
plt.show()

# %% [markdown]
# *Figure 4. 500 estimates of one derivative, each from 32 dreams. Notice that both rows have the same middle, but the
# baseline makes the noise many times smaller.*
#
# The actor's loss also weighs every step, and pays for staying random (entropy $H$). sg stops gradients:
#
# $$L_{actor} = -\text{mean}\; w_t \, [\text{sg}(A_t) \ln \pi(a_t) + \eta\, H(\pi)],
# \qquad A_t = (R_t - v_t) / \text{scale}$$


# %%
def actor_loss_by_hand(policy, action, advantage, weight, eta):
    """L_actor, from log-probabilities [steps starts action]."""
    log_pi = policy.log_probs
    of_choice = (action * log_pi).sum(-1)
    entropy = -(jnp.exp(log_pi) * log_pi).sum(-1)
    return -(weight * (jax.lax.stop_gradient(advantage) * of_choice + eta * entropy)).mean()


gradient_by_hand = eqx.filter_jit(eqx.filter_value_and_grad(actor_loss_by_hand))
gradient = eqx.filter_jit(eqx.filter_value_and_grad(lambda *arguments: actor_loss(*arguments)[0]))
for eta in (0.0, 0.3):
    advantage = jnp.asarray(generator.normal(size=weight.shape), jnp.float32)
    batch = policy, actions, advantage, weight, eta
    (loss, mine), (package_loss, theirs) = gradient_by_hand(*batch), gradient(*batch)
    np.testing.assert_allclose(loss, package_loss, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(mine.log_probs, theirs.log_probs, rtol=1e-2, atol=1e-6)
    print(f"eta {eta}: loss {loss:.4f}, norm of the gradient {optax.tree.norm(mine):.4f}, and the package agrees")

# %% [markdown]
# Below, a dream, its returns and both losses are one function of three networks.
#
# **Predict first.** Who learns from which loss: which of the six gradients are 0?


# %%
def both_losses(networks):
    """L_actor and L_critic of one dream, with the semantic reward (notebooks 05 and 06)."""
    model, actor, critic = networks
    states, actions, policy = imagine(model, actor, start, T, key=KEY)
    of_all = lambda head: jax.vmap(jax.vmap(head))(states.features)  # noqa: E731
    d, reward, v = GAMMA * of_all(model.continues), of_all(model.semantic), of_all(critic)
    R, weight = lambda_return(reward, v, d, 0.95), dream_weights(d, living)
    of_actor, _ = actor_loss(policy, actions, R - v[:-1], weight, 0.005)
    predicted = jax.tree.map(lambda x: x[:-1], of_all(critic.predict))
    return of_actor, critic_loss(predicted, R, v[:-1], weight)


@eqx.filter_jit
def gradient_norms(networks):
    """The norm of each loss's gradient in each network."""
    of = [eqx.filter_grad(lambda n, i=i: both_losses(n)[i])(networks) for i in (0, 1)]
    return [[optax.tree.norm(gradient) for gradient in of_loss] for of_loss in of]


for name, norms in zip(("L_actor", "L_critic"), gradient_norms((model, explorer.actor, critic)), strict=True):
    print(f"{name:9} world model {norms[0]:.3f}   actor {norms[1]:.3f}   critic {norms[2]:.3f}")

# %% [markdown]
# Each loss teaches its own network. If $L_{actor}$ reached the critic, the critic could please the actor with wrong
# values. If it reached the world model, the model could dream what pays instead of what is true.
#
# ### The scale
#
# One $\eta$ shall suit worlds with returns of 1 and of 500. So advantages are divided by the usual range of returns: a
# moving average of the 5th and the 95th percentile. Percentiles ignore rare outliers. **Predict first.** Returns
# between 0 and 0.01 are nearly noise. What happens if they too are stretched to a range of 1?

# %%
normaliser, low, high = PercentileNormaliser.create(), 0.0, 0.0
for size in (0.01, 1.0, 300.0):
    for _ in range(300):
        R = size * generator.uniform(size=(10, 64))
        low, high = 0.99 * low + 0.01 * np.percentile(R, 5), 0.99 * high + 0.01 * np.percentile(R, 95)
        normaliser = normaliser.update(jnp.float32(R))
    np.testing.assert_allclose(normaliser.scale, max(1, high - low), rtol=1e-3)
    print(f"returns from 0 to {size}: range {high - low:.3g}, scale {normaliser.scale:.3g}")

# %% [markdown]
# An actor that has found nothing yet would follow noise with full force. So the scale is at least 1: $\max(1,
# \text{high} - \text{low})$. Only advantages are divided. The critic learns returns in their own unit.
#
# ### Exercise 3: the advantage
#
# Update `low` and `high` with this batch, then use them. Give back the advantage, `low` and `high`.


# %% tags=["exercise-3"]
def my_advantage(R, v, low, high, decay):
    """The normalised advantage, and the moving percentiles after this batch."""
    advantage = None  # your code
    return advantage, low, high


# %% tags=["check-3"]
check.advantage(my_advantage)

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# The cell above has the moving percentiles. First subtract, then divide.
#
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# def my_advantage(R, v, low, high, decay):
#     low = decay * low + (1 - decay) * np.percentile(R, 5)
#     high = decay * high + (1 - decay) * np.percentile(R, 95)
#     return (R - v) / max(1, high - low), low, high
# ```
#
# </details>

# %% [markdown]
# ## 5. Silent bugs
#
# Nothing crashes when a reward is one step late. Such bugs stayed in public code for long. Here is a corridor of 7
# cells. Arriving in the last one gives a reward and ends the episode. Actor and critic are tables, and the dream is the
# true corridor.
#
# Four versions differ in one line each, marked in the code:
#
# - **A**: no bug.
# - **B** shifts rewards by one step: action $a_t$ gets $r_t$.
# - **C** has a bracket in the wrong place: `stop_gradient` holds the log-probability too.
# - **D** throws the normaliser's new state away, so every update begins with a new one.
#
# **Predict first.** Which of them learn to walk to the end?

# %%
A, B, C, D = range(4)
CELLS, END = 7, 6
stop = jax.lax.stop_gradient


def corridor_dreams(logits, *, key, dreams=32, steps=12):
    """Cells [time dreams] and actions [steps dreams] (0 left, 1 right) from cell 1 on."""

    def step(cell, key):
        action = jax.random.categorical(key, logits[cell])
        after = jnp.where(cell == END, END, jnp.clip(cell + 2 * action - 1, 0, END))
        return after, (after, action)

    first = jnp.ones(dreams, int)
    _, (cells, actions) = jax.lax.scan(step, first, jax.random.split(key, steps))
    return jnp.concatenate([first[None], cells]), actions


def corridor_loss(logits, here, actions, advantage, weight, version, eta=0.03):
    """L_actor for a table of logits, and the mean entropy."""
    log_pi = jax.nn.log_softmax(logits)[here]
    of_choice = jnp.take_along_axis(log_pi, actions[..., None], -1)[..., 0]
    entropy = -(jnp.exp(log_pi) * log_pi).sum(-1)
    gain = jnp.where(version == C, stop(advantage * of_choice), stop(advantage) * of_choice)  # C
    return -(weight * (gain + eta * entropy)).mean(), (weight * entropy).sum() / weight.sum()


# %%
def learn_corridor(version, size, key, updates=300):
    """For each update: the share of dreams that arrive, and the policy's entropy. ``size`` is the reward."""
    optimiser, fresh = optax.adam(0.03), PercentileNormaliser.create()

    def update(carry, key):
        logits, value, normaliser, memory = carry
        cells, actions = corridor_dreams(logits, key=key)
        here, reward, d = cells[:-1], size * (cells == END), 0.95 * (cells != END)
        reward = jnp.where(version == B, jnp.roll(reward, 1, axis=0), reward)  # B
        normaliser = jax.tree.map(partial(jnp.where, version == D), fresh, normaliser)  # D
        R = lambda_return(reward, value[cells], d, 0.95)
        normaliser = normaliser.update(R)
        weight, advantage = dream_weights(d, jnp.zeros(32)), (R - value[here]) / normaliser.scale
        loss = jax.value_and_grad(corridor_loss, has_aux=True)
        (_, entropy), gradient = loss(logits, here, actions, advantage, weight, version)
        change, memory = optimiser.update(gradient, memory)
        sums = jnp.zeros((2, CELLS)).at[:, here].add(jnp.stack([weight * (R - value[here]), weight]))
        value = value + 0.1 * sums[0] / jnp.maximum(sums[1], 1)  # the critic's table: towards the mean return
        return (logits + change, value, normaliser, memory), ((cells == END).any(0).mean(), entropy)

    logits = jnp.zeros((CELLS, 2))
    carry = logits, jnp.zeros(CELLS), fresh, optimiser.init(logits)
    return jax.lax.scan(update, carry, jax.random.split(key, updates))[1]


# %%
sizes, seeds = jnp.array([1.0, 10.0, 100.0, 1000.0]), jax.random.split(KEY, 5)
of_size_and_seed = jax.vmap(jax.vmap(learn_corridor, (None, None, 0)), (None, 0, None))
of_all = jax.jit(jax.vmap(of_size_and_seed, (0, None, None)))
arrived, entropy = map(np.asarray, of_all(jnp.arange(4), sizes, seeds))  # [versions sizes seeds updates]
for name, share in zip("ABCD", arrived[:, 0, :, -50:].mean((1, 2)), strict=True):
    print(f"{name}: {share:.0%} of dreams arrive at the end of learning (reward 1)")

# %% mystnb={"image": {"alt": "Left: A and D rise to 1, B and C stay low. Right: D's entropy falls as rewards grow."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.4, 1))
LOOK = {
    "A": ("#0072B2", "-", "o"),
    "B": ("#000000", "--", "^"),
    "C": ("#CC79A7", ":", "v"),
    "D": ("#D55E00", "-.", "s"),
}
for order, (name, (colour, dashes, marker)) in enumerate(LOOK.items()):
    look_of = {"color": colour, "linestyle": dashes, "marker": marker}
    blocks = arrived[order, 0].mean(0).reshape(-1, 10).mean(1)  # reward 1; mean of the seeds, and of 10 updates
    left.plot(10 * np.arange(len(blocks)) + 5, blocks, markevery=(order, 5), **look_of)
    if name in "AD":
        ends = entropy[order, :, :, -50:].mean((1, 2))
        right.plot(sizes, ends, **look_of)
        right.text(1300, ends[-1], name, color=colour, va="center")
left.text(220, 0.9, "A and D", va="top")
left.text(220, 0.26, "B and C", va="bottom")
left.set(xlabel="updates", ylabel="share of dreams that arrive", ylim=(0, 1.05), title="reward 1")
right.set(xscale="log", xlabel="reward for arriving", ylabel="entropy after learning (nats)", xlim=(0.7, 2000))
right.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
right.set_ylim(bottom=0)
plt.show()

# %% [markdown]
# *Figure 5. Left: means of five seeds. Right: how random the policy still is after learning. Notice that D looks right
# where the reward is 1. Its randomness shrinks as rewards grow, because nothing brings them to one scale.*
#
# - **B**: the reward now stands one step behind the end, where $d = 0$ cuts it off.
# - **C**: only the entropy has a gradient, so the policy stays uniform. The loss has the same value as without the bug.
# - **D**: it works until a world has large rewards. Then entropy counts for little, and the agent stops trying things.
#
# So test what must be true: known values, gradients where they should be, the same result in another unit.
#
# ## 6. Learn to act without touching the world
#
# The trained world model stays as it is. A **new** actor and a **new** critic learn in its dreams only. Dreams need
# states to start from: the old agent plays, half of its actions at random, and we keep its model's states.


# %%
def wander(steps, *, key):
    """Rows without pictures, and the model's states, [time rooms ...]; half of the actions are random."""
    play_key, room_key = jax.random.split(key)
    rooms, row = begin(world, keys=jax.random.split(room_key, ROOMS))
    memory, found = sl.initial_policy_state(explorer, ROOMS, world.actions.size), []
    for step_key in tqdm(jax.random.split(play_key, steps), desc="steps in the world", leave=False):
        look_key, coin_key, random_key, world_key = jax.random.split(step_key, 4)
        memory = look(explorer, memory, row.image, row.is_first, key=look_key)
        found.append((row._replace(image=None), memory.state))
        by_chance = encode_action(world.actions, random_actions(world, (ROOMS,), key=random_key))
        coin = jax.random.bernoulli(coin_key, 0.5, (ROOMS, 1))
        memory = memory._replace(action=jnp.where(coin, by_chance, memory.action))
        choice = decode_action(world.actions, memory.action)
        rooms, row = advance(world, rooms, row.is_last, choice, keys=jax.random.split(world_key, ROOMS))
    return jax.tree.map(lambda *steps: jnp.stack(steps), *found)


advance = jax.jit(step_batch, static_argnums=0)
rows, seen = wander(16 if notebook.smoke else 64, key=KEY)
print(f"{rows.reward.size} states to start from; {int(rows.is_terminal.sum())} of them are an episode's end")


# %%
@partial(jax.jit, static_argnames="updates")
def learn_in_dreams(agent, updates, *, key):
    """So many updates of actor and critic; the world model stays as it is."""

    def one_update(agent, key):
        start_key, dream_key = jax.random.split(key)
        start, start_is_terminal = dream_starts(seen, rows, 64, key=start_key)
        return learn_to_act(agent, start, start_is_terminal, key=dream_key)

    return jax.lax.scan(one_update, agent, jax.random.split(key, updates))[0]


@jax.jit
def promised(agent, *, key):
    """The task reward of an episode, as dreams foresee it from the first look on."""
    states, _, _ = imagine(agent.world_model, agent.actor, s_0, world.max_steps, key=key)
    reward = jax.vmap(jax.vmap(agent.world_model.reward))(states.features)
    continue_head = jax.vmap(jax.vmap(agent.world_model.continues))(states.features)
    return (reward[1:] * dream_weights(continue_head, living)).sum(0).mean()


# %% [markdown]
# `learn_to_act` is sections 1 to 4 in the right order. The real agent alternates: it acts, improves its model, dreams,
# and acts again. Here only dreaming is left.
#
# We train for two rewards: the task's own (1 at the exit), and the semantic reward `r_sem`, which the model also
# predicts. It says how interesting a picture is. Notebooks 05 and 06 build it.
#
# > **Paper vs code, R3.** `r_sem` is known up to a constant only. If it is above 0 everywhere, no agent wants an
# > episode to end. So here its last value lasts for ever; in the paper nothing follows an end.
#
# **Predict first.** An untrained actor is nearly uniform and seldom reaches the exit. How often does an
# actor that has only dreamt? And which reward teaches better?


# %%
def dreamer(stream, seed, **settings):
    """An agent with the old world model, and an actor and critics that know nothing."""
    config = sl.agent_config(explorer.config, "task" if stream == "extrinsic" else "vlm-motif")
    config = dataclasses.replace(config, behaviour=dataclasses.replace(config.behaviour, **settings))
    new = sl.init(config, world.image_shape, world.actions, key=jax.random.key(seed))
    return dataclasses.replace(new, world_model=model)


def follow(agent, updates, seed, name):
    """Learn, and measure now and then: the trained agent, and (updates, promised, in the world) each time."""
    found, key = [], jax.random.key(seed)
    for done in tqdm(range(0, updates + 1, EVERY), desc=name, leave=False):
        real = sl.play_episodes(agent, world, EPISODES, key=jax.random.key(100 + seed)).reward
        found.append((done, float(promised(agent, key=key)), float(real)))
        if done < updates:
            agent = learn_in_dreams(agent, EVERY, key=jax.random.fold_in(key, done))
    return agent, np.array(found)


runs = {s: [follow(dreamer(s, seed), UPDATES, seed, f"{s}, seed {seed}") for seed in range(SEEDS)] for s in STREAMS}
for stream, results in runs.items():
    before, after = (np.mean([found[row, 2] for _, found in results]) for row in (0, -1))
    print(f"{stream:10} exits in an episode: {before:.2f} untrained, {after:.2f} after {UPDATES} updates")

# %% mystnb={"image": {"alt": "Two panels of curves over updates: what dreams promise, and exits in the world."}}
figure, panels = plt.subplots(1, len(STREAMS), figsize=(9, 3.5), sharey=True, squeeze=False)
words = {"extrinsic": "trained for the task's reward", "semantic": "trained for the semantic reward"}
for axes, (stream, results) in zip(panels[0], runs.items(), strict=True):
    for _, found in results:
        axes.plot(found[:, 0], found[:, 1], color="#D55E00", linestyle="--")
        axes.plot(found[:, 0], found[:, 2], color="#0072B2", linestyle="-", marker="o", markersize=4)
    axes.set(title=words[stream], xlabel="updates, all in dreams", ylim=(0, 1.25))
axes = panels[0, 0]
axes.text(0, 1.13, "promised by the dream", color="#D55E00")
axes.text(UPDATES, 0.36, "in the world", color="#0072B2", ha="right")
axes.set_ylabel("task reward in an episode")
plt.show()

# %% [markdown]
# *Figure 6. Task reward of an episode, one line for each seed. Dashed: as the dream foresees it. Circles: in the real
# world. Notice how far the two lie apart on the left.*
#
# An actor that never touched the world plays far better than an untrained one. Yet its dreams promise more than it
# gets. Why? We take the actions of one more dream in the real world.

# %%
cheat = runs["extrinsic"][0][0]
rooms, first = first_look(jax.random.key(11))
states, actions, _ = dream(model, cheat.actor, first, T, key=KEY)
paths, take = [rooms], jax.jit(jax.vmap(lambda room, action: world.step(room, action, key=KEY).state))
for action in actions:
    paths.append(take(paths[-1], decode_action(world.actions, action)))
foreseen = np.asarray(read(model.reward, states.features)) > 0.5  # [time rooms]: the dream is at the exit
open_by_then = np.array([np.asarray(room.unlocked) for room in paths])
when = foreseen.argmax(0)
false = foreseen.any(0) & ~open_by_then[when, np.arange(ROOMS)]
print(f"{foreseen.any(0).sum()} of {ROOMS} dreams reach the exit; {false.sum()} of these with a real door still locked")

# %% mystnb={"image": {"alt": "Seven dreamt rooms above, the same moments in the world below: there, no key is held."}}
which = int(false.argmax())  # the first such dream
moments = np.unique(np.linspace(0, max(when[which], 1), 7).round().astype(int))
dreamt, show = draw(states.features)[:, which], jax.jit(world.render)
figure, panels = plt.subplots(2, len(moments), figsize=(9, 3.4), squeeze=False)
for above, below, t in zip(*panels, moments, strict=True):
    above.imshow(dreamt[t])
    below.imshow(show(jax.tree.map(lambda leaf: leaf[which], paths[t])))
    led = world.actions.names[int(actions[t - 1, which].argmax())] if t else "start"
    above.set_title(f"t = {t}\n{led}", fontsize=10)
for axes, name in zip(panels[:, 0], ("dreamt", "in the world"), strict=True):
    axes.set_ylabel(name)
for axes in panels.flat:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# *Figure 7. A dream that does not come true (above), and the world under the same actions. Look at the strip at the
# bottom. In the dream the key appears in it, and the door opens. In the world the key lies where it lay.*
#
# Nearly always, the old agent came to the door with the key. So its model has learned that whoever stands there holds
# it. The new actor is paid for the exit only, finds this gap, and uses it. `r_sem` also pays on the way, for holding
# the key. That is a likely reason why its actors leave the false path sooner.
#
# A dream is as good as the experience behind it. The real agent would try, meet a closed door, and learn.
#
# ### Exercise 4 (open): the horizon
#
# Our dreams have 10 steps. How does learning change with 3, or with 1? With `lam=0`? With `discount=0.8`? Predict
# first.

# %% tags=["exercise-4"]
my_settings = {"horizon": 10}  # your settings
_, found = follow(dreamer("extrinsic", 0, **my_settings), UPDATES // 2, 0, "yours")
print("updates, promised, in the world:", *np.round(found, 2).tolist(), sep="\n")

# %% [markdown]
# <details><summary>Thoughts on 4</summary>
#
# With 1 step, or `lam=0`, the reward travels back state by state, through the critic. In our runs even the promise rose
# much later. With three steps it rose nearly as fast as with ten. With a discount of 0.8 an exit ten steps away is
# worth about an eighth, and yet it was learned.
#
# </details>

# %% [markdown]
# ## Recap
#
# 1. **Lambda-return**: reward, discount and value all come from the arrival, $t+1$.
# 2. A **two-hot critic** has gradients of one size, whatever the unit. Large values do not spoil small ones.
# 3. The **actor** learns from $\text{sg}(A) \ln \pi(a)$ and entropy. Critic and model get no gradient from it.
# 4. **Percentiles** bring returns to one scale and ignore outliers. Below a range of 1, nothing is stretched.
# 5. Actor and critic learn in **dreams** within a minute, and find every gap of the model.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | the lambda-return, weights, the normaliser | `sensei_lite/agent/returns.py` |
# | symexp bins, two-hot | `sensei_lite/models/distributions.py` |
# | `TwoHotHead` | `sensei_lite/models/world_model.py` |
# | `imagine`, both losses | `sensei_lite/agent/actor_critic.py` |
# | `learn_to_act`, `dream_starts`, what follows an end | `sensei_lite/agent/update.py` |
# | a corridor with known values, as a test | `tests/agent/test_probe_world.py` |

# %% [markdown]
# ## Further reading
#
# - D. Hafner, J. Pasukonis, J. Ba, T. Lillicrap, *Mastering Diverse Domains through World Models*, 2023,
#   [arXiv 2301.04104](https://arxiv.org/abs/2301.04104). DreamerV3: everything here.
# - D. Hafner, T. Lillicrap, J. Ba, M. Norouzi, *Dream to Control: Learning Behaviors by Latent Imagination*, 2020,
#   [arXiv 1912.01603](https://arxiv.org/abs/1912.01603). The first Dreamer, with gradients through the dream.
# - D. Ha, J. Schmidhuber, *World Models*, 2018, [arXiv 1803.10122](https://arxiv.org/abs/1803.10122). An agent that
#   learns in its dream, and cheats there.
#
# **Next:** 04 · Curiosity, or how an agent looks for what its model does not know.

# %%
notebook.finish()
