# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · VLM annotation: which picture is more interesting?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sensei-lite/sensei_lite/blob/main/notebooks/05_vlm_annotation.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/sensei-lite/sensei_lite/main?urlpath=lab/tree/notebooks/05_vlm_annotation.ipynb)
#
# **Your time:** 60 minutes. **The machine's time:** about one minute (the last cell prints what it was).
#
# **Before you start:** notebook 01, for the world. You need torch (`make lab` installs it), no key and no network.
#
# **Afterwards you can**
#
# 1. write a specific and a general prompt, and say what each tells a vision-language model (VLM);
# 2. have pairs of pictures judged by CLIP, by a chat model and by hand, without asking anything twice;
# 3. measure position bias, and correct it by asking in both orders;
# 4. measure how far two annotators agree, beyond chance;
# 5. say what a set of preferences costs in questions, time and money.

# %%
import sys

if "google.colab" in sys.modules:  # only on Colab: elsewhere the package is installed already
    import subprocess

    package = "sensei-lite[notebooks,vlm] @ git+https://github.com/sensei-lite/sensei_lite@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import base64
import contextlib
import io
import itertools
import json
import os
import tempfile
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

# %%
import sensei_lite as sl
from sensei_lite.annotators import Answer, Budget, BudgetSpent, ChatAnnotator, ClipAnnotator
from sensei_lite.annotators import GENERIC, HumanPanel, KEY_PROMPTS, Price, Prompt
from sensei_lite.annotators import ScriptedAnnotator, Store, agreement_report, ask, combine_answers
from sensei_lite.annotators import comparison_messages, description_messages, interest
from sensei_lite.annotators import interesting_pairs, intransitive_triads, parse_answer, prompt_for
from sensei_lite.annotators import random_pairs, spread_pairs, wilson_interval
from sensei_lite.course import curious_observations, tqdm
from sensei_lite.course.checks import annotation as check

# %%
notebook = sl.start_notebook()
PAIRS, CHAT_PAIRS, EACH = (60, 30, 8) if notebook.smoke else (1000, 250, 40)

# %% [markdown]
# ## 1. Pairs from what a curious agent saw
#
# SENSEI begins with $D_{\mathrm{init}}$: pictures that a curious agent (notebook 04) saw. Nobody told it what matters.
# Now a judge gets two of these pictures and says which one is **more interesting**. Comparing is easier than giving
# marks: a judge whose marks drift can still compare.
#
# We take random pairs: two different pictures, no pair twice. Chance also decides which of the two stands *first*. This
# will matter.

# %% mystnb={"image": {"alt": "Six pairs of small pictures of a room, two pictures side by side in each pair."}}
D_init = curious_observations()
pairs = random_pairs(D_init, PAIRS, seed=27)
print(f"{len(D_init.images):,} pictures of {D_init.images.shape[1:]} pixels, {len(pairs)} pairs")

figure, panels = plt.subplots(2, 8, figsize=(9, 3.7), width_ratios=[1, 1, 0.15] * 2 + [1, 1])
for axes in panels.flat:
    axes.set_axis_off()
for number, (axes, place) in enumerate(zip(panels[:, [0, 1, 3, 4, 6, 7]].flat, pairs[:6].flat, strict=True)):
    axes.imshow(D_init.images[place])
    axes.set_title(f"{number // 2 + 1}: {'second' if number % 2 else 'first'}")

# %% [markdown]
# *Figure 1. The first six pairs. The strip below a room shows what the agent holds. Notice how alike the pictures are: a
# judge must look at the agent, the strip and the door, not at the colours.*
#
# **Predict first.** Write down an answer for each pair: first, second, or tie.

# %% [markdown]
# ## 2. You are the annotator
#
# Here are the same pairs, and more. Click, or use the arrow keys (← first, → second, ↓ tie). A few answers are enough, or
# none. Each goes into a **store** (one SQLite file) at once. Then run the cells below. (Did they run before you answered?
# Run them again.)

# %%
folder = tempfile.TemporaryDirectory()
store = Store(Path(folder.name) / "answers.sqlite")

# %%
panel = HumanPanel(store, D_init, pairs[:20], person="me")
panel

# %% [markdown]
# Now the truth. A drawn world knows how far its agent has come: the **level** of a picture, from 1 (a key is in view) to
# 5 (the agent is at the exit). No real judge is told.

# %%
LEVELS = ["nothing", "key in view", "key in hand", "at the door with key", "door open", "at the exit"]
levels = interest(D_init.facts)
my_answers = store.answers(panel.who)
for number, (a, b) in enumerate(pairs[:6], start=1):
    better = "tie" if levels[a] == levels[b] else "first" if levels[a] > levels[b] else "second"
    print(f"pair {number}: {LEVELS[levels[a]]:20} | {LEVELS[levels[b]]:20} -> {better}")
measured = len(my_answers.time) > 2
my_seconds = float(np.median(np.diff(my_answers.time))) if measured else 3.0
print(f"You: {len(my_answers.answer)} answers, {my_seconds:.1f} seconds each ({'measured' if measured else 'assumed'})")

# %% [markdown]
# ## 3. CLIP as annotator
#
# CLIP turns pictures and sentences into vectors of length 1. A picture's $u(x)$ and a sentence's $v_p$ are close where
# the sentence fits: their product, the cosine of their angle, is large. Give every sentence (*prompt*) $p$ an interest
# $w_p$ from 0 to 1. With a number $s$ that CLIP learned,
#
# $$P(p \mid x) = \mathrm{softmax}_p\big(s\, u(x) \cdot v_p\big), \qquad \mathrm{score}(x) = \sum_p P(p \mid x)\, w_p .$$
#
# The higher score is more interesting. Scores that differ by less than 0.05 are a tie.


# %%
def scores_by_hand(model, images, prompts):
    """The interest that CLIP expects in each picture, from 0 to 1."""
    u = model.embed_images(images, 64)  # [pictures, numbers], each row of length 1
    v = model.embed_texts(list(prompts))  # [prompts, numbers]
    fit = np.exp(model.logit_scale * (u @ v.T))
    chance = fit / fit.sum(axis=1, keepdims=True)  # the softmax: [pictures, prompts]
    return chance @ np.array(list(prompts.values()))


TWO = {"a key lies on the floor": 0.0, "the agent holds the key": 1.0}
clips = {"CLIP, 2 prompts": ClipAnnotator(prompts=TWO), f"CLIP, {len(KEY_PROMPTS)} prompts": ClipAnnotator()}
some = D_init.images[::100]
for clip in clips.values():
    np.testing.assert_allclose(scores_by_hand(clip.model, some, clip.prompts), clip.scores(some), atol=1e-5)
print(f"{len(some)} pictures: the same scores by hand and by the package, with 2 and with {len(KEY_PROMPTS)} prompts\n")
for sentence, w in list(KEY_PROMPTS.items())[4::4]:
    print(f"  {w:.1f}  {sentence}")

# %% [markdown]
# > **Paper and package.** SENSEI asks GPT-4. This package ships a small CLIP instead, trained on KeyRoom and KeyChest
# > only. It shows *how* a reward comes from a model's judgements, not *that* models from the web find keys interesting.
#
# **Predict first.** The two prompts speak of the key only. Which score does an agent *at the exit* get?

# %% mystnb={"image": {"alt": "CLIP's scores by level. With 21 prompts they rise in steps; with 2 they do not."}}
places = [np.flatnonzero(levels == level) for level in range(1, 6)]
sample = np.concatenate([found[:: -(-len(found) // EACH)] for found in places])
scores = {name: clip.scores(D_init.images[sample]) for name, clip in clips.items()}
beside = np.random.default_rng(0).uniform(-0.25, 0.25, len(sample))  # so that equal points lie beside each other
figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
for axes, (name, found) in zip(panels, scores.items(), strict=True):
    axes.plot(found, levels[sample] + beside, "o", markersize=4, markerfacecolor="none", alpha=0.7)
    axes.set(title=name, xlabel="score", xlim=(-0.05, 1.05))
    axes.set_yticks(range(1, 6), LEVELS[1:])

# %% [markdown]
# *Figure 2. Scores of some pictures (one circle each), by true level. Notice the exit on the left: the two prompts tell a
# key in hand from a key on the floor, and a picture that neither describes gets its score by accident.*
#
# A softmax asks which sentence fits *best*; none needs to fit well. So the prompts are the judge: what they do not name
# is not judged.
#
# Now ask through the store. It knows who was asked (name, version, hash of the prompt) about which two pictures, in
# which order. **Run this cell twice.**


# %%
def ask_all(annotator, pairs, **how):
    """Ask what the store does not know yet; every answer is stored as it comes."""
    now = before = 0
    with contextlib.suppress(BudgetSpent):
        for some in tqdm(np.array_split(pairs, -(-len(pairs) // 50)), desc=annotator.name, leave=False):
            stats = ask(store, annotator, D_init, some, progress=False, **how)
            now, before = now + stats.asked, before + stats.skipped
    return f"{now} questions asked now, {before} were in the store"


for name, clip in clips.items():
    print(f"{name}: {ask_all(clip, pairs, both_orders=False)}")
    print(f"{name}: {ask_all(clip, pairs, both_orders=False)}")

# %% [markdown]
# ## 4. A chat model as annotator
#
# A chat VLM sees both pictures, and reads our words. A **specific** prompt tells it what the world is, what the drawing
# means, and what counts as interesting. Somebody who knows the task wrote that down.

# %%
specific, general = prompt_for("keyroom-lab"), prompt_for("keyroom-lab", "general")
for words in (specific.context, specific.question):
    print("\n".join(textwrap.fill(line, 110) for line in words.splitlines()), "\n")


# %% [markdown]
# These words and the two pictures become *messages*. A picture is sent as a PNG, enlarged, in letters (base64).


# %%
def sent_as(image, longest=512):
    """The picture as an address that holds its own data. Every pixel becomes a square."""
    factor = longest // max(image.shape[:2])
    buffer = io.BytesIO()
    Image.fromarray(image.repeat(factor, 0).repeat(factor, 1)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def messages_by_hand(prompt, first, second):
    def picture(uri):
        return {"type": "image_url", "image_url": {"url": uri, "detail": "low"}}

    def text(words):
        return {"type": "text", "text": words}

    asked = [text("First image:"), picture(first), text("Second image:"), picture(second), text(prompt.question)]
    return [{"role": "system", "content": prompt.context}, {"role": "user", "content": asked}]


one, other = (sent_as(D_init.images[place]) for place in pairs[0])
for prompt in (specific, GENERIC):
    assert messages_by_hand(prompt, one, other) == comparison_messages(prompt, one, other, detail="low")
for part in messages_by_hand(specific, one[:40] + " ...", other[:40] + " ...")[1]["content"][:4]:
    print(part)


# %% mystnb={"image": {"alt": "Two pictures as the model receives them, enlarged, with the words that stand before."}}
def pictures_in(messages):
    """The pictures of some messages, as the receiver sees them."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    found = [part["image_url"]["url"].split(",")[1] for part in parts if part["type"] == "image_url"]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(letters)))) for letters in found]


received = pictures_in(messages_by_hand(specific, one, other))
figure, panels = plt.subplots(1, 2, figsize=(6, 3.6))
for axes, word, image in zip(panels, ("First", "Second"), received, strict=True):
    axes.imshow(image)
    axes.set_title(f'"{word} image:"\n{image.shape[1]} by {image.shape[0]} pixels', fontsize=10)
    axes.set_axis_off()

# %% [markdown]
# *Figure 3. What the model receives. Notice that each pixel is now a square of 6 × 6, and nothing is blurred.*
#
# A **general** prompt describes nothing. It has two steps. First the model sees *one* picture and is asked this:

# %%
print(textwrap.fill(description_messages(general, one, detail="low")[0]["content"][1]["text"], 110))

# %% [markdown]
# Then its own answer becomes the context of every comparison. No human needs to know the world.
#
# ### Reading the answer
#
# We ask for one word. Models like to say more, so the package's parser also reads sentences. **Predict first:** which
# of the lines below count as *first*?


# %%
def read_one_word(text):
    words = {"first": Answer.FIRST, "second": Answer.SECOND, "both": Answer.TIE}
    return words.get(text.strip().lower(), Answer.UNKNOWN)


said = ["first", " Second\n", "both", '{"answer": "second"}', "**First.**", "Image 2, because the door is open."]
said += ["The first image shows a key.", "Neither is more interesting.", "I'm sorry, I cannot compare images.", "blue"]
print(f"{'the model says':38}{'one word':10}parser")
for text in said:
    print(f"{text.strip():38}{read_one_word(text).name:10}{parse_answer(text).name}")
for text in ("first", " Second\n", "both", "blue"):
    assert read_one_word(text) == parse_answer(text)

# %% [markdown]
# Words that only *mention* the first image choose nothing: UNKNOWN. A wrong answer teaches something false; a missing
# one only costs its price.
#
# ### A server that answers
#
# Without a key, no real chat model answers. So these are **stand-in answers, drawn at the published bias; your own key
# replaces them**. The stand-ins know the truth, and answer by position as often as was counted: GPT-4 chose the second
# picture in 58%; LLaVA-1.6 the first in 83%, with no idea in 13%. They sit behind a tiny server, and the true client
# asks them.

# %%
JUDGES = {f"stand-in-{name}": ScriptedAnnotator(D_init, name) for name in ("gpt4", "llava")}
SAYS = {0: "The first image.", 1: '{"answer": "second"}', 2: "both", 3: "I'm sorry, I cannot tell."}
DESCRIBES = "A room from above, with a locked door. The agent is blue. An open door would be interesting."


class StandIn(BaseHTTPRequestHandler):
    requests = 0

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        StandIn.requests += 1
        if StandIn.requests % 50 == 0:  # real servers fail, too
            return self.send_error(503)
        images = [image[None, ::6, ::6] for image in pictures_in(asked["messages"])]  # back to the agent's pixels
        said = SAYS[next(JUDGES[asked["model"]].annotate(*images))[1].answer] if len(images) == 2 else DESCRIBES
        reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        """Say nothing: the notebook shows what matters."""


# %% [markdown]
# To ask a real model as well, set `OPENAI_API_KEY` and `SENSEI_LITE_CHAT_MODEL` (the model's name) before you start
# Jupyter, and your provider's price below. It may spend one dollar. (The address of your own server goes into
# `OPENAI_BASE_URL`.)

# %%
PRICE = Price(2.5, 10.0)  # US dollars for a million tokens, in and out
server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1"]))

chats = {name: ChatAnnotator(name, url, prompt=specific, price=PRICE) for name in JUDGES}
if model := os.environ.get("SENSEI_LITE_CHAT_MODEL"):
    chats[model] = ChatAnnotator(model, prompt=specific, price=PRICE, budget_dollars=1.0)
chat = chats["stand-in-gpt4"]

described = ChatAnnotator("stand-in-gpt4", url, prompt=general).describe(D_init.images[0])  # step one of general
print("The general prompt, described:", comparison_messages(described, one, other, "low")[0]["content"])
mine = Prompt("You compare two images of a game. An image is interesting if ...")  # your own specific prompt
print("\nOther words are another annotator:", specific.prompt_hash, described.prompt_hash, mine.prompt_hash)

# %% [markdown]
# What will it cost? Count *tokens*: one for about four letters, 85 for a picture in low detail. A **budget** stops the
# asking in time.


# %%
def dollars_by_hand(questions):
    words = " ".join([specific.context, "First image:", "Second image:", specific.question])
    tokens_in = 12 + len(words) / 4 + 2 * 85  # 12 for what a chat format puts around
    tokens_out = 10
    return questions * (tokens_in * 2.5 + tokens_out * 10.0) / 1e6


for questions in (1, 500, 100_000):
    np.testing.assert_allclose(dollars_by_hand(questions), chat.estimate(questions, 80, 72).dollars, rtol=1e-2)
print(chat.estimate(100_000, 80, 72))

first_try = ask(store, chat, D_init, pairs[:CHAT_PAIRS], both_orders=False, budget=Budget(dollars=0.02), progress=False)
print(f"With two cents: {first_try.asked} answers for ${first_try.cost:.4f}, {first_try.left} questions left")
for name, annotator in chats.items():
    print(f"{name}: {ask_all(annotator, pairs[:CHAT_PAIRS], both_orders=False)}")
    print(f"    {annotator.spent.calls} calls; a real model would cost ${annotator.spent.dollars:.2f}")

# %% [markdown]
# There are more calls than answers: the server fails now and then (503), and the client asks again.
#
# > **Paper and package.** The paper asks gpt-4-turbo (temperature 0.2, low detail) about 100,000 random pairs in
# > MiniHack, each in **one** order. Our prompts are in our own words, with JSON in place of a coded word.

# %% [markdown]
# ## 5. Position bias
#
# Which picture stands first is chance. So a judge who looks says *first* in about half of the answers.
#
# ### Exercise 1: how often *first*?
#
# Of all answers that name a position, which share is *first*? Ties and *no idea* name none.


# %% tags=["exercise-1"]
def share_of_first(answers):
    """From an array of answers: 0 is first, 1 second, 2 a tie, 3 no idea (see Answer)."""
    return None  # your code


# %% tags=["check-1"]
check.share_of_first(share_of_first)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `answers == Answer.FIRST` is an array of true and false. Its sum is a number of answers. By which number do you divide?
#
# </details>
#
# <details><summary>Solution 1</summary>
#
# ```python
# def share_of_first(answers):
#     first = (answers == Answer.FIRST).sum()
#     second = (answers == Answer.SECOND).sum()
#     return first / (first + second)
# ```
#
# </details>

# %% [markdown]
# 6 of 10 is 60%, and 600 of 1,000 too. Only one of them shows a bias. **Wilson's interval** says between which shares
# the truth lies, in 95 of 100 cases. With $\hat p$ the share of $n$ answers, and $z = 1.96$:
#
# $$\frac{1}{1 + z^2/n} \left( \hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} +
# \frac{z^2}{4 n^2}} \right)$$


# %%
def wilson_by_hand(happened, n, z=1.959964):
    p = happened / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return p, (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


for happened, n in [(6, 10), (600, 1000), (0, 7)]:
    np.testing.assert_allclose(wilson_by_hand(happened, n), wilson_interval(happened, n), atol=1e-6)
    print("{} of {}: {:.0%}, from {:.0%} to {:.0%}".format(happened, n, *wilson_interval(happened, n)))

# %% mystnb={"image": {"alt": "Share of first for each annotator, with intervals, and a dashed line at one half."}}
judges = clips | chats
who = {name: judge.id for name, judge in judges.items()} | ({"you": panel.who} if len(my_answers.answer) else {})
figure, axes = plt.subplots(figsize=(7.5, 2.8))
for place, one in enumerate(who.values()):
    first, second, tie, unknown = np.bincount(store.answers(one).answer, minlength=4)
    share = 100 * np.array(wilson_interval(first, first + second))
    axes.errorbar(share[0], place, xerr=abs(share[1:] - share[0])[:, None], fmt="o", color="black", capsize=4)
    axes.text(103, place, f"{first} of {first + second}", va="center")
axes.axvline(50, color="0.5", linestyle="--")
axes.set(xlim=(0, 100), ylim=(len(who) - 0.5, -0.5), xlabel='"first", in % of the answers that name a position')
axes.set_yticks(range(len(who)), list(who))
plt.show()

# %% [markdown]
# *Figure 4. Position bias with its 95% interval, every pair asked in one order. Notice which intervals hold the dashed
# line. (83% first and 13% no idea leave 4% for second.)*
#
# The order is random, so no *picture* is favoured. But an answer by position is a thrown coin, and was paid for. An agent
# that learned from LLaVA's answers explored worse than plain Plan2Explore.
#
# ### Ask again, exchanged
#
# The cure: ask every pair in both orders, and keep what both say.
#
# | a, b | b, a | judgement |
# |---|---|---|
# | a | a | a |
# | a | b | contradiction: a tie |
# | a or b | no idea | nothing: the pair is dropped |
#
# **Predict first.** How often will LLaVA's stand-in contradict itself? And CLIP? (One order is in the store already.)

# %%
one_order = {name: store.judgements(one) for name, one in who.items()}
for name, judge in judges.items():
    print(f"{name:18} {ask_all(judge, pairs[:CHAT_PAIRS], both_orders=True)}")
both_orders = {name: store.judgements(one) for name, one in who.items()}
for name in judges:
    of = both_orders[name]
    print(
        f"{name:18} contradicts itself in {of.contradicted.sum()} of {of.both_orders.sum()} pairs; {of.dropped} dropped"
    )

# %% [markdown]
# ### Exercise 2: one judgement from two answers
#
# Write the table as a function: 1.0 if a is the more interesting one, 0.0 if b, 0.5 for a tie, and `float("nan")` where
# nothing is known. A tie in one order and a choice in the other are a contradiction, too.


# %% tags=["exercise-2"]
def combine_orders(there, back):
    """From the answer to (a, b) and the answer to (b, a), both an Answer."""
    return None  # your code


# %% tags=["check-2"]
check.combine_orders(combine_orders)

# %% [markdown]
# <details><summary>Hint 2</summary>
#
# In the second question b stands first, so FIRST means b there. `back.swapped()` says the same in the words of the first
# question. Then compare.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# def combine_orders(there, back):
#     value = {Answer.FIRST: 1.0, Answer.SECOND: 0.0, Answer.TIE: 0.5}
#     if Answer.UNKNOWN in (there, back):
#         return float("nan")
#     one, other = value[there], value[back.swapped()]
#     return one if one == other else 0.5
# ```
#
# </details>

# %% [markdown]
# ## 6. Agreement
#
# A **confusion table** counts, for the pairs that two annotators judged, who said what. Here the second annotator is the
# truth. (Outside of drawn worlds, compare two models, or a model and yourself.)


# %%
def table_of(one, other):
    """Counts [what one says, what the other says] of common pairs; 0: second, 1: tie, 2: first."""
    known = dict(zip(zip(other.first, other.second, strict=True), other.target, strict=True))
    table = np.zeros((3, 3))
    for a, b, target in zip(one.first, one.second, one.target, strict=True):
        if (a, b) in known:
            table[int(2 * target), int(2 * known[a, b])] += 1
    return table


oracle = ScriptedAnnotator(D_init)
print("the truth:", ask_all(oracle, pairs))
truth = store.judgements(oracle.id)
shown = {name: table_of(both_orders[name], truth) for name in clips}
shown["LLaVA, one order"] = table_of(one_order["stand-in-llava"], truth)
shown["LLaVA, both orders"] = table_of(both_orders["stand-in-llava"], truth)

# %% mystnb={"image": {"alt": "Four tables of counts, truth against answer. Only CLIP with 21 prompts has a diagonal."}}
figure, panels = plt.subplots(1, 4, figsize=(9, 2.9), sharey=True)
for axes, (name, table) in zip(panels, shown.items(), strict=True):
    shares = (table / np.maximum(table.sum(axis=0), 1)).T  # of each true row
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1.8)
    for row, column in itertools.product(range(3), range(3)):
        axes.text(column, row, f"{table[column, row]:.0f}", ha="center", va="center")
    axes.set(title=name, xlabel="it says", xticks=range(3), xticklabels=["second", "tie", "first"])
panels[0].set_ylabel("the truth")
panels[0].set_yticks(range(3), ["second", "tie", "first"])
plt.show()
for name, table in shown.items():
    right, wrong = table[0, 0] + table[2, 2], table[0, 2] + table[2, 0]
    print(f"{name:20} where it chooses and there is a winner: {right:.0f} right, {wrong:.0f} wrong")

# %% [markdown]
# *Figure 5. Numbers of pairs; the darker, the larger the share of the row. Right answers lie on the diagonal. Notice the
# dark column: LLaVA's stand-in says "first" whatever is true. Both orders turn most of that into ties. Few choices are
# left, but those are right.*
#
# **Cohen's kappa** takes chance away. With $p_o$ the share of pairs on which both say the same, and $p_e$ that share if
# each threw coins weighted like its own answers,
#
# $$\kappa = \frac{p_o - p_e}{1 - p_e}.$$
#
# 1 is full agreement, 0 is chance.


# %%
def kappa_by_hand(table):
    p = (table + table[::-1, ::-1]) / 2  # which picture is called first is chance: count both ways round
    p = p / p.sum()
    by_chance = p.sum(axis=0) @ p.sum(axis=1)
    return (np.trace(p) - by_chance) / (1 - by_chance)


between = {frozenset((one, other)): found for one, other, *found in agreement_report(store).between}
for name in judges:
    number, alike, kappa = between[frozenset((who[name], oracle.id))]
    np.testing.assert_allclose(kappa_by_hand(table_of(both_orders[name], truth)), kappa.value)
    print(f"{name:18} and the truth: alike in {alike:5.1%} of {number} pairs, kappa {kappa.value:5.2f}")
number, alike, kappa = between[frozenset((who["stand-in-gpt4"], who["stand-in-llava"]))]
print(f"the two stand-ins with each other: alike in {alike:.0%}, kappa {kappa.value:.2f}")

# %% [markdown]
# The small CLIP with all its prompts nearly *is* the truth: it was trained on this world, and its prompts follow the
# task. Do not expect that of a CLIP from the web. With two prompts it goes wrong. Where?

# %% mystnb={"image": {"alt": "Two pairs of pictures that CLIP with two prompts puts in the wrong order."}}
found = scores["CLIP, 2 prompts"]
figure, panels = plt.subplots(1, 4, figsize=(8, 2.8))
for number, (low, high) in enumerate([(3, 5), (2, 4)]):
    duller, better = np.flatnonzero(levels[sample] == low), np.flatnonzero(levels[sample] == high)
    worst = duller[found[duller].argmax()], better[found[better].argmin()]
    for axes, which in zip(panels[2 * number :], worst, strict=False):
        axes.imshow(D_init.images[sample[which]])
        axes.set_title(f"{LEVELS[levels[sample[which]]]}\nscore {found[which]:.2f}", fontsize=10)
        axes.set_axis_off()

# %% [markdown]
# *Figure 6. Two of the worst mistakes of CLIP with two prompts. Each time it prefers the left picture, and the right one
# is more interesting. Notice that no sentence speaks of a door or an exit.*
#
# ### Intransitive triads
#
# If a beats b, b beats c and c beats a, the three are an **intransitive triad**: the answers go in a circle. A reward is
# one number for each picture, so none can fit them. Let every two of twelve pictures meet, and look at all triads.

# %%
twelve = np.random.default_rng(0).choice(np.unique(pairs), 12, replace=False)
games = np.random.default_rng(1).permuted(list(itertools.combinations(range(12), 2)), axis=1)


def tournament(judge, orders):
    """Every two of the twelve pictures, asked in one order or in both."""
    first, second = np.concatenate([games, games[:, ::-1]])[: orders * len(games)].T
    replies = judge.annotate(D_init.images[twelve[first]], D_init.images[twelve[second]])
    return combine_answers(first, second, np.array([reply.answer for _, reply in replies]))


def intransitive_by_hand(judged):
    beats = np.full((12, 12), False)
    beats[judged.first, judged.second], beats[judged.second, judged.first] = judged.target == 1, judged.target == 0
    triples = itertools.permutations(range(12), 3)
    return [(a, b, c) for a, b, c in triples if a < min(b, c) and beats[a, b] and beats[b, c] and beats[c, a]]


llava = JUDGES["stand-in-llava"]
for name, judge, orders in [("LLaVA", llava, 1), ("LLaVA", llava, 2), ("CLIP", clip, 2)]:
    judged = tournament(judge, orders)
    triads, intransitive = intransitive_triads(judged)
    assert intransitive == len(intransitive_by_hand(judged))
    print(f"{name:6} asked in {orders} order(s): {intransitive} of {triads} triads are intransitive")

# %% [markdown]
# Pure chance makes one triad in four intransitive. LLaVA's stand-in, asked once, is near that: who stands first wins.
# CLIP scores single pictures, so its answers are transitive.
#
# ### Exercise 3 (open): your own prompts
#
# Write prompts that beat the two above, with few sentences. The small CLIP knows only the words that are printed.


# %% tags=["exercise-3"]
def accuracy(prompts):
    """The share of right answers, of all pairs of the pictures in Figure 2 whose levels differ."""
    scores = ClipAnnotator(prompts=prompts).scores(D_init.images[sample])
    higher = levels[sample][:, None] > levels[sample][None]
    return (scores[:, None] - scores[None] >= 0.05)[higher].mean()


print(textwrap.fill(" ".join(clip.model.tokenizer.numbers), 110))
my_prompts = TWO  # your sentences, each with its interest from 0 to 1
print(f"\n{accuracy(my_prompts):.1%} right")

# %% [markdown]
# <details><summary>Hint 3</summary>
#
# Begin with one sentence for every level. Draw Figure 2 again.
#
# </details>
#
# <details><summary>Thoughts on 3</summary>
#
# Five sentences, one for each level, come close to all 21. Short words such as "a key" do worse than whole captions, for
# captions are what the model read.
#
# </details>

# %% [markdown]
# ## 7. Which pairs to ask
#
# Random pairs copy what the agent saw. **Spread** pairs use as many different pictures as can be. **Interesting** pairs
# are drawn where a first $R_\psi$ (notebook 06) is high.
#
# > **Paper vs code, P1.** The paper draws all pairs at random. Our `lab` preset does so with half of them. A first
# > $R_\psi$ learns from these and chooses the other half, for where $R_\psi$ is high its agent will go.

# %% mystnb={"image": {"alt": "Shares of the five levels among asked pictures, for three ways to choose pairs."}}
rewards = sl.rewards_of(sl.trained_reward_model(), D_init.images)
ways = {
    "random": random_pairs(D_init, PAIRS, seed=1),
    "spread": spread_pairs(D_init, min(PAIRS, 450), seed=1),
    "interesting": interesting_pairs(D_init, PAIRS, rewards, seed=1),
}
figure, axes = plt.subplots(figsize=(8, 3.2))
for number, (way, chosen) in enumerate(ways.items()):
    shares = 100 * np.bincount(levels[chosen].ravel(), minlength=6)[1:] / chosen.size
    looks = {"color": str(0.95 - 0.35 * number), "hatch": ["", "//", ""][number], "edgecolor": "black"}
    bars = axes.bar(np.arange(5) + 0.27 * (number - 1), shares, 0.25, label=way, **looks)
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
    differ = (levels[chosen[:, 0]] != levels[chosen[:, 1]]).mean()
    print(f"{way:12} {len(np.unique(chosen))} different pictures in {len(chosen)} pairs, levels differ in {differ:.0%}")
axes.set_ylabel("% of the pictures in the pairs")
axes.set_xticks(range(5), LEVELS[1:])
axes.legend()
plt.show()

# %% [markdown]
# *Figure 7. What is asked about, in three ways to choose pairs. Notice the exit: random pairs hardly show it. Interesting
# pairs leave out what is dull and ask for finer differences, so more of them have no winner (printed above).*

# %% [markdown]
# ## 8. The bill
#
# **Predict first.** 100,000 pairs, as in the paper: how long would *you* need, and what does a chat model cost?

# %%
clip_times = store.answers(clip.id).time[:PAIRS]
clip_seconds = (clip_times[-1] - clip_times[0]) / PAIRS
datasets = {"here: 250 pairs, both orders": 500, "lab: 5,000 pairs, both orders": 10_000}
datasets["paper: 100,000 pairs, one order"] = 100_000
print(f"{'':32}{'questions':>10}{'your hours':>12}{'CLIP, hours':>13}{'chat, dollars':>15}")
for name, questions in datasets.items():
    hours = questions * np.array([my_seconds, clip_seconds]) / 3600
    dollars = chat.estimate(questions, 80, 72).dollars
    print(f"{name:32}{questions:>10,}{hours[0]:>12,.1f}{hours[1]:>13,.2f}{dollars:>15,.2f}")

# %% [markdown]
# Both orders double the bill, and notebook 06 finds how many pairs a reward needs.
#
# ## Recap
#
# 1. A **specific** prompt says what the world is and what is interesting. With a **general** one the model describes a
#    picture first, and then reads its own words.
# 2. CLIP, chat models and you judged the same pairs. The **store** keeps each answer, so nothing is asked twice.
# 3. **Position bias** is the share of *first* among answers that name a position, against 50%. Both orders turn it into
#    ties.
# 4. **Cohen's kappa** is agreement beyond chance. No reward fits **intransitive triads**.
# 5. The **bill**: questions (two for a pair in both orders), seconds, tokens.

# %% [markdown]
# ## Where this lives in the package
#
# | here | there |
# |---|---|
# | pairs; prompts and messages | `sensei_lite/annotators/pairs.py`, `sensei_lite/annotators/chat/prompts/` |
# | asking, budget, store | `sensei_lite/annotators/query.py`, `store.py` |
# | CLIP | `sensei_lite/annotators/clip/annotator.py`, `model.py` |
# | the chat client, its costs, the parser | `annotator.py`, `client.py`, `limits.py`, `parser.py` in `sensei_lite/annotators/chat/` |
# | your panel | `sensei_lite/annotators/human/panel.py` |
# | stand-ins and truth | `sensei_lite/annotators/scripted.py` |
# | two orders; Wilson, kappa, triads | `sensei_lite/annotators/combine.py`, `agreement.py` |
# | all of it: `sensei-lite annotate` | `sensei_lite/training/pipeline.py` |

# %% [markdown]
# ## Further reading
#
# - C. Sancaktar, C. Gumbsch et al., *SENSEI: Semantic Exploration Guided by Foundation Models to Learn Versatile World
#   Models*, ICML 2025, [arXiv 2503.01584](https://arxiv.org/abs/2503.01584).
# - M. Klissarov, P. D'Oro et al., *Motif: Intrinsic Motivation from Artificial Intelligence Feedback*, 2023,
#   [arXiv 2310.00166](https://arxiv.org/abs/2310.00166).
# - A. Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021,
#   [arXiv 2103.00020](https://arxiv.org/abs/2103.00020). CLIP.
# - L. Zheng et al., *Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena*, NeurIPS 2023,
#   [arXiv 2306.05685](https://arxiv.org/abs/2306.05685). Position bias.
# - J. Cohen, *A Coefficient of Agreement for Nominal Scales*, 1960.
#
# **Next:** 06 · Reward distillation: from these answers to a reward, $R_\psi$.

# %%
notebook.finish()
