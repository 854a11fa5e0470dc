"""Files of JSON that a stranger may have written."""

import json
import os
import stat
from pathlib import Path
from typing import Any


def read_json(path: Path, limit: int = 64 << 20) -> Any:
    """What a file of JSON holds.

    Args:
      path: a regular file, or a link to one; a pipe would keep a reader waiting for ever.
      limit: bytes; a larger file is not read.

    Raises:
      OSError: it is not there, or not to be read.
      ValueError: it is no such file, or not JSON in UTF-8.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is not a regular file")
        if about.st_size > limit:
            raise ValueError(f"it has {about.st_size:,} bytes, and {limit:,} are allowed")
        content = file.read(limit)
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
