"""The check that the cell of a config can be made of its size."""

from collections.abc import Callable

from lstm_jax.cells import Cell
from lstm_jax.errors import ConfigError


def sized_cell(cell: Callable[[int], Cell], size: int) -> Cell:
    """The cell of a size, so that one that does not fit is told before any work begins.

    >>> from lstm_jax import lstm
    >>> sized_cell(lstm, 8).output_size
    8

    Args:
      cell: from a size to a cell.
      size: memory cells.

    Raises:
      ConfigError: there is no such cell of this size.
    """
    try:
        return cell(size)
    except ValueError as error:
        raise ConfigError(f"cell: {error}") from None
