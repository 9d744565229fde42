"""Take trained agents out of a run for the notebooks: `sensei_lite/course/trained` is made here, by maintainers.

    sensei-lite run --preset lab
    python -m make.trained runs/lab

Their readers are in `sensei_lite.course.pretrained`.
"""

import dataclasses
import json
import platform
import shutil
import subprocess
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tyro

from sensei_lite.annotators.data import Observations, load_observations, save_observations
from sensei_lite.course.pretrained import FOLDER, NAMES, halved, parts_of
from sensei_lite.training import pipeline
from sensei_lite.training.run import load_run
from sensei_lite.training.storage import save_checkpoint


def keep(run: Path, /, folder: Path = FOLDER, pictures: int = 4000) -> None:
    """Take the agents, R_psi and a part of D_init out of the folder of a finished `sensei-lite run`.

    Args:
        run: the run folder.
        folder: where to put them.
        pictures: how many pictures of D_init to keep, in whole episodes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "world.json", folder / "world.json")
    with closing(pipeline.world_of(run)) as world:
        for name in NAMES:
            agent = load_run(run / name, world).agent
            settings = json.dumps(dataclasses.asdict(agent.config), indent=1)
            (folder / f"{name}.json").write_text(settings + "\n", encoding="utf-8")
            save_checkpoint(folder / f"{name}.npz", halved(parts_of(agent)))
            (folder / "curves" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(run / name / "events.csv", folder / "curves" / name / "events.csv")
    shutil.copytree(run / "semantic_reward", folder / "semantic_reward", dirs_exist_ok=True)
    observations = load_observations(run / "observations.npz")
    save_observations(folder / "observations.npz", some_episodes(observations, pictures))
    made = {
        "commands": ["sensei-lite run --preset lab", "python -m make.trained runs/lab"],
        "run": json.loads((run / "run.json").read_text(encoding="utf-8")),
        "commit": _commit(),
        "versions": {name: version(name) for name in ("sensei-lite", "jax", "equinox", "optax", "numpy")},
        "python": platform.python_version(),
        "processor": platform.machine(),
        "scores": pipeline.read_evaluation(run),
    }
    (folder / "provenance.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(f"kept {', '.join(NAMES)} in {folder}: {sum(f.stat().st_size for f in folder.rglob('*.*')) / 1e6:.1f} MB")


def some_episodes(observations: Observations, pictures: int) -> Observations:
    """Select about so many pictures: whole episodes, spread evenly over those there are."""
    episodes = np.unique(observations.episode)
    share = min(1.0, pictures / len(observations.episode))
    chosen = episodes[np.unique(np.linspace(0, len(episodes) - 1, max(1, int(share * len(episodes)))).astype(int))]
    return observations.choose(np.isin(observations.episode, chosen))


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    tyro.cli(keep)
