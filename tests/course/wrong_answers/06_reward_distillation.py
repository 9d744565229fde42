# Plausible wrong answers to the exercises of 06_reward_distillation. Each cell begins with the number of its exercise.
# %% 1: the formula as it stands, which is not a number for a difference of 1000
def stable_loss(first, second, target):
    p = jax.nn.sigmoid(first - second)
    return (-target * jnp.log(p) - (1 - target) * jnp.log(1 - p)).mean()


# %% 1: a small number inside the logarithm
def stable_loss(first, second, target):
    p = jax.nn.sigmoid(first - second)
    return (-target * jnp.log(p + 1e-8) - (1 - target) * jnp.log(1 - p + 1e-8)).mean()


# %% 1: ties teach nothing
def stable_loss(first, second, target):
    d, decided = first - second, target != 0.5
    return jnp.where(decided, jnp.logaddexp(0.0, d) - target * d, 0.0).mean()


# %% 1: the sign is turned round
def stable_loss(first, second, target):
    d = second - first
    return (jnp.logaddexp(0.0, d) - target * d).mean()


# %% 1: the sum
def stable_loss(first, second, target):
    d = first - second
    return (jnp.logaddexp(0.0, d) - target * d).sum()


# %% 2: ties count as wrong, and equal rewards too
def accuracy(d, y):
    return ((np.sign(d) == np.sign(y - 0.5)) & (y != 0.5)).mean()


# %% 2: ties count half
def accuracy(d, y):
    return ((np.sign(d) * np.sign(y - 0.5) + 1) / 2).mean()


# %% 2: equal rewards are an answer for the second picture
def accuracy(d, y):
    decided = y != 0.5
    return ((d > 0) == (y > 0.5))[decided].mean()


# %% 3: over pairs, so a picture in ten pairs counts ten times
def standardise(scores, first, second):
    ends = scores[np.concatenate([first, second])]
    return (scores - ends.mean()) / ends.std()


# %% 3: no centre
def standardise(scores, first, second):
    return scores / scores[np.union1d(first, second)].std()


# %% 3: divides by the variance
def standardise(scores, first, second):
    seen = scores[np.union1d(first, second)]
    return (scores - seen.mean()) / seen.var()


# %% 3: over all pictures, those too that nobody was asked about
def standardise(scores, first, second):
    return (scores - scores.mean()) / scores.std()
