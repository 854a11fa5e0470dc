"""Series with a class in the layouts of the UCR and UEA archives (timeseriesclassification.com)."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.data.arrays import read_arrays
from lstm_jax.data.files import read_text
from lstm_jax.errors import UserError

_MISSING = ("?", "nan", "")


class LabelledSeries(NamedTuple):
    """A series of one or several dimensions, with its class.

    Attributes:
      values: float32 [time, dimensions]; NaN where one is missing.
      label: the name of its class; None if it is not known.
      anomalous: in which steps an anomaly is, booleans [time]; None if that is not known.
      times: of the steps, datetime64[s] [time]; None if they are not known.
    """

    values: np.ndarray
    label: str | None
    anomalous: np.ndarray | None = None
    times: np.ndarray | None = None


def read_series(where: str, file: Path) -> list[LabelledSeries]:
    """The series of a file: `.ts` of the UEA archive, `.npz` of arrays, else a UCR table.

    Args:
      where: what named the file, for messages.
      file: the file.

    Raises:
      UserError: it cannot be read, or a line is not of the layout: which, and why.
    """
    readers = {".ts": read_ts, ".npz": read_npz}
    return readers.get(file.suffix.lower(), read_table)(where, file)


def read_table(where: str, file: Path) -> list[LabelledSeries]:
    """A series a line: its class, then its values, with tabs, commas or blanks between them.

    A series that is shorter than others is filled up with NaN, which are taken off; "?" or NaN
    before the last value is a missing one. A class of "?", or of nothing, is not known.

    Raises:
      UserError: it cannot be read, or a line is not of the layout: which, and why.
    """
    found = []
    for number, line in enumerate(read_text(where, file).splitlines(), start=1):
        if not line.strip():
            continue
        what = f"{where}: {file}, line {number}"
        label, *cells = line.rstrip("\r\n").split(_delimiter(line))
        values = _numbers(what, cells, first_column=2)
        length = _length(values)
        if not length:
            raise UserError(f"{what}: a class and at least one value are needed")
        found.append(LabelledSeries(values[:length, None], _table_label(label.strip())))
    return found


def _delimiter(line: str) -> str | None:
    return next((mark for mark in ("\t", ",") if mark in line), None)


def _table_label(text: str) -> str | None:
    """Numbers without what makes 1 and 1.0000e+00 two classes, as some sets write them."""
    if text in ("?", ""):
        return None
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _length(values: np.ndarray) -> int:
    """How many there are up to the last that is not missing."""
    valid = np.flatnonzero(~np.isnan(values))
    return int(valid[-1]) + 1 if len(valid) else 0


def _numbers(what: str, cells: Sequence[str], first_column: int) -> np.ndarray:
    """Cells as numbers float32, NaN where one is missing."""
    with np.errstate(over="ignore"):  # one that is too large becomes infinite, which is told
        try:
            values = np.array(cells, np.float32)
            if np.isfinite(values).all():
                return values
        except ValueError:
            pass
        return np.array([_number(what, cell, first_column + i) for i, cell in enumerate(cells)])


def _number(what: str, cell: str, column: int) -> np.float32:
    text = cell.strip()
    if text.lower() in _MISSING:
        return np.float32(np.nan)
    try:
        value = np.float32(text)
    except ValueError:
        raise UserError(f"{what}, value {column}: {text!r} is not a number") from None
    if not np.isfinite(value):
        raise UserError(f"{what}, value {column}: {text!r} is not finite in 32 bits")
    return value


class _Header(NamedTuple):
    """What the lines that begin with @ say."""

    has_labels: bool
    classes: tuple[str, ...]
    dimensions: int | None


def read_ts(where: str, file: Path) -> list[LabelledSeries]:
    """A series a line behind a header: its dimensions and its class with colons between them.

    Values stand between commas; "?" or NaN is a missing one. A class of "?" is not known.

    Raises:
      UserError: it cannot be read, or a line is not of the layout: which, and why.
    """
    header, found = None, []
    fields: dict[str, str] = {}
    for number, line in enumerate(read_text(where, file).splitlines(), start=1):
        text, what = line.strip(), f"{where}: {file}, line {number}"
        if not text or text.startswith("#"):
            continue
        if header is not None:
            found.append(_ts_series(what, text, header))
        elif not text.startswith("@"):
            raise UserError(f"{what}: a line with @ is needed, for data only begin behind @data")
        else:
            name, _, value = text[1:].partition(" ")
            fields[name.lower()] = value.strip()
            header = _header(what, fields) if name.lower() == "data" else None
    if not found:
        raise UserError(f"{where}: {file} has no series behind a line @data")
    return found


def _header(what: str, fields: dict[str, str]) -> _Header:
    if fields.get("timestamps", "false").lower() == "true":
        raise UserError(f"{what}: the file has time stamps; values at equal steps are needed")
    if fields.get("targetlabel", "false").lower().startswith("true"):
        raise UserError(f"{what}: the file has a number to each series (@targetLabel), no class")
    has_labels, *classes = fields.get("classlabel", "false").split()
    dimensions = fields.get("dimensions", fields.get("dimension", ""))
    univariate = fields.get("univariate", "false").lower() == "true"
    count = int(dimensions) if dimensions.isdecimal() else 1 if univariate else None
    return _Header(has_labels.lower() == "true", tuple(classes), count)


def _ts_series(what: str, text: str, header: _Header) -> LabelledSeries:
    parts = text.split(":")
    label = parts.pop().strip() if header.has_labels else "?"
    if label != "?" and header.classes and label not in header.classes:
        raise UserError(f"{what}: the class {label!r} is none of @classLabel {header.classes}")
    if not parts or (header.dimensions and len(parts) != header.dimensions):
        raise UserError(
            f"{what}: {header.dimensions or 'at least 1'} dimension(s) are needed, "
            f"there are {len(parts)}"
        )
    columns = [
        _numbers(f"{what}, dimension {i}", part.split(","), first_column=1)
        for i, part in enumerate(parts, start=1)
    ]
    for i, column in enumerate(columns[1:], start=2):
        if len(column) != len(columns[0]):
            raise UserError(
                f"{what}: dimension {i} has {len(column)} step(s), the first {len(columns[0])}"
            )
    return LabelledSeries(np.stack(columns, axis=-1), None if label == "?" else label)


def read_npz(where: str, file: Path) -> list[LabelledSeries]:
    """Arrays of `numpy.savez`: `values` [series, time] or [series, time, dimensions], and `labels`.

    Missing values are NaN, and those at the end of a series are behind its end. Labels are texts
    or whole numbers, one a series; without `labels` no class is known.

    Raises:
      UserError: it cannot be read, or an array is not of this kind.
    """
    what = f"{where}: {file}"
    try:
        arrays = read_arrays(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{where}: cannot read {file} as arrays of numpy.savez ({error})") from None
    values, labels = arrays.get("values"), arrays.get("labels")
    if values is None or values.ndim not in (2, 3) or values.dtype.kind not in "fiu":
        raise UserError(f"{what}: an array `values` [series, time, dimensions] is needed")
    if labels is not None and (labels.shape != values.shape[:1] or labels.dtype.kind not in "iuU"):
        raise UserError(f"{what}: `labels` must be a text or a whole number for each series")
    values = values.reshape(*values.shape[:2], -1).astype(np.float32)
    found = []
    for row, series in enumerate(values):
        length = _length(np.where(np.isnan(series).all(axis=-1), np.nan, 0))
        if not length or np.isinf(series).any():
            problem = "is infinite somewhere" if length else "has no value"
            raise UserError(f"{what}: series {row} {problem}")
        found.append(LabelledSeries(series[:length], None if labels is None else str(labels[row])))
    return found
