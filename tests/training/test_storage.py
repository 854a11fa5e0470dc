"""What storage says is told in a few words, and kept apart from faults of the program."""

import asyncio
import errno
import logging
import sys
import types
from typing import Any

import pytest

from lstm_jax.training.storage import is_storage_failure, quiet, reason

TENSORSTORE = (
    'RESOURCE_EXHAUSTED: Error writing "w/0" in OCDBT database at local file "/x/": Failed to '
    "write 875188 bytes to file 4: No space left on device [os_error_code='28'] "
    "[tensorstore_spec='{...}']\n" + "more\n" * 100
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no room left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the quota is used up"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (ValueError(TENSORSTORE), "no room left"),
    ],
)
def test_failures_of_storage_in_words(error, words):
    assert is_storage_failure(error)
    assert reason(error) == words


def test_faults_of_the_program_are_no_failures_of_storage():
    for error in (ValueError("shapes differ"), TypeError("not an array"), KeyError("params")):
        assert not is_storage_failure(error)


def test_threads_that_answer_to_a_closed_loop_are_not_heard_and_others_are(monkeypatch):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: heard.append(unraisable))
    loop = asyncio.new_event_loop()
    loop.close()
    with quiet(), pytest.raises(RuntimeError) as late:
        loop.call_soon_threadsafe(print)  # what a thread of TensorStore gets
    hook: Any = sys.unraisablehook
    others = (RuntimeError("a fault"), ValueError("Event loop is closed"))
    for error in (late.value, *others):
        hook(types.SimpleNamespace(exc_value=error))
    assert [unraisable.exc_value for unraisable in heard] == [*others]


def test_tasks_that_a_failed_write_left_behind_are_not_heard_and_others_are(caplog):
    with quiet():
        pass
    told = "Task exception was never retrieved\nfuture: <Task finished coro=<write() done at {}>>"
    places = ("/x/orbax/checkpoint/type_handlers.py:118", "/x/own.py:3")
    for place in places:
        logging.getLogger("asyncio").error(told.format(place))
    assert [record.getMessage() for record in caplog.records] == [told.format(places[1])]
