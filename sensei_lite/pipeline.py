"""The stages of the method in one run folder, each a function that can be stopped and called again.

    collect    observations.npz       pictures to ask about, with the true facts beside them
    annotate   preferences.sqlite     which of two is more interesting: every answer of every annotator
    distil     semantic_reward/       R_psi, what it was taught by, its measures and figures

A finished stage is not repeated: what it made is there, and beside it (in .json files) what it was made from. Another
order for the same folder is refused.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from sensei_lite.annotators.agreement import agreement, report_lines
from sensei_lite.annotators.ask import Budget, Tally, ask
from sensei_lite.annotators.catalogue import make_annotator
from sensei_lite.annotators.chat import ChatAnnotator
from sensei_lite.annotators.pairs import random_pairs, spread_pairs
from sensei_lite.annotators.scripted import interest, levels_of
from sensei_lite.annotators.store import Store
from sensei_lite.collect import play_observations
from sensei_lite.config import DistilConfig
from sensei_lite.observations import Observations, Preferences, load_observations, save_observations
from sensei_lite.reward_farming import Farm, find_farms
from sensei_lite.reward_model import rewards_of, save_reward
from sensei_lite.reward_report import (
    Calibration,
    Estimate,
    accuracy_against_levels,
    calibration,
    mean_rewards,
    preference_probabilities,
    stages,
)
from sensei_lite.run_folder import claim, read_claim
from sensei_lite.semantic_reward import Distilled, Epoch, distil
from sensei_lite.worlds import HostWorld, World, make_world

OBSERVATIONS, PREFERENCES, REWARD = "observations.npz", "preferences.sqlite", "semantic_reward"
CHOICES = {"random": random_pairs, "spread": spread_pairs}


def collect(
    folder: Path, world: str, settings: Mapping[str, Any], *, episodes: int, guided: bool, seed: int
) -> Observations:
    """Play, and keep what was seen in ``folder``; or load it, if that was done before.

    Raises ValueError where the world or a setting is not known, or the world cannot be played so; RunError where the
    folder holds observations of something else.
    """
    asked = {"world": world, "settings": dict(settings), "episodes": episodes, "guided": guided, "seed": seed}
    path = folder / OBSERVATIONS
    if not path.exists():
        made = make_world(world, **settings)
        if isinstance(made, HostWorld):
            made.close()
            raise ValueError(f"{world} is a host world; only JAX worlds can be collected from here")
        observations = play_observations(made, episodes, guided=guided, seed=seed)
        claim(folder / "collect.json", asked)
        save_observations(path, observations)
        return observations
    claim(folder / "collect.json", asked)
    return load_observations(path)


def world_of(folder: Path) -> World:
    """The world that the folder's observations are from. Raises FileNotFoundError where nothing was collected."""
    asked = read_claim(folder / "collect.json")
    made = make_world(asked["world"], **asked["settings"])
    assert isinstance(made, World)  # `collect` takes no others
    return made


def annotate(
    folder: Path,
    annotator: str,
    settings: Mapping[str, Any],
    *,
    pairs: int,
    choose: str,
    both_orders: bool,
    budget: Budget,
    seed: int,
) -> Tally:
    """Ask an annotator about pairs of the folder's observations; what was answered before is not asked again.

    Prints what it will take before the first question, and a report over all annotators at the end.

    Raises FileNotFoundError where there are no observations, ValueError where a setting makes no sense; and whatever
    the annotator raises. Answers that came before are kept.
    """
    observations = load_observations(folder / OBSERVATIONS)
    world = str(read_claim(folder / "collect.json")["world"])
    made = make_annotator(annotator, observations, world=world, prompt_file=folder / "prompt.json", **settings)
    chosen = CHOICES[choose](observations, pairs, seed)
    if isinstance(made, ChatAnnotator):
        height, width = observations.images.shape[1:3]
        print(f"{made}: {made.estimate(len(chosen) * (1 + both_orders), height, width)}")
    with Store(folder / PREFERENCES) as store:
        tally = ask(store, made, observations, chosen, both_orders=both_orders, budget=budget)
        said = ", ".join(f"{answer.name.lower()} {number}" for answer, number in tally.answers.items())
        print(f"{tally.asked} questions answered now ({said}), {tally.skipped} before, {tally.left} still open")
        print("\n".join(report_lines(agreement(store))))
    return tally


class Taste(NamedTuple):
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
    farms: list[Farm]
    """What standing still pays before each event, and going on."""


def distil_taste(
    folder: Path, settings: Mapping[str, Any], *, annotator: str | None, version: str | None, seed: int
) -> Taste:
    """Teach an R_psi with the answers of one annotator of the folder's store, and keep it in ``semantic_reward/``.

    ``annotator`` and ``version`` say whose answers, where there are those of several. An R_psi that was there is
    replaced: answers may have come since.

    Raises FileNotFoundError where there is no store, ValueError where no annotator fits, nothing can be learned, or a
    setting makes no sense; TypeError where there is no such setting.
    """
    observations = load_observations(folder / OBSERVATIONS)
    if not (folder / PREFERENCES).exists():
        raise FileNotFoundError(f"{folder / PREFERENCES} is not there: annotate first")
    config = DistilConfig(**settings)
    with Store(folder / PREFERENCES) as store:
        who = store.find(annotator, version)
        preferences = store.preferences(*who)
    with tqdm(total=config.epochs, desc=f"distil {who.name}", unit="epoch") as bar:

        def show(epoch: Epoch) -> None:
            bar.set_postfix_str(f"held-out loss {epoch.held_out_loss:.3f}, accuracy {epoch.held_out_accuracy:.3f}")
            bar.update()

        distilled = distil(preferences, config, progress=show, key=jax.random.key(seed))
    content_hash = save_reward(folder / REWARD, distilled.reward)
    made_from = {"annotator": who._asdict(), "pairs": len(preferences.first), "seed": seed, "hash": content_hash}
    (folder / REWARD / "made_from.json").unlink(missing_ok=True)
    claim(folder / REWARD / "made_from.json", made_from | {"settings": dataclasses.asdict(config)})

    held_out = distilled.split.held_out
    predicted = preference_probabilities(distilled.reward, preferences, held_out)
    rewards = rewards_of(distilled.reward, observations.images)
    situations, truth, farms = {}, float("nan"), list[Farm]()
    if observations.facts:
        names = levels_of(observations.facts)
        dull = {"none of these": ~np.any([observations.facts[name] for name in names], 0)}
        where = dull | stages(observations.facts, names)
        situations = mean_rewards(rewards, observations.episode, where)
        fresh = np.isin(observations.episode, distilled.split.episodes)
        levels = interest(observations.facts)[fresh]
        if len(set(levels.tolist())) > 1:
            truth = accuracy_against_levels(rewards[fresh], levels)
        waiting, event, end = names[2], names[3], names[-1]
        if (observations.facts[waiting]).any() and observations.facts[event].any():
            farms = find_farms(rewards, observations, [(waiting, event)], end=end)
    return Taste(
        distilled,
        preferences,
        content_hash,
        calibration(predicted, preferences.target[held_out]),
        situations,
        truth,
        farms,
    )
