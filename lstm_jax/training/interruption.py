"""Ctrl-C and SIGTERM as a question that the loop asks between two steps."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import NoReturn


class Interruption:
    """While entered, the first SIGINT or SIGTERM is noted and the second ends the process.

    Until the loop asks for the first time there is nothing to lose, and SIGTERM ends the process
    at once: a compilation may take longer than the minute that a scheduler grants. A second
    SIGTERM ends it in the middle of anything, of a compilation or a save: what is on disk is whole
    at any time. A second Ctrl-C raises KeyboardInterrupt, since the process may be a notebook's.
    """

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._asked = False
        self._before: dict[int, object] = {}
        self._pipe: tuple[int, int] | None = None

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that came, None before; from now on there is something to save."""
        self._asked = True
        return self._signal

    def release(self) -> None:
        """There is nothing to lose any more: all is on disk."""
        self._asked = False

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread, where no signal arrives either
                return self
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        if self._pipe is not None:
            signal.set_wakeup_fd(self._wakeup_before)
            os.write(self._pipe[1], b"\0")
            self._watcher.join()
            for end in self._pipe:
                os.close(end)
            self._pipe = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = signal.Signals(number)
            _say("stopping after this step; once more to stop at once")
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """Sees a signal at once; the main thread may be inside a compilation, deaf for minutes."""
        assert self._pipe is not None
        came = False
        while number := os.read(self._pipe[0], 1)[0]:
            if number == signal.SIGTERM and came:
                _end("stopped at once; the same command goes on from the last step saved")
            if number == signal.SIGTERM and not self._asked:
                _end("stopped; nothing is lost, and the same command goes on")
            came = came or number in self._before


def _end(text: str) -> NoReturn:
    _say(text)
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # a progress bar hides the cursor
    os._exit(128 + signal.SIGTERM)


def _say(text: str) -> None:
    os.write(2, f"\n{text}\n".encode())  # not through print: a signal may come in one


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
