"""Grain loaders: batches in order, with a position that a checkpoint can hold."""

import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable


class RandomAccess(Protocol):
    """A source that yields whole batches by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


@runtime_checkable
class ByEpoch(Protocol):
    """A source whose batches, or their order, are others in every epoch."""

    def at(self, epoch: int, index: int, /) -> Any:
        """A batch of an epoch, both counted from 0: a function of these two alone."""
        ...


class Loader(Protocol):
    """An iterator whose position can be saved as JSON and set again."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def get_state(self) -> dict[str, Any]:
        """The position, as JSON."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a position."""
        ...


def endless(batches: RandomAccess, take: Callable[[Any], Any] | None = None) -> Loader:
    """Goes through the batches in order, again and again; epoch by epoch if they are `ByEpoch`.

    Args:
      batches: the batches of an epoch.
      take: what is made of each, such as the rows of it that one of several processes needs. The
        position is the same whatever is taken.
    """
    import grain

    # The batches are slices of arrays in memory: a thread that prefetched them would only cost.
    options = grain.ReadOptions(num_threads=0)
    numbers = grain.MapDataset.range(sys.maxsize)
    chosen = numbers.map(_Numbered(batches))
    return iter((chosen if take is None else chosen.map(take)).to_iter_dataset(options))


class _Numbered:
    """The batches by their number over all epochs."""

    def __init__(self, batches: RandomAccess):
        self._batches = batches

    def __call__(self, number: int) -> Any:
        epoch, index = divmod(int(number), len(self._batches))
        if isinstance(self._batches, ByEpoch):
            return self._batches.at(epoch, index)
        return self._batches[index]
