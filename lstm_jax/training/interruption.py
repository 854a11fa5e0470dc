"""Ctrl-C and SIGTERM as a question that the loop asks between two steps."""

import os
import signal
from types import FrameType, TracebackType


class Interruption:
    """While entered, the first SIGINT or SIGTERM is noted and the second ends the process.

    Attributes:
      signal: the signal that came, None before.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread, where no signal arrives either
                break
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        # Not through print: a signal may come in the middle of one.
        os.write(2, b"\nstopping after this step; once more to stop at once\n")


class Interrupted(Exception):
    """A run stopped at a signal, with its state saved.

    Attributes:
      step: the step saved.
      signal: the signal that came.
    """

    def __init__(self, step: int, number: signal.Signals):
        super().__init__(f"stopped by {number.name} at step {step}")
        self.step = step
        self.signal = number
