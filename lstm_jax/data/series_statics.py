"""Static covariates of series in long form: numbers as they are, texts as a 0 or 1 for each."""

from collections.abc import Sequence

import numpy as np

from lstm_jax.data.series import SeriesTable
from lstm_jax.data.series_files import Table, read_numbers
from lstm_jax.data.series_grid import Rows
from lstm_jax.errors import UserError, did_you_mean

_MOST_TEXTS = 100


def add_statics(
    table: Table,
    found: SeriesTable,
    groups: Sequence[Rows],
    columns: Sequence[str],
    static_names: Sequence[str] | None,
) -> SeriesTable:
    """The series with their static covariates.

    Args:
      table: the file.
      found: its series, without them.
      groups: the rows of each series.
      columns: where the covariates stand.
      static_names: what they were in training; None to find out.

    Raises:
      UserError: a covariate changes within a series, is missing, or was not there in training.
    """
    first = [int(group.rows[0]) for group in groups]
    parts, names = [np.zeros((len(groups), 0))], []
    for column in columns:
        cells = [_cell_of(table, column, group) for group in groups]
        texts = _texts(table, column, cells, static_names)
        if texts is None:
            parts.append(read_numbers(table, column, may_miss=False)[first, None])
            names.append(column)
            continue
        for row, cell in zip(first, cells, strict=True):
            if cell not in texts:
                raise UserError(
                    f"{table.cell(row, column)}: {cell!r} was not there in training; "
                    f"{did_you_mean(cell, texts)}"
                )
        parts.append(np.array([[cell == text for text in texts] for cell in cells], float))
        names += [f"{column}={text}" for text in texts]
    statics = np.concatenate(parts, axis=1).astype(np.float32)
    series = [each._replace(statics=row) for each, row in zip(found.series, statics, strict=True)]
    return found._replace(series=series, static_names=tuple(names))


def _cell_of(table: Table, column: str, group: Rows) -> str:
    cells, rows = table.cells(column), group.rows.tolist()
    for row in rows:
        if cells[row] != cells[rows[0]]:
            raise UserError(
                f"{table.cell(row, column)}: {cells[row]!r} is another than in line "
                f"{table.lines[rows[0]]}; a static covariate is the same in all rows of a series "
                f"({group.names[0]!r})"
            )
    return cells[rows[0]].strip()


def _texts(
    table: Table, column: str, cells: Sequence[str], static_names: Sequence[str] | None
) -> list[str] | None:
    """The texts that a covariate may be; None if it is a number."""
    if static_names is not None:
        begin = f"{column}="
        known = [name.removeprefix(begin) for name in static_names if name.startswith(begin)]
        return None if column in static_names else known
    try:
        list(map(float, cells))
    except ValueError:
        found = sorted(set(cells))
        if len(found) <= _MOST_TEXTS:
            return found
        raise UserError(
            f"{table.where}: column {column!r} holds {len(found):,} different texts, and as a "
            f"static covariate it may hold {_MOST_TEXTS}"
        ) from None
    return None
