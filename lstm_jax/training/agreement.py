"""What several processes must decide alike while they train: when to stop, and how late it is."""

import signal
import time

import jax
import numpy as np

_EVERY = 2.0  # seconds between two agreements, about
_MOST_STEPS = 1000  # between them


class Agreement:
    """Asks all processes now and then; one process needs nobody.

    A signal that reaches one process stops all, after the same step; the time is that of the
    first. Asking waits for the devices, so that it is done about every two seconds: the first
    process says after how many steps.

    Args:
      seconds: of training before this process.
    """

    def __init__(self, seconds: float):
        self._began = time.monotonic() - seconds
        self._seconds = seconds
        self._alone = jax.process_count() == 1
        self._next = 0  # the step at which all ask again
        self._last: tuple[int, float] | None = None  # the last wait: step, time
        self._per_step: float | None = None  # seconds

    def ask(self, step: int, number: signal.Signals | None) -> tuple[float, signal.Signals | None]:
        """Seconds of training so far, and the signal at which all stop after this step.

        Args:
          step: the step that was done, the same everywhere.
          number: the signal that came here, if any.
        """
        now = time.monotonic() - self._began
        if self._alone:
            return now, number
        if step < self._next:
            return self._seconds, None
        from jax.experimental import multihost_utils

        # Numbers of whole milliseconds, since the devices have no double precision.
        own = [number or 0, self._steps_until_next(), *divmod(int(now * 1000), 1 << 30)]
        every = np.asarray(multihost_utils.process_allgather(np.array(own, np.int32)))
        self._measure(step)
        _, steps, high, low = map(int, every[0])
        self._next = step + steps
        self._seconds = ((high << 30) + low) / 1000
        found = int(every[:, 0].max())
        return self._seconds, signal.Signals(found) if found else None

    def _steps_until_next(self) -> int:
        if self._per_step is None:
            return 1
        return min(max(int(_EVERY / self._per_step), 1), _MOST_STEPS)

    def _measure(self, step: int) -> None:
        """How long a step takes, between two waits: steps that are only sent off take no time."""
        last, self._last = self._last, (step, time.monotonic())
        if last is not None and step > last[0]:
            self._per_step = max((self._last[1] - last[1]) / (step - last[0]), 1e-6)
