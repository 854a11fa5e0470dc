"""`lstm-jax` as the child of a Ray worker, which it does not outlive.

A worker may be killed at any moment, and its trial then goes on elsewhere: a child that lived on
would write to the same folder. Its standard input is a pipe from the worker, which the system
closes however the worker ends.
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

_PATIENCE = 60.0  # seconds
_POLL = 0.3


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # its own data workers too


def _wait_until_free(folder: Path) -> None:
    """A worker that was lost may have left a process that is about to end."""
    from lstm_jax.training.lock import trainer

    latest = time.monotonic() + _PATIENCE
    while trainer(folder) is not None and time.monotonic() < latest:
        time.sleep(_POLL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _wait_until_free(Path(sys.argv.pop(1)))
    runpy.run_module("lstm_jax.cli.main", run_name="__main__", alter_sys=True)
