"""Running a cell over time."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.kernels import (
    RUNS,
    Choice,
    Request,
    Steps,
    current_platform,
    root_chunk,
    run_in_chunks,
    select,
    vary_like,
)

Backend = Literal["auto", "reference", "deferred", "parallel"]
Remat = Literal["none", "step", "sqrt"] | int


def scan(
    cell: Cell | SequenceMap,
    params: Params,
    carry: Carry | None,
    xs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    remat: Remat = "none",
    key: Array | None = None,
    backend: Backend = "auto",
    return_carries: bool = False,
) -> tuple[Carry, Any]:
    """Runs a cell over the leading axis of `xs`, as `jax.lax.scan` does.

        carry, ys[t] = step(params, carry, xs[t])    for t = 0, 1, 2, ...

    A masked step holds the carry, yields zeros and passes no gradient: what stands in the padding
    changes nothing. A reset step starts from the initial carry, before it reads its input.

    A function of one example under `jax.vmap` costs what the batched call costs, its weight
    gradients included.

    >>> import lstm_jax as lj
    >>> cell = lj.lstm(hidden_size=4)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, ys = scan(cell, params, None, jnp.ones((7, 3, 2)), lengths=jnp.array([7, 5, 0]))
    >>> ys.shape, bool((ys[5:, 1] == 0).all()), bool((carry.cell[2] == 0).all())
    ((7, 3, 4), True, True)

    Args:
      cell: the cell, or a sequence map such as `bidirectional` makes.
      params: its parameters.
      carry: the carry to begin with; None means the initial one.
      xs: inputs [time, ..., input], any number of batch axes, also none.
      lengths: how many leading steps of each example are valid, integers [...].
      mask: which steps are valid, booleans [time, ...]; `lengths` or `mask`, not both.
      resets: where the carry starts anew, booleans [time, ...].
      reverse: run from the last step to the first; outputs keep their places.
      unroll: how many steps one iteration of the compiled loop does.
      remat: what the backward pass computes again instead of keeping it: nothing; "step", the
        inside of every step; "sqrt" or a number, all but the carries between chunks of that many
        steps, so that with "sqrt" memory grows as the square root of time.
      key: randomness of a stochastic cell; without it the cell is deterministic.
      backend: how to run: "reference", "deferred", "parallel", or "auto" for the fastest that is
        exact here; `lstm_jax.explain` says which that is. Forward-mode derivatives (`jax.jvp`)
        need "reference" or "parallel".
      return_carries: also return the carry after every step.

    Returns:
      The carry after the last step, and the outputs [time, ..., output]; with `return_carries`
      a pair of the outputs and of the carries, [time, ...] each.

    Raises:
      ValueError: both `lengths` and `mask` are given, a shape does not fit `xs`, or the backend
        cannot serve.
    """
    if (
        cell.over_time is not None
        and not return_carries
        and (backend != "reference" or isinstance(cell, SequenceMap))
    ):
        inner = functools.partial(
            scan, lengths=lengths, mask=mask, resets=resets, reverse=reverse, unroll=unroll,
            remat=remat, backend=backend,
        )  # fmt: skip
        return cell.over_time(inner, params, carry, xs, key)
    if isinstance(cell, SequenceMap):
        raise ValueError("a sequence map has no carry after each step: return_carries cannot be")
    batch_shape = xs.shape[1 : xs.ndim - cell.input_axes]
    _require_shape("resets", resets, (xs.shape[0], *batch_shape))
    mask = _mask(xs.shape[0], batch_shape, lengths, mask)
    if mask is not None:
        # Else an infinity in the padding would become a NaN in the gradient.
        xs = jnp.where(mask.reshape(mask.shape + (1,) * cell.input_axes), xs, 0)
    choice = select(backend, cell, Request(return_carries, key is not None, current_platform()))
    params = vary_like(params, xs, carry)
    start = vary_like(cell.initial_carry(params, xs.shape[1:-1]), xs, carry)
    keys = jax.random.split(key, xs.shape[0]) if key is not None and cell.stochastic else None
    options: dict[str, Any] = {"reverse": reverse, "unroll": unroll, "carries": return_carries}
    if choice.name == "reference":
        options["remat"] = remat == "step"
    run = functools.partial(_run, RUNS[choice.name], cell, params, start, options)
    steps = Steps(xs, mask, resets, keys)
    _require_carry(carry, start)
    carry = start if carry is None else vary_like(carry, xs)
    chunk = _chunk(remat, xs.shape[0], choice.name)
    if chunk is None:
        return run(carry, steps)
    return run_in_chunks(run, carry, steps, chunk=chunk, reverse=reverse)


def explain(
    cell: Cell,
    xs: Any,
    *,
    backend: Backend = "auto",
    key: Array | None = None,
    return_carries: bool = False,
    **options: Any,
) -> Choice:
    """Which backend `scan` takes for these arguments, and why; printed, it tells the others too.

    >>> import lstm_jax as lj
    >>> print(explain(lj.lstm(4), jnp.ones((7, 3, 2))))
    deferred: input projection before the loop, weight gradients after the backward loop
      not parallel: the cell has no parallel form
      not reference: slower
    """
    del xs, options
    return select(backend, cell, Request(return_carries, key is not None, current_platform()))


def _run(run: Any, cell: Cell, params: Params, start: Carry, options: Any, *args: Any) -> Any:
    carry, steps = args
    return run(cell, params, carry, start, steps, **options)


def _chunk(remat: Remat, length: int, backend: str) -> int | None:
    if remat == "none" or (remat == "step" and backend == "reference"):
        return None
    if remat == "step":
        return 1
    if remat == "sqrt":
        return root_chunk(length)
    if not isinstance(remat, int) or remat < 1:
        raise ValueError(f"remat must be none, step, sqrt or a positive number, got {remat!r}")
    return min(remat, length)


def _mask(
    time: int, batch_shape: tuple[int, ...], lengths: Array | None, mask: Array | None
) -> Array | None:
    if lengths is not None and mask is not None:
        raise ValueError("give lengths or mask, not both")
    _require_shape("mask", mask, (time, *batch_shape))
    _require_shape("lengths", lengths, batch_shape)
    if lengths is None:
        return mask
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
