"""Milliseconds per update and per policy step, the memory they take, and how far they are from what the machine can do.

Every case runs in a process of its own, so that its peak memory and its compile time are its own; then a second process
compiles it again, with what the first one left in JAX's persistent cache, and calls it once. The floor of a case is the
time that its matrix products (`course.flops`) would take at the rate at which this machine multiplies large matrices,
measured in the same process right after the case:

    share = (operations / median time) / matrix rate.

The research code's sizes are for a GPU (`PAPER_CASES`), and have their own table. There a processor with many cores
compiles all cases side by side before one is timed after the other.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from tqdm import tqdm

from make.bench.measure import Row, machine, measure, print_columns, write_table
from make.bench.workloads import agent_size, fingerprint, make_program
from sensei_lite.course.flops import flops_of
from sensei_lite.training.machine import keep_compiled_programs
from sensei_lite.training.stages import peak_memory_mb


class Case(NamedTuple):
    """One row of the table: a name of `workloads` each for size, agent and work."""

    size: str
    agent: str
    work: str
    precision: str = "float32"


CASES = (
    Case("LAB-XS", "task", "update"),
    Case("LAB-XS", "plan2explore", "model"),
    Case("LAB-XS", "plan2explore", "ensemble"),
    Case("LAB-XS", "plan2explore", "update"),
    Case("LAB-XS", "plan2explore and task", "update"),
    Case("lab", "task", "chunk"),
    Case("lab", "plan2explore", "chunk"),
    Case("lab", "plan2explore", "update"),
    Case("lab", "plan2explore", "ensemble"),
    Case("lab", "plan2explore", "model"),
    Case("LAB-XS", "task", "act 1"),
    Case("LAB-XS", "task", "act 16"),
    Case("lab", "task", "act 1"),
    Case("lab", "task", "act 16"),
)

PAPER_CASES = (
    Case("paper", "sensei", "chunk"),
    Case("paper", "sensei", "chunk", "bfloat16"),
    Case("paper-robodesk", "sensei", "update"),
    Case("paper-robodesk", "sensei", "update", "bfloat16"),
    Case("lab", "plan2explore", "seeds 1"),
    Case("lab", "plan2explore", "seeds 32"),
)

PAPER_STEPS = 250_000
"""Environment steps of the paper's run on Robodesk."""

MATRIX_SIDE = {"cpu": 2048, "gpu": 8192}
"""Large enough to reach the device's rate."""
POLICY_STEPS = 100
"""Policy steps in one timed call: one alone is too short to time."""


def bench_learner(path: Path, repeats: int = 7, cases: tuple[Case, ...] = CASES) -> list[Row]:
    """Measure every case; write the table to ``path`` and return its rows. Raises OSError where a case fails."""
    rows: list[Row] = []
    for case in tqdm(cases, desc="bench learner", unit="case"):
        with tempfile.TemporaryDirectory() as cache:
            found = _in_own_process(case, repeats, cache)
            rows.append(_row(case, found, _in_own_process(case, 0, cache)))
        write_table(rows, path)  # after every case: a bench that was stopped has measured something
    return rows


def bench_paper(path: Path, repeats: int = 7, cases: tuple[Case, ...] = PAPER_CASES) -> list[Row]:
    """Measure the research code's sizes on this machine's GPU; write the table to ``path`` and return its rows.

    Raises ValueError where there is no GPU, OSError where a case fails.
    """
    if jax.default_backend() != "gpu" and cases == PAPER_CASES:
        raise ValueError("JAX sees no GPU here, and the research code's sizes take minutes an update without one")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(len(cases)) as side_by_side:
        compiled = list(side_by_side.map(lambda case: _in_own_process(case, 0, cache), cases))
        for case, cold in zip(cases, compiled, strict=True):
            found = _in_own_process(case, repeats, cache)
            row = _row(case, found | {"compile_s": cold["compile_s"]}, found)
            rows.append({f"hours_for_{PAPER_STEPS}_steps": _hours(case, row["ms_median"])} | row)
            write_table(rows, path)
    return rows


def _hours(case: Case, ms: float) -> float | str:
    """Compute the hours that PAPER_STEPS steps take at the case's ratio of steps to updates; empty for many seeds."""
    if case.work.startswith("seeds"):
        return ""
    updates = PAPER_STEPS / agent_size(case.size, case.agent).config.train.env_steps_per_update
    return round(updates * ms / 3.6e6, 3)


def _in_own_process(case: Case, repeats: int, cache: str) -> dict[str, Any]:
    settings = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}
    settings |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    settings |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # several processes may share a GPU, and memory is measured
    command = [sys.executable, "-m", "make.bench.learner", *case, str(repeats)]
    run = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChildProcessError(f"the bench of {', '.join(case)} failed ({run.returncode}): {last}")
    return json.loads(run.stdout.splitlines()[-1])


def measure_case(case: Case, repeats: int) -> dict[str, Any]:
    """Measure a case: compile it and time it; without ``repeats``, call it once and take no times."""
    program = make_program(*case)
    keys = list(jax.random.split(jax.random.key(1), 8))
    jax.block_until_ready((program.state, program.constants, keys))
    flops = flops_of(program.step, program.state, program.constants, keys[0])
    jax.clear_caches()  # what was counted are the definitions, and what is timed are their fast twins
    start = time.perf_counter()
    compiled = program.step.trace(program.state, program.constants, keys[0]).lower().compile()
    compile_seconds = time.perf_counter() - start

    networks = program.networks_of(program.state)
    parameters, before = sum(leaf.size for leaf in jax.tree.leaves(networks)), fingerprint(networks)
    state, constants = program.state, program.constants
    calls = POLICY_STEPS if case.work.startswith("act") else 1

    def call() -> None:
        nonlocal state
        for i in range(calls):
            state, _ = jax.block_until_ready(compiled(state, constants, keys[i % len(keys)]))

    if not repeats:
        call()
        return {"compile_s": compile_seconds, "peak_mb": _peak_mb()}
    speed, peak = measure(call, repeats), _peak_mb()
    units, after = program.units * calls, fingerprint(program.networks_of(state))
    return {
        "compile_s": compile_seconds,
        "peak_mb": peak,
        "ms": [1000 * seconds / units for seconds in (speed.median, speed.fastest, speed.slowest)],
        "flops": flops / program.units,
        "trained": [name for name in before if before[name] != after[name]],
        "parameters": parameters,
        "matrix_rate": matrix_rate(MATRIX_SIDE[jax.default_backend()], repeats, case.precision),
        "device": jax.devices()[0].device_kind,
    }


def _peak_mb() -> float:
    """Return the peak memory so far in MB: the GPU's where there is one, and otherwise the process's."""
    stats = jax.devices()[0].memory_stats() or {}
    return stats["peak_bytes_in_use"] / 1e6 if "peak_bytes_in_use" in stats else peak_memory_mb()


def matrix_rate(side: int, repeats: int, precision: str = "float32") -> float:
    """Measure operations per second in products of two matrices [side side], 2 side^3 operations each."""
    a = jax.random.normal(jax.random.key(0), (side, side)).astype(precision)
    product = jax.jit(jnp.matmul)
    return 2.0 * side**3 / measure(lambda: jax.block_until_ready(product(a, a)), repeats).median


def _row(case: Case, found: dict[str, Any], again: dict[str, Any]) -> Row:
    median, fastest, slowest = found["ms"]
    gflop, rate = found["flops"] / 1e9, found["matrix_rate"] / 1e9
    reached = gflop / median * 1000
    works = {
        "update": "update",
        "chunk": "update in a chunk",
        "ensemble": "update of world model and ensemble alone",
        "model": "update of the world model alone",
    }
    kind, _, number = case.work.partition(" ")
    work = {"act": f"policy step for {number}", "seeds": f"update in a chunk, {number} seeds side by side"}.get(kind)
    return {
        "what": f"{case.size} {case.agent}: {work or works[case.work]}",
        "precision": case.precision,
        "trained": ", ".join(found["trained"]) or "nothing",
        "sizes": describe(case),
        "parameters": found["parameters"],
        "ms_median": round(median, 3),
        "ms_fastest": round(fastest, 3),
        "ms_slowest": round(slowest, 3),
        "per_second": round(1000 / median, 3),
        "gflop": round(gflop, 6),
        "gflop_per_second": round(reached, 3),
        "matrix_gflop_per_second": round(rate, 1),
        "floor_ms": round(1000 * gflop / rate, 4),
        "share_of_matrix_rate": round(reached / rate, 5),
        "compile_cold_s": round(found["compile_s"], 2),
        "compile_warm_s": round(again["compile_s"], 2),
        "peak_mb": round(found["peak_mb"]),
        "peak_warm_mb": round(again["peak_mb"]),
        "device": found["device"],
        "machine": machine(),
    }


def describe(case: Case) -> str:
    """Describe a case's sizes in words."""
    sizes = agent_size(case.size, case.agent, case.precision)
    model, ensemble, behaviour, train = (
        sizes.config.world_model,
        sizes.config.ensemble,
        sizes.config.behaviour,
        sizes.config.train,
    )
    picture = "x".join(map(str, sizes.image_shape))
    seen = f"{picture}, {sizes.actions.size} actions, deter {model.deter}, z {model.stoch}x{model.classes}, "
    seen += f"{model.encoder} encoder of depth {model.depth}, heads {model.layers}x{model.hidden}"
    if case.work.startswith("act"):
        return seen
    rows = train.batch * train.length
    starts = min(behaviour.starts or rows, rows)
    learned = f"batch {train.batch}x{train.length}, {starts} dreams of {behaviour.horizon} steps, "
    learned += f"ensemble {ensemble.heads} of {ensemble.layers}x{ensemble.hidden}, {model.bins} bins"
    if case.work.startswith(("chunk", "seeds")):
        learned += f", with {train.env_steps_per_update:g} steps of the world for each update"
    return f"{seen}, {learned}"


def print_table(rows: list[Row]) -> None:
    """Print the rows for a person."""
    print_columns(
        rows,
        {
            "what": lambda row: str(row["what"]),
            "ms": lambda row: f"{row['ms_median']:.4g}",
            "[fastest, slowest]": lambda row: f"[{row['ms_fastest']:.4g}, {row['ms_slowest']:.4g}]",
            "floor ms": lambda row: f"{row['floor_ms']:.4g}",
            "GFLOP": lambda row: f"{row['gflop']:.3g}",
            "of matrix rate": lambda row: f"{row['share_of_matrix_rate']:.1%}",
            "compile cold, warm s": lambda row: f"{row['compile_cold_s']:.1f}, {row['compile_warm_s']:.1f}",
            "peak MB cold, warm": lambda row: f"{row['peak_mb']:,}, {row['peak_warm_mb']:,}",
        },
    )
    rates = [float(str(row["matrix_gflop_per_second"])) for row in rows]
    print(f"Large float32 matrix products ran at {min(rates):.0f} to {max(rates):.0f} GFLOP/s beside these rows.")
    for row in rows:
        if row["trained"] != "nothing":
            print(f"{row['what']} trains {row['trained']}.")


if __name__ == "__main__":
    keep_compiled_programs()  # as the command line does; the folder is the one that the parent named
    *names, repeats = sys.argv[1:]
    print(json.dumps(measure_case(Case(*names), int(repeats))))
