"""Rows of a file put onto the steps of a frequency; what does not fit is told with its line."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.data.calendar import Frequency
from lstm_jax.data.infer_frequency import infer_frequency
from lstm_jax.data.series import Series, SeriesTable, missing_notes, require_sound
from lstm_jax.data.series_files import Table, read_numbers, read_times
from lstm_jax.errors import UserError

# Rows must fill this share of the steps: a frequency found in neighbours may fit them by chance,
# and one that was named may be a slip of the pen that would fill the memory.
_LEAST_INFERRED, _LEAST_NAMED = 0.5, 0.001


class Times(NamedTuple):
    """How the times of a file are read.

    Attributes:
      column: where they stand.
      format: as of `datetime.strptime`; None for ISO 8601.
      frequency: of the series; None to infer it.
      zone: where days begin and end; None to take times as they are written.
    """

    column: str
    format: str | None
    frequency: Frequency | None
    zone: str | None


class Rows(NamedTuple):
    """The rows of a file that share their times: of all series in wide form, of one in long form.

    Attributes:
      rows: numbers of the rows, int64.
      names: of the series.
      columns: in which their values stand.
      values: float64 [rows, series], NaN where one is missing.
    """

    rows: np.ndarray
    names: Sequence[str]
    columns: Sequence[str]
    values: np.ndarray


def assemble(
    table: Table, times: Times, known_columns: Sequence[str], groups: Sequence[Rows]
) -> SeriesTable:
    """The series of a file.

    Args:
      table: the file.
      times: how its times are read.
      known_columns: covariates that are known ahead.
      groups: which rows hold which series.

    Raises:
      UserError: times are no steps of one frequency, stand there twice, or covariates are missing.
    """
    stamps = read_times(table, times.column, times.format)
    columns = [read_numbers(table, name, may_miss=False) for name in known_columns]
    known = np.stack(columns, -1) if columns else np.zeros((len(stamps), 0))
    groups = [_in_order(table, times.column, stamps, group) for group in groups]
    frequency = times.frequency or infer_frequency([stamps[g.rows] for g in groups], times.zone)
    if frequency is None:
        raise UserError(
            f"{table.where}: no series has two rows, which would tell its frequency; name "
            'data.frequency, such as "D"'
        )
    series: list[Series] = []
    for group in groups:
        steps = _steps(table, times, frequency, stamps, group)
        series += _place(table, frequency, stamps[group.rows[0]], steps, known, group)
    found = SeriesTable(series, frequency, tuple(known_columns), notes=missing_notes(series))
    require_sound(found)
    return found


def require_change(table: Table, groups: Sequence[Rows]) -> None:
    """Raises UserError if the values of a series are all the same."""
    for group in groups:
        for name, column, values in zip(group.names, group.columns, group.values.T, strict=True):
            seen = values[np.isfinite(values)]
            if (seen == seen[0]).all():
                raise UserError(
                    f"{table.where}: series {name!r} is {seen[0]:g} in every row of column "
                    f"{column!r}, from line {table.lines[int(group.rows[0])]} on: there is nothing "
                    "to forecast; leave it out"
                )


def _in_order(table: Table, column: str, stamps: np.ndarray, group: Rows) -> Rows:
    order = np.argsort(stamps[group.rows], kind="stable")
    rows = group.rows[order]
    same = np.flatnonzero(np.diff(stamps[rows]) == np.timedelta64(0))
    if len(same):
        first, second = int(rows[same[0]]), int(rows[same[0] + 1])
        whose = f" for series {group.names[0]!r}" if len(group.names) == 1 else ""
        raise UserError(
            f"{table.cell(second, column)}: {table.columns[column][second]} stands there a second "
            f"time{whose}, first in line {table.lines[first]}"
        )
    return group._replace(rows=rows, values=group.values[order])


def _steps(
    table: Table, times: Times, frequency: Frequency, stamps: np.ndarray, group: Rows
) -> np.ndarray:
    """The step of every row, rising; the first is 0."""
    own = stamps[group.rows]
    steps = frequency.positions(own[0], own)
    how = "as most rows have it" if times.frequency is None else "the frequency that is asked for"
    if (steps < 0).any():
        row = int(group.rows[(steps < 0).argmax()])
        raise UserError(
            f"{table.cell(row, times.column)}: {table.columns[times.column][row]} is no step of "
            f"{frequency} ({how}) from {own[0]} on; times must be regular"
        )
    least = _LEAST_INFERRED if times.frequency is None else _LEAST_NAMED
    length = int(steps[-1]) + 1
    if len(steps) < length * least:
        gaps = np.diff(steps)
        widest = int(gaps.argmax())
        raise UserError(
            f"{table.cell(int(group.rows[widest + 1]), times.column)}: times are irregular: "
            f"{len(steps):,} rows stand for {length:,} steps of {frequency} ({how}), and before "
            f"this one {int(gaps[widest]) - 1:,} are missing; data.frequency names another step"
        )
    return steps


def _place(
    table: Table,
    frequency: Frequency,
    start: Any,
    steps: np.ndarray,
    known: np.ndarray,
    group: Rows,
) -> list[Series]:
    length = int(steps[-1]) + 1
    values = np.full((len(group.names), length), np.nan, np.float32)
    values[:, steps] = group.values.T
    if known.shape[1] and len(steps) < length:
        gap = int((np.diff(steps) > 1).argmax())
        raise UserError(
            f"{table.where}: behind line {table.lines[int(group.rows[gap])]} a row is missing, for "
            f"{frequency.stamps(start, 1, int(steps[gap]) + 1)[0]}, and covariates must be known "
            "everywhere: add it, its value may be empty"
        )
    covariates = np.zeros((length, known.shape[1]), np.float32)
    covariates[steps] = known[group.rows]
    found = []
    for name, column, own in zip(group.names, group.columns, values, strict=True):
        seen = np.flatnonzero(np.isfinite(own))
        if not len(seen):
            raise UserError(f"{table.where}: series {name!r} has no value in column {column!r}")
        first, end = int(seen[0]), int(seen[-1]) + 1
        begin = frequency.stamps(start, 1, first)[0]
        no_statics = np.zeros(0, np.float32)
        found.append(Series(name, begin, own[first:end], covariates[first:], no_statics))
    return found
