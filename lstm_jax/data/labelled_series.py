"""Where series with a class come from, by split.

A source checks its fields when it is made and reads when it is called, so that a finished run can
be used where its data are gone. A split without data of its own takes a share of the training
series, of every class as large a share as can be, chosen by a seed.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from lstm_jax.config import Fraction, PositiveFloat, PositiveInt, Range, Seed, register
from lstm_jax.data.anomalies import ANOMALIES, inject
from lstm_jax.data.held_out import SPLITS, path_field, require_paths
from lstm_jax.data.series import SeriesTable
from lstm_jax.data.series_files import Table, read_numbers, read_table
from lstm_jax.data.series_sources import wide_csv
from lstm_jax.data.timeseries_files import LabelledSeries, read_series
from lstm_jax.errors import ConfigError, UserError

SeriesBySplit = Mapping[str, Sequence[LabelledSeries]]


class LabelledSeriesSource(NamedTuple):
    """Series with a class, and how a user's own file of the same layout is read.

    Attributes:
      read: the series of every split.
      read_file: those of one file, where a class may be unknown: `(where, path) -> series`.
    """

    read: Callable[[], SeriesBySplit]
    read_file: Callable[[str, Path], list[LabelledSeries]]


@register("labelled_series_source")
def archive_files(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.2,
    split_seed: Seed = 0,
) -> LabelledSeriesSource:
    """Files of the UEA archive (`.ts`), of the UCR archive (tables), or of `numpy.savez` (`.npz`).

    Args:
      path: files to train on, separated by commas: NAME_TRAIN.ts.
      validation_path: files of the validation split, none to take a share of `path`.
      test_path: files of the test split, NAME_TEST.ts; none to take a share of `path`.
      validation_share: share of the series for validation, without files of its own.
      test_share: share of the series for the test, without files of its own.
      split_seed: of the draw of these shares.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    shares = {"validation": validation_share, "test": test_share}
    return _source(paths, shares, split_seed, read_series)


@register("labelled_series_source")
def labelled_csv(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.2,
    split_seed: Seed = 0,
    id_column: str = "unique_id",
    label_column: str = "label",
    value_columns: tuple[str, ...] = ("y",),
) -> LabelledSeriesSource:
    """CSV files in long form: a row for each step of a series, in the order of time.

    Columns are parted by commas, semicolons or tabs, and named in the first row. Empty cells are
    missing values.

    Args:
      path: files to train on, separated by commas.
      validation_path: files of the validation split, none to take a share of `path`.
      test_path: files of the test split, none to take a share of `path`.
      validation_share: share of the series for validation, without files of its own.
      test_share: share of the series for the test, without files of its own.
      split_seed: of the draw of these shares.
      id_column: the column that says which series a row is of.
      label_column: the column with the class, the same in all rows of a series; a file to predict
        needs none.
      value_columns: the columns with the values, one for each dimension.

    Raises:
      ConfigError: no file or column is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used; line and column are named.
    """
    if not value_columns:
        raise ConfigError("value_columns: names no column")
    paths = {"train": path, "validation": validation_path, "test": test_path}
    shares = {"validation": validation_share, "test": test_share}
    columns = (id_column, label_column, value_columns)

    def read_file(where: str, file: Path) -> list[LabelledSeries]:
        return _read_long(read_table(where, str(file)), *columns)

    def read_labelled(where: str, file: Path) -> list[LabelledSeries]:
        table = read_table(where, str(file))
        table.cells(label_column)  # which tells that there is none
        return _read_long(table, *columns)

    return _source(paths, shares, split_seed, read_file, read_labelled)


def _read_long(
    table: Table, id_column: str, label_column: str, value_columns: Sequence[str]
) -> list[LabelledSeries]:
    values = np.stack(
        [read_numbers(table, name, may_miss=True) for name in value_columns], axis=-1
    ).astype(np.float32)
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(table.cells(id_column)):
        rows_of.setdefault(name, []).append(row)
    if label_column not in table.columns:
        return [LabelledSeries(values[rows], None) for rows in rows_of.values()]
    labels = [label.strip() for label in table.cells(label_column)]
    for rows in rows_of.values():
        other = next((row for row in rows if labels[row] != labels[rows[0]]), None)
        if other is not None:
            raise UserError(
                f"{table.cell(other, label_column)}: {labels[other]!r}, but the series began with "
                f"{labels[rows[0]]!r}"
            )
    known = {row: label for row, label in enumerate(labels) if label not in ("", "?")}
    return [LabelledSeries(values[rows], known.get(rows[0])) for rows in rows_of.values()]


@register("labelled_series_source")
def generated_shapes(*, size: Annotated[int, Range(40)] = 240) -> LabelledSeriesSource:
    """Generated waves of three shapes in noise, to try a config without data; nothing measured.

    Two dimensions, the second a quarter of a wave behind, 20 to 40 steps.

    >>> series = generated_shapes(size=40).read()["train"][0]
    >>> series.values.shape[1], series.label in ("sine", "square", "saw")
    (2, True)

    Args:
      size: how many series; a fifth each is for validation and test.
    """

    def read() -> SeriesBySplit:
        random = np.random.default_rng(0)
        found = [_shape(random) for _ in range(size)]
        fifth = size // 5
        return {
            "train": found[2 * fifth :],
            "validation": found[:fifth],
            "test": found[fifth : 2 * fifth],
        }

    return LabelledSeriesSource(read, read_series)


_SHAPES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": lambda phase: np.sin(2 * np.pi * phase),
    "square": lambda phase: np.sign(np.sin(2 * np.pi * phase)),
    "saw": lambda phase: 2 * (phase % 1) - 1,
}


def _shape(random: np.random.Generator) -> LabelledSeries:
    label = random.choice(list(_SHAPES))
    steps = int(random.integers(20, 41))
    phase = random.random() + np.arange(steps)[:, None] / random.uniform(8, 14) + [0, 0.25]
    values = _SHAPES[label](phase) + 0.2 * random.standard_normal(phase.shape)
    return LabelledSeries(values.astype(np.float32), str(label))


@register("labelled_series_source")
def injected_csv(
    *,
    path: str,
    time_column: str = "ds",
    value_column: str = "y",
    known_columns: tuple[str, ...] = (),
    frequency: str | None = None,
    time_zone: str | None = None,
    piece: PositiveInt = 144,
    stride: PositiveInt = 48,
    first: PositiveInt = 96,
    shortest: PositiveInt = 8,
    longest: PositiveInt = 24,
    size: PositiveFloat = 1.0,
    anomalous_share: Fraction = 0.5,
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.2,
    injection_seed: Seed = 0,
) -> LabelledSeriesSource:
    """Pieces of one series of a CSV file, some of the test's with an anomaly put in.

    Splits follow one another in time. Dimensions are the value, the known columns and the calendar
    features of the frequency; classes are "normal" and the kinds of `lstm_jax.data.anomalies`, one
    after the other. A file to score is one piece, and nothing is put in.

    Args:
      path: the file, as the series source `wide_csv` reads it.
      time_column: the column with the time.
      value_column: the column with the values.
      known_columns: covariates that are known ahead.
      frequency: of the times, "30min", "h", "D"; found from them if None.
      time_zone: where days begin and end if times are UTC; None to take times as they are written.
      piece: steps of a piece.
      stride: steps from the beginning of a piece to that of the next.
      first: the first step of a piece that an anomaly may be in.
      shortest: steps of the shortest anomaly that is no spike.
      longest: steps of the longest one.
      size: of a shifted level, in deviations of the training values; a spike is twice as large.
      anomalous_share: share of the test's pieces with an anomaly.
      validation_share: share of the pieces for validation, the ones before the test.
      test_share: share of the pieces for the test, the last ones.
      injection_seed: of the anomalies.

    Raises:
      ConfigError: an anomaly would not fit in a piece, or the shares leave nothing to train on.
      UserError: when it is called: the file cannot be used; line and column are named.
    """
    if not shortest <= longest <= piece - first:
        raise ConfigError(
            f"shortest, longest: {shortest} and {longest} steps must fit behind step {first} of "
            f"{piece}, in this order"
        )
    if validation_share + test_share >= 1:
        raise ConfigError("validation_share, test_share: together must be below 1")
    columns = {"columns": (value_column,), "known_columns": known_columns}
    times = {"time_column": time_column, "frequency": frequency, "time_zone": time_zone}
    table_of = wide_csv(path=path, **columns, **times)

    def read() -> SeriesBySplit:
        whole = _with_calendar(table_of())
        starts = range(0, len(whole) - piece + 1, stride)
        pieces = [LabelledSeries(whole[i : i + piece], "normal") for i in starts]
        test = len(pieces) - round(len(pieces) * test_share)
        validation = test - round(len(pieces) * validation_share)
        # What two pieces of different splits share is left out.
        apart = -(-piece // stride) - 1
        found = {
            "train": pieces[: validation - apart],
            "validation": pieces[validation : test - apart],
            "test": pieces[test:],
        }
        for split, records in found.items():
            if not records:
                raise UserError(f"data.path: {path}: no piece of {piece} steps is left to {split}")
        deviation = float(np.nanstd([one.values[:, 0] for one in found["train"]]))
        random = np.random.default_rng(injection_seed)
        chosen = random.permutation(len(found["test"]))[
            : round(len(found["test"]) * anomalous_share)
        ]
        for number, row in enumerate(chosen):
            kind = list(ANOMALIES)[number % len(ANOMALIES)]
            values, segment = found["test"][row].values.copy(), (shortest, longest)
            values[:, 0], steps = inject(
                kind, values[:, 0], first, segment, size * deviation, random
            )
            found["test"][row] = LabelledSeries(values, kind, steps)
        return found

    def read_file(where: str, file: Path) -> list[LabelledSeries]:
        del where
        table = table_of(str(file))
        values = _with_calendar(table)
        times = table.times(table.series[0], 0, len(values))
        return [LabelledSeries(values, None, times=times)]

    return LabelledSeriesSource(read, read_file)


def _with_calendar(table: SeriesTable) -> np.ndarray:
    """Values, covariates and calendar features of the first series [time, dimensions]."""
    series, count = table.series[0], len(table.series[0].values)
    features = table.frequency.features(series.start, count)
    parts = (series.values[:, None], series.known[:count], features)
    return np.concatenate(parts, axis=-1).astype(np.float32)


_ReadFile = Callable[[str, Path], list[LabelledSeries]]


def _source(
    paths: Mapping[str, tuple[str, ...]],
    shares: Mapping[str, float],
    seed: int,
    read_file: _ReadFile,
    read_labelled: _ReadFile | None = None,
) -> LabelledSeriesSource:
    """A source of files, of which those to train on and to test are read by `read_labelled`."""
    taken, read_one = require_paths(paths, shares), read_labelled or read_file

    def read() -> SeriesBySplit:
        found = {split: _read(split, files, read_one) for split, files in paths.items() if files}
        rows = hold_out_of_every_class([str(s.label) for s in found["train"]], taken, seed)
        found |= {split: [found["train"][row] for row in chosen] for split, chosen in rows.items()}
        for split in SPLITS:
            if not found.get(split):
                raise UserError(
                    f"data: the {split} split has no series: name data for it, or a share"
                )
        return {split: found[split] for split in SPLITS}

    return LabelledSeriesSource(read, read_file)


def _read(split: str, files: Sequence[str], read_file: _ReadFile) -> list[LabelledSeries]:
    found: list[LabelledSeries] = []
    for name in files:
        file = Path(name).expanduser()
        series = read_file(path_field(split), file)
        for number, one in enumerate(series, start=1):
            if one.label is None:
                raise UserError(f"{path_field(split)}: {file}: series {number} has no class")
        found += series
    return found


def hold_out_of_every_class(
    labels: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, np.ndarray]:
    """The rows of each split; what is in none of the shares is left for training.

    Rows are drawn at equal distances from the list of all rows in the order of their classes, at
    random within each, so that classes of which a share is less than one have their turn too. Of
    every class a row stays in training.

    >>> rows = hold_out_of_every_class(["a"] * 6 + ["b"] * 4, {"test": 0.2}, seed=0)
    >>> [len(rows["test"]), sorted(int(row) // 6 for row in rows["test"])]
    [2, [0, 1]]

    Args:
      labels: the class of every row.
      shares: of each split, together below 1.
      seed: of the draw.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(classes[order], kind="stable")]
    free = order[counts[classes[order]] > 1]
    found: dict[str, np.ndarray] = {}
    for split, share in shares.items():
        count = max(1, round(len(labels) * share)) if share else 0
        places = ((np.arange(min(count, len(free))) + 0.5) * len(free) / max(count, 1)).astype(int)
        found[split] = np.sort(free[places])
        free = np.delete(free, places)
    held = np.concatenate([*found.values(), np.zeros(0, int)])
    # A class of two or three rows may have been drawn whole: its last row goes back.
    for c in np.setdiff1d(classes, np.delete(classes, held)):
        back = held[classes[held] == c][-1]
        found = {split: rows[rows != back] for split, rows in found.items()}
        held = held[held != back]
    found["train"] = np.setdiff1d(np.arange(len(labels)), held)
    return found
