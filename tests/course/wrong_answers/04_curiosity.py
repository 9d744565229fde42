# Plausible wrong answers to the exercises of 04_curiosity. Each cell begins with the number of its exercise.
# %% 1: the spread over dimensions, not over heads
def variance_and_deviation(guesses):
    return guesses.var(-1).mean(0), guesses.std(-1).mean(0)


# %% 1: divides by the number of heads less one
def variance_and_deviation(guesses):
    return guesses.var(0, ddof=1).mean(-1), guesses.std(0, ddof=1).mean(-1)


# %% 1: the root of the mean, not the mean of the roots
def variance_and_deviation(guesses):
    variance = guesses.var(0).mean(-1)
    return variance, jnp.sqrt(variance)


# %% 1: in the wrong order
def variance_and_deviation(guesses):
    return guesses.std(0).mean(-1), guesses.var(0).mean(-1)


# %% 1: only one of the two
def variance_and_deviation(guesses):
    return guesses.var(0).mean(-1)


# %% 2: noise counts too
def information_in_nats(log_p):
    mean = jnp.exp(log_p).mean(0)
    return -(mean * jnp.log(mean)).sum((-2, -1))


# %% 2: nothing but noise
def information_in_nats(log_p):
    return -(jnp.exp(log_p) * log_p).sum((-2, -1)).mean(0)


# %% 2: the wrong way round
def information_in_nats(log_p):
    mean = jnp.exp(log_p).mean(0)
    return -(jnp.exp(log_p) * log_p).sum((-2, -1)).mean(0) + (mean * jnp.log(mean)).sum((-2, -1))


# %% 2: the mean over categoricals
def information_in_nats(log_p):
    mean = jnp.exp(log_p).mean(0)
    each = -(mean * jnp.log(mean)).sum(-1) + (jnp.exp(log_p) * log_p).sum(-1).mean(0)
    return each.mean(-1)


# %% 2: how differently sure the heads are
def information_in_nats(log_p):
    return (-(jnp.exp(log_p) * log_p).sum(-1)).std(0).sum(-1)


# %% 2: the mean of logarithms
def information_in_nats(log_p):
    mean = log_p.mean(0)
    return (-(jnp.exp(mean) * mean).sum(-1) + (jnp.exp(log_p) * log_p).sum(-1).mean(0)).sum(-1)
