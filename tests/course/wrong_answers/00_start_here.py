# Plausible wrong answers to the exercises of 00_start_here. Each cell begins with the number of its exercise.
# %% 1: the mean of the episodes' rates
def per_1000_steps(events, steps):
    return sum(1000 * e / s for e, s in zip(events, steps)) / len(steps)


# %% 1: per step
def per_1000_steps(events, steps):
    return sum(events) / sum(steps)


# %% 1: per episode
def per_1000_steps(events, steps):
    return 1000 * sum(events) / len(steps)


# %% 2: takes the curious one for SENSEI
def who_is_who():
    return {"A": "plan2explore", "B": "random", "C": "sensei"}


# %% 2: mixes up random and curious
def who_is_who():
    return {"A": "sensei", "B": "plan2explore", "C": "random"}


# %% 2: one name twice
def who_is_who():
    return {"A": "sensei", "B": "random", "C": "random"}
