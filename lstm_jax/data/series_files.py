"""Columns of CSV files as numbers and times; what is none is told with its line and column."""

import csv
import datetime
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.data.files import read_text
from lstm_jax.errors import UserError, did_you_mean

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "?"})
_TRUTH = {"true": 1.0, "false": 0.0}


class Table(NamedTuple):
    """A CSV file with names in its first row.

    Attributes:
      where: the config field and the file, for messages.
      columns: the cells of every column, as they stand.
      lines: the line of every row, from 1.
    """

    where: str
    columns: Mapping[str, tuple[str, ...]]
    lines: Sequence[int]

    def cells(self, name: str) -> tuple[str, ...]:
        """The cells of a column.

        Raises:
          UserError: there is none of this name.
        """
        if name not in self.columns:
            raise UserError(
                f"{self.where} has no column {name!r} in its first row; "
                f"{did_you_mean(name, self.columns)}"
            )
        return self.columns[name]

    def cell(self, row: int, name: str) -> str:
        """Where a cell stands, for messages."""
        return f"{self.where}, line {self.lines[row]}, column {name!r}"


def read_table(where: str, path: str) -> Table:
    """Reads a CSV file whose columns are parted by commas, semicolons or tabs.

    Args:
      where: the config field that names the file, for messages.
      path: the file, in UTF-8.

    Raises:
      UserError: it cannot be read, has no row, a column twice, or a row of another width.
    """
    file = Path(path).expanduser()
    text = read_text(where, file)
    what = f"{where}: {file}"
    first = text.lstrip().split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{what}, line {reader.line_num}: {error}") from None
    header = [name.strip() for name in rows[0][1]]
    twice = [name for i, name in enumerate(header) if name in header[:i]]
    if twice:
        raise UserError(f"{what}: its first row names column {twice[0]!r} twice")
    if len(rows) == 1:
        raise UserError(f"{what} has no row below the names of its columns")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{what}, line {line}: has {len(row)} cell(s), and its first row {len(header)}"
            )
    lines, cells = zip(*rows[1:], strict=True)
    return Table(what, dict(zip(header, zip(*cells, strict=True), strict=True)), lines)


def read_numbers(table: Table, name: str, *, may_miss: bool) -> np.ndarray:
    """A column as float64 [rows]; NaN where a value is missing.

    Missing is an empty cell, and one with nan, NA, n/a, null, none or ? in it; true and false are
    1 and 0.

    Args:
      table: the file.
      name: the column.
      may_miss: whether values may be missing.

    Raises:
      UserError: there is no such column, or a cell holds no number that can be used.
    """
    cells = table.cells(name)
    try:
        found = np.array(list(map(float, cells)))
    except ValueError:
        found = np.array([_number(table, name, row, cell) for row, cell in enumerate(cells)])
    if not may_miss and np.isnan(found).any():
        row = int(np.isnan(found).argmax())
        raise UserError(
            f"{table.cell(row, name)}: is missing, and what is known ahead must be known everywhere"
        )
    unusable = np.isinf(found) | (np.abs(found) > np.finfo(np.float32).max)
    if unusable.any():
        row = int(unusable.argmax())
        kind = "is infinite" if math.isinf(found[row]) else "is too large for 32 bits"
        raise UserError(f"{table.cell(row, name)}: {cells[row]!r} {kind}")
    return found


def _number(table: Table, name: str, row: int, cell: str) -> float:
    text = cell.strip().lower()
    if text in _MISSING:
        return math.nan
    if text in _TRUTH:
        return _TRUTH[text]
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{table.cell(row, name)}: {cell!r} is no number") from None


def read_times(table: Table, name: str, time_format: str | None) -> np.ndarray:
    """A column as datetime64[s] [rows]; those with an offset from UTC become UTC.

    Args:
      table: the file.
      name: the column.
      time_format: as of `datetime.strptime`; None for ISO 8601, of which a year or a year and a
        month are enough.

    Raises:
      UserError: there is no such column, a cell holds no time, or some have an offset and some not.
    """
    cells = table.cells(name)
    parse: Callable[[str], datetime.datetime] = _iso
    if time_format is not None:
        parse = lambda cell: datetime.datetime.strptime(cell, time_format)  # noqa: E731
    found = []
    for row, cell in enumerate(cells):
        try:
            found.append(parse(cell.strip()))
        except ValueError:
            kind = (
                f"of the form {time_format!r}" if time_format else "in ISO 8601, 2024-01-31 18:30"
            )
            raise UserError(
                f"{table.cell(row, name)}: {cell!r} is no time {kind}; data.time_format says what "
                "times look like"
            ) from None
    aware = [time.tzinfo is not None for time in found]
    for row, (time, has_offset) in enumerate(zip(found, aware, strict=True)):
        if has_offset != aware[0]:
            raise UserError(
                f"{table.cell(row, name)}: {cells[row]!r} has {'an' if has_offset else 'no'} "
                f"offset from UTC, and line {table.lines[0]} has {'none' if has_offset else 'one'}"
            )
        if time.microsecond:
            raise UserError(f"{table.cell(row, name)}: {cells[row]!r} has parts of a second")
    if aware[0]:
        found = [time.astimezone(datetime.UTC).replace(tzinfo=None) for time in found]
    return np.array(found, "datetime64[s]")


def _iso(text: str) -> datetime.datetime:
    if len(text) in (4, 7):  # a year, or a year and a month
        text = f"{text}{'-01-01'[: 10 - len(text)] if len(text) == 4 else '-01'}"
    return datetime.datetime.fromisoformat(text)
