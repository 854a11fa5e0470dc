"""Gates over an evaluation: how open they are, and whether any has died."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params, gates
from lstm_jax.data.loader import RandomAccess
from lstm_jax.flax.linen import RNN
from lstm_jax.recurrence import scan
from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Batch

SHUT, OPEN = 0.05, 0.95
_DEAD = 0.9  # share of a gate's units
_READABLE = {"lengths", "mask", "resets", "remat", "unroll", "backend", "key"}


class _Seen(NamedTuple):
    """What was seen of a gate at all valid steps: mean and shares, and the range of every unit."""

    mean: Array
    shut: Array
    open: Array
    low: Array
    high: Array


class GateReport(NamedTuple):
    """What there is to say of the gates of a model.

    Attributes:
      figures: `gates/LAYER/GATE/mean`, and the shares of its activations that are `shut`, below
        0.05, and `open`, above 0.95, on the first batch of the evaluation.
      warnings: a sentence for every gate of which nine units in ten never left one of these
        ranges in the whole evaluation.
    """

    figures: dict[str, float]
    warnings: list[str]


def make_look_at_gates(
    learner: Learner, put: Callable[[Batch, int], Any] = lambda batch, size: batch
) -> Callable[[Any, RandomAccess, int], GateReport]:
    """A function `(params, batches, batch_size) -> report`, for any model of linen `RNN` layers.

    The loss is traced with every `RNN` looked into; layers of cells whose gates are not known
    (see `lstm_jax.cells.gates`) are left out. A. Karpathy, J. Johnson and L. Fei-Fei,
    "Visualizing and Understanding Recurrent Networks", arXiv 1506.02078, show such shares.

    The whole evaluation is read only while some gate may be dead: usually that is one batch.

    Args:
      learner: whose loss runs the model.
      put: places a batch of this size on the devices.
    """

    @jax.jit
    def look(params: Any, carry: Any, batch: Batch) -> tuple[Any, dict[str, dict[str, _Seen]]]:
        found: dict[str, dict[str, _Seen]] = {}
        with nn.intercept_methods(functools.partial(_intercept, found)):
            _, carry, _ = learner.loss(params, carry, batch, None)
        return carry, found

    first_carry = jax.jit(learner.initial_carry, static_argnums=1)

    def look_at_gates(params: Any, batches: RandomAccess, batch_size: int) -> GateReport:
        carry = first_carry(params, batch_size)
        carry, first = look(params, carry, put(batches[0], batch_size))
        figures = {
            f"gates/{layer}/{gate}/{name}": float(value)
            for layer, gate, seen in _each(jax.device_get(_shares(first)))
            for name, value in seen.items()
        }
        seen, dead = first, jax.device_get(_dead(first))
        for i in range(1, len(batches)):
            if not any(share >= _DEAD for _, _, pair in _each(dead) for share in pair):
                break
            carry, more = look(params, carry, put(batches[i], batch_size))
            seen = _merge(seen, more)
            dead = jax.device_get(_dead(seen))
        return GateReport(figures, [*_warnings(dead)])

    return look_at_gates


def _intercept(
    found: dict[str, dict[str, _Seen]], call: Any, arguments: Any, options: Any, context: Any
) -> Any:
    """Looks into every call of an `RNN`; its result is what it would be."""
    layer = context.module
    if isinstance(layer, RNN) and context.method_name == "__call__":
        params = layer.get_variable("params", "cell")
        seen = _see(layer, params, *arguments, **options)
        if seen:
            name = "/".join(layer.path) or "cell"
            found[name if name not in found else f"{name}#{len(found)}"] = seen
    return call(*arguments, **options)


def _see(
    layer: RNN, params: Params, xs: Array, carry: Carry | None = None, **options: Any
) -> dict[str, _Seen]:
    cell = layer.cell
    if not isinstance(cell, Cell) or cell.input_axes != 1 or xs.ndim < 2:
        return {}
    if any(value for name, value in options.items() if name not in _READABLE):
        return {}  # backwards, for instance
    given = {name: options[name] for name in ("mask", "resets") if options.get(name) is not None}
    if not layer.time_major:
        xs, given = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, xs.ndim - 2, 0), (xs, given))
    if (lengths := options.get("lengths")) is not None:
        given["mask"] = jnp.arange(len(xs)).reshape(-1, *[1] * lengths.ndim) < lengths
    anew = cell.initial_carry(params, xs.shape[1:-1])
    start = anew if carry is None else carry
    if not gates(cell, params, start, xs[0]):
        return {}
    before = _carries_before(cell, params, start, anew, xs, given)
    valid = given.get("mask", jnp.ones(xs.shape[:-1], bool))[..., None]
    return {k: _summarize(gate, valid) for k, gate in gates(cell, params, before, xs).items()}


def _carries_before(
    cell: Cell, params: Params, start: Carry, anew: Carry, xs: Array, given: Mapping[str, Array]
) -> Carry:
    """The carry that each step starts from, [time, ...]."""
    options: Any = {**given, "backend": "reference", "return_carries": True}
    _, (_, carries) = scan(cell, params, start, xs, **options)
    resets = given.get("resets", jnp.zeros(xs.shape[:-1], bool))[..., None]

    def shift(first: Array, new: Array, after: Array) -> Array:
        before = jnp.concatenate([first[None].astype(after.dtype), after[:-1]])
        return jnp.where(resets, new, before)

    return jax.tree.map(shift, start, anew, carries)


def _summarize(gate: Array, valid: Array) -> _Seen:
    """Of a gate [time, ..., hidden], what is seen at the steps that are valid [time, ..., 1]."""
    gate = gate.astype(jnp.float32)
    valid = jnp.broadcast_to(valid, gate.shape)
    axes = tuple(range(gate.ndim - 1))
    return _Seen(
        mean=jnp.mean(gate, where=valid),
        shut=jnp.mean(gate < SHUT, where=valid),
        open=jnp.mean(gate > OPEN, where=valid),
        # A batch without a valid step says nothing of any unit.
        low=jnp.min(gate, axes, where=valid, initial=1.0),
        high=jnp.max(gate, axes, where=valid, initial=0.0),
    )


@jax.jit
def _merge(one: Any, other: Any) -> Any:
    """What was seen together; the shares stay those of the first batch."""

    def merge(a: _Seen, b: _Seen) -> _Seen:
        return a._replace(low=jnp.minimum(a.low, b.low), high=jnp.maximum(a.high, b.high))

    return jax.tree.map(merge, one, other, is_leaf=lambda leaf: isinstance(leaf, _Seen))


def _shares(found: Any) -> Any:
    return _map(
        lambda seen: {name: getattr(seen, name) for name in ("mean", "shut", "open")}, found
    )


@jax.jit
def _dead(found: Any) -> Any:
    """For every gate, which share of its units was never but shut, and never but open."""
    return _map(
        lambda seen: (
            jnp.mean((seen.high < SHUT) & (seen.low <= seen.high)),
            jnp.mean((seen.low > OPEN) & (seen.low <= seen.high)),
        ),
        found,
    )


def _map(function: Callable[[_Seen], Any], found: Any) -> Any:
    return jax.tree.map(function, found, is_leaf=lambda leaf: isinstance(leaf, _Seen))


def _each(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for layer, by_gate in found.items():
        for gate, value in by_gate.items():
            yield layer, gate, value


def _warnings(dead: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> Iterator[str]:
    for layer, gate, (shut, opened) in _each(dead):
        for share, where in ((shut, f"below {SHUT}"), (opened, f"above {OPEN}")):
            if share >= _DEAD:
                yield (
                    f"{layer}: {share:.0%} of the units of the {gate} gate stayed {where} "
                    "in the whole evaluation"
                )
