# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which picture is more interesting?
#
# `sensei-lite annotate --annotator human` wrote this notebook. **Run all cells** (Run > Run All Cells). Then click, or use
# the keys: ← first, → second, ↓ tie, n no idea, s skip, u undo. Every answer is stored at once, so you may close this
# notebook at any time: open it again, or run the same command, and it goes on with the pairs that are open.

# %% tags=["parameters"]
folder = "runs/taste"  # a run folder with observations.npz
pairs = 100
choose = "random"  # or spread, interesting
both_orders = False
seed = 0
settings = {"person": "reader"}  # of the panel: person, question

# %%
from pathlib import Path

import numpy as np

from sensei_lite.annotators.agreement import agreement_report, report_lines
from sensei_lite.annotators.data import load_observations
from sensei_lite.annotators.human.panel import HumanPanel
from sensei_lite.annotators.store import Store
from sensei_lite.training.pipeline import OBSERVATIONS, PREFERENCES, choose_pairs

observations = load_observations(Path(folder) / OBSERVATIONS)
chosen = choose_pairs(Path(folder), observations, pairs, choose=choose, seed=seed)
if both_orders:  # the second time only when all were seen once, so that nobody remembers
    chosen = np.concatenate([chosen, chosen[:, ::-1]])
store = Store(Path(folder) / PREFERENCES)
others = [who for who in store.annotators() if who.name != "human"]

# %%
HumanPanel(store, observations, chosen, compare_with=others, **settings)

# %% [markdown]
# How far the answers can be trusted, yours and those of all others. Run this cell when you have answered.

# %%
if store.annotators():
    print("\n".join(report_lines(agreement_report(store))))
