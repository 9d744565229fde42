# %% [markdown]
# # Report of a run
#
# Made from the files of one run folder by `sensei-lite report`, which executes this notebook and writes it down twice:
# as `report.ipynb`, which you can open in JupyterLab, change and run again, and as `report.html`, which can be sent to
# others. What the folder does not have is left out, or the report says what is missing.
#
# [Events](#Events) · [Semantic reward](#Semantic-reward) · [Go/explore switch](#Go/explore-switch) ·
# [Annotated pairs](#Annotated-pairs) · [Rollouts](#Rollouts) · [Settings](#Settings,-time,-memory-and-versions)

# %% tags=["parameters"]
FOLDER = "../../runs/lab"  # the run folder
DEVICES = "unknown"  # what JAX computed on

# %%
import base64
import platform
from html import escape
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from IPython.display import HTML, Markdown, display

from sensei_lite.annotators import scripted
from sensei_lite.annotators.base import image_hash
from sensei_lite.annotators.data import load_observations
from sensei_lite.annotators.store import AnnotatorId, Store
from sensei_lite.plots import exploration, reward
from sensei_lite.plots.style import EVENT_WORDS, agent_style, picture, rounded, show, table, words_for
from sensei_lite.plots.trace import play_trace
from sensei_lite.plots.video import save_mp4
from sensei_lite.presets import AGENTS
from sensei_lite.reward.metrics import mean_rewards
from sensei_lite.reward.model import load_reward, rewards_of
from sensei_lite.training import pipeline, scores
from sensei_lite.training.compilation import keep_compiled_programs
from sensei_lite.training.folder import read_manifest
from sensei_lite.training.stages import read_stages
from sensei_lite.worlds import World
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import JAX_WORLDS

keep_compiled_programs()
run = Path(FOLDER)
plan = read_manifest(next(path for path in (run / "run.json", run / pipeline.WORLD) if path.exists()))
seed = int(plan.get("seed", 0))
world = pipeline.world_of(run) if plan["world"] in JAX_WORLDS else None
reward_model = load_reward(run / pipeline.REWARD) if (run / pipeline.REWARD).exists() else None
explored = {path.parent.name: scores.read_chunks(path.parent) for path in sorted(run.glob("*/events.csv"))}
# The plan's agents first, then whoever else explored in this folder.
order = dict.fromkeys([*plan.get("agents", ()), *AGENTS, *explored])
chunks = {name: explored[name] for name in order if explored.get(name)}
label = {name: agent_style(name).label for name in chunks}
lead = next((name for name in chunks if name.startswith("sensei")), next(iter(chunks), None))


def say(text):
    """Display words."""
    display(Markdown(text))


# %% [markdown]
# ## Events

# %%
counted = {name for rows in chunks.values() for name in rows[0]}
counted -= {"updates", "steps", "episodes", "reward", "situations"}
events = [*filter(counted.__contains__, EVENT_WORDS), *sorted(counted - set(EVENT_WORDS))]
meaningful = [event for event in events if event in scores.MEANINGFUL]
for name, rows in chunks.items():
    steps = sum(row["steps"] for row in rows)
    rates = [1000 * sum(row.get(event, 0.0) for row in rows) / steps for event in meaningful]
    each = ", ".join(f"{words_for([event])} {rounded(rate)}" for event, rate in zip(meaningful, rates, strict=True))
    total = f"**{rounded(sum(rates))} meaningful events per 1,000 environment steps**" if meaningful else ""
    say(
        f"> {label[name]}: {total or 'no event of this world counts as meaningful'} ({each or 'none'}; {steps:,.0f} steps)"
    )
say("This is one run with one seed; only several seeds (`sensei-lite study`) can tell a difference from chance.")
if events:
    folders = {name: run / name for name in chunks}
    show(
        exploration.curves_figure(folders, events),
        run / "figures" / "curves.png",
        "How often each event happened while the agents explored. Each point is the rate over a tenth of the run; a "
        "line that stays at zero is an event that this agent never caused.",
        narrow=exploration.curves_figure(folders, events, columns=1),
    )
else:
    say("No agent has explored yet.")

# %%
if (run / pipeline.EVALUATION).exists():
    values = {(row["figure"], row["agent"]): f"{float(row['value']):,.10g}" for row in pipeline.read_evaluation(run)}
    figures, agents = (list(dict.fromkeys(names)) for names in zip(*values, strict=True))
    body = [[figure.replace("_", " "), *(values.get((figure, agent), "") for agent in agents)] for figure in figures]
    caption = "Event rates while exploring, and shares of test episodes after it in which events happened."
    display(table(["evaluation.csv", *(agent_style(agent).label for agent in agents)], body, caption))
else:
    say("There are no test episodes: the stage `evaluate` was not run.")

# %% [markdown]
# ## Semantic reward
#
# R_psi was distilled from the annotator's answers. It is 0 for an average image and 1 for one standard deviation above.

# %%
if reward_model is not None and isinstance(world, GridWorld):
    room = jax.jit(world.reset)(key=jax.random.key(reward.FRESH_ROOM))
    show(
        reward.landscape_figure(world, room, reward_model, columns=2),
        run / "figures" / "landscape.png",
        "R_psi with the agent at each cell of a room that nobody was asked about; higher is more interesting, and "
        "hatched cells cannot be reached. Notice whether R_psi rises from situation to situation.",
        narrow=reward.landscape_figure(world, room, reward_model, columns=1),
    )

# %%
seen = load_observations(run / pipeline.OBSERVATIONS) if (run / pipeline.OBSERVATIONS).exists() else None
known = {}  # for an image, by its hash: how interesting it is by the world's facts, and the situation that it shows
try:
    situations = scripted.situations(seen.facts)
    names = np.select(list(situations.values()), list(situations), "")
    facts = zip(scripted.interest(seen.facts).tolist(), names.tolist(), strict=True)
    known = dict(zip(map(image_hash, seen.images), facts, strict=True))
except (AttributeError, ValueError):
    say("This world tells no facts about its states, so R_psi and answers cannot be compared with them.")
if reward_model is not None and known:
    show(
        reward.situation_figure(mean_rewards(rewards_of(reward_model, seen.images), seen.episode, situations)),
        run / "figures" / "situations.png",
        "Mean R_psi of the collected images by the situation that they show, dull ones first, with 95% intervals.",
    )

# %% [markdown]
# ## Go/explore switch

# %%
traces = {}
for name in chunks if isinstance(world, World) else ():
    try:
        agent = pipeline.load_explorer(run, name).agent
    except (FileNotFoundError, ValueError) as error:
        say(f"{label[name]} cannot be played: {error}")
        continue
    # The first episode that the run's seed gives, the same start for each agent; it was not chosen.
    key = jax.random.fold_in(jax.random.key(seed), 2)
    traces[name] = play_trace(agent, world, taste=reward_model, key=key)
if world is None:
    say("This world is stepped by a host loop; episodes are shown for JAX worlds only.")
if lead in traces:
    trace = traces[lead]
    rule = (
        f"Where the predicted semantic {trace.compares} is at or above a running percentile of itself, the switch says "
        "explore, and disagreement weighs most; below it says go, and the semantic reward weighs most. (In learning, "
        "returns are those of imagined trajectories; in this episode the critic's estimate v_sem stands for them.)"
    )
    say(f"{label[lead]} has no go/explore switch." if trace.exploring is None else rule)
    show(
        exploration.trace_figure(trace),
        run / "figures" / "trace.png",
        f"One episode of {label[lead]} after exploring. R_psi is computed from the image itself; r_sem is what the world "
        "model predicts of it; r_dis belongs to the step between two states.",
        narrow=exploration.trace_figure(trace, width=3.6),
    )
    if trace.exploring is not None and (trace.exploring != trace.exploring[0]).any():
        t = int((trace.exploring != trace.exploring[0]).argmax())
        show(
            exploration.state_figure(trace, t),
            run / "figures" / "state.png",
            f"Step {t}, where the switch turns for the first time. Grey ticks: the values of the whole episode.",
            narrow=exploration.state_figure(trace, t, width=3.6),
        )

# %% [markdown]
# ## Annotated pairs

# %%
if (run / pipeline.PREFERENCES).exists():
    with Store(run / pipeline.PREFERENCES) as store:
        made_from = run / pipeline.REWARD / "made_from.json"
        who = (
            AnnotatorId(**read_manifest(made_from)["annotator"]) if made_from.exists() else next(iter(store.annotators()))
        )
        judged, answers = store.preferences(*who), store.judgements(who)
    said, body = {1.0: "left", 0.0: "right", 0.5: "tie"}, []
    for i in np.random.default_rng(seed).permutation(len(judged.target))[:8]:
        images = judged.images[judged.first[i]], judged.images[judged.second[i]]
        (one, left), (other, right) = (known.get(image_hash(image), (0, "an image")) for image in images)
        answer = said[float(judged.target[i])] + ", because its two answers contradict" * bool(answers.contradicted[i])
        pair = [picture(image, words.replace("_", " ")) for image, words in zip(images, (left, right), strict=True)]
        body.append([*pair, answer, said[0.5 + 0.5 * np.sign(one - other)] if known else "not known"])
    caption = (
        f"{len(body)} of {len(judged.target):,} pairs, drawn at random, and which image is more interesting, to the "
        f"annotator {who.name} ({who.version}) and by the world's facts. {answers.questions:,} questions were asked; "
        f"{answers.contradicted.sum():,} pairs got contradicting answers, {answers.dropped:,} none that can be used."
    )
    display(table(["left", "right", "annotator", "truth"], body, caption))

# %% [markdown]
# ## Rollouts

# %%
films = []
for name, trace in traces.items():
    path = run / f"rollout_{name.replace('-', '_')}.mp4"
    save_mp4(list(trace.images), path, frames_per_second=4, scale=max(1, round(320 / trace.images.shape[2])))
    source = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
    lines = "".join(f"<li>{escape(line)}</li>" for line in exploration.tell_moments(trace))
    films.append(
        f'<figure><video controls muted playsinline width="320" style="max-width: 100%" src="{source}" '
        f'aria-label="One episode of {escape(label[name])}; the list below says what happens"></video><figcaption>'
        f"One episode of {escape(label[name])} after exploring, 4 steps a second.<ul>{lines}</ul></figcaption></figure>"
    )
display(HTML(f'<div style="display: flex; flex-wrap: wrap; gap: 0 18px">{"".join(films)}</div>'))

# %% [markdown]
# ## Settings, time, memory and versions


# %%
def flat(settings):
    """Nested settings as one dictionary with dotted names."""
    leaves = jax.tree_util.tree_leaves_with_path(settings, is_leaf=lambda x: not isinstance(x, dict) or not x)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


took = read_stages(run)
body = [[name, f"{row['seconds']:,.0f}", f"{row['peak_memory_mb']:,.0f}"] for name, row in took.items()]
minutes = rounded(sum(row["seconds"] for row in took.values()) / 60)
display(
    table(["stage", "seconds", "peak memory in MB"], body, f"Time and memory of each stage: {minutes} minutes in all.")
)
display(table(["setting", "value"], flat(plan).items(), "The plan of this run, with its seed."))
installed = {each.name: each.version for each in metadata.distributions()}
names = ("sensei-lite", "jax", "jaxlib", "equinox", "optax", "numpy", "gymnasium", "open_clip_torch", "torch")
versions = [[name, installed[name]] for name in names if name in installed]
versions += [["Python", platform.python_version()], ["system", platform.platform()], ["JAX devices", DEVICES]]
display(table(["package", "version"], versions, "Versions when this report was written."))
every = {name: flat(read_manifest(run / name / "config.json")) for name in chunks}
body = [
    [key, *(of.get(key, "") for of in every.values())] for key in dict.fromkeys(k for of in every.values() for k in of)
]
settings = table(["setting", *label.values()], body, "Every setting of each agent.")
display(HTML(f"<details><summary>All settings of the agents</summary>{settings.data}</details>"))
