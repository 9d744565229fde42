"""What the live pages show: one recorded episode for the switch, and pairs of pictures for the annotator's page."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from sensei_lite.agent.switch import Switch
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.pairs import spread_pairs
from sensei_lite.annotators.scripted import interest
from sensei_lite.course import pretrained
from sensei_lite.plots.trace import Trace, play_trace

PAIRS, TIES, SEED = 20, 5, 11


def write_recorded(folder: Path) -> None:
    """Write trace.json and pairs.json; files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("trace.json", recorded_trace), ("pairs.json", sample_pairs)):
        if not (folder / name).exists():
            (folder / name).write_text(json.dumps(make()), encoding="utf-8")


def recorded_trace(tries: int = 8) -> dict[str, Any]:
    """Play the longest of some episodes of the trained agent in which it reaches the exit."""
    agent, world = pretrained.trained_agent("sensei"), pretrained.trained_world()
    traces = [play_trace(agent, world, key=jax.random.fold_in(jax.random.key(SEED), n)) for n in range(tries)]
    trace = max((one for one in traces if one.is_terminal), key=lambda one: one.steps)
    assert isinstance(agent.rule, Switch)
    assert trace.semantic is not None
    assert trace.compared is not None
    assert trace.disagreement is not None
    settings = agent.rule.settings
    return {
        "pictures": [address(image) for image in trace.images],
        "semantic": trace.semantic.astype(float).round(4).tolist(),
        "value": trace.compared.astype(float).round(4).tolist(),
        "disagreement": trace.disagreement.astype(float).round(4).tolist(),
        "events": [_happened(trace, t) for t in range(trace.steps + 1)],
        "percentile": settings.percentile,
        "go": dict(settings.go),
        "explore": dict(settings.explore),
    }


def _happened(trace: Trace, t: int) -> str:
    return ", ".join(name.replace("_", " ") for name in trace.happened(t) if name != "key_seen")


def sample_pairs() -> list[dict[str, Any]]:
    """Pairs of what the curious agent saw, with CLIP's answer and the true one: 0 first, 1 second, 2 a tie."""
    seen = pretrained.curious_observations()
    drawn = spread_pairs(seen, 8 * PAIRS, SEED)
    levels = interest(seen.facts)[drawn]
    ties = np.cumsum(levels[:, 0] == levels[:, 1])  # most of what one sees is alike; a few such pairs are enough
    kept = np.flatnonzero((levels[:, 0] != levels[:, 1]) | (ties <= TIES))[:PAIRS]
    chosen, levels = drawn[kept], levels[kept]
    first, second = seen.images[chosen[:, 0]], seen.images[chosen[:, 1]]
    answers = [int(reply.answer) for _, reply in ClipAnnotator().annotate(first, second)]
    truth = np.where(levels[:, 0] == levels[:, 1], 2, (levels[:, 1] > levels[:, 0]).astype(int)).tolist()
    return [
        {"first": address(a), "second": address(b), "clip": answer, "truth": true}
        for a, b, answer, true in zip(first, second, answers, truth, strict=True)
    ]


def address(picture: np.ndarray) -> str:
    """Encode a picture as PNG inside of an address."""
    png = io.BytesIO()
    Image.fromarray(picture).save(png, format="PNG")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
