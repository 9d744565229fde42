# Plausible wrong answers to the exercises of 05_vlm_annotation. Each cell begins with the number of its exercise.
# %% 1: divides by all answers
def share_of_first(answers):
    return (answers == Answer.FIRST).mean()


# %% 1: leaves out no idea, and keeps ties
def share_of_first(answers):
    return (answers[answers != Answer.UNKNOWN] == Answer.FIRST).mean()


# %% 1: leaves out ties, and keeps no idea
def share_of_first(answers):
    return (answers[answers != Answer.TIE] == Answer.FIRST).mean()


# %% 1: a tie is half a first
def share_of_first(answers):
    known = answers[answers != Answer.UNKNOWN]
    return ((known == Answer.FIRST) + 0.5 * (known == Answer.TIE)).mean()


# %% 1: the other position
def share_of_first(answers):
    return (answers == Answer.SECOND).sum() / (answers <= Answer.SECOND).sum()


# %% 2: only the first order counts
def combine_orders(there, back):
    return {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5, Answer.UNKNOWN: float("nan")}[there]


# %% 2: a contradiction is a choice of the first
def combine_orders(there, back):
    value = {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5}
    said = [value[answer] for answer in (there, back.swapped()) if answer != Answer.UNKNOWN]
    if not said:
        return float("nan")
    return said[0] if len(set(said)) == 1 else 1.0


# %% 2: forgets to turn the second answer round
def combine_orders(there, back):
    value = {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5}
    said = [value[answer] for answer in (there, back) if answer != Answer.UNKNOWN]
    if not said:
        return float("nan")
    return said[0] if len(set(said)) == 1 else 0.5


# %% 2: takes the mean, so a tie and a choice are three quarters
def combine_orders(there, back):
    value = {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5}
    said = [value[answer] for answer in (there, back.swapped()) if answer != Answer.UNKNOWN]
    return sum(said) / len(said) if said else float("nan")


# %% 2: no idea is a tie
def combine_orders(there, back):
    value = {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5, Answer.UNKNOWN: 0.5}
    one, other = value[there], value[back.swapped()]
    return one if one == other else 0.5


# %% 2: no idea in one order leaves the word to the other
def combine_orders(there, back):
    value = {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5}
    known = [value[answer] for answer in (there, back.swapped()) if answer != Answer.UNKNOWN]
    if not known:
        return float("nan")
    return known[0] if len(set(known)) == 1 else 0.5
