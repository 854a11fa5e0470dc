"""Writes snapshots behind the training, and keeps those for which there is no room yet."""

import sys
import threading
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.errors import UserError
from lstm_jax.training.processes import is_key
from lstm_jax.training.storage import is_storage_failure, quiet, reason


class Snapshot(NamedTuple):
    """A step in memory, apart from the training state, which is overwritten by the next step.

    Attributes:
      step: its number.
      trees: pytrees of arrays of the host, by name; of keys, their data.
      meta: JSON to keep beside them.
    """

    step: int
    trees: dict[str, Any]
    meta: dict[str, Any]


def snapshot(step: int, trees: Any, meta: dict[str, Any]) -> Snapshot:
    """Copies a step to the memory of the host."""
    for leaf in jax.tree.leaves(trees):
        if isinstance(leaf, jax.Array) and not is_key(leaf):
            leaf.copy_to_host_async()
    return Snapshot(step, jax.tree.map(_to_host, trees), meta)


def _to_host(leaf: Any) -> np.ndarray:
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    # Asked for by name, so that a transfer guard lets it pass; copied, since on a CPU it is a view.
    return np.array(jax.device_get(leaf))


class Saver:
    """Writes one snapshot after another in a thread.

    What cannot be written stays in memory and is tried again with the next one, so that the disk
    holds in the end what it would have held anyway.

    Args:
      write: puts a snapshot on disk, whole or not at all.
      keep: which of the steps that wait are worth their memory.
      place: where they are written, for messages.
    """

    def __init__(
        self,
        write: Callable[[Snapshot], None],
        keep: Callable[[Collection[int]], Collection[int]],
        place: Any,
    ):
        self._write = write
        self._keep = keep
        self._place = place
        self._waiting: dict[int, Snapshot] = {}
        self._failure: str | None = None  # of the last attempt
        self._error: Exception | None = None  # a fault of the program, for the main thread
        self._thread: threading.Thread | None = None

    def submit(self, taken: Snapshot) -> None:
        """Begins to write, after those before it."""
        self.join()
        self._waiting[taken.step] = taken
        self._thread = threading.Thread(target=self._work, name="save")
        self._thread.start()

    def waiting(self) -> list[int]:
        """The steps that are not on disk yet."""
        return sorted(self._waiting)

    def join(self) -> None:
        """Waits for the attempt under way."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def finish(self) -> None:
        """Waits until everything is on disk.

        Raises:
          UserError: something cannot be written; it was tried once more.
        """
        self.join()
        if self._waiting:
            self._work()
            self.join()
        if self._waiting:
            raise UserError(
                f"step {max(self._waiting)} cannot be saved in {self._place}: {self._failure}; "
                "with more room the same command goes on from the last step that is there"
            )

    def _work(self) -> None:
        failed_before = self._failure is not None
        self._failure = None
        try:
            for step in self.waiting():
                with quiet():
                    self._write(self._waiting[step])
                del self._waiting[step]
                if failed_before:
                    _say(f"step {step} is saved after all")
        except Exception as error:
            if not is_storage_failure(error):
                self._error = error
                return
            self._failure = reason(error)
            _say(
                f"step {max(self._waiting)} cannot be saved in {self._place} now: "
                f"{self._failure}; it is kept in memory and tried again with the next one"
            )
        kept = self._keep(self._waiting)
        self._waiting = {step: taken for step, taken in self._waiting.items() if step in kept}


def _say(text: str) -> None:
    print(f"lstm-jax: {text}", file=sys.stderr, flush=True)
