"""Grain loaders: batches in order, with a position that a checkpoint can hold."""

from collections.abc import Iterator
from typing import Any, Protocol, cast


class RandomAccess(Protocol):
    """A source that yields whole batches by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


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


def endless(batches: RandomAccess) -> Loader:
    """Goes through the batches in order, again and again."""
    import grain

    # The batches are slices of arrays in memory: a thread that prefetched them would only cost.
    options = grain.ReadOptions(num_threads=0)
    return iter(grain.MapDataset.source(cast(Any, batches)).repeat().to_iter_dataset(options))
