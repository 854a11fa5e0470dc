"""The state of a run, from what it left on disk and from whether a process holds its lock."""

import fcntl
import json
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json
from lstm_jax.records import METRICS, metric_lines, read_heartbeat

_CONFIG, _RESULT, _LOCK = "config.json", "result.json", ".lock"
_DEPTH = 4  # folders below the given one in which runs are looked for
_LATE = 10  # times the usual time between two reports
_SECONDS = 120  # at least, before a report counts as late


def find_runs(folder: Path) -> list[Path]:
    """The folder itself if it holds a run, else all runs below it, by name.

    Raises:
      UserError: there is none.
    """
    if (folder / _CONFIG).is_file():
        return [folder]
    found = sorted(_runs_below(folder, _DEPTH))
    if not found:
        raise UserError(f"{folder} holds no run: there is no {_CONFIG} in it or below it")
    return found


def read_status(folder: Path) -> dict[str, Any]:
    """Everything that can be told of the run in a folder, as JSON holds it.

    `state` is one of

        starting     a process holds the run's lock and has not yet reported a step
        running      a process holds the lock
        finished     there is a result
        stopped      by a signal, with its state saved
        failed       by an error, which `reason` says
        crashed      it said that it runs, and no process holds the lock
        not running  there are figures, of an earlier version that said nothing else
        not started  there is a config and nothing more
    """
    heartbeat = read_heartbeat(folder) or _from_metrics(folder)
    holder, result = _lock_holder(folder / _LOCK), _result(folder)
    state = _state(heartbeat, holder, result)
    process = holder or heartbeat
    age = max(time.time() - heartbeat["time"], 0.0) if "time" in heartbeat else None
    last = heartbeat.get("last") or {}
    found = {
        "folder": str(folder),
        "state": state,
        "reason": heartbeat.get("reason") if state in ("stopped", "failed") else None,
        "pid": process.get("pid"),
        "host": process.get("host"),
        "processes": heartbeat.get("processes"),
        "step": heartbeat.get("step"),
        "total": heartbeat.get("total"),
        "metric": heartbeat.get("metric"),
        "last": last,
        "best": heartbeat.get("best"),
        "speed": _speed(last.get("train", {})),
        "seconds": last.get("train", {}).get("seconds"),
        "seconds_left": _seconds_left(heartbeat, age) if state == "running" else None,
        "checkpoint": _last_checkpoint(folder / "checkpoints"),
        "age": age,
        "warnings": [*(heartbeat.get("warnings") or []), *_late(heartbeat, state, age)],
    }
    if result is not None:
        steps = result.get("steps")
        found |= {"step": steps if isinstance(steps, int) else None, "result": result}
    return _without_infinities(found)


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        children = [child for child in folder.iterdir() if child.is_dir()]
    except OSError:
        return
    for child in children:
        if (child / _CONFIG).is_file():
            yield child
        elif depth > 1 and not child.name.startswith("."):
            yield from _runs_below(child, depth - 1)


def _state(heartbeat: Mapping[str, Any], holder: Mapping[str, Any] | None, result: Any) -> str:
    said = heartbeat.get("state")
    if result is not None:
        return "finished"
    if holder is not None:
        # Where another process holds the lock than the one that spoke last, it is a new one.
        spoke = heartbeat and _may_be(heartbeat, holder)
        return said or "running" if spoke else "starting"
    if said in ("starting", "running"):
        # A lock on a disk that machines share is not always seen from another one.
        return said if _is_elsewhere(heartbeat) and _is_fresh(heartbeat) else "crashed"
    return said or ("not running" if heartbeat else "not started")


def _lock_holder(path: Path) -> dict[str, Any] | None:
    """The process that trains here, as far as its lock says who it is; None if none does.

    The system takes a lock off when its process ends, however it ends. It is tried as one to
    share, and let go at once.
    """
    if not path.is_file():  # a pipe would keep a reader waiting
        return None
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found = json.loads(file.read(1000) or "{}")
                return found if isinstance(found, dict) else {}
    except OSError:
        return None
    except ValueError:
        return {}  # it is just being written
    return None


def _is_elsewhere(heartbeat: Mapping[str, Any]) -> bool:
    return heartbeat.get("host") != socket.gethostname()


def _may_be(heartbeat: Mapping[str, Any], holder: Mapping[str, Any]) -> bool:
    """Whether the process that holds the lock is the one that spoke, as far as one can see."""
    said, holds = ((of.get("host"), of.get("pid")) for of in (heartbeat, holder))
    if None not in said and None not in holds:
        return said == holds
    if _is_elsewhere(heartbeat) or not isinstance(heartbeat.get("pid"), int):
        return True
    try:
        os.kill(heartbeat["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True


def _patience(heartbeat: Mapping[str, Any]) -> float:
    return max(_LATE * (heartbeat.get("interval") or 0.0), _SECONDS)


def _is_fresh(heartbeat: Mapping[str, Any]) -> bool:
    return time.time() - heartbeat.get("time", 0.0) < _patience(heartbeat)


def _late(heartbeat: Mapping[str, Any], state: str, age: float | None) -> list[dict[str, Any]]:
    """A warning if the run holds its lock and has been silent for long."""
    if state != "running" or age is None or age < _patience(heartbeat):
        return []
    usual = heartbeat.get("interval") or 0.0
    text = f"no report for {age:.0f} s, where the last two were {usual:.0f} s apart"
    return [{"step": heartbeat.get("step"), "text": text}]


def _seconds_left(heartbeat: Mapping[str, Any], age: float | None) -> float | None:
    left = heartbeat.get("seconds_left")
    return None if left is None else max(left - (age or 0.0), 0.0)


def _speed(train: Mapping[str, Any]) -> dict[str, float]:
    """The figures of the last report that tell speed."""
    names = ("step_seconds", "input_wait", "model_flops_utilization")
    return {k: v for k, v in train.items() if k.endswith("_per_second") or k.startswith(names)}


def _last_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last step that is there, and how long ago it was written."""
    if not folder.is_dir():
        return None
    steps = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    if not steps:
        return None
    last = max(steps, key=lambda path: int(path.name))
    return {"step": int(last.name), "age": max(time.time() - last.stat().st_mtime, 0.0)}


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        found = read_json(folder / _RESULT)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    numbers = (value for name, value in found.items() if "/" in name or name.endswith("step"))
    return found if all(isinstance(value, int | float) for value in numbers) else None


def _from_metrics(folder: Path) -> dict[str, Any]:
    """What can be told of a run that left figures and no heartbeat."""
    last: dict[str, Any] = {}
    for line, _ in metric_lines(folder):
        last[line["split"]] = {k: v for k, v in line.items() if k != "split"}
    if not last:
        return {}
    written = (folder / METRICS).stat().st_mtime
    step = max(line["step"] for line in last.values())
    return {"step": step, "last": last, "time": written}


def _without_infinities(value: Any) -> Any:
    """JSON has no NaN and no infinity; None stands for them."""
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
