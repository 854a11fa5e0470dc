"""Files of weights that a stranger may have made."""

import os
from pathlib import Path


def require_file(path: str | os.PathLike) -> Path:
    """The path of a regular file; a pipe would keep a reader waiting for ever.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    return path


def inside(folder: Path, name: str) -> Path:
    """A regular file in a folder, or below it, by the name that another file has for it.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is something else, or stands elsewhere.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} does not stand in {folder}")
    return require_file(path)
