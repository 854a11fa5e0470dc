"""Figures in files of text: lines of JSON, and tables of comma-separated values.

A full disk ends no run. What could not be written is kept, said once, and written when there is
room; a line that was written in part is taken back, so that no torn line stands inside a file.
"""

import csv
import errno
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from lstm_jax.config import write_atomically
from lstm_jax.records import METRICS, metric_lines

FULL = (errno.ENOSPC, errno.EDQUOT)


class Appender:
    """Appends whole pieces of text to a file, now or when there is room.

    Args:
      path: the file; what stands there stays.
    """

    def __init__(self, path: Path):
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._waiting = b""

    def append(self, text: str) -> None:
        """Writes the text, behind all that still waits for room."""
        self._waiting += text.encode("utf-8")
        try:
            self.flush()
        except OSError as error:
            if error.errno not in FULL:
                raise
            _warn(self._path, error)

    def flush(self) -> None:
        """Writes what waits.

        Raises:
          OSError: there is no room; what was written in part is taken back.
        """
        whole = self._file.seek(0, os.SEEK_END)
        written = 0
        try:
            while written < len(self._waiting):
                written += self._file.write(self._waiting[written:])
        except OSError:
            self._file.truncate(whole)
            raise
        self._waiting = b""

    def close(self) -> None:
        """Closes the file; what found no room is told."""
        self.append("")
        if self._waiting:
            print(f"lstm-jax: {self._path}: its last lines are lost", file=sys.stderr)
        self._file.close()


def _warn(path: Path, error: OSError) -> None:
    text = f"{path}: {error.strerror}; the figures wait until there is room"
    print(f"lstm-jax: {text}", file=sys.stderr)


class JSONLines:
    """A line of JSON for every report, in `metrics.jsonl`."""

    def __init__(self, folder: Path, step: int):
        kept = [text for line, text in metric_lines(folder) if line["step"] <= step]
        write_atomically(folder / METRICS, "".join(kept))
        self._file = Appender(folder / METRICS)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes a line; JSON has no word for a figure that is not finite: it is null."""
        figures = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.append(json.dumps({"step": step, "split": split, **figures}) + "\n")

    def close(self) -> None:
        """Writes out what is left."""
        self._file.close()


class Tables:
    """A table of comma-separated values for every split, `csv/train.csv` and so on.

    The first column is the step. A figure that comes up later is a new column, empty above.
    """

    def __init__(self, folder: Path, step: int):
        self._folder = folder / "csv"
        self._folder.mkdir(exist_ok=True)
        self._columns: dict[str, list[str]] = {}
        self._files: dict[str, Appender] = {}
        self._waiting: list[tuple[str, dict[str, object]]] = []
        for path in sorted(self._folder.glob("*.csv")):
            rows = [row for row in _whole_rows(path) if int(row["step"]) <= step]
            self._rewrite(path.stem, list(rows[0]) if rows else ["step"], rows)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes a row."""
        self._waiting.append((split, {"step": step, **values}))
        try:
            while self._waiting:
                self._write(*self._waiting[0])
                self._waiting.pop(0)
        except OSError as error:
            if error.errno not in FULL:
                raise
            _warn(self._folder, error)

    def close(self) -> None:
        """Writes out what is left."""
        for file in self._files.values():
            file.close()

    def _write(self, split: str, row: Mapping[str, object]) -> None:
        columns = self._columns.get(split, ["step"])
        new = [name for name in row if name not in columns]
        if new or split not in self._files:
            path = self._folder / f"{split}.csv"
            if split in self._files:
                self._files[split].flush()
            self._rewrite(split, columns + new, _whole_rows(path))
        self._files[split].append(_line([row.get(name, "") for name in self._columns[split]]))

    def _rewrite(self, split: str, columns: list[str], rows: list[dict[str, str]]) -> None:
        path = self._folder / f"{split}.csv"
        lines = [_line(columns), *(_line([row.get(name, "") for name in columns]) for row in rows)]
        write_atomically(path, "".join(lines))
        if split in self._files:
            self._files[split].close()
        self._columns[split] = columns
        self._files[split] = Appender(path)


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _whole_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table; a torn last one is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    header, *rows = csv.reader(text[: text.rfind("\n") + 1].splitlines()) or [[]]
    whole = (row for row in rows if len(row) == len(header) and row[0].isdecimal())
    return [dict(zip(header, row, strict=True)) for row in whole]
