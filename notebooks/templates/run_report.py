# %% [markdown]
# # Report of a run
#
# `sensei-lite report` executes this notebook in a run folder. It keeps it there as `report.ipynb`, which you can open in
# JupyterLab, change and run again, and as `report.html`, a page to read and to send to others.
#
# [Events](#Events) · [Semantic reward](#Semantic-reward) · [Go/explore switch](#Go/explore-switch) ·
# [Annotated pairs](#Annotated-pairs) · [Rollouts](#Rollouts) · [Settings](#Settings,-time,-memory-and-versions)

# %% tags=["parameters"]
FOLDER = "../../runs/lab"  # the run folder
DEVICES = "unknown"  # what JAX computed on

# %%
import platform
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from IPython.display import HTML, Markdown, display

from sensei_lite.annotators import base, data, scripted, store
from sensei_lite.plots import exploration, reward
from sensei_lite.plots.style import EVENT_WORDS, agent_style, picture, rounded, show, table, video, words_for
from sensei_lite.plots.trace import play_trace
from sensei_lite.plots.video import save_mp4
from sensei_lite.presets import AGENTS
from sensei_lite.reward.metrics import mean_rewards
from sensei_lite.reward.model import rewards_of
from sensei_lite.training import evaluate, machine, pipeline, stages, storage
from sensei_lite.training.jax_loop import EPISODES_WITH, REWARDED
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import JAX_WORLDS

machine.keep_compiled_programs()
run = Path(FOLDER)
plan = storage.read_manifest(next(path for path in (run / "run.json", run / pipeline.WORLD) if path.exists()))
seed = int(plan.get("seed", 0))
world = pipeline.world_of(run) if plan["world"] in JAX_WORLDS else None
R_psi = storage.load_reward(run / pipeline.REWARD) if (run / pipeline.REWARD).exists() else None
explored = {path.parent.name: evaluate.read_chunks(path.parent) for path in sorted(run.glob("*/events.csv"))}
# The plan's agents first, then whoever else explored in this folder.
order = dict.fromkeys([*plan.get("agents", ()), *AGENTS, *explored])
chunks = {name: explored[name] for name in order if explored.get(name)}
label = {name: agent_style(name).label for name in chunks}
lead = next((name for name in chunks if name.startswith("sensei")), next(iter(chunks), None))


def say(text):
    display(Markdown(text))


# %% [markdown]
# ## Events

# %%
columns = [name.removeprefix(EPISODES_WITH) for rows in chunks.values() for name in rows[0] if EPISODES_WITH in name]
counted = {*columns} - {REWARDED}
events = [*filter(counted.__contains__, EVENT_WORDS), *sorted(counted - set(EVENT_WORDS))]
meaningful = [event for event in events if event in evaluate.MEANINGFUL]
for name, rows in chunks.items():
    late = rows[-max(1, len(rows) // 5) :]
    each = "; ".join(f"{words_for([event])} **{evaluate.share_of_episodes(late, event):.0%}**" for event in meaningful)
    steps = sum(row["steps"] for row in rows)
    say(f"> {label[name]}, of the episodes in the last fifth of {steps:,.0f} steps: {each or 'nothing that counts'}.")
one_seed = "This is one run with one seed; only several seeds (`sensei-lite study`) can tell a difference from chance."
say(one_seed if chunks else "No agent has explored yet.")
if events:
    wide, narrow = (exploration.curves_figure({name: run / name for name in chunks}, events, columns=n) for n in (3, 1))
    caption = """In which share of their episodes the agents caused each event while they explored. Each point is over a
    tenth of the run; a line that stays at zero is an event that this agent never caused."""
    show(wide, run / "figures" / "curves.png", caption, narrow)
if (run / pipeline.EVALUATION).exists():
    values = {(row["measure"], row["agent"]): f"{float(row['value']):,.10g}" for row in pipeline.read_evaluation(run)}
    figures, agents = (list(dict.fromkeys(names)) for names in zip(*values, strict=True))
    body = [[figure.replace("_", " "), *(values.get((figure, agent), "") for agent in agents)] for figure in figures]
    caption = "What happened while exploring, and in test episodes after it, in layouts of their own."
    display(table(["evaluation.csv", *(agent_style(agent).label for agent in agents)], body, caption))
else:
    say("There are no test episodes: the stage `evaluate` was not run.")

# %% [markdown]
# ## Semantic reward
#
# R_psi was distilled from the annotator's answers. It is 0 for an average image and 1 for one standard deviation above.

# %%
if R_psi is not None and isinstance(world, GridWorld):
    room = jax.jit(world.reset)(key=jax.random.key(reward.FRESH_ROOM))
    wide, narrow = (reward.landscape_figure(world, room, R_psi, columns=n) for n in (2, 1))
    caption = """R_psi with the agent at each cell of a room that nobody was asked about; higher is more interesting, and
    hatched cells cannot be reached. Notice whether R_psi rises from situation to situation."""
    show(wide, run / "figures" / "landscape.png", caption, narrow)
seen = data.load_observations(run / pipeline.OBSERVATIONS) if (run / pipeline.OBSERVATIONS).exists() else None
known = {}  # by an image's hash: how interesting it is by the world's facts, and the situation that it shows
try:
    situations = scripted.situations(seen.facts)
    names = np.select(list(situations.values()), list(situations), "").tolist()
    facts = zip(scripted.interest(seen.facts).tolist(), names, strict=True)
    known = dict(zip(map(base.image_hash, seen.images), facts, strict=True))
except (AttributeError, ValueError):
    say("This world tells no facts about its states, so R_psi and answers cannot be compared with them.")
if R_psi is not None and known:
    means = mean_rewards(rewards_of(R_psi, seen.images), seen.episode, situations)
    caption = "Mean R_psi of the collected images by the situation that they show, dull ones first, with 95% intervals."
    show(reward.situation_figure(means), run / "figures" / "situations.png", caption)

# %% [markdown]
# ## Go/explore switch

# %%
traces = {}
for name in chunks if world else ():
    try:
        agent = pipeline.load_explorer(run, name).agent
    except (FileNotFoundError, ValueError) as error:
        say(f"{label[name]} cannot be played: {error}")
        continue
    # The first episode that the run's seed gives, the same start for each agent; it was not chosen.
    traces[name] = play_trace(agent, world, reward_model=R_psi, key=jax.random.fold_in(jax.random.key(seed), 2))
if world is None:
    say("This world is stepped by a host loop; episodes are shown for JAX worlds only.")
if lead in traces:
    trace = traces[lead]
    rule = f"""Where the predicted semantic {trace.compares} is at or above a running percentile of itself, the switch
    says explore, and disagreement weighs most; below it says go, and the semantic reward weighs most."""
    dream = " In learning, that return is of an imagined trajectory; here the critic's estimate v_sem stands for it."
    rule += dream if trace.compares == "return" else ""
    say(f"{label[lead]} has no go/explore switch." if trace.exploring is None else rule)
    caption = f"""One episode of {label[lead]} after exploring. R_psi is computed from the image itself; r_sem is what the
    world model predicts of it; r_dis belongs to the step between two states."""
    wide, narrow = (exploration.trace_figure(trace, width=width) for width in (9.0, 3.6))
    show(wide, run / "figures" / "trace.png", caption, narrow)
    if trace.exploring is not None and (trace.exploring != trace.exploring[0]).any():
        t = int((trace.exploring != trace.exploring[0]).argmax())
        wide, narrow = (exploration.state_figure(trace, t, width=width) for width in (9.0, 3.6))
        caption = f"Step {t}, where the switch turns for the first time. Grey ticks: the values of the whole episode."
        show(wide, run / "figures" / "state.png", caption, narrow)

# %% [markdown]
# ## Annotated pairs

# %%
if (run / pipeline.PREFERENCES).exists():
    taught = [storage.read_manifest(path)["annotator"] for path in (run / pipeline.REWARD).glob("made_from.json")]
    with store.Store(run / pipeline.PREFERENCES) as kept:
        asked = kept.annotators()
        who = base.AnnotatorId(**taught[0]) if taught else next(iter(asked))
        judged, answers = kept.preferences(who), kept.judgements(who)
    said, body = {1.0: "left", 0.0: "right", 0.5: "tie"}, []
    for i in np.random.default_rng(seed).permutation(len(judged.target))[:8]:
        images = judged.images[judged.first[i]], judged.images[judged.second[i]]
        (one, left), (other, right) = (known.get(base.image_hash(image), (None, "an image")) for image in images)
        answer = said[float(judged.target[i])] + ", for its two answers contradict" * bool(answers.contradicted[i])
        truth = "not known" if None in (one, other) else said[0.5 + 0.5 * np.sign(one - other)]
        body.append([picture(images[0], left), picture(images[1], right), answer, truth])
    caption = f"""{len(body)} of {len(judged.target):,} pairs, drawn at random, and which image is more interesting, to the
    annotator {who.name} ({who.version}) and by the world's facts. {asked[who].answers:,} questions were asked;
    {answers.contradicted.sum():,} pairs got contradicting answers, {answers.dropped:,} none that can be used."""
    display(table(["left", "right", "annotator", "truth"], body, caption))

# %% [markdown]
# ## Rollouts

# %%
films = ""
for name, trace in traces.items():
    path = run / f"rollout_{name.replace('-', '_')}.mp4"
    save_mp4(list(trace.images), path, frames_per_second=4, scale=max(1, round(320 / trace.images.shape[2])))
    caption = f"One episode of {label[name]} after exploring, 4 steps a second:"
    films += video(path, caption, exploration.tell_moments(trace)).data
display(HTML(f'<div style="display: flex; flex-wrap: wrap; gap: 0 18px">{films}</div>'))

# %% [markdown]
# ## Settings, time, memory and versions


# %%
def flat(settings):
    """Nested settings as one dictionary with dotted names."""
    leaves = jax.tree_util.tree_leaves_with_path(settings, is_leaf=lambda x: not isinstance(x, dict) or not x)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


took = stages.read_stages(run)
body = [[name, f"{row['seconds']:,.0f}", f"{row['peak_memory_mb']:,.0f}"] for name, row in took.items()]
caption = f"Time and memory of each stage: {rounded(sum(row['seconds'] for row in took.values()) / 60)} minutes in all."
display(table(["stage", "seconds", "peak memory in MB"], body, caption))
display(table(["setting", "value"], list(flat(plan).items()), "The plan of this run, with its seed."))
installed = {package.name: package.version for package in metadata.distributions()}
names = ("sensei-lite", "jax", "jaxlib", "equinox", "optax", "numpy", "gymnasium", "open_clip_torch", "torch")
versions = [[name, installed[name]] for name in names if name in installed]
versions += [["Python", platform.python_version()], ["system", platform.platform()], ["JAX devices", DEVICES]]
display(table(["package", "version"], versions, "Versions when this report was written."))
every = {label[name]: flat(storage.read_manifest(run / name / "config.json")) for name in chunks}
keys = dict.fromkeys(key for settings in every.values() for key in settings)
body = [[key, *(settings.get(key, "") for settings in every.values())] for key in keys]
folded = table(["setting", *every], body, "Every setting of each agent.").data
display(HTML(f"<details><summary>All settings of the agents</summary>{folded}</details>"))
