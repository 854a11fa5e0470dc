"""The names of classes, kept with a run."""

import json
from collections.abc import Sequence
from pathlib import Path

from lstm_jax.config import write_atomically
from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json


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
