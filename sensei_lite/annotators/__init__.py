"""Who says which of two pictures is more interesting: models, services, people, and a script that knows the truth.

    data -> pairs -> query (asks an annotator, keeps every answer in the store) -> combine -> preferences

The names that notebooks use are handed on from here; a module is imported when one of its names is first asked for, so
that nobody loads a database, a chat client, torch or widgets without using them.
"""

import importlib
from typing import Any

_MODULES = {
    "agreement": ("agreement_report", "intransitive_triads", "report_lines", "wilson_interval"),
    "base": ("Annotator", "AnnotatorId", "Answer", "Reply"),
    "chat": ("GENERIC", "BudgetSpent", "ChatAnnotator", "Price", "Prompt", "parse_answer"),
    "chat.prompts": ("comparison_messages", "description_messages", "prompt_for"),
    "clip.annotator": ("ClipAnnotator",),
    "clip.prompts": ("KEY_PROMPTS",),
    "combine": ("combine_answers",),
    "data": ("Observations", "Preferences"),
    "human.panel": ("HumanPanel",),
    "pairs": ("interesting_pairs", "random_pairs", "spread_pairs"),
    "query": ("Budget", "ask"),
    "scripted": ("LEVELS", "NoiseModel", "ScriptedAnnotator", "interest", "levels_of", "noise_ceiling"),
    "store": ("Store",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
