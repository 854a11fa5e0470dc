"""The simple recurrent unit."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.checks import require_choices, require_sizes
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import glorot_uniform, per_gate
from lstm_jax.cells.linear_recurrence import blank_masked, linear_recurrence
from lstm_jax.config import PositiveFloat, register


class SRUCarry(NamedTuple):
    """The memory of an SRU.

    Attributes:
      cell: what the forget gates average, [..., hidden].
    """

    cell: Array


_ACTIVATIONS = {"identity": lambda c: c, "tanh": jnp.tanh}


@register("cell")
def sru(
    hidden_size: int,
    *,
    activation: Literal["identity", "tanh"] = "identity",
    highway_bias: float = 0.0,
    highway_scale: PositiveFloat = 1.0,
    peepholes: bool = False,
) -> Cell:
    """Simple recurrent unit, with its highway from input to output.

        f, r = sigmoid(W x + b)        c' = f * c + (1 - f) * W x
        y = r * activation(c') + (1 - r) * scale * x

    T. Lei, Y. Zhang, S. Wang, H. Dai and Y. Artzi, "Simple Recurrent Units for Highly
    Parallelizable Recurrence", arXiv 1709.02755, 2017. By default the gates see the input alone,
    as in the paper's first version, and all steps can be computed at once. With `peepholes` they
    also see v * c, as in its last version; that is no linear recurrence, and such a cell has no
    parallel form. If input and hidden sizes differ the highway is a product of the input.

    Params: `kernel` [input, 3 * hidden] in the order f g r, `bias` [2 * hidden] in the order
    f r; if sizes differ `highway_kernel` [input, hidden]; with peepholes `peephole_kernel`
    [2 * hidden].

    >>> cell = sru(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.cell.shape, y.shape, sorted(params)
    ((5, 3), (5, 3), ['bias', 'highway_kernel', 'kernel'])

    Args:
      hidden_size: number of memory cells.
      activation: what the output shows of a memory cell.
      highway_bias: initial bias of the highway gate r; below 0 the input passes at first.
      highway_scale: factor of the input on the highway; the paper's sqrt(1 + 2 exp(highway_bias))
        keeps the variance from layer to layer.
      peepholes: whether the gates also see the memory cell.

    Raises:
      ValueError: `hidden_size` is not positive, or there is no such activation.
    """
    require_sizes(hidden_size=hidden_size)
    require_choices(_ACTIVATIONS, activation=activation)
    shown = _ACTIVATIONS[activation]

    def init(key: Array, input_size: int) -> Params:
        key, highway_key, peephole_key = jax.random.split(key, 3)
        params = {
            "kernel": per_gate(glorot_uniform, 3)(key, (input_size, 3 * hidden_size)),
            "bias": jnp.repeat(jnp.array([0.0, highway_bias]), hidden_size),
        }
        if input_size != hidden_size:
            params["highway_kernel"] = glorot_uniform(highway_key, (input_size, hidden_size))
        if peepholes:
            bound = hidden_size**-0.5
            params["peephole_kernel"] = jax.random.uniform(
                peephole_key, (2 * hidden_size,), minval=-bound, maxval=bound
            )
        return params

    def project(params: Params, x: Array) -> Array:
        """Gates, candidate and highway, in the order f r g x."""
        f, g, r = jnp.split(x @ params["kernel"], 3, axis=-1)
        gates = jnp.concatenate([f, r], axis=-1) + params["bias"]
        highway = x @ params["highway_kernel"] if "highway_kernel" in params else x
        return jnp.concatenate([gates, g, highway_scale * highway], axis=-1)

    def step(params: Params, carry: SRUCarry, x: Array) -> tuple[SRUCarry, Array]:
        f, r, g, highway = jnp.split(project(params, x), 4, axis=-1)
        if peepholes:
            peephole_f, peephole_r = jnp.split(params["peephole_kernel"], 2)
            f, r = f + peephole_f * carry.cell, r + peephole_r * carry.cell
        f, r = jax.nn.sigmoid(f), jax.nn.sigmoid(r)
        cell = f * carry.cell + (1 - f) * g
        return SRUCarry(cell), r * shown(cell) + (1 - r) * highway

    def parallel(
        params: Params, carry: SRUCarry, xs: Array, mask: Array | None, resets: Array | None
    ) -> tuple[SRUCarry, Array]:
        f, r, g, highway = jnp.split(project(params, blank_masked(xs, mask)), 4, axis=-1)
        f, r = jax.nn.sigmoid(f), jax.nn.sigmoid(r)
        last, c_tbh = linear_recurrence(f, (1 - f) * g, carry.cell, mask=mask, resets=resets)
        return SRUCarry(last), blank_masked(r * shown(c_tbh) + (1 - r) * highway, mask)

    at_once = None if peepholes else parallel
    return Cell(init, zero_carry(SRUCarry, hidden_size), step, hidden_size, parallel=at_once)
