"""A cell over time with every product that can be taken out of the loop taken out of it.

For a cell that declares project, recur and update (see `lstm_jax.cells.Cell`):

    forward     z = project(params, xs)                        all steps at once, if derived
                carry, y = update(params, carry, z[t], recur(params, carry))
    backward    a scan of the carry's cotangent alone, which yields dz[t] and dr[t]
                d recur / d params from all dr at once          one product over time and batch
                d project / d (params, xs) from all dz at once  one product over time and batch

JAX's own derivative of a scan adds up the gradient of the recurrent weights step by step, which
reads and writes a matrix of their size in every step.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.kernels import reference
from lstm_jax.kernels.backend import Backend, Request
from lstm_jax.kernels.batching import run_batched
from lstm_jax.kernels.dependence import merge, reads, split
from lstm_jax.kernels.steps import Steps, choose, zeros_where_not


def run(
    cell: Cell,
    params: Params,
    carry: Carry,
    start: Carry,
    steps: Steps,
    *,
    reverse: bool = False,
    unroll: int = 1,
    carries: bool = False,
) -> tuple[Carry, Any]:
    """Equals `lstm_jax.kernels.reference.run`, in value and gradient, for a gated cell."""
    loop = _Loop(cell, reverse, unroll, carries)
    return run_batched(loop, params, (carry, start), (steps.xs, steps.mask, steps.resets))


@dataclasses.dataclass(frozen=True)
class _Loop:
    """A loop `(params, (carry, start), (xs, mask, resets)) -> (carry, outputs)`."""

    cell: Cell
    reverse: bool
    unroll: int
    carries: bool

    def __call__(self, params: Params, carries: Any, inputs: Any) -> Any:
        return _loop(self, params, carries, inputs)

    def scan(self, step: Any, carry: Any, xs: Any, *, backwards: bool = False) -> Any:
        return jax.lax.scan(step, carry, xs, reverse=self.reverse != backwards, unroll=self.unroll)

    def outputs(self, y: Array, carry: Carry) -> Any:
        return (y, carry) if self.carries else y


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _loop(loop: _Loop, params: Params, carries: Any, inputs: Any) -> Any:
    # Without a derivative the projection stays in the loop: on a CPU it was measured faster there
    # (experiments/benchmarks), since its result need not go through memory.
    carry, start = carries
    return reference.run(
        loop.cell,
        params,
        carry,
        start,
        Steps(*inputs),
        reverse=loop.reverse,
        unroll=loop.unroll,
        carries=loop.carries,
    )


def _forward(loop: _Loop, params: Params, carries: Any, inputs: Any) -> tuple[Any, Any]:
    """The loop, which also keeps what the derivatives of update and recur need."""
    cell, (carry, start), (xs, *rest) = loop.cell, carries, inputs
    assert cell.project is not None
    assert cell.recur is not None
    recur, update = cell.recur, cell.fast_update or cell.update
    in_update, in_recur = _dependence(cell, params, start)
    leaves, structure = jax.tree.flatten(params)
    own, others = split(leaves, in_update)

    def apply(own: Any, before: Carry, z: Array, r: Array) -> tuple[Carry, Array]:
        assert update is not None
        return update(structure.unflatten(merge(own, others, in_update)), before, z, r)

    def step(carry: Carry, at: Any) -> tuple[Carry, Any]:
        z, mask, resets = at
        before = carry if resets is None else choose(resets, start, carry)
        (new, y), pull = jax.vjp(apply, own, before, z, recur(params, before))
        new = choose(mask, new, before)
        read, _ = split(jax.tree.leaves(before), in_recur)
        return new, (loop.outputs(zeros_where_not(mask, y), new), read, pull)

    z = cell.project(params, xs)
    carry, (outputs, read, pulls) = loop.scan(step, carry, (z, *rest))
    return (carry, outputs), (params, start, inputs, read, pulls)


def _backward(loop: _Loop, kept: Any, cotangents: Any) -> tuple[Any, Any, Any]:
    """A scan of cotangents against the direction of the loop, then the weights' gradients."""
    params, start, (xs, mask, resets), read, pulls = kept
    assert loop.cell.project is not None
    assert loop.cell.recur is not None
    d_carry, d_outputs = cotangents
    in_update, in_recur = _dependence(loop.cell, params, start)
    into_carry = _recur_transposed(loop.cell, params, start, in_recur)

    def step(state: Any, at: Any) -> tuple[Any, Any]:
        d_carry, d_start, d_own = state
        d_y, mask, resets, pull = at
        if loop.carries:
            d_y, d_carry = d_y[0], _add(d_carry, d_y[1])
        d_new, d_y = zeros_where_not(mask, d_carry), zeros_where_not(mask, d_y)
        own, d_before, d_z, d_r = pull((d_new, d_y))
        d_before = choose(mask, _add(d_before, into_carry(d_r)), d_carry)
        if resets is not None:
            d_start = _add(d_start, zeros_where_not(resets, d_before))
            d_before = zeros_where_not(~resets, d_before)
        # An update of z + r has one cotangent for both, which is then written once.
        d_gates = (d_z,) if d_r is d_z else (d_z, d_r)
        return (d_before, d_start, _add(d_own, own)), d_gates

    own, _ = split(jax.tree.leaves(params), in_update)
    state = (d_carry, *jax.tree.map(jnp.zeros_like, (start, own)))
    (d_carry, d_start, d_own), d_gates = loop.scan(
        step, state, (d_outputs, mask, resets, pulls), backwards=True
    )
    # The rest takes every step of every example alike.
    axes = xs.ndim - loop.cell.input_axes
    hidden = _flat(_all_carries(start, read, in_recur, len(xs)), axes)
    d_z, d_r = _flat((d_gates[0], d_gates[-1]), axes)
    recur = loop.cell.recur
    (d_params,) = jax.vjp(lambda params: recur(params, hidden), params)[1](d_r)
    d_params = _add_to_own(d_params, d_own, in_update)
    d_projected, d_xs = jax.vjp(loop.cell.project, params, _flat(xs, axes))[1](d_z)
    d_inputs = (d_xs.reshape(xs.shape), None, None)
    return _add(d_params, d_projected), (d_carry, d_start), d_inputs


_loop.defvjp(_forward, _backward)


def _dependence(cell: Cell, params: Params, carry: Carry) -> tuple[list[bool], list[bool]]:
    """Which parameters the update reads, and which parts of the carry the recurrence reads."""
    assert cell.recur is not None
    assert cell.update is not None
    r = jax.eval_shape(cell.recur, params, carry)
    in_update = reads(cell.update, params, carry, r, r)[: len(jax.tree.leaves(params))]
    in_recur = reads(cell.recur, params, carry)[len(in_update) :]
    return in_update, in_recur


def _recur_transposed(cell: Cell, params: Params, like: Carry, in_recur: list[bool]) -> Any:
    """The map from the cotangent of `recur` to that of the carry."""
    leaves, structure = jax.tree.flatten(like)
    read, others = split(leaves, in_recur)

    def recur(read: Any) -> Array:
        assert cell.recur is not None
        zeros = [jnp.zeros_like(leaf) for leaf in others]
        return cell.recur(params, structure.unflatten(merge(read, zeros, in_recur)))

    transposed = jax.linear_transpose(recur, read)

    def into_carry(d_r: Array) -> Carry:
        zeros = [jnp.zeros_like(leaf) for leaf in others]
        (d_read,) = transposed(d_r)
        return structure.unflatten(merge(d_read, zeros, in_recur))

    return into_carry


def _all_carries(like: Carry, read: Any, in_recur: list[bool], length: int) -> Carry:
    """The carries of all steps, with zeros in place of what `recur` does not read."""
    leaves, structure = jax.tree.flatten(like)
    _, others = split(leaves, in_recur)
    unread = [jnp.zeros((length, *leaf.shape), leaf.dtype) for leaf in others]
    return structure.unflatten(merge(read, unread, in_recur))


def _flat(tree: Any, axes: int) -> Any:
    """Arrays with their leading axes, time and batch, made one.

    On a CPU, XLA was measured up to six times slower at a product summed over two axes than at the
    same one summed over one (experiments/benchmarks). Over several devices the axes stay as they
    are: one of them may be spread out, and the other not.
    """
    if jax.device_count() > 1:
        return tree
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[axes:]), tree)


def _add_to_own(gradient: Params, d_own: Any, in_update: list[bool]) -> Params:
    """The gradient with that of the update's own parameters added."""
    leaves, structure = jax.tree.flatten(gradient)
    own, others = split(leaves, in_update)
    return structure.unflatten(merge(_add(own, d_own), others, in_update))


def _add(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)


def _lacking(cell: Cell, request: Request) -> str | None:
    if cell.project is None or cell.recur is None or cell.update is None:
        return "the cell declares no project, recur and update"
    if not request.float_carry:
        return "the carry holds what has no derivative, as integers"
    return None


BACKEND = Backend(
    name="deferred",
    run=run,
    reason="input projection before the loop, weight gradients after the backward loop",
    lacking=_lacking,
)
