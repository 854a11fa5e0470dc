"""The names of classes, as they are found, numbered and kept with a run."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.errors import UserError, did_you_mean
from lstm_jax.json_files import read_json

_SHOWN = 60  # characters of a name in a message
_MOST = 10  # classes in a message


def classes_of(labels: Iterable[str]) -> list[str]:
    """The classes of the training split, sorted.

    Raises:
      UserError: there is one alone.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise UserError(
            f"data: the training split has one class only, {_short(classes[0])}; two are needed"
        )
    return classes


def numbered(split: str, labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The number of the class of every record, int32 [records].

    >>> numbered("test", ["b", "a"], ["a", "b"]).tolist()
    [1, 0]

    Raises:
      UserError: a class is none of those.
    """
    numbers = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(labels) - set(numbers))
    if unknown:
        raise UserError(
            f"data: the {split} split has a class {_short(unknown[0])} that the training split "
            f"does not have; {did_you_mean(unknown[0][:_SHOWN], numbers)}"
        )
    return np.array([numbers[label] for label in labels], np.int32)


def counted(labels: np.ndarray, classes: Sequence[str]) -> str:
    """How many records each class has, the most frequent first.

    >>> counted(np.array([0, 1, 1]), ["neg", "pos"])
    "2 classes: 2 'pos', 1 'neg'"
    """
    counts = np.bincount(labels, minlength=len(classes))
    order = np.argsort(-counts, kind="stable")
    told = ", ".join(f"{counts[i]:,} {_short(classes[i])}" for i in map(int, order[:_MOST]))
    return f"{len(classes)} classes: {told}{', ...' if len(classes) > _MOST else ''}"


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


def save_classes(classes: Sequence[str], path: Path) -> None:
    """Writes the names in their order as JSON."""
    write_atomically(path, json.dumps(list(classes), indent=0) + "\n")


def load_classes(path: Path) -> list[str]:
    """Reads what `save_classes` wrote.

    Raises:
      UserError: the file is missing or holds no names.
    """
    try:
        classes = read_json(path)
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("it is no list of names")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no classes ({error})") from None
    return classes
