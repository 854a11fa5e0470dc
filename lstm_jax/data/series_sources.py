"""Where time series come from: CSV files in wide and in long form, arrays, TFDS, generated ones.

A source checks its fields when it is made and reads when it is called. Called with a path it reads
that file instead, for a forecast: there the last rows may hold covariates alone.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from lstm_jax.config import PositiveInt, Range, register
from lstm_jax.data.arrays import read_arrays
from lstm_jax.data.calendar import Frequency, parse_frequency
from lstm_jax.data.series import SeriesLayout, SeriesSource, SeriesTable, series_of_arrays
from lstm_jax.data.series_files import Table, read_numbers, read_table
from lstm_jax.data.series_grid import Rows, Times, assemble, require_change
from lstm_jax.data.series_statics import add_statics
from lstm_jax.data.tfds_series import SeriesFields, read_tfds_series
from lstm_jax.errors import ConfigError, UserError, did_you_mean


@register("series_source")
def wide_csv(
    *,
    path: str,
    time_column: str = "ds",
    columns: tuple[str, ...] = (),
    known_columns: tuple[str, ...] = (),
    frequency: str | None = None,
    time_zone: str | None = None,
    time_format: str | None = None,
) -> SeriesSource:
    """A CSV file with a row for each time and a column for each series.

    Columns are parted by commas, semicolons or tabs, and named in the first row. A series begins at
    its first value and ends at its last one; between them, empty cells and rows that are not there
    are missing values.

    Args:
      path: the file, in UTF-8.
      time_column: the column with the time, in ISO 8601 or as `time_format` says.
      columns: the columns with values; all others if none is named.
      known_columns: covariates of all series that are known ahead; every row needs them.
      frequency: steps of time as pandas names them, "30min", "h", "D", "W", "MS"; found from the
        times if None.
      time_zone: where days begin and end if times are UTC, "Europe/Berlin"; None to take times as
        they are written.
      time_format: what times look like, as "%d.%m.%Y %H:%M"; ISO 8601 if None.

    Raises:
      ConfigError: there is no such frequency or time zone, or a column is named twice.
      UserError: when it is called: the file cannot be used; line and column are named.
    """
    times = _times(time_column, time_format, frequency, time_zone)
    _require_distinct(time_column=time_column, columns=columns, known_columns=known_columns)

    def read(file: str | None = None, like: SeriesLayout | None = None) -> SeriesTable:
        table = read_table(_field(file), file or path)
        for name in (time_column, *known_columns):
            table.cells(name)  # a wrong name here would make another column one of values
        others = [name for name in table.columns if name not in (time_column, *known_columns)]
        names = columns or others
        if not names:
            raise UserError(f"{table.where}: no column is left for values")
        values = np.stack([read_numbers(table, name, may_miss=True) for name in names], axis=-1)
        groups = [Rows(np.arange(len(values)), names, names, values)]
        found = assemble(table, _like(times, like), known_columns, groups)
        if file is None:
            require_change(table, groups)
        return found

    return read


@register("series_source")
def long_csv(
    *,
    path: str,
    id_column: str = "unique_id",
    time_column: str = "ds",
    value_column: str = "y",
    known_columns: tuple[str, ...] = (),
    static_columns: tuple[str, ...] = (),
    frequency: str | None = None,
    time_zone: str | None = None,
    time_format: str | None = None,
) -> SeriesSource:
    """A CSV file with a row for each value: which series, when, and how much.

    Columns are parted by commas, semicolons or tabs, and named in the first row. Rows may stand in
    any order. A series begins at its first value and ends at its last one; between them, empty
    cells and rows that are not there are missing values.

    Args:
      path: the file, in UTF-8.
      id_column: the column with the name of the series.
      time_column: the column with the time, in ISO 8601 or as `time_format` says.
      value_column: the column with the value.
      known_columns: covariates that are known ahead; every row needs them.
      static_columns: what is the same in all rows of a series: numbers, or up to 100 texts, each
        of which becomes a covariate that is 0 or 1.
      frequency: steps of time as pandas names them, "30min", "h", "D", "W", "MS"; found from the
        times if None.
      time_zone: where days begin and end if times are UTC, "Europe/Berlin"; None to take times as
        they are written.
      time_format: what times look like, as "%d.%m.%Y %H:%M"; ISO 8601 if None.

    Raises:
      ConfigError: there is no such frequency or time zone, or a column is named twice.
      UserError: when it is called: the file cannot be used; line and column are named.
    """
    times = _times(time_column, time_format, frequency, time_zone)
    _require_distinct(
        id_column=id_column,
        time_column=time_column,
        value_column=value_column,
        known_columns=known_columns,
        static_columns=static_columns,
    )

    def read(file: str | None = None, like: SeriesLayout | None = None) -> SeriesTable:
        table = read_table(_field(file), file or path)
        groups = _by_series(table, id_column, value_column)
        found = assemble(table, _like(times, like), known_columns, groups)
        if file is None:
            require_change(table, groups)
        static_names = like.static_names if like else None
        return add_statics(table, found, groups, static_columns, static_names)

    return read


def _times(column: str, time_format: str | None, frequency: str | None, zone: str | None) -> Times:
    named = parse_frequency(frequency, zone) if frequency is not None else None
    Frequency("D", 1, zone)  # which tells that there is no such time zone
    return Times(column, time_format, named, zone)


def _like(times: Times, like: SeriesLayout | None) -> Times:
    return times if like is None else times._replace(frequency=like.frequency)


def _field(file: str | None) -> str:
    """What named the file, for messages."""
    return "data.path" if file is None else "--input"


def _require_distinct(**fields: str | Sequence[str] | None) -> None:
    """Raises ConfigError if two fields, or one field twice, name the same column."""
    taken: dict[str, str] = {}
    for field, named in fields.items():
        for name in [named] if isinstance(named, str) else named or ():
            if name in taken:
                raise ConfigError(
                    f"{field}: {name!r} is named in {taken[name]} already; it is one thing"
                )
            taken[name] = field


def _by_series(table: Table, id_column: str, value_column: str) -> list[Rows]:
    names = [name.strip() for name in table.cells(id_column)]
    if "" in names:
        raise UserError(f"{table.cell(names.index(''), id_column)}: names no series")
    values = read_numbers(table, value_column, may_miss=True)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}  # in order of the file
    which = np.array([numbers[name] for name in names])
    parts = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    return [
        Rows(rows, (name,), (value_column,), values[rows, None])
        for name, rows in zip(numbers, parts, strict=True)
    ]


@register("series_source")
def npz_arrays(
    *,
    path: str,
    frequency: str,
    start: str,
    known_names: tuple[str, ...] = (),
    static_names: tuple[str, ...] = (),
    time_zone: str | None = None,
) -> SeriesSource:
    """Arrays of a file that `numpy.savez` wrote, all series beginning at one time.

    Its arrays: `values` [series, time] or [time], NaN where one is missing; and, if there are any,
    `known` [series, time or more, covariates] or [time or more, covariates] of all series, and
    `statics` [series, statics].

    Args:
      path: the file.
      frequency: steps of time as pandas names them, "30min", "h", "D", "W", "MS".
      start: the time of the first step, in ISO 8601.
      known_names: names of the covariates that are known ahead; known_0, ... if none.
      static_names: names of the static covariates; static_0, ... if none.
      time_zone: where days begin and end if times are UTC, "Europe/Berlin".

    Raises:
      ConfigError: there is no such frequency, time or time zone.
      UserError: when it is called: the file cannot be used.
    """
    steps = parse_frequency(frequency, time_zone)
    try:
        begin = np.datetime64(start.removesuffix("Z"), "s")
    except ValueError:
        raise ConfigError(f"start: {start!r} is no time in ISO 8601") from None
    if np.isnat(begin):
        raise ConfigError(f"start: {start!r} is no time in ISO 8601")

    def read(file: str | None = None, like: SeriesLayout | None = None) -> SeriesTable:
        del like
        arrays = _arrays(_field(file), Path(file or path).expanduser())
        values = np.atleast_2d(arrays["values"])
        known = arrays.get("known", np.zeros((values.shape[-1], 0)))
        known = np.broadcast_to(known, (len(values), *known.shape)) if known.ndim == 2 else known
        statics = arrays.get("statics", np.zeros((len(values), 0)))
        return series_of_arrays(
            list(values),
            steps,
            starts=begin,
            known=list(known),
            known_names=known_names or [f"known_{i}" for i in range(known.shape[-1])],
            statics=list(statics),
            static_names=static_names or [f"static_{i}" for i in range(statics.shape[-1])],
        )

    return read


def _arrays(where: str, file: Path) -> dict[str, np.ndarray]:
    try:
        arrays = read_arrays(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{where}: {file} is no file of numpy.savez ({reason})") from None
    if "values" not in arrays:
        raise UserError(
            f"{where}: {file} has no array values; {did_you_mean('values', list(arrays))}"
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise UserError(f"{where}: {file}, {name}: holds no numbers, but {array.dtype}")
    return arrays


@register("series_source")
def tfds_series(
    *,
    dataset: str,
    frequency: str,
    data_dir: str | None = None,
    split: str = "train",
    value_field: str = "target",
    start_field: str = "start",
    name_field: str | None = None,
    known_fields: tuple[str, ...] = (),
    static_fields: tuple[str, ...] = (),
    time_zone: str | None = None,
) -> SeriesSource:
    """A TensorFlow dataset with a series in each record, read through `tfds.data_source`.

    What is held out is the end of every series, as for all sources: one split is read. A file to
    forecast is in long form (`long_csv`), with columns named as the features of covariates.

    Args:
      dataset: name in the catalogue, with a config and version if need be.
      frequency: steps of time as pandas names them, "30min", "h", "D", "W", "MS".
      data_dir: where datasets are prepared; None for TFDS's own folder.
      split: in TFDS's own words for splits.
      value_field: the feature with the values [time], NaN where one is missing.
      start_field: the feature with the time of the first value, text in ISO 8601.
      name_field: the feature with the name of the series; series_0, ... if None.
      known_fields: features with covariates that are known ahead, each [time or more].
      static_fields: features with what holds for the whole series: numbers or classes.
      time_zone: where days begin and end if times are UTC, "Europe/Berlin".

    Raises:
      ConfigError: there is no such frequency or time zone, or a feature is named twice.
      UserError: when it is called: the dataset, the split or a feature does not exist or cannot be
        used, or the dataset cannot be prepared here.
    """
    steps = parse_frequency(frequency, time_zone)
    fields = SeriesFields(value_field, start_field, name_field, known_fields, static_fields)
    _require_distinct(
        value_field=value_field,
        start_field=start_field,
        name_field=name_field,
        known_fields=known_fields,
        static_fields=static_fields,
    )

    def read(file: str | None = None, like: SeriesLayout | None = None) -> SeriesTable:
        if file is None:
            return read_tfds_series(dataset, split, data_dir, fields, steps)
        named = long_csv(path=file, known_columns=known_fields, static_columns=static_fields)
        return named(file, like)

    return read


@register("series_source")
def generated_series(
    *,
    size: PositiveInt = 3,
    length: Annotated[int, Range(100)] = 400,
    frequency: str = "h",
    seed: Annotated[int, Range(0)] = 0,
) -> SeriesSource:
    """Generated series, to try a config without data: seasons, a covariate, noise and gaps.

    >>> table = generated_series(size=2, length=100)()
    >>> [series.name for series in table.series], table.known_names
    (['generated_0', 'generated_1'], ('warmth',))

    Args:
      size: how many series.
      length: steps of the longest one; every further one is a tenth of it shorter, down to half.
      frequency: steps of time.
      seed: of the noise.
    """
    steps = parse_frequency(frequency)

    def read(file: str | None = None, like: SeriesLayout | None = None) -> SeriesTable:
        if file is not None:  # what a user brings is in the common layout
            named = long_csv(path=file, known_columns=("warmth",), static_columns=("level",))
            return named(file, like)
        random = np.random.default_rng(seed)
        lengths = [max(length - i * (length // 10), length // 2) for i in range(size)]
        warmth = [np.cumsum(random.normal(size=n)) / 10 for n in lengths]
        levels = [float(10 ** random.uniform(0, 2)) for _ in lengths]
        values = [
            _generate(random, steps.season, level, covariate)
            for level, covariate in zip(levels, warmth, strict=True)
        ]
        return series_of_arrays(
            values,
            steps,
            starts=np.datetime64("2024-01-01"),
            names=[f"generated_{i}" for i in range(size)],
            known=[covariate[:, None] for covariate in warmth],
            known_names=("warmth",),
            statics=[np.array([level]) for level in levels],
            static_names=("level",),
        )

    return read


def _generate(
    random: np.random.Generator, season: int, level: float, covariate: np.ndarray
) -> np.ndarray:
    steps = np.arange(len(covariate))
    wave = np.sin(2 * np.pi * (steps / max(season, 2) + random.random()))
    values = level * (3 + wave + covariate + random.normal(scale=0.2, size=len(steps)))
    values[random.random(len(steps)) < 0.01] = np.nan
    return values
