"""From pictures to R_psi in one folder: stages can be stopped and repeated, and refuse what is not theirs."""

import dataclasses
import json
import re

import numpy as np
import pytest

from sensei_lite.annotators.base import Answer
from sensei_lite.config import DistilConfig
from sensei_lite.plots.reward import save_reward_figures
from sensei_lite.reward.model import rewards_of
from sensei_lite.training import pipeline
from sensei_lite.training.plan import AnnotatePlan, CollectPlan, DistilPlan
from sensei_lite.training.storage import RunError, load_reward, read_manifest, write_or_verify_manifest

WORLD = {"size": 4, "max_steps": 40}
ASKED = AnnotatePlan(annotator="scripted", pairs=150, both_orders=True)
PLAYED = CollectPlan("keyroom", WORLD, episodes=24)


def collected(folder, **other):
    return pipeline.collect(folder, dataclasses.replace(PLAYED, **other))


def draw(folder, made):
    measures = made.calibration, made.situations, made.reward_hacks
    return save_reward_figures(folder, pipeline.world_of(folder), made.distilled, *measures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder with pictures, answers in two sittings, and R_psi."""
    folder = tmp_path_factory.mktemp("taste")
    collected(folder)
    first = pipeline.annotate(folder, dataclasses.replace(ASKED, budget_calls=60))
    assert (first.asked, first.left) == (60, 240)
    return folder


def test_a_stage_goes_on_where_it_was_stopped(folder, capsys):
    rest = pipeline.annotate(folder, ASKED)
    assert (rest.asked, rest.skipped, rest.left) == (240, 60, 0)
    said = capsys.readouterr().out
    assert "240 questions answered now" in said
    assert "contradicts itself in 0.0%" in said, "the report is there, and the truth does not contradict itself"
    again = pipeline.annotate(folder, ASKED)
    assert (again.asked, again.skipped) == (0, 300)


def test_what_is_there_is_loaded_and_not_played_again(folder, monkeypatch):
    monkeypatch.setattr(pipeline, "play_observations", None)
    seen = collected(folder)
    assert set(seen.episode.tolist()) == set(range(24))
    with pytest.raises(RunError, match=r"collect.json belongs to another run: episodes was 24 and is 25"):
        collected(folder, episodes=25)


def test_r_psi_learns_the_annotators_taste_and_is_kept(folder):
    pipeline.annotate(folder, ASKED)
    reward_model = pipeline.distil_reward(folder, DistilPlan(config=DistilConfig(epochs=6)))
    observations = collected(folder)
    kept = load_reward(folder / pipeline.REWARD)
    made_from = read_manifest(folder / pipeline.REWARD / "made_from.json")
    assert made_from["hash"] == reward_model.content_hash
    assert made_from["annotator"]["name"] == "scripted"
    means = [one.mean for one in reward_model.situations.values()]
    assert list(reward_model.situations)[-1] == "exit_reached"
    assert means[-2] > means[0], "an open door is more interesting than a key on the floor"
    assert reward_model.truth > 0.8
    rewards = rewards_of(kept, observations.images)
    np.testing.assert_array_equal(rewards, rewards_of(reward_model.distilled.reward, observations.images))

    written = draw(folder, reward_model)
    assert {path.stem for path in written[:-1]} == {"learning", "calibration", "situations", "landscape", "episode"}
    assert all(path.stat().st_size > 0 for path in written)
    page = written[-1].read_text()
    assert all(len(alt) > 40 for alt in re.findall(r"!\[(.*?)\]\(", page)), "every figure is told in words"


@pytest.mark.parametrize(
    ("world", "settings", "situation", "reward_hacks"),
    [
        ("keychest-lab", {"max_steps": 60}, "chest_opened", ["chest_opened"]),  # the event is the end of the episode
        ("tabletop", {"max_steps": 60, "image_size": 32}, "2 of these", []),  # no end, facts that count
    ],
)
def test_taste_is_taught_in_other_worlds(tmp_path, world, settings, situation, reward_hacks):
    pipeline.collect(tmp_path, CollectPlan(world, settings, episodes=24))
    pipeline.annotate(tmp_path, ASKED)
    reward_model = pipeline.distil_reward(tmp_path, DistilPlan(config=DistilConfig(epochs=2)))
    assert situation in reward_model.situations
    assert [hack.event for hack in reward_model.reward_hacks] == reward_hacks
    assert draw(tmp_path, reward_model)[-1] == tmp_path / "semantic_reward.md"


def test_one_of_several_annotators_must_be_named(folder):
    pipeline.annotate(folder, dataclasses.replace(ASKED, settings={"noise": 0.2}, pairs=20))
    with pytest.raises(ValueError, match="2 annotators are called scripted"):
        pipeline.distil_reward(folder, DistilPlan("scripted"))


def test_a_missing_stage_is_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        pipeline.annotate(tmp_path, ASKED)
    collected(tmp_path, episodes=2)
    with pytest.raises(FileNotFoundError, match="annotate first"):
        pipeline.distil_reward(tmp_path, DistilPlan())


@pytest.mark.parametrize(
    ("annotator", "settings", "message"),
    [
        ("oracle", {}, "there are clip, chat, scripted, human"),
        ("scripted", {"noise_model": "rude"}, "noise_model is 'rude'; there are faithful, gpt4"),
        ("chat", {}, "model=NAME"),
        ("chat", {"model": "m", "prompt": "short"}, "there are specific, general"),
    ],
)
def test_wrong_orders_are_refused_before_anything_is_asked(tmp_path, annotator, settings, message):
    collected(tmp_path, episodes=2)
    with pytest.raises(ValueError, match=message):
        pipeline.annotate(tmp_path, dataclasses.replace(ASKED, annotator=annotator, settings=settings))
    assert not (tmp_path / pipeline.PREFERENCES).exists()


def test_host_worlds_and_unknown_settings_are_refused(tmp_path):
    with pytest.raises(TypeError, match="keyroom has no setting colour"):
        pipeline.collect(tmp_path, CollectPlan("keyroom", {"colour": 1}, episodes=1))
    with pytest.raises(ValueError, match="only a curious agent can collect there"):
        pipeline.collect(tmp_path, CollectPlan("gymnasium:SenseiLite/KeyRoom-v0", episodes=1))
    assert not list(tmp_path.iterdir())


def test_a_damaged_claim_is_named(tmp_path):
    write_or_verify_manifest(tmp_path / "run.json", {"a": (1, 2)})
    write_or_verify_manifest(tmp_path / "run.json", {"a": [1, 2]})
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run.json is damaged"):
        write_or_verify_manifest(tmp_path / "run.json", {"a": 1})


def test_the_commands_do_the_same(tmp_path, command):
    folder = ("--folder", tmp_path)
    said = command("collect", *folder, "--settings", "size=4", "max_steps=40", "--episodes", "12")
    assert "pictures of 12 episodes" in said
    said = command("annotate", *folder, "--annotator", "scripted", "--settings", "noise_model=gpt4", "--pairs", "100")
    assert "200 questions answered now" in said
    assert "held-out pairs" in command("distil", *folder, "--epochs", "2")
    assert json.loads((tmp_path / "semantic_reward" / "made_from.json").read_text())["pairs"] == 100
    with pytest.raises(SystemExit) as end:
        command("distil", *folder, "--epochs", "two")
    assert end.value.code != 0
    said = command("annotate", *folder, "--annotator", "scripted", "--pairs", "100")
    assert Answer.TIE.name.lower() in said
