"""The stages of the method in one run folder, each a function that can be stopped and called again.

    collect    observations.npz           pictures of what a curious agent saw (D_init), with the true facts beside them
    annotate   preferences.sqlite         which of two is more interesting: every answer of every annotator
    distil     semantic_reward/           R_psi, what it was taught by, its measures and figures
    explore    <agent>/                   an agent that explores the world (see `presets.AGENTS`), SENSEI above all
    evaluate   evaluation.csv             what each agent caused, and what it does in test episodes

A finished stage is not repeated: what it made is there, and beside it (in .json files) what it was made from. Another
order for the same folder is refused.
"""

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from sensei_lite.agent.state import AgentState
from sensei_lite.annotators.agreement import agreement_report, report_lines
from sensei_lite.annotators.base import AnnotatorId
from sensei_lite.annotators.chat.annotator import ChatAnnotator
from sensei_lite.annotators.data import Observations, Preferences, load_observations, save_observations
from sensei_lite.annotators.pairs import Pairs, interesting_pairs, random_pairs, spread_pairs
from sensei_lite.annotators.query import Budget, QueryStats, ask
from sensei_lite.annotators.registry import make_annotator
from sensei_lite.annotators.scripted import interest, situations
from sensei_lite.annotators.store import Store
from sensei_lite.config import changed, config_from
from sensei_lite.presets import AGENTS, PRESETS, agent_config, learns, needs_reward_model
from sensei_lite.reward.distil import Distilled, Epoch, distil
from sensei_lite.reward.hacking import WAITS, RewardHack, find_reward_hacks
from sensei_lite.reward.metrics import (
    Calibration,
    Estimate,
    accuracy_against_levels,
    calibration,
    mean_rewards,
    preference_probabilities,
    std_within,
)
from sensei_lite.reward.model import rewards_of
from sensei_lite.training.collect import play_observations, remembered
from sensei_lite.training.evaluate import (
    MEANINGFUL,
    episode_measures,
    perplexity,
    play_episodes,
    play_random_episodes,
    read_chunks,
    switch_measures,
    training_measures,
)
from sensei_lite.training.health import Health, world_model_health
from sensei_lite.training.jax_loop import TrainState
from sensei_lite.training.plan import AnnotatePlan, CollectPlan, DistilPlan, ExplorePlan, TaskPlan
from sensei_lite.training.run import load_run, play_in, read_visits, train_in
from sensei_lite.training.storage import load_reward, read_manifest, save_reward, write_or_verify_manifest, write_rows
from sensei_lite.worlds import HostWorld, World, make_world

WORLD = "world.json"
OBSERVATIONS, PREFERENCES, REWARD = "observations.npz", "preferences.sqlite", "semantic_reward"
EVALUATION, AFTER = "evaluation.csv", "task-after-"
COLLECTOR = "plan2explore"
"""The agent whose pictures are D_init."""
TEST_EPISODES = 200
TEST_KEY, HEALTH_KEY = 0x7E57, 0x4EA17
"""What makes the chance of tests another than that of training with the same seed, whose keys are
split(key, n)[i], the same as fold_in(key, i): with a small number they would be tested in layouts of their training."""
CHOICES = {"random": random_pairs, "spread": spread_pairs}


def collect(folder: Path, plan: CollectPlan) -> Observations:
    """Play, and keep what was seen in ``folder``; or load it, if that was done before.

    A curious agent's pictures are D_init as in the paper. Its run is the same as `explore` with that agent, so whoever
    compares SENSEI with it needs no second one.

    Raises ValueError where the world or a setting is not known, or the world cannot be played so; RunError where the
    folder holds observations of something else; and as `run.train_in` does.
    """
    path, curious = folder / OBSERVATIONS, plan.play == "curious"
    asked = ("preset", "updates", "pictures", "seed") if curious else ("episodes", "seed")
    manifest = {name: getattr(plan, name) for name in asked} | ({} if curious else {"guided": plan.play == "guided"})
    if not path.exists() and not curious:
        with closing(make_world(plan.world, **plan.settings)) as made:
            if isinstance(made, HostWorld):
                raise ValueError(
                    f"{plan.world} is a host world: only a curious agent can collect there (--play curious)"
                )
            observations = play_observations(made, plan.episodes, guided=plan.play == "guided", seed=plan.seed)
    begin(folder, plan.world, plan.settings)
    write_or_verify_manifest(folder / "collect.json", manifest)
    if path.exists():
        return load_observations(path)
    if curious:
        explore(folder, ExplorePlan(COLLECTOR, plan.preset, plan.updates, plan.seed))
        observations = remembered(load_explorer(folder, COLLECTOR).replay, plan.pictures, seed=plan.seed)
    save_observations(path, observations)
    return observations


def begin(folder: Path, world: str, settings: Mapping[str, Any]) -> None:
    """Say which world the folder belongs to. Raises RunError where it belongs to another."""
    write_or_verify_manifest(folder / WORLD, {"world": world, "settings": dict(settings)})


def collect_from(folder: Path, earlier: Path, *, pictures: int, seed: int) -> Observations:
    """D_init of a second generation: what the SENSEI agent of an earlier run remembers.

    Raises FileNotFoundError where no such agent was trained there; RunError as `collect_curious` does.
    """
    of_world, explorer = read_manifest(earlier / WORLD), read_manifest(earlier / "sensei" / "config.json")
    begin(folder, of_world["world"], of_world["settings"])
    origin = {"seed": explorer["seed"], "reward_model": explorer["reward_model"]}
    write_or_verify_manifest(folder / "collect.json", {"pictures": pictures, "seed": seed, "sensei": origin})
    if (folder / OBSERVATIONS).exists():
        return load_observations(folder / OBSERVATIONS)
    observations = remembered(load_explorer(earlier, "sensei").replay, pictures, seed=seed)
    save_observations(folder / OBSERVATIONS, observations)
    return observations


def share_observations(folder: Path, earlier: Path) -> None:
    """Take over another folder's world and observations as they are. Raises FileNotFoundError where there are none."""
    begin(folder, **read_manifest(earlier / WORLD))
    write_or_verify_manifest(folder / "collect.json", read_manifest(earlier / "collect.json"))
    if not (folder / OBSERVATIONS).exists():
        save_observations(folder / OBSERVATIONS, load_observations(earlier / OBSERVATIONS))


def world_of(folder: Path, num_envs: int = 1) -> World | HostWorld:
    """Make the world of this run folder. Raises FileNotFoundError where nothing was begun."""
    asked = read_manifest(folder / WORLD)
    return make_world(asked["world"], num_envs=num_envs, **asked["settings"])


def explore(folder: Path, plan: ExplorePlan) -> None:
    """Let an agent explore the folder's world in ``<folder>/<agent>``, with the folder's R_psi if it wants one.

    With changed settings (see `config.changed`) it is another agent, and ``plan.name`` is its folder's.

    Raises FileNotFoundError where a stage before this one is missing, ValueError for changes that cannot be made, and
    as `run.train_in` does.
    """
    agent, updates, seed = plan.agent, plan.updates, plan.seed
    config = changed(agent_config(PRESETS[plan.preset](), agent), plan.changes)
    name = plan.name or agent
    if plan.changes and (name in AGENTS or not learns(agent)):
        raise ValueError(f"an agent with changed settings must learn, and needs a name of its own; this is {name!r}")
    reward_model = None
    if needs_reward_model(config):
        if not (folder / REWARD).exists():
            raise FileNotFoundError(f"{folder / REWARD} is not there: distil first")
        reward_model = load_reward(folder / REWARD)
    with closing(world_of(folder, config.train.envs)) as world:
        if learns(agent):
            train_in(folder / name, config, world, updates=updates, seed=seed, reward_model=reward_model)
        else:
            play_in(folder / name, config, world, updates=updates, seed=seed)


def learn_task(folder: Path, plan: TaskPlan) -> None:
    """Teach a task agent that goes on with an explorer's world model and replay, in ``<folder>/task-after-<explorer>``.

    Beside it stands `explore` with the agent ``task``, which begins from scratch. Raises FileNotFoundError where the
    explorer was not trained.
    """
    config = agent_config(PRESETS[plan.preset](), "task")
    with closing(world_of(folder, config.train.envs)) as world:
        explored = load_run(folder / plan.after, world)
        train_in(
            folder / f"{AFTER}{plan.after}", config, world, updates=plan.updates, seed=plan.seed, explored=explored
        )


def load_explorer(folder: Path, agent: str) -> TrainState:
    """Load an agent of this run folder as it was last stored. Raises as `run.load_run` does."""
    config = config_from(read_manifest(folder / agent / "config.json")["agent"])
    with closing(world_of(folder, config.train.envs)) as world:
        return load_run(folder / agent, world)


def evaluate(folder: Path, agents: Sequence[str], *, seed: int) -> list[dict[str, object]]:
    """Write and return what each agent caused while it explored, and what it does in test episodes, one row a measure.

    In a host world only the first is told. Raises FileNotFoundError where an agent has not explored.
    """
    rows: list[dict[str, object]] = []
    with closing(world_of(folder)) as world:
        for agent in agents:
            for name, value in measures_of(folder, agent, world, seed=seed).items():
                rows.append({"agent": agent, "measure": name, "value": float(f"{value:.4g}")})
    write_rows(folder / EVALUATION, rows)
    return rows


def read_evaluation(folder: Path) -> list[dict[str, str]]:
    """Read the rows that `evaluate` wrote. Raises FileNotFoundError where it was not called."""
    with (folder / EVALUATION).open(newline="") as file:
        return list(csv.DictReader(file))


def measures_of(folder: Path, agent: str, world: World | HostWorld, *, seed: int) -> dict[str, float]:
    """Measure all measures of one agent of this run folder. Raises FileNotFoundError where it has not been trained."""
    folder = folder / agent
    measures = training_measures(read_chunks(folder), world.event_names)
    if learns(agent):
        measures |= switch_measures(read_chunks(folder, "metrics.csv"))
    if isinstance(world, HostWorld):
        return measures
    key = jax.random.fold_in(jax.random.key(seed), TEST_KEY)
    if learns(agent):
        state = load_run(folder, world)
        outcome, visits = play_episodes(state.agent, world, TEST_EPISODES, key=key), np.asarray(state.visits)
    else:
        outcome, visits = play_random_episodes(world, TEST_EPISODES, key=key), read_visits(folder)
    measures |= {"situations visited evenly": perplexity(visits)} if world.situations else {}
    if learns(agent) and "semantic" in state.agent.config.streams:
        health = _health(state.agent, world, folder, seed)
        measures |= {f"R2 of r_sem {k} steps ahead": r2 for k, r2 in health.r2.items() if math.isfinite(r2)}
        measures |= {
            f"{name} jump, dreamt over real": jump.dreamt / jump.real
            for name, jump in health.jumps.items()
            if jump.number and abs(jump.real) > 1e-6 and name in (*MEANINGFUL, "key_picked_up")
        }
    return measures | episode_measures(outcome)


def health_of(folder: Path, agent: str, world: World, *, seed: int) -> Health:
    """Measure how well an agent's dreams foretell R_psi in layouts of their own (see `training.health`).

    Raises FileNotFoundError where the agent has not been trained, or knows no R_psi.
    """
    return _health(load_run(folder / agent, world).agent, world, folder / agent, seed)


def _health(agent: AgentState, world: World, folder: Path, seed: int) -> Health:
    key = jax.random.fold_in(jax.random.key(seed), HEALTH_KEY)
    return world_model_health(agent, world, load_reward(folder / REWARD), key=key)


def reward_model_measures(folder: Path) -> dict[str, float]:
    """Measure what the folder's R_psi was taught by, and what it makes of the folder's pictures, if facts are known.

    Raises FileNotFoundError where there is no R_psi.
    """
    observations, reward = load_observations(folder / OBSERVATIONS), load_reward(folder / REWARD)
    who = AnnotatorId(**read_manifest(folder / REWARD / "made_from.json")["annotator"])
    with Store(folder / PREFERENCES) as store:
        judged = store.preferences(who)
    if not observations.facts:
        return {}
    rewards, levels = rewards_of(reward, observations.images), interest(observations.facts)
    return {
        "ties among the judgements": float((judged.target == 0.5).mean()),
        "R_psi orders situations": accuracy_against_levels(rewards, levels),
        "R_psi's spread within a situation": std_within(rewards, levels),
    }


def choose_pairs(folder: Path, observations: Observations, pairs: int, *, choose: str, seed: int) -> Pairs:
    """Choose pairs of the folder's observations: random, spread, or interesting (see `annotators.pairs`).

    Interesting is what the folder's R_psi finds so, which the answers so far have taught: FileNotFoundError without it.
    """
    if choose != "interesting":
        return CHOICES[choose](observations, pairs, seed)
    if not (folder / REWARD).exists():
        raise FileNotFoundError(f"{folder / REWARD} is not there: interesting pairs are chosen by an R_psi")
    return interesting_pairs(observations, pairs, rewards_of(load_reward(folder / REWARD), observations.images), seed)


def annotate(folder: Path, plan: AnnotatePlan) -> QueryStats:
    """Ask an annotator about pairs of the folder's observations; what was answered before is not asked again.

    A human answers in JupyterLab, in ``annotate.ipynb`` in the folder. Prints what it will take before the first
    question, and a report over all annotators at the end.

    Raises FileNotFoundError where there are no observations, ValueError where a setting makes no sense; and whatever
    the annotator raises. Answers that came before are kept.
    """
    budget = Budget(plan.budget_calls, plan.budget_dollars)
    both_orders = plan.annotator != "human" if plan.both_orders is None else plan.both_orders
    observations = load_observations(folder / OBSERVATIONS)
    if plan.annotator == "human":
        if budget != Budget():
            raise ValueError("a budget is for annotators that cost money; people stop when they like")
        made = None
    else:
        world = str(read_manifest(folder / WORLD)["world"])
        made = make_annotator(
            plan.annotator, observations, world=world, prompt_file=folder / "prompt.json", **plan.settings
        )
    chosen = choose_pairs(folder, observations, plan.pairs, choose=plan.choose, seed=plan.seed)
    if isinstance(made, ChatAnnotator):
        height, width = observations.images.shape[1:3]
        print(f"{made}: {made.estimate(len(chosen) * (1 + both_orders), height, width)}")
    with Store(folder / PREFERENCES) as store:
        if made is None:
            from sensei_lite.annotators.human.lab import ask_in_lab, template_path, write_notebook
            from sensei_lite.annotators.human.panel import human_id

            who, notebook = human_id(**plan.settings), folder / "annotate.ipynb"
            parameters = {
                "folder": str(folder.resolve()),
                "pairs": plan.pairs,
                "choose": plan.choose,
                "both_orders": both_orders,
            }
            parameters |= {"seed": plan.seed, "settings": dict(plan.settings)}
            write_notebook(template_path("annotate.py"), notebook, parameters)
            stats = ask_in_lab(store, who, observations, chosen, notebook, both_orders=both_orders)
        else:
            stats = ask(store, made, observations, chosen, both_orders=both_orders, budget=budget)
        said = ", ".join(f"{answer.name.lower()} {number}" for answer, number in stats.answers.items())
        print(f"{stats.asked} questions answered now ({said}), {stats.skipped} before, {stats.left} still open")
        if store.annotators():
            print("\n".join(report_lines(agreement_report(store))))
    return stats


class DistilReport(NamedTuple):
    """R_psi and what is known about it."""

    distilled: Distilled
    preferences: Preferences
    content_hash: str
    calibration: Calibration
    """On held-out pairs."""
    situations: dict[str, Estimate]
    """Mean R_psi of the folder's observations by situation, dull ones first; empty where the world tells no facts."""
    truth: float
    """How often R_psi puts two observations of held-out episodes in their true order; nan where no truth is known."""
    reward_hacks: list[RewardHack]
    """What standing still pays before each event, and going on."""


def distil_reward(folder: Path, plan: DistilPlan) -> DistilReport:
    """Teach an R_psi with the answers of one annotator of the folder's store, and keep it in ``semantic_reward/``.

    An R_psi that was there is replaced: answers may have come since.

    Raises FileNotFoundError where there is no store, ValueError where no annotator fits, or nothing can be
    learned.
    """
    observations = load_observations(folder / OBSERVATIONS)
    if not (folder / PREFERENCES).exists():
        raise FileNotFoundError(f"{folder / PREFERENCES} is not there: annotate first")
    config = plan.config
    with Store(folder / PREFERENCES) as store:
        who = store.find(plan.annotator, plan.version)
        preferences = store.preferences(who)
    with tqdm(total=config.epochs, desc=f"distil {who.name}", unit="epoch") as bar:

        def show(epoch: Epoch) -> None:
            bar.set_postfix_str(f"held-out loss {epoch.held_out_loss:.3f}, accuracy {epoch.held_out_accuracy:.3f}")
            bar.update()

        distilled = distil(preferences, config, progress=show, key=jax.random.key(plan.seed))
    content_hash = save_reward(folder / REWARD, distilled.reward)
    made_from = {"annotator": who._asdict(), "pairs": len(preferences.first), "seed": plan.seed, "hash": content_hash}
    (folder / REWARD / "made_from.json").unlink(missing_ok=True)
    write_or_verify_manifest(folder / REWARD / "made_from.json", made_from | {"settings": dataclasses.asdict(config)})

    held_out = distilled.split.held_out
    predicted = preference_probabilities(distilled.reward, preferences, held_out)
    rewards = rewards_of(distilled.reward, observations.images)
    found, truth, reward_hacks = dict[str, Estimate](), float("nan"), list[RewardHack]()
    if observations.facts:
        found = mean_rewards(rewards, observations.episode, situations(observations.facts))
        fresh = np.isin(observations.episode, distilled.split.episodes)
        levels = interest(observations.facts)[fresh]
        if len(set(levels.tolist())) > 1:
            truth = accuracy_against_levels(rewards[fresh], levels)
        for event, (waiting, end) in WAITS.items():
            if all(observations.facts.get(fact, np.zeros(1)).any() for fact in (waiting, event)):
                reward_hacks += find_reward_hacks(rewards, observations, [(waiting, event)], end=end)
    return DistilReport(
        distilled,
        preferences,
        content_hash,
        calibration(predicted, preferences.target[held_out]),
        found,
        truth,
        reward_hacks,
    )
