"""The position in the data, with what it belongs to: a loader takes any position for its own."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_collections

from lstm_jax.config import difference, to_json
from lstm_jax.data.loader import Loader
from lstm_jax.errors import UserError
from lstm_jax.tasks import Dataset

_MOST_FILES = 1000  # of a folder that are looked at


def get_position(
    loader: Loader, dataset: Dataset, config: ml_collections.ConfigDict
) -> dict[str, Any]:
    """Where the loader is, as JSON, and the fingerprint of its data and pipeline."""
    return {
        "state": loader.get_state(),
        "fingerprint": dataset.fingerprint,
        "batch_size": dataset.batch_size,
        "batches": len(dataset.train),
        "pipeline": _pipeline(config),
        "files": _files(config),
    }


def set_position(
    loader: Loader,
    dataset: Dataset,
    config: ml_collections.ConfigDict,
    saved: Mapping[str, Any],
    folder: Path,
) -> None:
    """Goes on from a position.

    Args:
      loader: to be moved.
      dataset: that of the loader.
      config: that of the run.
      saved: what `get_position` gave.
      folder: of the run, for messages.

    Raises:
      UserError: the position is one in other data or another pipeline.
    """
    if saved["batch_size"] != dataset.batch_size:
        raise UserError(
            f"{folder}: the position in the data counts batches of {saved['batch_size']}, "
            f"and the batches here are of {dataset.batch_size}"
        )
    changes = difference(saved["pipeline"], _pipeline(config))
    if changes:
        raise UserError(
            f"{folder}: the position in the data is that of another pipeline "
            f"(data: {'; '.join(changes)})"
        )
    if (saved["fingerprint"], saved["batches"]) != (dataset.fingerprint, len(dataset.train)):
        raise UserError(
            f"{folder}: the data are not those that the run was trained on "
            f"({_changed(saved['files'], _files(config))})"
        )
    try:
        loader.set_state(saved["state"])
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: the position in the data is none ({error})") from None


def _pipeline(config: Any) -> dict[str, Any]:
    section = config.get("data")
    return json.loads(to_json(section)) if isinstance(section, ml_collections.ConfigDict) else {}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which files changed, as far as sizes and dates tell."""
    changed = [
        name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)
    ]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"changed: {', '.join(changed[:3])}{more}"
    return "a file changed, or another version of a library brings other data"


def _files(config: Any) -> dict[str, list[int]]:
    """Size and date of every file that the data section names, to tell which one changed."""
    found = {}
    for text in _texts(_pipeline(config)):
        path = Path(text).expanduser()
        try:
            inside = path.rglob("*") if path.is_dir() else iter([path])
            for file in itertools.islice(inside, _MOST_FILES):
                if file.is_file():
                    found[str(file)] = [file.stat().st_size, file.stat().st_mtime_ns]
        except (OSError, ValueError):
            continue  # not a path, or not ours to read
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
