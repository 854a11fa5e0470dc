"""`lstm-jax` as the child of a Ray worker, which it does not outlive.

A worker may be killed at any moment, and its trial then goes on elsewhere: a child that lived on
would write to the same folder. Its standard input is a pipe from the worker, which the system
closes however the worker ends.
"""

import os
import runpy
import signal
import threading


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # its own data workers too


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("lstm_jax.cli.main", run_name="__main__", alter_sys=True)
