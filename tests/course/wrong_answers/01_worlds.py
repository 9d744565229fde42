# Plausible wrong answers to the exercises of 01_worlds. Each cell begins with the number of its exercise.
# %% 1: counts every step at the door, not the arrival
def door_reached(before, after):
    return (abs(after.agent - after.layout.lock).sum() == 1) & ~after.unlocked


# %% 1: goes on counting when the door is open
def door_reached(before, after):
    near = lambda s: abs(s.agent - s.layout.lock).sum() == 1
    return near(after) & ~near(before)


# %% 1: takes diagonal neighbours too
def door_reached(before, after):
    near = lambda s: (abs(s.agent - s.layout.lock).max() == 1) & ~s.unlocked
    return near(after) & ~near(before)


# %% 2: the clock ends the future
def value_target(reward, is_last, is_terminal, value_here, gamma):
    return reward + gamma * (1 - is_last) * value_here


# %% 2: nothing ends the future
def value_target(reward, is_last, is_terminal, value_here, gamma):
    return reward + gamma * value_here


# %% 2: forgets the discount
def value_target(reward, is_last, is_terminal, value_here, gamma):
    return reward + (1 - is_terminal) * value_here
