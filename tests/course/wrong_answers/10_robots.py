# Plausible wrong answers to the exercises of 10_robots. Each cell begins with the number of its exercise.
# %% 1: does not add up the four numbers
def my_log_density(action, mean, std):
    z = (action - mean) / std
    return -0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi)


# %% 1: the mean of the four numbers
def my_log_density(action, mean, std):
    z = (action - mean) / std
    return (-0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi)).mean(-1)


# %% 1: forgets the deviation in the norm of the density
def my_log_density(action, mean, std):
    z = (action - mean) / std
    return (-0.5 * z**2 - 0.5 * np.log(2 * np.pi)).sum(-1)


# %% 1: takes the deviation for the variance
def my_log_density(action, mean, std):
    return (-0.5 * (action - mean) ** 2 / std - 0.5 * np.log(2 * np.pi * std)).sum(-1)


# %% 1: adds one constant for all four numbers
def my_log_density(action, mean, std):
    z = (action - mean) / std
    return (-0.5 * z**2 - np.log(std)).sum(-1) - 0.5 * np.log(2 * np.pi)


# %% 1: adds up over all axes
def my_log_density(action, mean, std):
    z = (action - mean) / std
    return (-0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi)).sum()


# %% 2: forgets the baseline
def my_reinforce(rewards, actions, mean, std, baseline):
    by_mean = (rewards * (actions - mean) / std**2).mean()
    by_std = (rewards * ((actions - mean) ** 2 / std**3 - 1 / std)).mean()
    return by_mean, by_std


# %% 2: divides by the deviation instead of the variance
def my_reinforce(rewards, actions, mean, std, baseline):
    gain = rewards - baseline
    by_mean = (gain * (actions - mean) / std).mean()
    by_std = (gain * ((actions - mean) ** 2 / std**3 - 1 / std)).mean()
    return by_mean, by_std


# %% 2: forgets that ln std is in the density
def my_reinforce(rewards, actions, mean, std, baseline):
    gain = rewards - baseline
    return (gain * (actions - mean) / std**2).mean(), (gain * (actions - mean) ** 2 / std**3).mean()


# %% 2: only the derivative by the mean
def my_reinforce(rewards, actions, mean, std, baseline):
    return ((rewards - baseline) * (actions - mean) / std**2).mean(), None


# %% 2: a sum instead of a mean
def my_reinforce(rewards, actions, mean, std, baseline):
    gain = rewards - baseline
    by_mean = (gain * (actions - mean) / std**2).sum()
    by_std = (gain * ((actions - mean) ** 2 / std**3 - 1 / std)).sum()
    return by_mean, by_std


# %% 3: counts places from 0
def my_levels(holds):
    places = np.arange(len(holds))
    return (holds * places[:, None]).max(0), holds.sum(0)


# %% 3: the dullest fact that holds
def my_levels(holds):
    return np.where(holds.any(0), holds.argmax(0) + 1, 0), holds.sum(0)


# %% 3: whether anything holds, not how much
def my_levels(holds):
    places = np.arange(1, len(holds) + 1)
    return (holds * places[:, None]).max(0), holds.any(0)


# %% 3: exchanges the two
def my_levels(holds):
    places = np.arange(1, len(holds) + 1)
    return holds.sum(0), (holds * places[:, None]).max(0)


# %% 3: adds up along time
def my_levels(holds):
    places = np.arange(1, len(holds) + 1)
    return (holds * places[:, None]).max(0), holds.sum(1)
