"""What a recurrent cell is: a few pure functions of arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
Params = Any  # a nested dict of arrays, named as Keras names them
Carry = Any  # a NamedTuple of arrays, each [..., size]


class Cell(NamedTuple):
    """A recurrent cell.

    The first three functions make a cell. The step of nearly every published cell is

        step(params, carry, x) = update(params, carry, project(params, x), recur(params, carry))

    and a cell that declares these three has its input projection taken out of the loop over
    time, and its weight gradients out of the loop backwards. `gated_cell` derives `step` from
    them. All functions take any leading axes, also none.

    Attributes:
      init: `(key, input_size) -> params`.
      initial_carry: `(params, batch_shape) -> carry`, for these leading axes; () for one example.
      step: `(params, carry, x) -> (carry, y)`: one time step, x [..., input], y [..., output].
        A stochastic cell takes a key as fourth argument, None for the deterministic step.
      output_size: size of the last axis of y.
      project: `(params, x) -> z`, the part that needs no carry: one product for all time steps.
      recur: `(params, carry) -> r`, a linear map of the hidden state, of the shape of z.
      update: `(params, carry, z, r) -> (carry, y)`, element by element.
      fast_update: `update` with a derivative of its own (`jax.custom_vjp`), equal to it in value
        and gradient, where that saves memory or time.
      parallel: `(params, carry, xs, mask, resets) -> (carry, ys)`, all time steps at once, exactly
        what a loop over `step` gives; mask and resets [time, ...] may be None.
      over_time: `(scan, params, carry, xs, key) -> (carry, ys)`, for cells made of cells: runs
        each of them over all time steps with the `scan` it is given; a carry may be None.
      stochastic: whether `step` takes a key.
      input_axes: how many axes the input of one example has; 1, or more where it has space too
        (a convolution over pictures [height, width, channels] has 3).
      kind: the name of a published cell whose equations, parameters and carry these are exactly,
        so that a kernel written for it can serve: "lstm". Who replaces a function of a cell takes
        it away too: `cell._replace(step=mine, kind=None)`.
    """

    init: Callable[[Array, int], Params]
    initial_carry: Callable[[Params, tuple[int, ...]], Carry]
    step: Callable[..., tuple[Carry, Array]]
    output_size: int
    project: Callable[[Params, Array], Array] | None = None
    recur: Callable[[Params, Carry], Array] | None = None
    update: Callable[[Params, Carry, Array, Array], tuple[Carry, Array]] | None = None
    fast_update: Callable[[Params, Carry, Array, Array], tuple[Carry, Array]] | None = None
    parallel: Callable[..., tuple[Carry, Array]] | None = None
    over_time: Callable[..., tuple[Carry, Array]] | None = None
    stochastic: bool = False
    input_axes: int = 1
    kind: str | None = None


class SequenceMap(NamedTuple):
    """What runs over time but has no step, since it needs the future; `scan` runs it as a cell.

    Attributes:
      init: `(key, input_size) -> params`.
      initial_carry: `(params, batch_shape) -> carry`.
      over_time: `(scan, params, carry, xs, key) -> (carry, ys)`.
      output_size: size of the last axis of ys.
      input_axes: as of a `Cell`.
    """

    init: Callable[[Array, int], Params]
    initial_carry: Callable[[Params, tuple[int, ...]], Carry]
    over_time: Callable[..., tuple[Carry, Array]]
    output_size: int
    input_axes: int = 1


def gated_cell(
    *,
    init: Callable[[Array, int], Params],
    initial_carry: Callable[[Params, tuple[int, ...]], Carry],
    project: Callable[[Params, Array], Array],
    recur: Callable[[Params, Carry], Array],
    update: Callable[[Params, Carry, Array, Array], tuple[Carry, Array]],
    output_size: int,
    fast_update: Callable[[Params, Carry, Array, Array], tuple[Carry, Array]] | None = None,
) -> Cell:
    """A cell whose step is `update` after `project` and `recur` (see `Cell`)."""

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        return update(params, carry, project(params, x), recur(params, carry))

    return Cell(init, initial_carry, step, output_size, project, recur, update, fast_update)
