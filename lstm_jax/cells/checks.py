"""Checks that cells share: each error names the argument, what is allowed, and what it got."""

import numbers
from collections.abc import Iterable
from typing import Any

from lstm_jax.cells.cell import Cell


def require_sizes(least: int = 1, **sizes: int | None) -> None:
    """Checks that sizes are whole numbers from `least` on; None, where there is none, passes.

    Raises:
      ValueError: one is not.
    """
    for name, size in sizes.items():
        if size is None:
            continue
        if not isinstance(size, numbers.Integral):
            raise ValueError(f"{name} must be a whole number, got {size!r}")
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")


def require_choices(choices: Iterable[str], **names: str) -> None:
    """Checks that names are among those there are.

    Raises:
      ValueError: one is not.
    """
    choices = list(choices)
    for argument, name in names.items():
        if name not in choices:
            known = ", ".join(map(repr, choices))
            raise ValueError(f"{argument} must be one of {known}, got {name!r}")


def require_rates(**rates: float) -> None:
    """Checks that rates of dropout leave something.

    Raises:
      ValueError: one is not in [0, 1).
    """
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name} must be in [0, 1), got {rate}")


def require_step(what: str, cell: Any) -> None:
    """Checks that what is to be changed step by step has steps.

    Raises:
      ValueError: it is a sequence map, such as `bidirectional` makes.
    """
    if not isinstance(cell, Cell):
        raise ValueError(f"{what} needs a cell, got a {type(cell).__name__}: wrap the cells in it")
