"""A whole run in one folder: it can be stopped anywhere, gives the same numbers all the same, and guards its folder."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from make.trained import keep
from smoke_plan import PLAN

from sensei_lite.annotators.data import load_observations
from sensei_lite.annotators.store import Store
from sensei_lite.course.pretrained import curious_observations, trained_agent, trained_reward_model, trained_world
from sensei_lite.reward.model import content_hash
from sensei_lite.training import pipeline
from sensei_lite.training.method import run
from sensei_lite.training.plan import ExplorePlan, RunPlan, TaskPlan
from sensei_lite.training.run import load_run
from sensei_lite.training.stages import read_stages, timed_stage
from sensei_lite.training.storage import RunError, folder_lock, load_reward, read_manifest

WORDS = ("--world", "keyroom-lab", "--settings", "size=4", "max_steps=20", "--annotator", "scripted")
NUMBERS = ("plan2explore/events.csv", "plan2explore/metrics.csv", "sensei/events.csv", "sensei/metrics.csv")


def results(folder: Path) -> dict[str, object]:
    """All numbers of a run."""
    found = {name: (folder / name).read_text() for name in (*NUMBERS, "evaluation.csv")}
    return found | {"taste": json.loads((folder / "semantic_reward" / "reward.json").read_text())["content_hash"]}


def test_a_run_leaves_what_it_promises(smoke_run):
    stages = read_stages(smoke_run)
    reward_model = ["annotate", "distil", "annotate-again", "distil-again"]
    assert list(stages) == ["collect", *reward_model, "explore-plan2explore", "explore-sensei", "evaluate"]
    assert all(row["finished"] and row["peak_memory_mb"] > 50 for row in stages.values())
    assert sum(row["seconds"] for row in stages.values()) > 1
    observations = load_observations(smoke_run / "observations.npz")
    assert len(observations.images) >= 100
    assert set(observations.facts) >= {"key_picked_up", "exit_reached"}
    reward_model = load_reward(smoke_run / "sensei" / "semantic_reward")
    assert json.loads((smoke_run / "sensei" / "config.json").read_text())["reward_model"] == results(smoke_run)["taste"]
    assert reward_model.image_shape == observations.images.shape[1:]
    rows = pipeline.read_evaluation(smoke_run)
    assert {row["agent"] for row in rows} == {"plan2explore", "sensei"}
    assert {"door_opened per 1000 steps", "situations visited evenly"} <= {row["measure"] for row in rows}


@pytest.mark.parametrize(
    ("where", "calls"),
    [
        ("sensei_lite.training.run.train_chunk", 2),
        ("sensei_lite.training.pipeline.ask", 0),
        ("sensei_lite.training.pipeline.save_reward", 0),
        ("sensei_lite.training.run.train_chunk", 5),
        ("sensei_lite.training.pipeline.play_episodes", 1),
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_was_not(smoke_run, tmp_path, monkeypatch, where, calls):
    """Ctrl-C in the given call, counted from 0, of each stage in turn; the second attempt has nobody to stop it."""
    module, _, name = where.rpartition(".")
    original, left = getattr(sys.modules[module], name), [calls]

    def stopped(*arguments, **others):
        left[0] -= 1
        if left[0] == -1:
            raise KeyboardInterrupt
        return original(*arguments, **others)

    monkeypatch.setattr(where, stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, PLAN)
    unfinished = [row for row in read_stages(tmp_path).values() if not row["finished"]]
    assert len(unfinished) == 1
    run(tmp_path, PLAN)
    assert results(tmp_path) == results(smoke_run)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_as_if_it_was_not(smoke_run, tmp_path):
    plan = ("--preset", "smoke", *WORDS, "--pairs", "100", "--pictures", "200", "--updates", "12")
    call = [sys.executable, "-m", "sensei_lite", "run", "--folder", str(tmp_path), *plan]
    process = subprocess.Popen(call, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while not (tmp_path / "preferences.sqlite").exists():  # the curious agent is done, and the next stage has begun
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with folder_lock(tmp_path):
        pass  # whoever was killed holds nothing
    run(tmp_path, PLAN)
    assert results(tmp_path) == results(smoke_run)


def test_the_second_round_asks_where_it_is_interesting(smoke_run):
    """Call-out P1."""
    reward_model = load_reward(smoke_run / "semantic_reward")
    with Store(smoke_run / "preferences.sqlite") as store:
        preferences = store.preferences(store.find())
    rewards = np.asarray(reward_model(preferences.images))
    # Each round asked about half of the pairs, and the store has them in order.
    half = PLAN.pairs // 2
    first, again = slice(half), slice(half, None)
    asked = [np.concatenate([rewards[preferences.first[r]], rewards[preferences.second[r]]]) for r in (first, again)]
    assert len(preferences.first) == pytest.approx(PLAN.pairs, abs=5), "few pairs are drawn in both rounds"
    assert asked[1].mean() > asked[0].mean() + 0.2


def test_another_order_for_the_folder_is_refused_and_changes_nothing(smoke_run):
    before = results(smoke_run)
    with pytest.raises(RunError, match=r"run.json belongs to another run: updates was 12 and is 8"):
        run(smoke_run, dataclasses.replace(PLAN, updates=8))
    assert results(smoke_run) == before


def test_only_one_process_works_in_a_folder(tmp_path):
    with folder_lock(tmp_path), folder_lock(tmp_path):  # whoever has it may take it again
        code = "import pathlib, sys; from sensei_lite.training.storage import folder_lock\n"
        code += "with folder_lock(pathlib.Path(sys.argv[1])): pass"
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "another process works in" in other.stderr


def test_a_second_generation_asks_about_what_sensei_saw(smoke_run, tmp_path):
    plan = dataclasses.replace(PLAN, first_generation=str(smoke_run), agents=("sensei",))
    run(tmp_path, plan)
    assert not (tmp_path / "plan2explore").exists()
    earlier = pipeline.load_explorer(smoke_run, "sensei").replay
    seen = load_observations(tmp_path / "observations.npz")
    remembered = {picture.tobytes() for picture in earlier.in_order()[0].image.reshape(-1, *seen.images.shape[1:])}
    assert {picture.tobytes() for picture in seen.images} <= remembered
    assert json.loads((tmp_path / "collect.json").read_text())["sensei"]["reward_model"] == results(smoke_run)["taste"]


@pytest.mark.slow
def test_an_agent_with_changed_settings_stands_beside_the_others(smoke_run, tmp_path):
    shutil.copytree(smoke_run, tmp_path / "run")
    order = ExplorePlan("sensei", "smoke", updates=4, changes={"switch.percentile": 60.0}, name="k60")
    pipeline.explore(tmp_path / "run", order)
    settings = {name: read_manifest(tmp_path / "run" / name / "config.json")["agent"] for name in ("sensei", "k60")}
    assert settings["k60"]["switch"]["percentile"] == 60
    settings["k60"]["switch"]["percentile"] = settings["sensei"]["switch"]["percentile"]
    assert settings["k60"] == settings["sensei"]
    assert {row["agent"] for row in pipeline.evaluate(tmp_path / "run", ["sensei", "k60"], seed=0)} == {"sensei", "k60"}


def test_changed_settings_need_a_name_and_must_exist(smoke_run):
    order = ExplorePlan("sensei", "smoke", updates=4, changes={"switch.percentile": 60.0})
    with pytest.raises(ValueError, match="a name of its own"):
        pipeline.explore(smoke_run, order)
    with pytest.raises(ValueError, match=r"no setting 'switch\.k'"):
        pipeline.explore(smoke_run, dataclasses.replace(order, changes={"switch.k": 60}, name="k60"))


def test_missing_stages_are_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        pipeline.explore(tmp_path, ExplorePlan("sensei", "smoke", updates=2))
    pipeline.begin(tmp_path, "keyroom", {"size": 4})
    with pytest.raises(FileNotFoundError, match="distil first"):
        pipeline.explore(tmp_path, ExplorePlan("sensei", "smoke", updates=2))
    with pytest.raises(FileNotFoundError, match="nobody has trained"):
        pipeline.learn_task(tmp_path, TaskPlan("sensei", "smoke", updates=2))
    with pytest.raises(FileNotFoundError):
        pipeline.evaluate(tmp_path, ["sensei"], seed=0)


@pytest.mark.parametrize(("field", "value"), [("pictures", 0), ("pairs", 0), ("updates", -1), ("agents", ())])
def test_plans_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        RunPlan(**{field: value})


def test_a_run_of_another_version_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1, "world": "keyroom-lab"}')
    with pytest.raises(RunError, match=r"begun by another version of sensei_lite \(format 1, and this one's is 2\)"):
        run(tmp_path, PLAN)


def test_a_stage_is_finished_only_if_nothing_went_wrong(tmp_path):
    def fails():
        with timed_stage(tmp_path, "distil") as is_open:
            assert is_open
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        fails()
    assert not read_stages(tmp_path)["distil"]["finished"]
    with timed_stage(tmp_path, "distil") as is_open:
        assert is_open
        time.sleep(0.11)
    first = read_stages(tmp_path)["distil"]
    assert first["finished"]
    assert first["seconds"] > 0
    with timed_stage(tmp_path, "distil") as is_open:
        assert not is_open
    assert read_stages(tmp_path)["distil"] == first


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a process's files")
def test_a_full_disk_ends_in_one_line_and_loses_nothing(smoke_run, tmp_path):
    """No file may grow over 100 kB, so the first checkpoint fails; without the limit the run goes on."""
    import resource

    plan = ("--preset", "smoke", *WORDS, "--pairs", "100", "--pictures", "200", "--updates", "12")
    call = [sys.executable, "-m", "sensei_lite", "run", "--folder", str(tmp_path), *plan]

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    told = subprocess.run(call, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith("sensei-lite: ")
    assert "File too large" in told.stderr.splitlines()[-1]
    assert not [path for path in tmp_path.rglob("*.unfinished")], "nothing half written is left"
    run(tmp_path, PLAN)
    assert results(tmp_path) == results(smoke_run)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder in which nobody may write")
def test_a_folder_that_cannot_be_written_ends_in_one_line(command):
    with pytest.raises(SystemExit, match=r"^sensei-lite: .*/proc/run[^\n]*$"):
        command("run", "--folder", "/proc/run", "--preset", "smoke", *WORDS)


def test_agents_for_the_notebooks_are_taken_out_of_a_run(smoke_run, tmp_path):
    keep(smoke_run, tmp_path, pictures=60)
    world = trained_world(tmp_path)
    for name in PLAN.agents:
        kept, whole = trained_agent(name, tmp_path), load_run(smoke_run / name, world).agent
        assert jax.tree.structure(kept) == jax.tree.structure(whole)
        for part in ("world_model", "actor", "critics"):
            for ours, theirs in zip(
                jax.tree.leaves(getattr(kept, part)), jax.tree.leaves(getattr(whole, part)), strict=True
            ):
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)  # half precision
    assert content_hash(trained_reward_model(tmp_path)) == content_hash(load_reward(smoke_run / "semantic_reward"))
    some, seen = curious_observations(tmp_path), load_observations(smoke_run / "observations.npz")
    for episode in np.unique(some.episode):
        np.testing.assert_array_equal(some.images[some.episode == episode], seen.images[seen.episode == episode])
    assert 20 <= len(some.images) < len(seen.images)
    made = json.loads((tmp_path / "provenance.json").read_text())
    assert made["run"]["updates"] == PLAN.updates
    assert {row["agent"] for row in made["scores"]} >= set(PLAN.agents)
