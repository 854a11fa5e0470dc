"""What the storage below says when it fails: in a few words, and without its pages of text."""

import contextlib
import errno
import gc
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

_IN_WORDS = {errno.ENOSPC: "no room left", errno.EDQUOT: "the quota is used up"}
# TensorStore raises a ValueError whose text begins with the name of a status.
_STATUSES = (
    "ABORTED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "UNKNOWN",
)


def is_storage_failure(error: BaseException) -> bool:
    """Whether it failed for a reason outside the program, so that it may work later.

    >>> is_storage_failure(OSError(28, "No space left on device")), is_storage_failure(KeyError())
    (True, False)
    """
    return isinstance(error, OSError) or str(error).startswith(_STATUSES)


def reason(error: BaseException) -> str:
    """Why the storage failed.

    >>> reason(OSError(28, "No space left on device"))
    'no room left'
    """
    number = error.errno if isinstance(error, OSError) else _system_error(str(error))
    if number in _IN_WORDS:
        return _IN_WORDS[number]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # Every layer below adds its own kilobyte.
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _system_error(text: str) -> int | None:
    """The number in `[os_error_code='28']`, as TensorStore writes it."""
    number = text.partition("[os_error_code='")[2].partition("'")[0]
    return int(number) if number.isdigit() else None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps to itself what Orbax logs of a failure, which the caller says in one sentence.

    Threads of a failed write or read go on logging for a while: after a failure nothing of Orbax is
    heard until something succeeds.
    """
    # Before anything fails: threads of TensorStore answer while the failure is on its way here.
    if not isinstance(sys.unraisablehook, _WithoutLateAnswers):
        sys.unraisablehook = _WithoutLateAnswers(sys.unraisablehook)
    logging.getLogger("asyncio").addFilter(_no_late_task)
    logger = logging.getLogger("absl")
    logger.addFilter(_no_storage)
    try:
        yield
    except BaseException as error:
        _drop_unread(error)
        raise
    logger.removeFilter(_no_storage)


def _no_storage(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _no_late_task(record: logging.LogRecord) -> bool:
    """Of what Orbax began and does not ask for any more asyncio tells whenever it is collected."""
    told = record.getMessage()
    return not any(name in told for name in ("orbax", "tensorstore", "array_serialization"))


def _drop_unread(error: BaseException) -> None:
    """Ends the reads that a failed one left behind, which would print pages of their own."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        traceback.clear_frames(error.__traceback__)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # "was never awaited"
            gc.collect()
    finally:
        sys.unraisablehook = hook


class _WithoutLateAnswers:
    """What was under way when a read or write failed ends later, in threads of TensorStore.

    They answer to a loop that the failure has closed.
    """

    def __init__(self, hook: Any):
        self._hook = hook

    def __call__(self, unraisable: Any) -> None:
        error = unraisable.exc_value
        if not isinstance(error, RuntimeError) or str(error) != "Event loop is closed":
            self._hook(unraisable)
