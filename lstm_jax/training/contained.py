"""A run's folder may come from a stranger: nothing in it may lead out of it."""

import os
import stat
from pathlib import Path

from lstm_jax.errors import UserError


def require_contained(folder: Path) -> None:
    """Looks at every entry of a run's folder, and below.

    What is written, renamed or deleted in it then stays in it, and no reader waits for a pipe.

    Raises:
      UserError: one is a link that leads out of the folder, or neither a file nor a folder.
    """
    root = folder.resolve()
    for here, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(here, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # another process trains here
            if stat.S_ISLNK(mode):
                _require_inside(path, root)
            elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise UserError(
                    f"{path} is neither a file nor a folder: no run leaves such a thing"
                )


def _require_inside(path: Path, root: Path) -> None:
    try:
        inside = path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise UserError(
            f"{path} is a link that leads out of the run's folder, where nothing is read or written"
        )
