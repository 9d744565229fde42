# Plausible wrong answers to the exercises of 07_sensei. Each cell begins with the number of its exercise.
# %% 1: means instead of percentiles
def running_threshold(batches, k, decay):
    Q = np.mean(batches[0])
    for batch in batches[1:]:
        Q = decay * Q + (1 - decay) * np.mean(batch)
    return Q


# %% 1: k as a share
def running_threshold(batches, k, decay):
    Q = np.percentile(batches[0], k / 100)
    for batch in batches[1:]:
        Q = decay * Q + (1 - decay) * np.percentile(batch, k / 100)
    return Q


# %% 1: the weights of old and new exchanged
def running_threshold(batches, k, decay):
    Q = np.percentile(batches[0], k)
    for batch in batches[1:]:
        Q = (1 - decay) * Q + decay * np.percentile(batch, k)
    return Q


# %% 1: without memory
def running_threshold(batches, k, decay):
    return np.percentile(batches[-1], k)


# %% 1: begins at 0, as the research code
def running_threshold(batches, k, decay):
    Q = 0.0
    for batch in batches:
        Q = decay * Q + (1 - decay) * np.percentile(batch, k)
    return Q


# %% 2: the branches exchanged
def exploration_reward(r_sem, r_dis, Q, go, explore):
    exploring = r_sem < Q
    w_sem = np.where(exploring, explore["semantic"], go["semantic"])
    w_dis = np.where(exploring, explore["disagreement"], go["disagreement"])
    return w_sem * r_sem + w_dis * r_dis


# %% 2: a state at the threshold goes
def exploration_reward(r_sem, r_dis, Q, go, explore):
    exploring = r_sem > Q
    w_sem = np.where(exploring, explore["semantic"], go["semantic"])
    w_dis = np.where(exploring, explore["disagreement"], go["disagreement"])
    return w_sem * r_sem + w_dis * r_dis


# %% 2: the weights on the wrong streams
def exploration_reward(r_sem, r_dis, Q, go, explore):
    exploring = r_sem >= Q
    w_sem = np.where(exploring, explore["disagreement"], go["disagreement"])
    w_dis = np.where(exploring, explore["semantic"], go["semantic"])
    return w_sem * r_sem + w_dis * r_dis


# %% 2: forgets the weight of r_sem
def exploration_reward(r_sem, r_dis, Q, go, explore):
    return r_sem + np.where(r_sem >= Q, explore["disagreement"], go["disagreement"]) * r_dis


# %% 3: not divided by the total
def combined_advantage(returns, values, scales, exploring, go, explore):
    total = 0.0
    for name in returns:
        w = np.where(exploring, explore[name], go[name])
        total = total + w * (returns[name] - values[name]) / scales[name]
    return total


# %% 3: each branch divided by its own total
def combined_advantage(returns, values, scales, exploring, go, explore):
    total = 0.0
    for name in returns:
        w = np.where(exploring, explore[name], go[name])
        total = total + w * (returns[name] - values[name]) / scales[name]
    return total / np.where(exploring, sum(explore.values()), sum(go.values()))


# %% 3: brought to one scale after weighing
def combined_advantage(returns, values, scales, exploring, go, explore):
    total = 0.0
    for name in returns:
        w = np.where(exploring, explore[name], go[name])
        total = total + w * (returns[name] - values[name])
    return total / sum(scales.values()) / sum(explore.values())


# %% 3: returns without the critic
def combined_advantage(returns, values, scales, exploring, go, explore):
    total = 0.0
    for name in returns:
        total = total + np.where(exploring, explore[name], go[name]) * returns[name] / scales[name]
    return total / sum(explore.values())
