"""Running a cell over time."""

from typing import Any

import jax

from lstm_jax.cells import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.kernels import BackendName, Choice, Remat, is_run_by_its_cells, run_over_time


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
    unroll: int | None = None,
    remat: Remat = "none",
    key: Array | None = None,
    backend: BackendName = "auto",
    return_carries: bool = False,
) -> tuple[Carry, Any]:
    """Runs a cell over the leading axis of `xs`, as `jax.lax.scan` does.

        carry, ys[t] = step(params, carry, xs[t])    for t = 0, 1, 2, ...

    A masked step holds the carry, yields zeros and passes no gradient: what stands in the padding
    changes nothing. A reset step starts from the initial carry, before it reads its input.

    A function of one example under `jax.vmap` costs what the batched call costs, its weight
    gradients included.

    >>> import jax.numpy as jnp, lstm_jax as lj
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
      unroll: how many steps one iteration of the compiled loop does; None for what was measured to
        be fast: 1 on CPUs, 8 on NVIDIA GPUs.
      remat: what the backward pass computes again instead of keeping it: nothing; "step", the
        inside of every step; "sqrt" or a number, all but the carries between chunks of that many
        steps, so that with "sqrt" memory grows as the square root of time.
      key: randomness of a stochastic cell; without it the cell is deterministic.
      backend: how to run: "reference", "deferred", "parallel", "native", "cudnn", or "auto" for
        the fastest that is exact here; `lstm_jax.explain` says which that is. Forward-mode
        derivatives (`jax.jvp`) need "reference" or "parallel".
      return_carries: also return the carry after every step.

    Returns:
      The carry after the last step, and the outputs [time, ..., output]; with `return_carries`
      a pair of the outputs and of the carries, [time, ...] each.

    Raises:
      ValueError: both `lengths` and `mask` are given, a shape does not fit `xs`, or the backend
        cannot serve.
    """
    return run_over_time(
        cell, params, carry, xs, note=_no_note, lengths=lengths, mask=mask, resets=resets,
        reverse=reverse, unroll=unroll, remat=remat, key=key, backend=backend,
        return_carries=return_carries,
    )  # fmt: skip


def explain(
    cell: Cell | SequenceMap,
    xs: Any,
    *,
    params: Params | None = None,
    carry: Carry | None = None,
    **options: Any,
) -> Choice:
    """Which backend `scan` takes for these arguments, and why; printed, it tells the others too.

    Of a cell made of cells, as `stack` and `bidirectional` make, it tells this for every one.
    Nothing is computed: the run is traced.

    >>> import jax.numpy as jnp, lstm_jax as lj
    >>> print(explain(lj.gru(4), jnp.ones((7, 3, 2))))
    deferred: input projection before the loop, weight gradients after the backward loop
      not native: the C++ kernels have the plain and the convolutional LSTM alone
      not parallel: the cell has no parallel form
      not reference: slower
      not cudnn: cuDNN needs an NVIDIA GPU, and programs run on cpu here
    >>> layers = explain(lj.stack([lj.gru(4), lj.min_gru(4)]), jnp.ones((7, 3, 2))).layers
    >>> {path: choice.name for path, choice in layers.items()}
    {'layer_0': 'deferred', 'layer_1': 'parallel'}

    Args:
      cell: the cell.
      xs: the inputs, or a `jax.ShapeDtypeStruct` of them.
      params: the parameters, if their types are not those of `init`.
      carry: the carry, if its types are not those of the initial one.
      **options: those of `scan`.

    Raises:
      ValueError: as `scan`.
    """
    arrays = {
        name: options.pop(name)
        for name in ("lengths", "mask", "resets", "key")
        if options.get(name) is not None
    }
    if params is None:
        params = jax.eval_shape(lambda key: cell.init(key, xs.shape[-1]), jax.random.key(0))
    choices: dict[str, Choice] = {}

    def trace(params: Params, carry: Carry | None, xs: Array, arrays: dict[str, Array]) -> Any:
        def note(inner: Params, choice: Choice) -> None:
            path = _path(params, inner) or "cell"
            names = (path, *(f"{path}#{i + 2}" for i in range(len(choices))))
            choices[next(name for name in names if name not in choices)] = choice

        return run_over_time(cell, params, carry, xs, note=note, **arrays, **options)

    jax.eval_shape(trace, params, carry, xs, arrays)
    if is_run_by_its_cells(cell, options.get("backend"), options.get("return_carries", False)):
        return Choice("over_time", "every cell inside over all time steps", {}, choices)
    return choices["cell"]


def _no_note(params: Params, choice: Choice) -> None:
    del params, choice


def _path(params: Params, inner: Params) -> str | None:
    """Where in these parameters the others are, as `layer_0.forward`; "" if they are the same."""
    if params is inner:
        return ""
    if isinstance(params, dict):
        for name, child in params.items():
            found = _path(child, inner)
            if found is not None:
                return f"{name}.{found}".rstrip(".")
    return None
