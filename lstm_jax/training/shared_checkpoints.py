"""Checkpoints of a run of several processes: the first one writes and reads for all."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lstm_jax.training.checkpoints import Checkpoints, Restored
from lstm_jax.training.processes import from_first, gather, is_first, is_key, spread
from lstm_jax.training.verified import Trees


class SharedCheckpoints:
    """As `Checkpoints`, to be called by all processes alike, with arrays on the devices of all.

    The first process holds the whole state in its memory while it is written, as one process alone
    does, and the others none of it: what is on disk does not tell how many there were, and only
    the first one needs to reach it.

    Args:
      own: the checkpoints, of which only the first process makes use.
    """

    def __init__(self, own: Checkpoints):
        self._own = own

    def save(self, step: int, trees: Trees, meta: dict[str, Any], score: float | None) -> None:
        """Begins to save a step, and returns while it is written; a step that exists stays."""
        if not from_first(lambda: self._own.holds(step)):
            whole = gather(dict(trees))
            if is_first():
                self._own.save(step, whole, meta, score)

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
          UserError: something could not be saved.
        """
        from_first(self._own.wait)

    def close(self) -> None:
        """Waits for the save under way, and lets go of the folder."""
        self._own.close()

    def resume(self, like: Trees) -> Restored | None:
        """The last step that is whole, to go on from; None if there is no step at all.

        Raises:
          UserError: there are steps, and every one is damaged; nothing is touched.
        """
        return self._read(self._own.resume, like)

    def best(self, like: Trees) -> Restored | None:
        """The step with the lowest score, the last one if none has any.

        Raises:
          UserError: there are steps, and every one is damaged.
        """
        return self._read(self._own.best, like)

    def _read(self, read: Callable[[Trees], Restored | None], like: Trees) -> Restored | None:
        found: list[Restored | None] = [None]

        def look() -> Any:
            restored = found[0] = read(jax.tree.map(_in_memory, dict(like)))
            return restored and [restored.step, restored.meta]

        told = from_first(look)
        if told is None:
            return None
        step, meta = told
        return Restored(step, spread(found[0] and found[0].trees, dict(like)), meta)


def _in_memory(leaf: Any) -> Any:
    """A leaf to fill that lies in the memory of the host; of keys, on its first device."""
    if is_key(leaf):
        return jax.random.wrap_key_data(
            jax.device_put(
                np.zeros(jax.eval_shape(jax.random.key_data, leaf).shape, np.uint32),
                jax.local_devices()[0],
            ),
            impl=jax.random.key_impl(leaf),
        )
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)  # takes no room
