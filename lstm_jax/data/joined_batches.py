"""Batches of records that stand one behind another, drawn anew in every epoch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lstm_jax.data.bucketing import BucketedBatches, best_bounds


class JoinedBatches:
    """Batches of rows of one, two, ... and `most` records, as `BucketedBatches` has them.

    In every epoch each record comes once: the records in an order drawn anew are cut into rows, and
    rows of about one length make a batch. All is a function of seed, epoch and index.

    >>> words = [np.full(n, n) for n in (1, 2, 3)]
    >>> def join(rows):
    ...     return {"ids": np.concatenate([words[i] for i in rows])}
    >>> lengths = np.array([1, 2, 3])
    >>> batches = JoinedBatches(lengths, join, most=2, batch_size=2, buckets=1)
    >>> [batches.at(epoch, 0)["ids"][:, :5].tolist() for epoch in (0, 3)]
    [[[3, 3, 3, 0, 0], [1, 2, 2, 0, 0]], [[3, 3, 3, 0, 0], [2, 2, 1, 0, 0]]]

    Attributes:
      bounds: the lengths of batches, rising; those behind the ones that fit the first epoch best
        are for rare rows, and compile only if one comes.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        join: Callable[[Sequence[int]], Mapping[str, np.ndarray]],
        *,
        most: int,
        batch_size: int,
        buckets: int,
        seed: int = 0,
    ):
        """Plans the first epoch.

        Args:
          lengths: an upper bound of what every record adds to the length of its row [records].
          join: from the numbers of the records of a row, in order, to its arrays [time, ...].
          most: records in the longest row.
          batch_size: rows in a batch.
          buckets: how many lengths fit the first epoch.
          seed: of the order and the rows.
        """
        self._lengths, self._join, self._most = lengths, join, most
        self._batch_size, self._seed = batch_size, seed
        self._planned: tuple[int, list[list[np.ndarray]]] = (0, [])
        found = np.array([lengths[row].sum() for row in self._rows(np.random.default_rng(seed))])
        bounds = list(best_bounds(found, buckets))
        while bounds[-1] < np.sort(lengths)[-most:].sum():
            bounds.append(2 * bounds[-1])
        self.bounds = tuple(bounds)

    def __len__(self) -> int:
        return len(self._plan(0))

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """A batch of an epoch."""
        rows = self._plan(epoch)[index]
        longest = max(self._lengths[row].sum() for row in rows)
        bound = self.bounds[np.searchsorted(self.bounds, longest)]
        made = [self._join(row.tolist()) for row in rows]
        sequences = {name: [one[name] for one in made] for name in made[0]}
        return BucketedBatches(sequences, {}, batch_size=self._batch_size, bounds=[bound])[0]

    def _plan(self, epoch: int) -> list[list[np.ndarray]]:
        """The rows of every batch of an epoch; those of the last one asked are kept."""
        if not self._planned[1] or self._planned[0] != epoch:
            self._planned = (epoch, self._make_plan(np.random.default_rng((self._seed, epoch))))
        return self._planned[1]

    def _make_plan(self, random: np.random.Generator) -> list[list[np.ndarray]]:
        rows = sorted(self._rows(random), key=lambda row: self._lengths[row].sum())
        starts = range(0, len(rows), self._batch_size)
        batches = [rows[start : start + self._batch_size] for start in starts]
        return [batches[i] for i in random.permutation(len(batches))]

    def _rows(self, random: np.random.Generator) -> list[np.ndarray]:
        """All records in rows, whose number is the same in every epoch."""
        ends = np.cumsum(np.arange(len(self._lengths)) % self._most + 1)
        rows = np.split(random.permutation(len(self._lengths)), ends)
        return [row for row in rows if len(row)]
