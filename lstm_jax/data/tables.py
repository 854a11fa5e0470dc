"""Tables in text files: named columns of CSV and TSV, or columns by number."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_jax.data.files import read_text
from lstm_jax.errors import UserError, did_you_mean


def read_columns(
    where: str, paths: Sequence[str], columns: Sequence[str], *, delimiter: str, quoted: bool
) -> list[tuple[str, ...]]:
    """The values of some columns in every row of some files, in order.

    Args:
      where: the config field that names the files, for messages.
      paths: the files, each with the same columns.
      columns: their names, which the first row of each file then holds; or all of them numbers,
        counted from 1, of files without such a row.
      delimiter: between two columns.
      quoted: whether values may stand in quotation marks, with delimiters and line breaks in them.

    Raises:
      UserError: a file cannot be read, a column does not exist, a row has too few values, or a
        value is empty.
    """
    found: list[tuple[str, ...]] = []
    for path in paths:
        file = Path(path).expanduser()
        what = f"{where}: {file}"
        found += _select(what, _rows(what, read_text(where, file), delimiter, quoted), columns)
    return found


def _rows(what: str, text: str, delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line; blank lines are none."""
    if not quoted:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, line.removesuffix("\r").split(delimiter)
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    csv.field_size_limit(2**31 - 1)
    before = 0
    try:
        for row in reader:
            if row:
                yield before + 1, row
            before = reader.line_num
    except csv.Error:
        raise UserError(
            f"{what}, line {before + 1}: a quotation mark opens a value that does not end with one "
            f"before line {reader.line_num}; one inside a value is written twice"
        ) from None


def _select(
    what: str, rows: Iterator[tuple[int, list[str]]], columns: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    places, width = _places(what, rows, columns)
    for line, row in rows:
        if len(row) > (width or len(row)):
            raise UserError(
                f"{what}, line {line}: has {len(row)} columns, and the first row has {width}; "
                "a delimiter inside a value stands in quotation marks"
            )
        if max(places) >= len(row):
            raise UserError(
                f"{what}, line {line}: has {len(row)} column(s), and column "
                f"{columns[places.index(max(places))]!r} is number {max(places) + 1}"
            )
        values = tuple(row[place] for place in places)
        for column, value in zip(columns, values, strict=True):
            if not value.strip():
                raise UserError(f"{what}, line {line}: column {column!r} is empty")
        yield values


def _places(
    what: str, rows: Iterator[tuple[int, list[str]]], columns: Sequence[str]
) -> tuple[list[int], int | None]:
    """Where the columns stand, and how many there are, if the first row tells."""
    if all(column.isdigit() and int(column) > 0 for column in columns):
        return [int(column) - 1 for column in columns], None
    _, header = next(rows)
    for column in columns:
        if column not in header:
            raise UserError(
                f"{what} has no column {column!r} in its first row; {did_you_mean(column, header)}"
            )
    return [header.index(column) for column in columns], len(header)
