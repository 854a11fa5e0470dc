"""What a run says of itself while it trains, for `lstm-jax status` in another terminal."""

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from lstm_jax.records import HEARTBEAT, read_metrics
from lstm_jax.tasks import Metric
from lstm_jax.training.interruption import Interrupted
from lstm_jax.training.processes import is_first
from lstm_jax.training.writer_files import FULL

_WARNINGS = 20  # the last ones are kept


class Heartbeat:
    """Writes `heartbeat.json`, whole or not at all, at every report; the first process alone.

    Entered, it says that the run starts; left, how it ended: finished, stopped by a signal, or
    failed. A kill leaves it saying that the run runs, and the lock of the folder free.

    Args:
      folder: the run's folder.
      metric: the one that checkpoints are judged by, on the validation split.
      step: the step that the run goes on from.
      total: length of the run in steps, 0 if it is not known.
    """

    def __init__(self, folder: Path, metric: Metric, step: int, total: int):
        self._path = folder / HEARTBEAT
        self._writes = is_first()
        self._first: tuple[int, float] | None = None
        self._state: dict[str, Any] = {
            "state": "starting",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "processes": jax.process_count(),
            "began": time.time(),
            "time": time.time(),
            "step": step,
            "total": total,
            "metric": metric._asdict(),
            "last": {},
            "best": None,
            "interval": None,
            "seconds_left": None,
            "warnings": [],
        }
        for line in read_metrics(folder):
            if line["step"] <= step:
                self._take(line.pop("step"), line.pop("split"), line)

    def __enter__(self) -> "Heartbeat":
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is None:
            self._state["state"] = "finished"
        elif isinstance(error, Interrupted):
            self._state |= {"state": "stopped", "step": error.step, "reason": error.signal.name}
        elif isinstance(error, KeyboardInterrupt):
            self._state |= {"state": "stopped", "reason": "interrupted, without saving"}
        else:
            lines = str(error).splitlines() or [""]
            reason = f"{type(error).__name__}: {lines[0][:300]}"
            self._state |= {"state": "failed", "reason": reason}
        self._write()

    def beat(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Says how far the run is, with the figures of a split that were just written."""
        now = time.time()
        if self._first is None:
            self._first = (step, now)
        elif step > self._first[0] and self._state["total"]:
            per_step = (now - self._first[1]) / (step - self._first[0])
            self._state["seconds_left"] = per_step * (self._state["total"] - step)
        self._state["interval"] = now - self._state["time"]
        self._state |= {"state": "running", "step": step}
        self._take(step, split, values)
        self._write()

    def warn(self, text: str) -> None:
        """Keeps a warning with the step it is of, and the last ones of them."""
        warning = {"step": self._state["step"], "text": text}
        self._state["warnings"] = [*self._state["warnings"], warning][-_WARNINGS:]
        self._write()

    def went_back(self, step: int) -> None:
        """The run goes on from an earlier step; its best figure may have been of a later one."""
        self._first = None
        self._state |= {"step": step, "last": {}, "best": None, "seconds_left": None}
        for line in read_metrics(self._path.parent):
            if line["step"] <= step:
                self._take(line.pop("step"), line.pop("split"), line)

    def _take(self, step: int, split: str, values: Mapping[str, float]) -> None:
        self._state["last"][split] = {"step": step, **values}
        metric = self._state["metric"]
        value = values.get(metric["name"], math.nan)
        if split != "validation" or math.isnan(value):
            return
        best = self._state["best"]
        sign = 1 if metric["lower_is_better"] else -1
        if best is None or sign * value < sign * best["value"]:
            self._state["best"] = {"step": step, "value": value}

    def _write(self) -> None:
        if not self._writes:
            return
        self._state["time"] = time.time()
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            # Not synced to the disk, which may take long: a power cut ends the run anyway.
            temporary.write_text(json.dumps(self._state) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            if error.errno not in FULL:
                raise
            # The writers of figures say so; a run does not end for want of a heartbeat.
            temporary.unlink(missing_ok=True)
