"""Work on files in processes of their own: pure functions in, results in order out.

A decoder is called with files of strangers, and holds Python's lock for much of its time: threads
would wait for each other, and the training for them. Processes are spawned, not forked, since JAX
has threads; each imports what its work is made of. They end with the process that began them,
however that ends, and do not hear Ctrl-C, which is for that one.
"""

import atexit
import collections
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from lstm_jax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: Executor, most: int
) -> Iterator[Result]:
    """The results in the order of the items.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as threads:
    ...     list(in_order(abs, [-3, -2, 1], threads, most=2))
    [3, 2, 1]

    Args:
      work: what is done with each item.
      items: what it is done with; as many of them as are begun are taken.
      workers: what does it.
      most: items that are begun and not yet taken.

    Raises:
      UserError: a process ended in the middle of its work.
    """
    begun: collections.deque[Future[Result]] = collections.deque()
    try:
        for item in items:
            begun.append(workers.submit(work, item))
            if len(begun) >= most:
                yield result(begun.popleft())
        while begun:
            yield result(begun.popleft())
    finally:
        for future in begun:
            future.cancel()


class _Processes(ProcessPoolExecutor):
    """Processes that begin when there is work for them, and do not hear Ctrl-C from the first."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """As that of `Executor`."""
        if not hasattr(signal, "pthread_sigmask"):  # not on Windows
            return super().submit(fn, *args, **kwargs)
        # What is blocked here is blocked in a process that begins meanwhile, and stays so.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@functools.cache
def pool(processes: int) -> Executor:
    """So many processes, which live until this one ends; the same ones at every call."""
    spawn = multiprocessing.get_context("spawn")
    made = _Processes(processes, spawn, initializer=_follow_parent)
    # At the end, what is asked for and not begun is not waited for. `atexit` itself comes too late:
    # before it the interpreter waits for all that was asked for.
    at_end = getattr(threading, "_register_atexit", atexit.register)
    at_end(functools.partial(made.shutdown, wait=False, cancel_futures=True))
    return made


def _follow_parent() -> None:
    """A process that waits for work would wait for ever if its parent were killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def result(future: Future[Result]) -> Result:
    """What was found.

    Raises:
      UserError: a process ended in the middle of its work, as one does when memory is short.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        pool.cache_clear()
        raise UserError(
            "a process that reads files was ended from outside, or by a file that its decoder "
            "cannot survive: fewer processes need less memory, and with processes=0 files are "
            "read one after another"
        ) from None


class Ahead(Generic[Result]):
    """Results by number, of which those that are needed soon are made in other processes.

    >>> import functools
    >>> squares = Ahead(lambda number: functools.partial(pow, number, 2), processes=2)
    >>> squares.begin([3, 4])
    >>> squares.load(4), squares.load(5)
    (16, 25)
    """

    def __init__(self, call: Callable[[int], Callable[[], Result]], processes: int):
        """Begins nothing.

        Args:
          call: from a number to the work, which another process is sent.
          processes: how many there are.
        """
        self._call, self._processes = call, processes
        self._begun: dict[int, Future[Result]] = {}

    def begin(self, numbers: Sequence[int]) -> None:
        """These are needed soon; what was begun before and is not among them is forgotten."""
        for number in self._begun.keys() - set(numbers):
            self._begun.pop(number).cancel()
        for number in numbers:
            if number not in self._begun:
                self._begun[number] = self._submit(number)

    def load(self, number: int) -> Result:
        """The result of a number, which is made now if it was not begun."""
        future = self._begun.pop(number, None)
        return result(self._submit(number) if future is None else future)

    def _submit(self, number: int) -> Future[Any]:
        return pool(self._processes).submit(self._call(number))
