"""Time series in TensorFlow datasets: each record is one series, its values along time."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.data.calendar import Frequency
from lstm_jax.data.series import SeriesTable, series_of_arrays
from lstm_jax.data.tfds import open_tfds, require_features, text_of
from lstm_jax.errors import UserError


class SeriesFields(NamedTuple):
    """The features that hold a series.

    Attributes:
      value: its values, numbers [time].
      start: the time of the first one, text in ISO 8601.
      name: what it is called; None for series_0, series_1, ...
      known: covariates known ahead, each of numbers [time or more].
      statics: what holds for the whole series: a number, or a class, which becomes a covariate
        that is 0 or 1 for each of its names.
    """

    value: str
    start: str
    name: str | None
    known: Sequence[str]
    statics: Sequence[str]

    def by_option(self) -> list[tuple[str, str]]:
        """Every feature, behind the config field that names it."""
        single = [("value_field", self.value), ("start_field", self.start)]
        single += [] if self.name is None else [("name_field", self.name)]
        known = [("known_fields", field) for field in self.known]
        return [*single, *known, *(("static_fields", field) for field in self.statics)]


def read_tfds_series(
    dataset: str, split: str, data_dir: str | None, fields: SeriesFields, frequency: Frequency
) -> SeriesTable:
    """The series of a split, in the order of its records.

    Args:
      dataset: name in the catalogue.
      split: in TFDS's own words for splits.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      fields: the features to read.
      frequency: of all series.

    Raises:
      UserError: the dataset, the split or a feature does not exist, the dataset cannot be
        prepared here, or a feature does not hold what it is named for.
    """
    records, features = open_tfds(dataset, split, data_dir)
    require_features(dataset, features, fields.by_option())
    values, starts, names, known, statics = [], [], [], [], []
    for number, record in enumerate(records):
        where = f"data.dataset: {dataset}, record {number} of {split}"
        values.append(_vector(where, fields.value, record))
        starts.append(_start(where, fields.start, record, features))
        names.append(_name(where, fields.name, record, features, number))
        known.append(_columns(where, fields.known, record, len(values[-1])))
        statics.append(_statics(where, fields.statics, record, features))
    return series_of_arrays(
        values,
        frequency,
        starts=starts,
        names=names,
        known=known,
        known_names=fields.known,
        statics=statics,
        static_names=[name for field in fields.statics for name in _static_names(field, features)],
    )


def _vector(where: str, field: str, record: Mapping[str, Any]) -> np.ndarray:
    found = np.asarray(record[field])
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise UserError(
            f"{where}, {field}: must be numbers along one axis, that of time, got shape "
            f"{found.shape} of {found.dtype}"
        )
    return found


def _columns(
    where: str, fields: Sequence[str], record: Mapping[str, Any], length: int
) -> np.ndarray:
    """Covariates side by side, [time or more, covariates]."""
    if not fields:
        return np.zeros((length, 0))
    columns = [_vector(where, field, record) for field in fields]
    for field, column in zip(fields, columns, strict=True):
        if len(column) != len(columns[0]):
            raise UserError(
                f"{where}, {field}: has {len(column)} steps, and {fields[0]} has {len(columns[0])}"
            )
    return np.stack(columns, axis=-1)


def _start(where: str, field: str, record: Mapping[str, Any], features: Any) -> np.datetime64:
    text = text_of(f"{where}, {field}", record[field], features[field])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy's word for an offset from UTC
        try:
            found = np.datetime64(text.removesuffix("Z"), "s")
        except (ValueError, UserWarning):
            found = np.datetime64("NaT")
    if np.isnat(found) or text[:1] not in "0123456789":  # NumPy knows "today" as well
        raise UserError(
            f"{where}, {field}: {text!r} is no time in ISO 8601 without an offset, 2024-01-31T18:30"
        )
    return found


def _name(
    where: str, field: str | None, record: Mapping[str, Any], features: Any, number: int
) -> str:
    if field is None:
        return f"series_{number}"
    return text_of(f"{where}, {field}", record[field], features[field])


def _static_names(field: str, features: Any) -> list[str]:
    """Names as those of texts in files of the long form."""
    classes = getattr(features[field], "names", None)
    return [field] if classes is None else [f"{field}={name}" for name in classes]


def _statics(
    where: str, fields: Sequence[str], record: Mapping[str, Any], features: Any
) -> np.ndarray:
    found: list[float] = []
    for field in fields:
        value = np.asarray(record[field])
        if value.ndim or value.dtype.kind not in "biuf":
            raise UserError(f"{where}, {field}: must be one number or a class, got {value!r:.60}")
        classes = getattr(features[field], "names", None)
        if classes is None:
            found.append(float(value))
        else:
            found += [float(int(value) == i) for i in range(len(classes))]
    return np.array(found)
