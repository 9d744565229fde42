# Plausible wrong answers to the exercises of 02_rssm. Each cell begins with the number of its exercise.
# %% 1: the draw alone, without a gradient
def straight_through(log_probs, key):
    return sample_by_hand(log_probs, key=key)


# %% 1: the probabilities instead of the draw
def straight_through(log_probs, key):
    return jnp.exp(log_probs)


# %% 1: the wrong part is held, so the value is not one-hot
def straight_through(log_probs, key):
    return jax.lax.stop_gradient(sample_by_hand(log_probs, key=key)) + jnp.exp(log_probs)


# %% 1: the value is right, but the gradient cancels out too
def straight_through(log_probs, key):
    probs = jnp.exp(log_probs)
    return sample_by_hand(log_probs, key=key) + probs - probs


# %% 1: only the class that was drawn gets a gradient
def straight_through(log_probs, key):
    one_hot, probs = sample_by_hand(log_probs, key=key), jnp.exp(log_probs)
    return one_hot * probs / jax.lax.stop_gradient(probs)


# %% 1: the gradient of the log-probabilities
def straight_through(log_probs, key):
    return sample_by_hand(log_probs, key=key) + log_probs - jax.lax.stop_gradient(log_probs)


# %% 2: forgets the action
def wipe(before, action, is_first, fresh):
    h = jnp.where(is_first, fresh.h, before.h)
    z = jnp.where(is_first, fresh.z, before.z)
    return State(h, z), action


# %% 2: forgets z
def wipe(before, action, is_first, fresh):
    return State(jnp.where(is_first, fresh.h, before.h), before.z), jnp.where(is_first, 0.0, action)


# %% 2: wipes with zeros instead of the learned start
def wipe(before, action, is_first, fresh):
    keep = 1.0 - is_first
    return State(keep * before.h, keep * before.z), keep * action


# %% 2: wipes where it should keep
def wipe(before, action, is_first, fresh):
    h = jnp.where(is_first, before.h, fresh.h)
    z = jnp.where(is_first, before.z, fresh.z)
    return State(h, z), jnp.where(is_first, action, 0.0)


# %% 2: wipes every row's action
def wipe(before, action, is_first, fresh):
    h = jnp.where(is_first, fresh.h, before.h)
    z = jnp.where(is_first, fresh.z, before.z)
    return State(h, z), jnp.zeros_like(action)


# %% 2: returns the state only
def wipe(before, action, is_first, fresh):
    return jax.tree.map(lambda old, new: jnp.where(is_first, new, old), before, fresh)


# %% 3: free bits after the weights
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    dynamics = jnp.maximum(1.0, 0.5 * kl_by_hand(stop(posterior), prior))
    return dynamics + jnp.maximum(1.0, 0.1 * kl_by_hand(posterior, stop(prior)))


# %% 3: free bits for each categorical
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    each = lambda p, q: jnp.maximum(1.0, (jnp.exp(p) * (p - q)).sum(-1)).sum()
    return 0.5 * each(stop(posterior), prior) + 0.1 * each(posterior, stop(prior))


# %% 3: stop-gradients swapped
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    dynamics = jnp.maximum(1.0, kl_by_hand(posterior, stop(prior)))
    representation = jnp.maximum(1.0, kl_by_hand(stop(posterior), prior))
    return 0.5 * dynamics + 0.1 * representation


# %% 3: no stop-gradients
def kl_loss(posterior, prior):
    return 0.6 * jnp.maximum(1.0, kl_by_hand(posterior, prior))


# %% 3: everything is held
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    return 0.6 * jnp.maximum(1.0, kl_by_hand(stop(posterior), stop(prior)))


# %% 3: the maximum of the total
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    return jnp.maximum(1.0, 0.5 * kl_by_hand(stop(posterior), prior) + 0.1 * kl_by_hand(posterior, stop(prior)))


# %% 3: no free bits
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    return 0.5 * kl_by_hand(stop(posterior), prior) + 0.1 * kl_by_hand(posterior, stop(prior))


# %% 3: the wrong way round
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    dynamics = jnp.maximum(1.0, kl_by_hand(prior, stop(posterior)))
    return 0.5 * dynamics + 0.1 * jnp.maximum(1.0, kl_by_hand(stop(prior), posterior))


# %% 3: the weights are swapped
def kl_loss(posterior, prior):
    stop = jax.lax.stop_gradient
    dynamics = jnp.maximum(1.0, kl_by_hand(stop(posterior), prior))
    return 0.1 * dynamics + 0.5 * jnp.maximum(1.0, kl_by_hand(posterior, stop(prior)))
