"""What the benchmarks time: a layer of ours by cell and backend, ready to be called."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax as lj


class Size(NamedTuple):
    """Of one layer and its input."""

    batch: int
    time: int
    input: int
    hidden: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))


class Layer(NamedTuple):
    """What is to be timed.

    Attributes:
      size: of the layer and its input.
      gradient: the value and its gradients in parameters and inputs, or the value alone.
      dtype: of parameters and inputs.
    """

    size: Size
    gradient: bool
    dtype: str = "float32"


Run = Callable[[], object]  # returns when the work is done
Contestant = Callable[[Layer], Run]


class CannotServeError(ValueError):
    """A contestant that does not run this layer; the others go on."""


def inputs(size: Size) -> np.ndarray:
    """The same numbers for everyone, [time, batch, input]."""
    return np.random.default_rng(0).normal(size=(size.time, size.batch, size.input))


def sum_of_squares(ys: Any) -> jax.Array:
    """The loss of all contestants: its gradient reaches every output."""
    return jnp.sum(ys**2)


def jitted(loss: Callable[..., jax.Array], params: Any, layer: Layer, xs: Any = None) -> Run:
    """A call that computes `loss(params, xs)`, with gradients in both where the layer says so."""
    xs = jnp.asarray(inputs(layer.size) if xs is None else xs, layer.dtype)
    call = jax.jit(jax.value_and_grad(loss, (0, 1)) if layer.gradient else loss)
    return lambda: jax.block_until_ready(call(params, xs))


def cast(params: Any, dtype: str) -> Any:
    """The parameters in this dtype."""
    return jax.tree.map(lambda p: p.astype(dtype), params)


def ours(
    cell_of: Callable[[int], lj.Cell],
    backend: str = "auto",
    *,
    masked: bool = False,
    unroll: int | None = None,
) -> Contestant:
    """A cell of this library.

    Args:
      cell_of: makes the cell from its hidden size.
      backend: as of `lstm_jax.scan`.
      masked: examples of different lengths, from half of the time to all of it.
      unroll: as of `lstm_jax.scan`.
    """

    def make(layer: Layer) -> Run:
        if backend != "auto" and backend not in backends(cell_of, layer, masked=masked):
            raise CannotServeError(f"{backend} cannot run {layer.size}")
        cell = cell_of(layer.size.hidden)
        options = _options(layer, masked)
        run = functools.partial(lj.scan, cell, backend=backend, unroll=unroll, **options)
        return jitted(lambda p, x: sum_of_squares(run(p, None, x)[1]), _params(cell, layer), layer)

    return make


def backends(cell_of: Callable[[int], lj.Cell], layer: Layer, *, masked: bool = False) -> list[str]:
    """The backends that can run this layer, first the one that "auto" takes.

    The one place where a benchmark asks the library which there are.
    """
    size, cell = layer.size, cell_of(layer.size.hidden)
    xs = jax.ShapeDtypeStruct((size.time, size.batch, size.input), layer.dtype)
    params = jax.eval_shape(lambda: _params(cell, layer))
    explain = functools.partial(lj.explain, cell, xs, params=params, **_options(layer, masked))
    taken = explain()

    def serves(name: str) -> bool:
        try:
            explain(backend=name)
        except ValueError:
            return False
        return True

    return [name for name in (taken.name, *taken.others) if serves(name)]


def automatic(
    cell_of: Callable[[int], lj.Cell], layers: Sequence[Layer], *, masked: bool = False
) -> str:
    """Which backend `auto` takes, by size where it is not always the same."""
    taken = {str(layer.size): backends(cell_of, layer, masked=masked)[0] for layer in layers}
    if len(set(taken.values())) == 1:
        return next(iter(taken.values()))
    return "; ".join(f"{name} at {size}" for size, name in taken.items())


def _params(cell: lj.Cell, layer: Layer) -> Any:
    return cast(cell.init(jax.random.key(0), layer.size.input), layer.dtype)


def _options(layer: Layer, masked: bool) -> dict[str, Any]:
    if not masked:
        return {}
    time, batch = layer.size.time, layer.size.batch
    return {"lengths": jnp.linspace(time // 2, time, batch).astype(int)}
