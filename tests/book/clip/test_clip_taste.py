"""The whole way with a model as judge: what the small CLIP finds interesting, R_psi finds interesting in new rooms."""

import jax
import pytest

pytest.importorskip("open_clip", reason="needs the extra vlm")

from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.pairs import random_pairs
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.scripted import interest
from sensei_lite.annotators.store import Store
from sensei_lite.config import DistilConfig
from sensei_lite.reward.distil import distil
from sensei_lite.reward.metrics import accuracy_against_levels, mean_rewards, stages
from sensei_lite.reward.model import rewards_of
from sensei_lite.training.collect import play_observations
from sensei_lite.worlds import KeyRoom

# A crop around the agent, so that there is floor with nothing in view.
WORLD = KeyRoom(size=5, view=5, max_steps=50)
NAMES = ("key_in_view", "key_picked_up", "door_reached_with_key", "door_opened")


def test_r_psi_ranks_situations_of_fresh_rooms_as_clip_meant(tmp_path):
    seen = play_observations(WORLD, 64, guided=True, seed=0)
    with Store(tmp_path / "answers.sqlite") as store:
        ask(store, ClipAnnotator(), seen, random_pairs(seen, 1200, seed=0), both_orders=False, progress=False)
        preferences = store.preferences()
    learned = distil(preferences, DistilConfig(epochs=8), key=jax.random.key(0))

    fresh = play_observations(WORLD, 64, guided=True, seed=1)
    rewards = rewards_of(learned.reward, fresh.images)
    where = stages(fresh.facts, NAMES)
    where["nothing"] = ~sum(where.values(), start=False)
    means = mean_rewards(rewards, fresh.episode, where)
    ranked = [means[name].mean for name in ("nothing", *NAMES)]
    assert ranked == sorted(ranked), dict(zip(("nothing", *NAMES), ranked, strict=True))
    assert ranked[-1] - ranked[0] > 1.0, "in units of R_psi's own deviation"
    assert accuracy_against_levels(rewards, interest(fresh.facts)) > 0.9
