"""The run that many tests look at: the whole method at the smallest size. `conftest.smoke_run` is its folder."""

import dataclasses

from sensei_lite.training.plan import PLANS, RunPlan

PLAN: RunPlan = dataclasses.replace(
    PLANS["smoke"],
    world="keyroom-lab",
    settings={"size": 4, "max_steps": 20},
    annotator="scripted",
    pictures=200,
    pairs=100,
    updates=12,
)
