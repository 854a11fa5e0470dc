"""One call of `lstm_jax.scan`: its arguments checked, a backend chosen, and run."""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.cells.varying import vary_like
from lstm_jax.kernels.backend import Backend, Request, current_platform, dtypes_of
from lstm_jax.kernels.chunks import root_chunk, run_in_chunks
from lstm_jax.kernels.selection import BACKENDS, Choice, select
from lstm_jax.kernels.steps import Steps

BackendName = Literal["auto", "reference", "deferred", "parallel", "native", "cudnn"]
Remat = Literal["none", "step", "sqrt"] | int

# Steps of an iteration of the loop, where nothing is said. A GPU waits between iterations: on an
# H200 eight steps in one halve the time of an LSTM layer; on a CPU they gain nothing.
_UNROLL = {"cuda": 8}


def run_over_time(
    cell: Cell | SequenceMap,
    params: Params,
    carry: Carry | None,
    xs: Array,
    *,
    note: Callable[[Params, Choice], None],
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    reverse: bool = False,
    unroll: int | None = None,
    remat: Remat = "none",
    key: Array | None = None,
    backend: BackendName = "auto",
    return_carries: bool = False,
) -> tuple[Carry, Any]:
    """`lstm_jax.scan`, which hands every choice of a backend to `note`, with its parameters."""
    if is_run_by_its_cells(cell, backend, return_carries):
        assert cell.over_time is not None
        inner = functools.partial(
            run_over_time, note=note, lengths=lengths, mask=mask, resets=resets, reverse=reverse,
            unroll=unroll, remat=remat, backend=backend,
        )  # fmt: skip
        return cell.over_time(inner, params, carry, xs, key)
    if isinstance(cell, SequenceMap):
        raise ValueError("a sequence map has no carry after each step: return_carries cannot be")
    batch_shape = xs.shape[1 : xs.ndim - cell.input_axes]
    mask, resets = _as_flags(mask), _as_flags(resets)
    _require_shape("resets", resets, (xs.shape[0], *batch_shape))
    valid = _mask(xs.shape[0], batch_shape, lengths, mask)
    if valid is not None:
        # Else an infinity in the padding would become a NaN in the gradient.
        xs = jnp.where(valid.reshape(valid.shape + (1,) * cell.input_axes), xs, 0)
    params = vary_like(params, xs, carry)
    start = vary_like(cell.initial_carry(params, xs.shape[1:-1]), xs, carry)
    _require_carry(carry, start)
    carry = start if carry is None else vary_like(carry, xs)
    asked = request(
        cell, params, carry, xs, lengths=lengths, mask=mask, resets=resets, reverse=reverse,
        return_carries=return_carries, key=key,
    )  # fmt: skip
    choice = select(backend, cell, asked)
    note(params, choice)
    taken = BACKENDS[choice.name]
    keys = jax.random.split(key, xs.shape[0]) if key is not None and cell.stochastic else None
    if unroll is None:
        unroll = _UNROLL.get(asked.platform, 1)
    options: dict[str, Any] = {"reverse": reverse, "unroll": unroll, "carries": return_carries}
    if taken.remat:
        options["remat"] = remat == "step"
    run = functools.partial(_run, taken.run, cell, params, start, options)
    steps = Steps(xs, valid, resets, keys)
    chunk = _chunk(remat, xs.shape[0], taken)
    if chunk is None:
        return run(carry, steps)
    return run_in_chunks(run, carry, steps, chunk=chunk, reverse=reverse)


def is_run_by_its_cells(
    cell: Cell | SequenceMap, backend: BackendName | None, return_carries: bool
) -> bool:
    """Whether a cell made of cells, or a sequence map, runs its cells one by one over time."""
    if cell.over_time is None or return_carries:
        return False
    return backend != "reference" or isinstance(cell, SequenceMap)


def request(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    reverse: bool = False,
    return_carries: bool = False,
    key: Array | None = None,
) -> Request:
    """What `scan` with these arguments asks of a backend."""
    carried = jax.tree.leaves(carry)
    batch = math.prod(xs.shape[1 : xs.ndim - cell.input_axes])
    return Request(
        platform=current_platform(),
        dtypes=dtypes_of(xs, params, carry),
        float_carry=all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in carried),
        carry_size=sum(leaf.size for leaf in carried) // max(1, batch),
        time=xs.shape[0],
        batch=batch,
        input_size=xs.shape[-1],
        mask="lengths" if lengths is not None else "none" if mask is None else "any",
        resets=resets is not None,
        reverse=reverse,
        carries=return_carries,
        random=key is not None,
    )


def _run(run: Any, cell: Cell, params: Params, start: Carry, options: Any, *args: Any) -> Any:
    carry, steps = args
    return run(cell, params, carry, start, steps, **options)


def _chunk(remat: Remat, length: int, backend: Backend) -> int | None:
    if remat == "none" or (remat == "step" and backend.remat):
        return None
    if remat == "step":
        return 1
    if remat == "sqrt":
        return root_chunk(length)
    if not isinstance(remat, int) or remat < 1:
        raise ValueError(f"remat must be none, step, sqrt or a positive number, got {remat!r}")
    return min(remat, length)


def _as_flags(flags: Array | None) -> Array | None:
    """Booleans of what is often given as 0 and 1."""
    return None if flags is None else jnp.asarray(flags).astype(bool)


def _mask(
    time: int, batch_shape: tuple[int, ...], lengths: Array | None, mask: Array | None
) -> Array | None:
    if lengths is not None and mask is not None:
        raise ValueError("give lengths or mask, not both")
    _require_shape("mask", mask, (time, *batch_shape))
    _require_shape("lengths", lengths, batch_shape)
    if lengths is None:
        return mask
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"lengths must be integers, got {lengths.dtype}")
    return jnp.arange(time).reshape(-1, *[1] * len(batch_shape)) < lengths


def _require_carry(carry: Carry | None, start: Carry) -> None:
    if carry is None:
        return
    given, needed = jax.tree.map(jnp.shape, carry), jax.tree.map(jnp.shape, start)
    if jax.tree.structure(carry) != jax.tree.structure(start) or given != needed:
        raise ValueError(f"the carry does not fit: needed are the shapes {needed}, got {given}")


def _require_shape(name: str, array: Array | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape} to fit xs, got {array.shape}")
