"""How much arithmetic a program asks for: the floating-point operations of its matrix products.

    [m k] times [k n]                                  2 m k n    one multiplication and one addition for each of m k n
    convolution, every number of the output            2 (height of the kernel) (its width) (channels in)

Everything else (norms, activations, optimisers, drawing samples) is left out: it is a few percent of the work, and the
rate it is compared with is a rate of matrix products. XLA has a count of its own (``cost_analysis``), but it takes the
body of a loop once, however often the loop runs (`tests/book/test_bench.py` shows it), and this agent is loops: over
time in the world model, over time in the dream, over updates in a chunk. So the program is read as JAX wrote it down,
and what stands in a loop counts as often as the loop runs. What the program says twice counts twice, though XLA may
notice and do it once. The definitions are counted, not their fast twins: what these
spend on zeros at a picture's edge is not needed.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from sensei_lite.models import _fast


def flops_of(function: Callable, *arguments: Any) -> int:
    """Count the matrix products' operations in one call of ``function``, which is traced and not run.

    Raises ValueError as `matrix_flops` does.
    """
    with _fast.off():
        return matrix_flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def matrix_flops(program: Jaxpr) -> int:
    """Count the matrix products' operations in a traced program.

    Raises ValueError where products stand in a loop whose number of rounds is decided by its data.
    """
    return sum(_equation_flops(equation) for equation in program.eqns)


def _equation_flops(equation: JaxprEqn) -> int:
    name = equation.primitive.name
    if name == "dot_general":
        return _product(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    inside = [matrix_flops(part) for part in programs_in(equation.params.values())]
    if name == "scan":
        return equation.params["length"] * sum(inside)
    if name == "cond":  # one branch runs; which one is decided by the machine, or by the data
        return min(inside) if equation.params.get("branches_platforms") else max(inside)
    if name == "while" and any(inside):
        raise ValueError("matrix products stand in a while loop, and nobody knows how often it runs")
    return sum(inside)


def _product(equation: JaxprEqn) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    left, right, out = (_array(variable) for variable in (*equation.invars, equation.outvars[0]))
    if min(left.ndim, right.ndim) == 1:
        return 0  # with one vector: a weighted sum, such as a layer norm's mean
    return 2 * out.size * math.prod(left.shape[axis] for axis in summed)


def _convolution(equation: JaxprEqn) -> int:
    kernel, out = _array(equation.invars[1]), _array(equation.outvars[0])
    channels_out = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    # The gradient of a strided convolution spreads its input out with zeros; products with those are not needed.
    zeros = math.prod(equation.params["lhs_dilation"])
    return 2 * out.size * kernel.size // (channels_out * zeros)


def _array(variable: Any) -> Any:
    """Return the abstract value of a variable: its shape, size and dtype."""
    return variable.aval


def programs_in(params: Any) -> Iterator[Jaxpr]:
    """Yield the programs among an equation's parameters: bodies of loops, branches, calls."""
    for value in params:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from programs_in(value)
