"""Floating-point operations of a program, counted in its trace.

XLA's own count takes the body of a loop once, however often it runs, and knows nothing of what is
inside a call of foreign code.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from lstm_jax.flax.linen import RNN
from lstm_jax.tasks import Learner


class Flops(NamedTuple):
    """A count.

    Attributes:
      products: of matrix products and convolutions, two for a multiplication and an addition.
      opaque: names of foreign calls and of loops of unknown length, whose inside is counted as
        nothing, and once.
    """

    products: float
    opaque: tuple[str, ...] = ()


def count_flops(function: Callable[..., Any], *arguments: Any) -> Flops:
    """The operations of a function of arrays, or of their shapes.

    >>> import jax.numpy as jnp
    >>> def power(x, w):
    ...     return jax.lax.scan(lambda c, _: (c @ w, None), x, None, length=10)[0]
    >>> count_flops(power, jnp.ones((4, 8)), jnp.ones((8, 8))).products == 10 * 2 * 4 * 8 * 8
    True

    Args:
      function: traced, not run; one that is compiled already may be traced as it was then.
      *arguments: what it takes.
    """
    opaque: set[str] = set()
    products = _count(jax.make_jaxpr(function)(*arguments).jaxpr, opaque)
    return Flops(products, tuple(sorted(opaque)))


def model_flops(learner: Learner, state: Any, batch: Any) -> float:
    """Of one step of training: three times the forward pass, whatever runs it and recomputes.

    Args:
      learner: whose loss it is.
      state: a training state, or one of shapes.
      batch: a batch.
    """

    def forward(params: Any, carry: Any, batch: Any) -> Any:
        with nn.intercept_methods(_by_the_reference):
            return learner.loss(params, carry, batch, None)[0]

    return 3 * count_flops(forward, state.params, state.carry, batch).products


def _by_the_reference(call: Any, arguments: Any, options: Any, context: Any) -> Any:
    """Runs layers by the backend that calls no foreign code."""
    if isinstance(context.module, RNN) and context.method_name == "__call__":
        options = {**options, "backend": "reference"}
    return call(*arguments, **options)


def _count(jaxpr: Any, opaque: set[str]) -> float:
    return sum(_count_equation(equation, opaque) for equation in jaxpr.eqns)


def _count_equation(equation: Any, opaque: set[str]) -> float:
    name = equation.primitive.name
    if name == "dot_general":
        return _dot(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "lstm_jax_run":
        # A primitive of `lstm_jax.kernels.batching`: its function is in its parameters.
        call = equation.params["function"]
        structure = equation.params["structure"]
        arguments = [variable.aval for variable in equation.invars]
        inner = jax.make_jaxpr(lambda *leaves: call(*structure.unflatten(leaves)))(*arguments)
        return _count(inner.jaxpr, opaque)
    if "ffi" in name or "callback" in name or name == "custom_call":
        opaque.add(name)
        return 0.0
    bodies = [_count(body, opaque) for body in _bodies(equation.params)]
    if name == "cond":
        return max(bodies, default=0.0)
    if name == "while":
        opaque.add(name)
    return sum(bodies) * (equation.params["length"] if name == "scan" else 1)


def _dot(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    summed = math.prod(left[axis] for axis in contracted)
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * summed


def _convolution(equation: Any) -> float:
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) / outputs


def _bodies(parameters: Any) -> Iterator[Any]:
    """The programs inside the parameters of an equation."""
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, Jaxpr):
                yield item
