"""The JSON beside the arrays of a checkpoint, as far as others rely on it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_jax.errors import UserError


def is_metadata(found: Any) -> bool:
    """Whether it says what every checkpoint says of itself, in the types that it has there."""
    if not isinstance(found, dict):
        return False
    return (
        _is_count(found.get("step"))
        and (found.get("score") is None or _is_number(found["score"]))
        and _is_texts(found.get("digests"))
        and _is_texts(found.get("leaves"))
        and found["digests"].keys() == found["leaves"].keys()
        and isinstance(found.get("fingerprint", ""), str)
    )


def require_progress(meta: Mapping[str, Any], folder: Path) -> None:
    """Raises UserError if the JSON of a checkpoint does not tell how far a run was."""
    stopping, data = meta.get("early_stopping"), meta.get("data")
    whole = (
        _is_number(meta.get("seconds"))
        and isinstance(stopping, dict)
        and _is_count(stopping.get("evaluations"))
        and (stopping.get("best") is None or _is_number(stopping.get("best")))
        and isinstance(data, dict)
        and {"state", "fingerprint", "batch_size", "batches", "pipeline", "files"} <= data.keys()
        and isinstance(data["pipeline"], dict)
        and isinstance(data["files"], dict)
        and _holds_integers(data["state"])
    )
    if not whole:
        raise UserError(f"{folder}: its last checkpoint does not say how far the run was")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _holds_integers(value: Any) -> bool:
    """Whether every number in a loader's position is one to count with."""
    if isinstance(value, dict):
        return all(map(_holds_integers, value.values()))
    if isinstance(value, list):
        return all(map(_holds_integers, value))
    return isinstance(value, int | str) or value is None
