"""What a run leaves on disk while it trains, as others read it: no JAX is needed to look.

The loop writes `metrics.jsonl`, a line a report, and `heartbeat.json`, its state at the last one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
HEARTBEAT = "heartbeat.json"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`; a torn last line is left out."""
    return [line for line, _ in metric_lines(folder)]


def metric_lines(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Every whole line of a run's `metrics.jsonl`, read and as it stands there."""
    path = folder / METRICS
    if not path.exists():
        return
    # Bytes of a file that was torn need not be UTF-8; such a line is no JSON and is left out.
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            line = _parse(text)
            if line is not None:
                yield line, text


def _parse(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text) if text.endswith("\n") else None
    except json.JSONDecodeError:
        return None
    return line if isinstance(line, dict) and {"step", "split"} <= line.keys() else None


def read_heartbeat(folder: Path) -> dict[str, Any] | None:
    """What the loop last said of itself; None where it never did, or nothing can be read."""
    try:
        found = json.loads((folder / HEARTBEAT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "state" in found else None


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
