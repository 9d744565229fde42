"""Export the trained SENSEI agent's dream for the browser: one step as an ONNX program, and real frames to begin with.

One step takes (h, z, action, uniform numbers for the draw) and gives the next h and z, what they look like, and what
the agent makes of them. It is the package's own code, traced by jax2onnx; a test compares both, and the page's test
compares the browser with ``reference.json``.
"""

import base64
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from PIL import Image

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.agent.switch import Switch
from sensei_lite.course import pretrained
from sensei_lite.models import _fast
from sensei_lite.models.distributions import unimix
from sensei_lite.models.ensemble import mutual_information
from sensei_lite.models.rssm import State
from sensei_lite.plots.video import save_mp4
from sensei_lite.types import Discrete
from sensei_lite.worlds import reset_batch, step_batch

OUTPUTS = ("next_h", "next_z", "picture", "semantic", "value", "disagreement", "goes_on", "policy")
SEED = 3


def dream_step(agent: AgentState) -> Callable[[Array, Array, Array, Array], tuple[Array, ...]]:
    """Make the function to export: (h [deter], z [stoch classes], action [action], uniform [stoch]) to `OUTPUTS`.

    ``picture`` is [height width 3] from 0 to 1, ``semantic`` r_sem, ``value`` the semantic critic's v_sem,
    ``disagreement`` the r_dis of this step, ``continue_head`` a probability, ``policy`` the chance of each next action.
    """
    model, actor, critic = agent.world_model, agent.actor, agent.critics["semantic"]
    ensemble = agent.streams["disagreement"].network
    # jax2onnx has no rule for a layer norm whose weights are batched, so the heads are called one by one.
    heads = [jax.tree.map(lambda leaf, i=i: leaf[i], ensemble.heads) for i in range(agent.config.ensemble.heads)]
    classes = jnp.arange(model.rssm.classes, dtype=jnp.float32)

    def step(h: Array, z: Array, action: Array, uniform: Array) -> tuple[Array, ...]:
        h = model.rssm.recur(State(h, z), action)
        upper_edges = jnp.cumsum(jnp.exp(model.rssm.prior(h)), axis=-1)[:, :-1]
        drawn = jnp.sum((uniform[:, None] >= upper_edges).astype(jnp.float32), axis=-1)
        state = State(h, (drawn[:, None] == classes).astype(jnp.float32))
        guesses = unimix(jnp.stack([head(h).reshape(state.z.shape) for head in heads]))
        features = state.features
        return (
            state.h,
            state.z,
            jnp.clip(model.decoder(features) + 0.5, 0.0, 1.0),
            model.semantic(features),
            critic(features),
            agent.config.ensemble.scale * mutual_information(guesses),
            model.continues(features),
            jnp.exp(actor(features).log_probs),
        )

    return step


def write_dream(folder: Path) -> None:
    """Write dream.onnx, dream.json (settings and starts), reference.json and dream.mp4, unless they are up to date."""
    stamp = _stamp()
    if (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp:
        return
    import onnx
    from jax2onnx import to_onnx

    folder.mkdir(parents=True, exist_ok=True)
    agent, world = pretrained.trained_agent("sensei"), pretrained.trained_world()
    assert isinstance(world.actions, Discrete)
    assert isinstance(agent.rule, Switch)
    step, model = dream_step(agent), agent.world_model.rssm
    sizes = {"h": (model.start.size,), "z": (model.stoch, model.classes)}
    sizes |= {"action": (world.actions.size,), "uniform": (model.stoch,)}
    inputs = [jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes.values()]
    with _fast.off():  # the definitions, for which jax2onnx has rules
        program = to_onnx(step, inputs=inputs, model_name="dream")
    _rename(program.graph, list(sizes), list(OUTPUTS))
    onnx.save(program, folder / "dream.onnx")
    starts = real_starts(agent, world)
    settings = agent.rule.settings
    told = {
        "actions": list(world.actions.names),
        "threshold": float(agent.rule.threshold),
        "go": dict(settings.go),
        "explore": dict(settings.explore),
        "shapes": {name: list(size) for name, size in sizes.items()},
        "picture": list(world.image_shape),
        "starts": starts,
    }
    (folder / "dream.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "reference.json").write_text(json.dumps(reference(step, starts[0], sizes)), encoding="utf-8")
    save_mp4(film(step, starts[0], sizes), folder / "dream.mp4", frames_per_second=4, scale=4)
    (folder / "stamp").write_text(stamp)


def _stamp() -> str:
    """Compute a stamp that changes when the agent or this file does."""
    parts = [Path(__file__), pretrained.FOLDER / "sensei.npz", pretrained.FOLDER / "sensei.json"]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def _rename(graph: Any, inputs: list[str], outputs: list[str]) -> None:
    """Give the program's inputs and outputs their names."""
    names = {value.name: name for value, name in zip(graph.input, inputs, strict=True)}
    names |= {value.name: name for value, name in zip(graph.output, outputs, strict=True)}
    for value in [*graph.input, *graph.output]:
        value.name = names[value.name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def real_starts(agent: AgentState, world: Any) -> list[dict[str, Any]]:
    """Real frames of the agent's own episodes, each with the state that the agent inferred from what it saw."""
    begin, advance = jax.jit(reset_batch, static_argnums=0), jax.jit(step_batch, static_argnums=0)
    act = jax.jit(agents.act)
    chosen, wanted = [], ["", "key_picked_up", "door_reached_with_key", "door_opened"]
    words = {"": "a new room", "key_picked_up": "the key is taken", "door_reached_with_key": "at the door"}
    words |= {"door_opened": "the door is open"}
    for episode in range(2):
        key = jax.random.fold_in(jax.random.key(SEED), episode)
        state, row = begin(world, keys=key[None])
        policy_state, seen = agents.initial_policy_state(agent, 1, world.actions.size), set()
        for t in range(world.max_steps):
            policy_state = act(agent, policy_state, row.image, row.is_first, key=jax.random.fold_in(key, 2 * t))
            now = [""] if t == 0 else [name for name, happened in row.events.items() if happened[0]]
            for name in now:
                if name in wanted and name not in seen:
                    seen.add(name)
                    chosen.append(_start(words[name], np.asarray(row.image[0]), policy_state.state))
            if row.is_last[0]:
                break
            action = agents.decode_action(world.actions, policy_state.action)
            keys = jax.random.fold_in(key, 2 * t + 1)[None]
            state, row = advance(world, state, row.is_last, action, keys=keys)
    return chosen


def _start(words: str, picture: np.ndarray, state: State) -> dict[str, Any]:
    png = io.BytesIO()
    Image.fromarray(picture).save(png, format="PNG")
    address = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    h, z = np.asarray(state.h[0], np.float64).round(6).tolist(), np.asarray(state.z[0]).argmax(-1).tolist()
    return {"words": words, "picture": address, "h": h, "z": z}


def _begin(start: dict[str, Any], sizes: dict[str, tuple[int, ...]]) -> tuple[Array, Array]:
    return jnp.asarray(start["h"], jnp.float32), jax.nn.one_hot(jnp.asarray(start["z"]), sizes["z"][1])


def _walk(
    step: Callable[..., tuple[Array, ...]], start: dict[str, Any], sizes: dict[str, tuple[int, ...]], steps: int
) -> list[tuple[dict[str, Any], tuple[Array, ...]]]:
    """Record a dream in which the agent plays: each step's inputs and outputs."""
    h, z = _begin(start, sizes)
    compiled, chance = jax.jit(step), np.random.default_rng(SEED)
    policy, told = np.full(sizes["action"][0], 1 / sizes["action"][0]), []
    for _ in range(steps):
        action = int(chance.choice(len(policy), p=policy / policy.sum()))
        uniform = chance.random(sizes["uniform"]).astype(np.float32)
        outputs = compiled(h, z, jax.nn.one_hot(action, len(policy)), jnp.asarray(uniform))
        told.append(({"h": h, "z": z, "action": action, "uniform": uniform}, outputs))
        h, z, policy = outputs[0], outputs[1], np.asarray(outputs[-1], np.float64)
    return told


def reference(step: Any, start: dict[str, Any], sizes: dict[str, tuple[int, ...]], steps: int = 6) -> list[dict]:
    """Compute what JAX gives for some steps; of the picture only a part, to keep the file small."""
    rows = []
    for inputs, outputs in _walk(step, start, sizes, steps):
        given = {"h": inputs["h"].tolist(), "z": np.asarray(inputs["z"]).argmax(-1).tolist()}
        given |= {"action": inputs["action"], "uniform": inputs["uniform"].tolist()}
        wanted = {name: np.asarray(value).reshape(-1) for name, value in zip(OUTPUTS, outputs, strict=True)}
        wanted["picture"] = wanted["picture"][::97]
        rows.append({"inputs": given, "outputs": {name: value.tolist() for name, value in wanted.items()}})
    return rows


def film(step: Any, start: dict[str, Any], sizes: dict[str, tuple[int, ...]], steps: int = 24) -> list[np.ndarray]:
    """Draw the pictures of a dream, for browsers without WebAssembly."""
    pictures = [np.asarray(outputs[2]) for _, outputs in _walk(step, start, sizes, steps)]
    return [(255 * picture).round().astype(np.uint8) for picture in pictures]
