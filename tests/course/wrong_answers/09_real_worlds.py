# Plausible wrong answers to the exercises of 09_real_worlds. Each cell begins with the number of its exercise.
# %% 1: forgets that a sequence has many steps
def number_of_updates(env_steps, prefill_steps, train_ratio, batch, length):
    return (env_steps - prefill_steps) * train_ratio / batch


# %% 1: upside down
def number_of_updates(env_steps, prefill_steps, train_ratio, batch, length):
    return (env_steps - prefill_steps) * batch * length / train_ratio


# %% 1: takes the warm-up off twice
def number_of_updates(env_steps, prefill_steps, train_ratio, batch, length):
    learning = env_steps - prefill_steps
    return (learning - prefill_steps) * train_ratio / (batch * length)


# %% 1: learns during random play
def number_of_updates(env_steps, prefill_steps, train_ratio, batch, length):
    return env_steps * train_ratio / (batch * length)


# %% 1: knows the paper's ratio by heart
def number_of_updates(env_steps, prefill_steps, train_ratio, batch, length):
    return (env_steps - prefill_steps) / 2


# %% 2: forgets that both orders are two questions
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    dollars = pairs * ((words + 2 * picture) * price_in + answer * price_out) / 1e6
    return dollars, pairs / per_minute / 60


# %% 2: always asks in both orders
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    questions = 2 * pairs
    dollars = questions * ((words + 2 * picture) * price_in + answer * price_out) / 1e6
    return dollars, questions / per_minute / 60


# %% 2: prices per thousand tokens
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    questions = pairs * (1 + both_orders)
    dollars = questions * ((words + 2 * picture) * price_in + answer * price_out) / 1e3
    return dollars, questions / per_minute / 60


# %% 2: one picture in a question
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    questions = pairs * (1 + both_orders)
    dollars = questions * ((words + picture) * price_in + answer * price_out) / 1e6
    return dollars, questions / per_minute / 60


# %% 2: one price for all tokens
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    questions = pairs * (1 + both_orders)
    dollars = questions * (words + 2 * picture + answer) * price_in / 1e6
    return dollars, questions / per_minute / 60


# %% 2: minutes instead of hours
def cost_of_answers(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute):
    questions = pairs * (1 + both_orders)
    dollars = questions * ((words + 2 * picture) * price_in + answer * price_out) / 1e6
    return dollars, questions / per_minute
