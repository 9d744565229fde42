# Plausible wrong answers to the exercises of 08_evidence. Each cell begins with the number of its exercise.
# %% 1: the median
def iqm(values):
    return np.median(values)


# %% 1: the mean of all
def iqm(values):
    return np.mean(values)


# %% 1: the interquartile range
def iqm(values):
    return np.percentile(values, 75) - np.percentile(values, 25)


# %% 1: forgets to sort
def iqm(values):
    cut = len(values) // 4
    return values[cut : len(values) - cut].mean()


# %% 1: cuts by value: between the quartiles
def iqm(values):
    low, high = np.percentile(values, [25, 75])
    return values[(values >= low) & (values <= high)].mean()


# %% 1: cuts by value: the middle half of the range
def iqm(values):
    quarter = (values.max() - values.min()) / 4
    return values[(values >= values.min() + quarter) & (values <= values.max() - quarter)].mean()


# %% 1: always one at each end
def iqm(values):
    return np.sort(values)[1:-1].mean()


# %% 1: rounds up
def iqm(values):
    cut = -(-len(values) // 4)
    return np.sort(values)[cut : len(values) - cut].mean()


# %% 2: the first good chunk
def steps_until(chunks, share, window):
    steps = 0
    for chunk in chunks:
        steps += chunk["steps"]
        if chunk["episodes"] and chunk["reward"] >= share * chunk["episodes"]:
            break
    return steps


# %% 2: the share since the beginning
def steps_until(chunks, share, window):
    steps = reward = episodes = 0
    for chunk in chunks:
        steps, reward, episodes = steps + chunk["steps"], reward + chunk["reward"], episodes + chunk["episodes"]
        if episodes and reward >= share * episodes:
            break
    return steps


# %% 2: the mean of the chunks' shares
def steps_until(chunks, share, window):
    shares = np.array([chunk["reward"] / max(1, chunk["episodes"]) for chunk in chunks])
    for end in range(window, len(chunks) + 1):
        if shares[end - window : end].mean() >= share:
            return sum(chunk["steps"] for chunk in chunks[:end])
    return sum(chunk["steps"] for chunk in chunks)


# %% 2: where the window begins
def steps_until(chunks, share, window):
    for end in range(window, len(chunks) + 1):
        seen = chunks[end - window : end]
        episodes = sum(chunk["episodes"] for chunk in seen)
        if episodes and sum(chunk["reward"] for chunk in seen) >= share * episodes:
            return sum(chunk["steps"] for chunk in chunks[: end - window])
    return sum(chunk["steps"] for chunk in chunks)


# %% 2: a window without episodes counts as solved
def steps_until(chunks, share, window):
    for end in range(window, len(chunks) + 1):
        seen = chunks[end - window : end]
        if sum(chunk["reward"] for chunk in seen) >= share * sum(chunk["episodes"] for chunk in seen):
            return sum(chunk["steps"] for chunk in chunks[:end])
    return sum(chunk["steps"] for chunk in chunks)


# %% 2: infinity where it never succeeds
def steps_until(chunks, share, window):
    for end in range(window, len(chunks) + 1):
        seen = chunks[end - window : end]
        episodes = sum(chunk["episodes"] for chunk in seen)
        if episodes and sum(chunk["reward"] for chunk in seen) >= share * episodes:
            return sum(chunk["steps"] for chunk in chunks[:end])
    return float("inf")


# %% 2: begins with incomplete windows
def steps_until(chunks, share, window):
    for end in range(1, len(chunks) + 1):
        seen = chunks[max(0, end - window) : end]
        episodes = sum(chunk["episodes"] for chunk in seen)
        if episodes and sum(chunk["reward"] for chunk in seen) >= share * episodes:
            return sum(chunk["steps"] for chunk in chunks[:end])
    return sum(chunk["steps"] for chunk in chunks)


# %% 3: the middle 90%
def ratio_interval(ours, theirs, our_draws, their_draws):
    ratios = iqm_of_rows(ours[our_draws]) / iqm_of_rows(theirs[their_draws])
    return tuple(np.percentile(ratios, [5, 95]))


# %% 3: divides two intervals
def ratio_interval(ours, theirs, our_draws, their_draws):
    above = np.percentile(iqm_of_rows(ours[our_draws]), [2.5, 97.5])
    below = np.percentile(iqm_of_rows(theirs[their_draws]), [2.5, 97.5])
    return tuple(above / below)


# %% 3: the worst case
def ratio_interval(ours, theirs, our_draws, their_draws):
    above = np.percentile(iqm_of_rows(ours[our_draws]), [2.5, 97.5])
    below = np.percentile(iqm_of_rows(theirs[their_draws]), [2.5, 97.5])
    return above[0] / below[1], above[1] / below[0]


# %% 3: from a standard deviation
def ratio_interval(ours, theirs, our_draws, their_draws):
    ratios = iqm_of_rows(ours[our_draws]) / iqm_of_rows(theirs[their_draws])
    middle = iqm_of_rows(ours) / iqm_of_rows(theirs)
    return middle - 1.96 * ratios.std(), middle + 1.96 * ratios.std()


# %% 3: means instead of IQMs
def ratio_interval(ours, theirs, our_draws, their_draws):
    ratios = ours[our_draws].mean(-1) / theirs[their_draws].mean(-1)
    return tuple(np.percentile(ratios, [2.5, 97.5]))


# %% 3: draws without repetition
def ratio_interval(ours, theirs, our_draws, their_draws):
    rng = np.random.default_rng(0)
    shuffled = [iqm_of_rows(np.array([rng.permutation(x) for _ in range(500)])) for x in (ours, theirs)]
    return tuple(np.percentile(shuffled[0] / shuffled[1], [2.5, 97.5]))


# %% 3: resamples ours only
def ratio_interval(ours, theirs, our_draws, their_draws):
    return tuple(np.percentile(iqm_of_rows(ours[our_draws]) / iqm_of_rows(theirs), [2.5, 97.5]))
