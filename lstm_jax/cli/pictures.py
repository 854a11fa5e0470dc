"""Pictures among the records of a prediction: each becomes a file, whose name is told instead."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.errors import UserError


def written(records: Iterator[Mapping[str, Any]], folder: Path) -> Iterator[Mapping[str, Any]]:
    """The records, with the path of a PNG in the place of every picture.

    Args:
      records: whose pictures are bytes [height, width, channels], one channel or three.
      folder: where pictures go, made when the first one comes; one of the same name is replaced.

    Raises:
      UserError: a file cannot be written.
    """
    for number, record in enumerate(records, start=1):
        made = dict(record)
        for name, value in record.items():
            if isinstance(value, np.ndarray):
                made[name] = str(_write(value, folder / f"{name}_{number:03}.png"))
        yield made


def _write(picture: np.ndarray, path: Path) -> Path:
    from PIL import Image

    grey = picture.shape[-1] == 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0] if grey else picture).save(path)
    except OSError as error:
        raise UserError(f"--output: cannot write {path} ({error.strerror})") from None
    return path
