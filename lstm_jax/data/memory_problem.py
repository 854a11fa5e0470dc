"""What a memory problem is, and its batches: drawn anew from a seed, or out of arrays."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from lstm_jax.data.loader import RandomAccess
from lstm_jax.errors import ConfigError

Examples = dict[str, np.ndarray]
Draw = Callable[[np.random.Generator, int, int | None], Examples]
_PURPOSES = ("train", "validation", "test")


class Sizes(NamedTuple):
    """How the examples of a problem are cut into batches.

    Attributes:
      batch_size: examples in a step.
      evaluation_batch_size: examples in a batch of an evaluation.
      epoch_batches: batches that are called an epoch, where there are as many as one wants.
      evaluation_examples: examples of every held-out split that is drawn.
      lengths: of further splits, each of examples of one length.
      seed: of what is trained on, or of its order.
    """

    batch_size: int
    evaluation_batch_size: int
    epoch_batches: int
    evaluation_examples: int
    lengths: tuple[int, ...]
    seed: int


class MemoryBatches(RandomAccess, Protocol):
    """Batches of a split, which can say what they hold."""

    def fingerprint(self) -> str:
        """A digest that tells these batches from others."""
        ...


class MemoryProblem(NamedTuple):
    """A problem whose difficulty is to remember.

    A batch is a dict: `inputs` [batch, time], numbers of symbols, or [batch, time, features];
    `lengths` [batch], how many steps are valid; `valid` [batch]; and `targets`: [batch] where one
    answer is given at the end; else [batch, time], with booleans `counted` for the steps that the
    loss is a mean over, and `asked` for those that the accuracy counts.

    Attributes:
      input_size: how many symbols there are, or features.
      symbols: whether inputs are symbols.
      classes: among which an answer chooses; 0 if it is a number.
      every_step: whether answers are given at every step, or one at the end.
      judged_by: the figure that checkpoints and baselines are compared by.
      make: the batches of every split.
      baseline: what one reaches without a memory: its name, and the figure of a split's batches.
      steps: time steps of a training batch, for each example.
    """

    input_size: int
    symbols: bool
    classes: int
    every_step: bool
    judged_by: Literal["mse", "accuracy", "loss"]
    make: Callable[[Sizes], dict[str, MemoryBatches]]
    baseline: tuple[str, Callable[[RandomAccess], float]]
    steps: int


class DrawnBatches:
    """Batches drawn anew whenever they are asked for; a batch is a function of its numbers alone.

    >>> def draw(random, count, length):
    ...     return {"inputs": random.random((count, length or 3))}
    >>> batches = DrawnBatches(draw, count=8, batch_size=4, entropy=(5,))
    >>> len(batches), batches[1]["inputs"].shape
    (2, (4, 3))
    >>> bool((batches.at(3, 1)["inputs"] == batches.at(3, 1)["inputs"]).all())
    True
    """

    def __init__(
        self,
        draw: Draw,
        *,
        count: int,
        batch_size: int,
        entropy: tuple[int, ...],
        length: int | None = None,
    ):
        """Remembers how to draw.

        Args:
          draw: `(random, count, length) -> examples`; a length of None is the problem's own.
          count: examples in an epoch, or in a held-out split.
          batch_size: examples in a batch; the last one may hold fewer that are valid.
          entropy: numbers that tell these batches from others.
          length: of every example.
        """
        self.batch_size = batch_size
        self._draw, self._count, self._length, self._entropy = draw, count, length, entropy

    def __len__(self) -> int:
        return -(-self._count // self.batch_size)

    def __getitem__(self, index: int) -> Examples:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> Examples:
        """A batch of an epoch."""
        random = np.random.default_rng((*self._entropy, epoch, index))
        left = self._count - index * self.batch_size
        valid = np.arange(self.batch_size) < left
        return {**self._draw(random, self.batch_size, self._length), "valid": valid}

    def fingerprint(self) -> str:
        """A digest of how they are drawn, and of the first ones."""
        how = (self.batch_size, self._count, self._length, self._entropy)
        return _digest(repr(how), self[0])


class ArrayBatches:
    """Batches of arrays in memory; with a seed, every epoch has an order of its own.

    >>> batches = ArrayBatches({"targets": np.arange(3)}, batch_size=2)
    >>> batches[1]["targets"].tolist(), batches[1]["valid"].tolist()
    ([2, 0], [True, False])
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        batch_size: int,
        seed: int | None = None,
        finish: Callable[[Examples], Examples] = lambda examples: examples,
    ):
        """Remembers the arrays.

        Args:
          arrays: with one row an example.
          batch_size: examples in a batch; the last one is filled up with rows that are not valid.
          seed: of the order; None for that of the arrays.
          finish: what is done to the rows of a batch, such as what would take too much memory for
            all.
        """
        self.batch_size = batch_size
        self._arrays, self._seed, self._finish = arrays, seed, finish
        self._count = len(next(iter(arrays.values())))
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return -(-self._count // self.batch_size)

    def __getitem__(self, index: int) -> Examples:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> Examples:
        """A batch of an epoch."""
        rows = self._ordered(epoch)[index * self.batch_size :][: self.batch_size]
        missing = self.batch_size - len(rows)
        valid = np.arange(self.batch_size) < len(rows)
        rows = np.pad(rows, (0, missing))  # the first example again
        found = {name: array[rows] for name, array in self._arrays.items()}
        return {**self._finish(found), "valid": valid}

    def fingerprint(self) -> str:
        """A digest of the arrays and of the first batch."""
        digest = _digest(f"{self.batch_size} {self._seed}", self._arrays)
        return _digest(digest, self[0])

    def _ordered(self, epoch: int) -> np.ndarray:
        if self._seed is None:
            return np.arange(self._count)
        if self._order is None or self._order[0] != epoch:
            random = np.random.default_rng((self._seed, epoch))
            self._order = (epoch, random.permutation(self._count))
        return self._order[1]


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def drawn(draw: Draw, *, shortest: int) -> Callable[[Sizes], dict[str, MemoryBatches]]:
    """The splits of a problem whose examples are drawn.

    Held-out examples do not depend on the seed: runs of several seeds are judged by the same ones.
    A further split `length_N` for every N of `Sizes.lengths` has examples of that length alone.

    Args:
      draw: as of `DrawnBatches`.
      shortest: the least length that the problem allows.
    """

    def make(sizes: Sizes) -> dict[str, MemoryBatches]:
        short = [length for length in sizes.lengths if length < shortest]
        if short:
            raise ConfigError(f"lengths: this problem needs at least {shortest}, got {short[0]}")
        held_out = (sizes.evaluation_examples, sizes.evaluation_batch_size)
        splits: dict[str, MemoryBatches] = {
            "train": _part(draw, sizes.epoch_batches * sizes.batch_size, sizes.batch_size,
                           (0, sizes.seed)),
        }  # fmt: skip
        for i, split in enumerate(_PURPOSES[1:]):
            splits[split] = _part(draw, *held_out, (i + 1,))
        for length in sizes.lengths:
            splits[f"length_{length}"] = _part(draw, *held_out, (len(_PURPOSES), length), length)
        return splits

    return make


def _part(
    draw: Draw, count: int, batch_size: int, entropy: tuple[int, ...], length: int | None = None
) -> DrawnBatches:
    return DrawnBatches(draw, count=count, batch_size=batch_size, entropy=entropy, length=length)


def most_frequent(batches: RandomAccess) -> float:
    """The accuracy of the answer that is most often right."""
    counts = np.zeros(1, np.int64)
    for i in range(len(batches)):
        batch: Any = batches[i]
        targets = batch["targets"]
        asked = batch["valid"] if targets.ndim == 1 else batch["asked"] & batch["valid"][:, None]
        found = np.bincount(targets[asked])
        size = max(len(found), len(counts))
        counts = np.pad(counts, (0, size - len(counts))) + np.pad(found, (0, size - len(found)))
    return float(counts.max() / counts.sum())


def mean_square_of_mean(batches: RandomAccess) -> float:
    """The mean squared error of always answering the mean."""
    found: list[np.ndarray] = []
    for i in range(len(batches)):
        batch: Any = batches[i]
        found.append(batch["targets"][batch["valid"]])
    return float(np.var(np.concatenate(found)))
