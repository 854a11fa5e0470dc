"""Recurrent layers behind one another, as the models have them, in Flax linen."""

from collections.abc import Callable, Sequence

from lstm_jax.cells import Cell, bidirectional
from lstm_jax.cells.precision import computing_in
from lstm_jax.flax.linen import RNN


def recurrent_layers(
    cell: Callable[[int], Cell],
    sizes: Sequence[int],
    dtype: str = "float32",
    *,
    both_ways: bool = False,
) -> list[RNN]:
    """Layers called `layer_0`, `layer_1`, ..., to be run over arrays [time, batch, features].

    For `setup` or a compact `__call__` of a module, whose parameters then have these names.

    >>> import lstm_jax as lj
    >>> [(layer.name, layer.cell.output_size) for layer in recurrent_layers(lj.lstm, (8, 4))]
    [('layer_0', 8), ('layer_1', 4)]

    Args:
      cell: makes the cell of a layer from its size.
      sizes: of the layers, the first one first.
      dtype: type of the products.
      both_ways: whether every layer also reads from the end.
    """
    cells = [computing_in(cell(size), dtype) for size in sizes]
    return [
        RNN(bidirectional(cell) if both_ways else cell, time_major=True, name=f"layer_{i}")
        for i, cell in enumerate(cells)
    ]
