"""Batches of sequences of about one length, padded to a few lengths that compile once each."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np


class BucketedBatches:
    """Random access to whole batches of sequences, each padded to the bound of its bucket.

    A record's bucket is the smallest bound that none of its sequences is longer than. A batch is a
    dict: for every name of `sequences` an array [batch, bound, ...], int32 or float32 as they are,
    zeros behind the end, and `NAME_lengths` int32 [batch]; every array of `values`; `rows` int32
    [batch], the number of the record; and `valid` bool [batch]: a bucket's last batch is filled up
    with rows that are not.

    With a seed every epoch has an order of its own, of records within a bucket and of batches. It
    is a function of seed, epoch and index alone, so that a position is all one needs to go on.

    >>> words = [np.arange(1, n + 1) for n in (2, 3, 6, 1)]
    >>> batches = BucketedBatches({"ids": words}, {}, batch_size=2, bounds=(3, 6))
    >>> len(batches), batches[0]["ids"].tolist(), batches[2]["ids_lengths"].tolist()
    (3, [[1, 2, 0], [1, 2, 3]], [6, 0])

    Attributes:
      batch_size: records in a batch.
      bounds: the lengths of batches, rising.
    """

    def __init__(
        self,
        sequences: Mapping[str, Sequence[np.ndarray]],
        values: Mapping[str, np.ndarray],
        *,
        batch_size: int,
        bounds: Sequence[int],
        seed: int | None = None,
    ):
        """Sorts the records into buckets.

        Args:
          sequences: for each name, one array [time, ...] a record, all of one kind.
          values: for each name, an array with one row a record.
          batch_size: records in a batch.
          bounds: lengths to which batches are padded.
          seed: of the order; None for the order of the buckets and of the records.

        Raises:
          ValueError: a record is longer than the last bound.
        """
        self.batch_size = batch_size
        self.bounds = tuple(sorted(bounds))
        self._sequences = sequences
        self._values = values
        self._seed = seed
        self._planned: tuple[int, list[tuple[int, np.ndarray]]] | None = None
        longest = longest_of(sequences)
        if len(longest) and longest.max() > self.bounds[-1]:
            raise ValueError(f"a sequence of {longest.max()} is longer than {self.bounds[-1]}")
        bucket = np.searchsorted(self.bounds, longest)
        self._buckets = [np.flatnonzero(bucket == i) for i in range(len(self.bounds))]

    def __len__(self) -> int:
        return sum(-(-len(rows) // self.batch_size) for rows in self._buckets)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """A batch of an epoch."""
        # Without a seed all epochs are one.
        bound, rows = self._plan(0 if self._seed is None else epoch)[index]
        return self._batch(bound, rows)

    @property
    def mean_tokens(self) -> float:
        """Numbers in a batch on average, padding not counted, of all sequences together."""
        total = sum(len(s) for sequences in self._sequences.values() for s in sequences)
        return total / max(len(self), 1)

    @property
    def padding(self) -> float:
        """The share of padding in all batches."""
        shown = sum(bound * self.batch_size for bound, _ in self._plan(0)) * len(self._sequences)
        return 1 - self.mean_tokens * len(self) / max(shown, 1)

    def fingerprint(self) -> str:
        """A digest of the records and of how they are cut into batches."""
        digest = hashlib.sha256(f"{self.batch_size} {self.bounds} {self._seed}".encode())
        for name, sequences in sorted(self._sequences.items()):
            digest.update(f"{name} {len(sequences)}".encode())
            digest.update(np.array([len(s) for s in sequences], np.int64).tobytes())
            for sequence in sequences:
                digest.update(sequence.astype(_type(sequence)).tobytes())
        for name, values in sorted(self._values.items()):
            digest.update(f"{name} {values.dtype}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def _plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """The bound and the rows of every batch of an epoch; that of the last one asked is kept."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self._make_plan(epoch))
        return self._planned[1]

    def _make_plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        random = None if self._seed is None else np.random.default_rng((self._seed, epoch))
        batches = []
        for bound, rows in zip(self.bounds, self._buckets, strict=True):
            rows = rows if random is None else random.permutation(rows)
            for start in range(0, len(rows), self.batch_size):
                batches.append((bound, rows[start : start + self.batch_size]))
        if random is None:
            return batches
        return [batches[i] for i in random.permutation(len(batches))]

    def _batch(self, bound: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        size = self.batch_size
        batch: dict[str, np.ndarray] = {
            "rows": np.zeros(size, np.int32),
            "valid": np.arange(size) < len(rows),
        }
        batch["rows"][: len(rows)] = rows
        for name, sequences in self._sequences.items():
            one = sequences[rows[0]]
            padded = np.zeros((size, bound, *one.shape[1:]), _type(one))
            lengths = np.zeros(size, np.int32)
            for i, row in enumerate(rows):
                lengths[i] = len(sequences[row])
                padded[i, : lengths[i]] = sequences[row]
            batch[name], batch[f"{name}_lengths"] = padded, lengths
        for name, values in self._values.items():
            filled = np.zeros((size, *values.shape[1:]), values.dtype)
            filled[: len(rows)] = values[rows]
            batch[name] = filled
        return batch


def _type(sequence: np.ndarray) -> Any:
    return np.float32 if sequence.dtype.kind == "f" else np.int32


def longest_of(sequences: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """The length of the longest sequence of every record, int64 [records]."""
    lengths = [np.array([len(s) for s in named], np.int64) for named in sequences.values()]
    return np.max(lengths, axis=0)


def best_bounds(lengths: np.ndarray, count: int, *, multiple: int = 8) -> tuple[int, ...]:
    """The bounds, at most `count` of them, under which padding is least.

    >>> best_bounds(np.array([3, 4, 5, 5, 20, 30]), 2, multiple=1)
    (5, 30)

    Args:
      lengths: of the records.
      count: the most bounds; each is a shape to compile.
      multiple: bounds are multiples of this.
    """
    # Few enough candidates that a table of all pairs of them is small.
    multiple *= -(-int(lengths.max(initial=1)) // (512 * multiple))
    rounded = -(-np.maximum(lengths, 1) // multiple) * multiple
    candidates, counts = np.unique(rounded, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])  # records that fit below each candidate
    # cost[j]: the least padded size of the records up to candidate j; before[k][j]: the one before.
    cost = candidates * below[1:]
    before: list[np.ndarray] = []
    for _ in range(min(count, len(candidates)) - 1):
        total = np.concatenate([[0], cost])[None, :-1] + candidates[:, None] * (
            below[1:, None] - below[None, :-1]
        )
        allowed = np.tri(len(candidates), dtype=bool)  # the one before stands before
        total = np.where(allowed, total, np.iinfo(np.int64).max)
        before.append(total.argmin(axis=1) - 1)
        cost = total.min(axis=1)
    place, bounds = len(candidates) - 1, []
    for chosen in reversed(before):
        bounds.append(int(candidates[place]))
        place = chosen[place]
        if place < 0:
            return tuple(reversed(bounds))
    return tuple(reversed([*bounds, int(candidates[place])]))


Keep = Literal["start", "end", "both"]


def cut(sequences: Sequence[np.ndarray], max_length: int | None, keep: Keep) -> list[np.ndarray]:
    """The sequences, of those that are too long a part.

    >>> cut([np.arange(6)], 4, "both")[0].tolist()
    [0, 1, 4, 5]

    Args:
      sequences: arrays of numbers.
      max_length: the most numbers that are kept; None for all.
      keep: which part of a longer one: its start, its end, or half of each.
    """
    if max_length is None:
        return list(sequences)
    return [s if len(s) <= max_length else _part(s, max_length, keep) for s in sequences]


def cut_note(
    split: str, before: Sequence[Any], after: Sequence[Any], max_length: int | None
) -> list[str]:
    """A sentence that says what `cut` took away; none if it took nothing."""
    cut = sum(len(a) < len(b) for b, a in zip(before, after, strict=True))
    if not cut:
        return []
    whole = sum(map(len, before))
    lost = whole - sum(map(len, after))
    return [
        f"{split}: {cut:,} of {len(before):,} texts are longer than {max_length:,} symbols and "
        f"were cut, which leaves out {lost / whole:.1%} of all symbols"
    ]


def _part(sequence: np.ndarray, length: int, keep: Keep) -> np.ndarray:
    if keep == "start":
        return sequence[:length]
    if keep == "end":
        return sequence[-length:]
    tail = len(sequence) - length // 2
    return np.concatenate([sequence[: length - length // 2], sequence[tail:]])
