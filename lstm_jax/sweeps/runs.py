"""Training runs in processes of their own: one that fails, or is killed, harms no other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_POLL = 0.1  # seconds


class Planned(NamedTuple):
    """A run that is to be trained.

    Attributes:
      name: for a person.
      folder: its workdir; what it prints goes to a file beside it, FOLDER.log.
      config: a config file, PATH.py or PATH.py:MODE.
      overrides: of fields, as `optimizer.learning_rate=1e-3`.
      parts: modules that the config names.
    """

    name: str
    folder: Path
    config: str
    overrides: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def arguments(self) -> list[str]:
        """Of `lstm-jax train`."""
        return [
            f"--config={self.config}",
            f"--workdir={self.folder}",
            *(f"--config.{text}" for text in self.overrides),
            *(f"--parts={module}" for module in self.parts),
        ]

    def last_line(self) -> str:
        """The last thing that the run said: where it failed, why."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def train_all(planned: Sequence[Planned], jobs: int, tell: Callable[[Planned, int], None]) -> None:
    """Trains the runs, some at a time, in their order; those that stopped before go on.

    A run that fails is told and the others go on. A signal that ends this process is handed to the
    runs under way, which save their state; they are waited for.

    Args:
      planned: the runs.
      jobs: how many are trained at a time.
      tell: is called with each run that ends, and its exit code.
    """
    waiting, running = list(planned), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                running[run] = start(run)
            for run in [run for run, process in running.items() if process.poll() is not None]:
                tell(run, running.pop(run).returncode)
            time.sleep(_POLL)
    finally:
        stop(list(running.values()))


def start(run: Planned) -> subprocess.Popen[bytes]:
    """The process that trains a run, or goes on with it."""
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("ab") as log:
        # In a session of its own, so that Ctrl-C reaches it through us, once.
        return subprocess.Popen(
            [sys.executable, "-m", "lstm_jax.cli.main", "train", *run.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Asks the processes that are left to save their state and end, and waits for them."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait()
