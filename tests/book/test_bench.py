"""The learner's bench counts what it says it counts. How fast anything is, is not tested."""

import csv
import dataclasses
import math
import subprocess

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from make.bench import learner
from make.bench.learner import Case, bench_learner, matrix_rate, measure_case, print_table
from make.bench.measure import Speed
from make.bench.workloads import agent_size, fingerprint, make_program

from sensei_lite.agent.actor_critic import Actor, imagine
from sensei_lite.agent.state import init
from sensei_lite.agent.update import learn_to_act
from sensei_lite.course.flops import flops_of
from sensei_lite.models.image_layers import conv_down
from sensei_lite.models.layers import MLP, Linear, NormedLinear
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel
from sensei_lite.presets import smoke
from sensei_lite.training.stages import peak_memory_mb
from sensei_lite.types import Discrete

KEY = jax.random.key(0)


def product(a, b):
    return a @ b


@pytest.mark.parametrize(("m", "k", "n"), [(3, 5, 7), (6, 5, 7), (1, 1, 1)])
def test_a_matrix_product_is_counted(m, k, n):
    a, b = jnp.ones((m, k)), jnp.ones((k, n))
    assert flops_of(product, a, b) == 2 * m * k * n
    assert jax.jit(product).lower(a, b).cost_analysis()["flops"] == 2 * m * k * n  # XLA agrees


def test_what_stands_in_a_loop_counts_as_often_as_the_loop_runs():
    a = jnp.ones((8, 8))

    def loop(a):
        return jax.lax.scan(lambda x, _: (x @ x, None), a, length=10)[0]

    assert flops_of(jax.jit(loop), a) == 10 * 2 * 8**3
    # The reason for a count of our own: XLA's takes the body once (and adds a little for the loop itself).
    assert jax.jit(loop).lower(a).cost_analysis()["flops"] < 2 * 2 * 8**3
    assert flops_of(lambda a: jax.lax.map(loop, a), jnp.ones((3, 8, 8))) == 3 * 10 * 2 * 8**3
    assert flops_of(jax.vmap(loop), jnp.ones((3, 8, 8))) == 3 * 10 * 2 * 8**3


def test_branches_and_loops_of_unknown_length():
    a = jnp.ones((8, 8))
    assert flops_of(lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a @ a @ a, lambda: a @ a), a) == 2 * 2 * 8**3
    by_machine = {"cpu": lambda a: a @ a @ a, "default": lambda a: a @ a}
    assert flops_of(lambda a: jax.lax.platform_dependent(a, **by_machine), a) == 2 * 8**3
    assert flops_of(lambda a: jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x + 1, a), a) == 0
    with pytest.raises(ValueError, match="nobody knows how often"):
        flops_of(lambda a: jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x @ x, a), a)


def test_a_strided_convolution_and_its_gradient():
    picture, kernel = jnp.ones((2, 16, 16, 3)), jnp.ones((4, 4, 3, 5))

    def convolve(picture, kernel):
        return jax.lax.conv_general_dilated(
            picture, kernel, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    forward = 2 * (2 * 8 * 8 * 5) * (4 * 4 * 3)
    assert flops_of(convolve, picture, kernel) == forward
    # Forward, towards the kernel, and towards the picture.
    gradient = jax.grad(lambda p, k: (convolve(p, k) ** 2).sum(), argnums=(0, 1))
    assert flops_of(gradient, picture, kernel) == 3 * forward
    # On a CPU the package writes the same layer as a matrix product, which has more at the picture's edge: not counted.
    assert flops_of(conv_down, picture, kernel) == forward
    gradient = jax.grad(lambda p, k: (conv_down(p, k) ** 2).sum(), argnums=(0, 1))
    assert flops_of(gradient, picture, kernel) == 3 * forward


@pytest.mark.parametrize("rows", [1, 4])
def test_a_network_and_its_gradient_counted_by_hand(rows):
    mlp = MLP(6, 3, hidden=5, layers=2, key=KEY)
    x = jnp.ones((rows, 6))
    forward = 2 * rows * (6 * 5 + 5 * 5 + 5 * 3)
    assert flops_of(jax.vmap(mlp), x) == forward
    # Backward: the same again for the weights, and again for the inputs of all layers but the first.
    gradient = jax.grad(lambda mlp: jax.vmap(mlp)(x).sum())
    assert flops_of(gradient, mlp) == 3 * forward - 2 * rows * 6 * 5


@pytest.mark.parametrize("horizon", [3, 6])
def test_a_dream_counted_by_hand(horizon):
    config, starts, actions = smoke(), 7, 5
    model, hidden, width = config.world_model, config.world_model.hidden, config.behaviour.hidden
    z = model.stoch * model.classes
    world_model = eqx.filter_eval_shape(WorldModel, model, (16, 24, 3), actions, key=KEY)
    actor = eqx.filter_eval_shape(Actor, config.behaviour, model.deter + z, actions, True, 0.01, key=KEY)
    start = State(jnp.zeros((starts, model.deter)), jnp.zeros((starts, model.stoch, model.classes)))
    act = (model.deter + z) * width + width * actions
    remember = (z + actions) * hidden + (hidden + model.deter) * 3 * model.deter
    expect = model.deter * hidden + hidden * z
    counted = flops_of(lambda w, a: imagine(w, a, start, horizon, key=KEY), world_model, actor)
    assert counted == 2 * horizon * starts * (act + remember + expect)


def test_learning_to_act_asks_every_network_once():
    """The policy's and the critic's losses go by what they said in the dream: forward once, and backward."""
    config = smoke()
    task = dataclasses.replace(config.behaviour, reward_weights=(("extrinsic", 1.0),))
    config = dataclasses.replace(config, behaviour=task)
    agent = eqx.filter_eval_shape(init, config, (16, 24, 3), Discrete(tuple("abcde")), key=KEY)
    model, starts, steps = config.world_model, 7, task.horizon
    size = model.deter + model.stoch * model.classes
    start = State(jnp.zeros((starts, model.deter)), jnp.zeros((starts, model.stoch, model.classes)))

    def forward(head):
        return sum(2 * layer.weight.size for layer in jax.tree.leaves(head, is_leaf=is_linear) if is_linear(layer))

    def with_gradient(head, rows, width):
        """Forward, and backward the same for the weights, and for the inputs of all layers but the first."""
        return rows * (3 * forward(head) - 2 * size * width)

    critic, arrived, left = agent.critics["extrinsic"], (steps + 1) * starts, steps * starts
    dreaming = flops_of(lambda w, a: imagine(w, a, start, steps, key=KEY), agent.world_model, agent.actor)
    heads = arrived * (forward(agent.world_model.reward) + forward(agent.world_model.continue_head))
    of_critic = with_gradient(critic, arrived, task.hidden) + left * forward(critic)  # and its slow copy
    of_actor = with_gradient(agent.actor, left, task.hidden) - left * forward(agent.actor)  # forward while dreaming
    counted = flops_of(lambda a: learn_to_act(a, start, jnp.zeros(starts), key=KEY), agent)
    assert counted == dreaming + heads + of_critic + of_actor


def is_linear(part):
    return isinstance(part, Linear | NormedLinear) and part.weight.ndim == 2  # one number is a weighted sum


def test_the_matrix_rate_counts_two_operations_for_each_of_n_cubed(monkeypatch):
    calls = []

    def two_seconds(call, repeats):
        calls.append(call())
        return Speed(9.0, 2.0, 1.0, 3.0)

    monkeypatch.setattr(learner, "measure", two_seconds)
    assert matrix_rate(10, repeats=1) == 2 * 10**3 / 2.0
    assert matrix_rate(12, repeats=1, precision="bfloat16") == 2 * 12**3 / 2.0
    assert [(call.shape, str(call.dtype)) for call in calls] == [((10, 10), "float32"), ((12, 12), "bfloat16")]


@pytest.fixture(scope="module")
def second_behaviour_case():
    return measure_case(Case("smoke", "plan2explore and task", "update"), repeats=1)


def test_a_measured_update_says_what_it_trained(second_behaviour_case):
    found = second_behaviour_case
    assert found["compile_s"] > 0
    assert found["flops"] > 0
    assert 0 < found["ms"][1] <= found["ms"][0] <= found["ms"][2]
    assert math.isfinite(found["matrix_rate"])
    assert {"encoder", "decoder", "rssm", "disagreement", "actor", "critic of disagreement"} <= set(found["trained"])
    assert {"second actor", "second critic of extrinsic"} <= set(found["trained"])


def test_a_network_that_did_not_learn_is_not_named():
    networks = {"one": {"w": jnp.ones(3), "b": jnp.zeros(2)}, "other": jnp.ones(2)}
    before = fingerprint(networks)
    assert fingerprint(networks) == before
    after = fingerprint(networks | {"one": {"w": jnp.ones(3), "b": jnp.zeros(2).at[1].set(1e-6)}})
    assert [name for name in before if before[name] != after[name]] == ["one"]


def test_rows_carry_finite_positive_numbers(tmp_path, capsys):
    rows = bench_learner(tmp_path / "learner.csv", repeats=1, cases=(Case("smoke", "task", "act 2"),))
    with (tmp_path / "learner.csv").open() as file:
        written = list(csv.DictReader(file))
    words = {"what", "precision", "trained", "sizes", "device", "machine"}
    for row in written:
        assert all(row[name] for name in words)
        numbers = {name: float(value) for name, value in row.items() if name not in words}
        assert all(math.isfinite(value) and value > 0 for value in numbers.values()), numbers
    print_table(rows)
    assert "smoke task: policy step for 2" in capsys.readouterr().out


@pytest.mark.slow
def test_the_sizes_of_the_paper_are_benched_like_any_other(tmp_path):
    cases = (Case("smoke", "sensei", "chunk", "bfloat16"), Case("smoke", "plan2explore", "seeds 2", "float32"))
    chunk, seeds = learner.bench_paper(tmp_path / "paper.csv", repeats=1, cases=cases)
    assert (chunk["precision"], seeds["precision"]) == ("bfloat16", "float32")
    assert all("disagreement" in row["trained"] for row in (chunk, seeds))
    assert "critic of semantic" in chunk["trained"]
    updates = 250_000 / smoke().train.env_steps_per_update
    assert chunk["hours_for_250000_steps"] == pytest.approx(updates * chunk["ms_median"] / 3.6e6, rel=0.01, abs=1e-3)
    assert seeds["hours_for_250000_steps"] == ""
    assert seeds["what"] == "smoke plan2explore: update in a chunk, 2 seeds side by side"
    with pytest.raises(ValueError, match="JAX sees no GPU here"):
        learner.bench_paper(tmp_path / "paper.csv")


def test_the_papers_sizes_have_the_actions_and_pictures_of_its_worlds():
    robodesk, minihack = agent_size("paper-robodesk", "sensei", "bfloat16"), agent_size("paper", "sensei")
    assert (robodesk.image_shape, robodesk.actions.size, robodesk.config.world_model.deter) == ((64, 64, 3), 5, 1024)
    assert (minihack.image_shape, minihack.actions.size, minihack.config.world_model.deter) == ((64, 64, 3), 9, 512)
    assert robodesk.config.train.precision == "bfloat16"
    assert all(size.config.switch.rule == "reward" for size in (robodesk, minihack))
    # A train ratio of 512: each step of the world is followed by half an update of 16 sequences of 64 rows.
    train = minihack.config.train
    assert train.batch * train.length / train.env_steps_per_update == 512


def test_lab_xs_has_the_sizes_of_the_common_workload():
    sizes = agent_size("LAB-XS", "plan2explore")
    model, train = sizes.config.world_model, sizes.config.train
    assert (sizes.image_shape, sizes.actions.size, train.batch, train.length) == ((64, 64, 3), 8, 16, 32)
    assert (model.deter, model.stoch, model.classes, model.hidden, model.layers) == (256, 16, 16, 256, 2)
    assert (model.encoder, model.depth, model.bins) == ("conv", 16, 255)
    behaviour, ensemble = sizes.config.behaviour, sizes.config.ensemble
    assert (behaviour.horizon, behaviour.starts, behaviour.layers, behaviour.hidden) == (15, None, 2, 256)
    assert (ensemble.heads, ensemble.layers, ensemble.hidden) == (8, 2, 256)
    assert agent_size("LAB-XS", "task").config.behaviour.reward_weights == (("extrinsic", 1.0),)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (("huge", "task", "update"), "no size called 'huge'; there are LAB-XS, lab, paper, paper-robodesk, smoke"),
        (("smoke", "tusk", "update"), "no agent called 'tusk'"),
        (("smoke", "task", "sleep"), "no work called 'sleep'"),
        (("LAB-XS", "task", "chunk"), "LAB-XS has no world"),
    ],
)
def test_a_wrong_case_is_named(case, message):
    with pytest.raises(ValueError, match=message):
        make_program(*case)


def test_a_case_that_fails_says_why(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback ...\nValueError: no bins\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(OSError, match=r"bench of smoke, task, update, float32 failed \(1\): ValueError: no bins"):
        bench_learner(tmp_path / "learner.csv", repeats=1, cases=(Case("smoke", "task", "update"),))


def test_memory_is_measured_in_megabytes():
    assert 50 < peak_memory_mb() < 1e6
