"""One process trains a run. The system takes its lock off when it ends, however it ends."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from lstm_jax.errors import UserError

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Lock:
    """The lock of a run's folder, held until the process ends or the object goes.

    Others may read the run all the while.

    Args:
      folder: of the run.

    Raises:
      UserError: another process holds it; the message says which.
    """

    def __init__(self, folder: Path):
        path = folder / ".lock"
        # Not "w", which would empty the file of the process that holds it.
        self._file = path.open("a+", encoding="utf-8")
        for _ in range(10):  # `trainer` holds it for an instant
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                text = "this file system has no locks; start no second process on this run"
                print(f"lstm-jax: {folder}: {text}", file=sys.stderr)
                return
        else:
            raise UserError(f"{folder}: another process is training this run{_who(path)}")
        self._file.truncate(0)
        with contextlib.suppress(OSError):  # a full disk: it is only for messages
            self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
            self._file.flush()


def trainer(folder: Path) -> dict[str, Any] | None:
    """The process that trains the run in a folder, `{"pid": ..., "host": ...}`; None if none does.

    Over a network file system it is told as far as that shares locks between hosts.
    """
    path = folder / ".lock"
    if not path.is_file():  # a pipe would keep a reader waiting
        return None
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(path)
    except OSError:
        return None
    return None


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"pid": found["pid"], "host": found["host"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # it is just being written


def _who(path: Path) -> str:
    holder = _holder(path)
    return f" (process {holder['pid']} on {holder['host']})" if holder else ""
