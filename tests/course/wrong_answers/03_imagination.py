# Plausible wrong answers to the exercises of 03_imagination. Each cell begins with the number of its exercise.
# %% 1: the reward is one step late
def my_lambda_return(r, v, d, lam):
    R, returns = v[-1], []
    for t in reversed(range(len(r) - 1)):
        R = r[t] + d[t + 1] * ((1 - lam) * v[t + 1] + lam * R)
        returns.append(R)
    return np.array(returns[::-1])


# %% 1: borrows the value of the state before the arrival
def my_lambda_return(r, v, d, lam):
    R, returns = v[-1], []
    for t in reversed(range(len(r) - 1)):
        R = r[t + 1] + d[t + 1] * ((1 - lam) * v[t] + lam * R)
        returns.append(R)
    return np.array(returns[::-1])


# %% 1: ignores the discount, and so the end
def my_lambda_return(r, v, d, lam):
    R, returns = v[-1], []
    for t in reversed(range(len(r) - 1)):
        R = r[t + 1] + (1 - lam) * v[t + 1] + lam * R
        returns.append(R)
    return np.array(returns[::-1])


# %% 1: lambda on the wrong term
def my_lambda_return(r, v, d, lam):
    R, returns = v[-1], []
    for t in reversed(range(len(r) - 1)):
        R = r[t + 1] + d[t + 1] * (lam * v[t + 1] + (1 - lam) * R)
        returns.append(R)
    return np.array(returns[::-1])


# %% 1: as many returns as states
def my_lambda_return(r, v, d, lam):
    returns = [v[-1]]
    for t in reversed(range(len(r) - 1)):
        returns.append(r[t + 1] + d[t + 1] * ((1 - lam) * v[t + 1] + lam * returns[-1]))
    return np.array(returns[::-1])


# %% 2: all weight on the nearest bin
def my_two_hot(x, bins):
    return np.eye(len(bins))[np.abs(np.asarray(bins) - x).argmin()]


# %% 2: the weights are swapped
def my_two_hot(x, bins):
    bins = np.asarray(bins)
    x = np.clip(x, bins[0], bins[-1])
    above = np.clip(np.searchsorted(bins, x), 1, len(bins) - 1)
    weights = np.zeros(len(bins))
    weights[above - 1] = (x - bins[above - 1]) / (bins[above] - bins[above - 1])
    weights[above] = 1 - weights[above - 1]
    return weights


# %% 2: goes on beyond the ends, with weights above 1 and below 0
def my_two_hot(x, bins):
    bins = np.asarray(bins)
    above = np.clip(np.searchsorted(bins, x), 1, len(bins) - 1)
    weights = np.zeros(len(bins))
    weights[above] = (x - bins[above - 1]) / (bins[above] - bins[above - 1])
    weights[above - 1] = 1 - weights[above]
    return weights


# %% 2: believes that bins are one apart
def my_two_hot(x, bins):
    bins = np.asarray(bins)
    x = np.clip(x, bins[0], bins[-1])
    above = np.clip(np.searchsorted(bins, x), 1, len(bins) - 1)
    weights = np.zeros(len(bins))
    weights[above] = x - bins[above - 1]
    weights[above - 1] = 1 - weights[above]
    return weights


# %% 3: stretches small ranges
def my_advantage(R, v, low, high, decay):
    low = decay * low + (1 - decay) * np.percentile(R, 5)
    high = decay * high + (1 - decay) * np.percentile(R, 95)
    return (R - v) / (high - low), low, high


# %% 3: divides before it subtracts
def my_advantage(R, v, low, high, decay):
    low = decay * low + (1 - decay) * np.percentile(R, 5)
    high = decay * high + (1 - decay) * np.percentile(R, 95)
    return R / max(1, high - low) - v, low, high


# %% 3: throws the new state away
def my_advantage(R, v, low, high, decay):
    new_low = decay * low + (1 - decay) * np.percentile(R, 5)
    new_high = decay * high + (1 - decay) * np.percentile(R, 95)
    return (R - v) / max(1, new_high - new_low), low, high


# %% 3: this batch alone
def my_advantage(R, v, low, high, decay):
    low, high = np.percentile(R, 5), np.percentile(R, 95)
    return (R - v) / max(1, high - low), low, high


# %% 3: decay on the wrong side
def my_advantage(R, v, low, high, decay):
    low = (1 - decay) * low + decay * np.percentile(R, 5)
    high = (1 - decay) * high + decay * np.percentile(R, 95)
    return (R - v) / max(1, high - low), low, high


# %% 3: smallest and largest return instead of percentiles
def my_advantage(R, v, low, high, decay):
    low = decay * low + (1 - decay) * R.min()
    high = decay * high + (1 - decay) * R.max()
    return (R - v) / max(1, high - low), low, high
