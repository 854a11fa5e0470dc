"""All trials of a search as a file of a table: comma-separated values, or Parquet."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lstm_jax.errors import UserError

Rows = Sequence[Mapping[str, Any]]


def write_csv(rows: Rows, file: IO[str]) -> None:
    """A column for every name in any row; what a row lacks stays empty."""
    writer = csv.DictWriter(file, _names(rows))
    writer.writeheader()
    writer.writerows(rows)


def write_table(rows: Rows, path: Path) -> None:
    """Writes a table, in the format that its name says.

    Raises:
      UserError: the name says another one, pyarrow is not installed, or the file cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"--output: must end in .csv or .parquet, got {path}")
    try:
        if path.suffix == ".parquet":
            _write_parquet(rows, path)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                write_csv(rows, file)
    except OSError as error:
        raise UserError(f"--output: cannot write {path} ({error.strerror or error})") from None


def _write_parquet(rows: Rows, path: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("a Parquet file needs pyarrow: pip install 'lstm_jax[parquet]'") from None
    columns = {name: pyarrow.array([row.get(name) for row in rows]) for name in _names(rows)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
