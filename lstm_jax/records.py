"""What a run leaves on disk while it trains, as others read it: no JAX is needed to look.

The loop writes `metrics.jsonl`, a line a report, and `heartbeat.json`, its state at the last one.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstm_jax.json_files import read_json

METRICS = "metrics.jsonl"
HEARTBEAT = "heartbeat.json"
_LONGEST = 1 << 20  # characters of a line, bytes of a heartbeat


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`; a torn last line is left out."""
    return [line for line, _ in metric_lines(folder)]


def metric_lines(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Every whole line of a run's `metrics.jsonl`, read and as it stands there; null is NaN."""
    path = folder / METRICS
    if not path.is_file():  # a pipe would keep a reader waiting
        return
    # Bytes of a file that was torn need not be UTF-8; such a line is no JSON and is left out.
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in iter(lambda: file.readline(_LONGEST), ""):
            line = _parse(text)
            if line is not None:
                yield line, text


def _parse(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text) if text.endswith("\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("split"), str):
        return None
    numbers = (value for name, value in line.items() if name != "split")
    whole = isinstance(line.get("step"), int) and all(map(_is_number, numbers))
    if not whole:
        return None
    return {name: math.nan if value is None else value for name, value in line.items()}


def read_heartbeat(folder: Path) -> dict[str, Any] | None:
    """What the loop last said of itself; None where it never did, or nothing can be read."""
    try:
        found = read_json(folder / HEARTBEAT, _LONGEST)
    except (OSError, ValueError):
        return None
    return _printable(found) if _is_heartbeat(found) else None


def _is_heartbeat(found: Any) -> bool:
    """Whether all that it says is of the type that the loop writes."""
    if not isinstance(found, dict) or not isinstance(found.get("state"), str):
        return False
    texts = (found.get(name, "") for name in ("host", "reason"))
    whole = ("pid", "processes", "step", "total")
    numbers = (found.get(name) for name in ("began", "time", "interval", "seconds_left", *whole))
    metric, last, best = (found.get(name) or {} for name in ("metric", "last", "best"))
    return (
        all(isinstance(text, str) for text in texts)
        and all(map(_is_number, numbers))
        and all(isinstance(found.get(name) or 0, int) for name in whole)
        and (not metric or _is_metric(metric))
        and isinstance(last, dict)
        and all(map(_is_figures, last.values()))
        and (not best or (_is_figures(best) and "value" in best))
        and _are_warnings(found.get("warnings") or [])
    )


def _is_metric(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("name"), str)
        and isinstance(found.get("label"), str)
        and isinstance(found.get("decimals"), int)
        and 0 <= found["decimals"] <= 20
    )


def _is_figures(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("step"), int)
        and all(map(_is_number, found.values()))
    )


def _are_warnings(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("text"), str)
        and isinstance(each.get("step") or 0, int)
        for each in found
    )


def _is_number(value: Any) -> bool:
    """Whether it is one that a figure can be, or None; no text, and no integer beyond floats."""
    return (
        value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
    )


def _printable(value: Any) -> Any:
    """Without what would steer a terminal."""
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)
    return value


def figure_text(value: float, decimals: int) -> str:
    """A figure for a person.

    >>> figure_text(1.23456, 3), figure_text(1.1e30, 3)
    ('1.235', '1.100e+30')
    """
    return f"{value:.{decimals}{'f' if abs(value) < 1e9 else 'e'}}"


def time_text(seconds: float) -> str:
    """A length of time for a person.

    >>> time_text(7), time_text(125), time_text(3 * 3600 + 60), time_text(50 * 3600)
    ('0:07', '2:05', '3 h 01 min', '2 d 02 h')
    """
    seconds = max(round(seconds), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24:02d} h"
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes}:{seconds % 60:02d}"
