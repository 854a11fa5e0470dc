"""Long text as parallel streams, cut into windows for truncated back-propagation through time."""

import numpy as np

from lstm_jax.data.vocabulary import Encoded

_HALVED = 0.05  # share of the random windows that are about half as long


class StreamWindows:
    """Random access to the windows of a text that is read as `batch_size` contiguous streams.

    Stream b holds the b-th of equal parts of the text. Window i holds symbols i * window to
    (i + 1) * window of every stream, so that the carry after window i is the carry before window
    i + 1. Every symbol but the first is predicted once an epoch: the last window and the last
    stream are padded, and `mask` tells where.

    A window is a dict of `inputs`, `targets` (int32) and `mask` (bool), [batch, window] each,
    `characters` (int32 [batch], how many characters the targets of each stream stand for) and
    `start` (bool, whether the streams begin here).
    """

    def __init__(self, text: Encoded, batch_size: int, window: int):
        targets = len(text.ids) - 1
        self._length = -(-targets // batch_size)
        self._window = min(window, self._length)
        self._shape = (batch_size, self._length)
        self._inputs = self._streams(text.ids[:-1])
        self._targets = self._streams(text.ids[1:])
        self._characters = self._streams(text.characters[1:])
        self._mask = self._streams(np.ones(targets, bool))

    def __len__(self) -> int:
        return -(-self._length // self._window)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self._between(index * self._window, (index + 1) * self._window)

    def _between(self, start: int, end: int) -> dict[str, np.ndarray]:
        window = slice(start, end)
        return {
            "inputs": self._cut(self._inputs, window),
            "targets": self._cut(self._targets, window),
            "mask": self._cut(self._mask, window),
            "characters": self._characters[:, window].sum(axis=1, dtype=np.int32),
            "start": np.asarray(start == 0),
        }

    def _streams(self, values: np.ndarray) -> np.ndarray:
        rows, columns = self._shape
        return np.pad(values, (0, rows * columns - len(values))).reshape(rows, columns)

    def _cut(self, streams: np.ndarray, window: slice) -> np.ndarray:
        part = streams[:, window]
        return np.pad(part, ((0, 0), (0, self._window - part.shape[1])))


class RandomWindows(StreamWindows):
    """Windows whose lengths are drawn anew for every epoch, padded to one width.

    Most are near `window`, one in twenty near half of it, each with a standard deviation of a
    fourteenth of `window`: S. Merity, N. S. Keskar and R. Socher, arXiv 1708.02182, so that not
    always the same symbols stand where a carry comes from behind the gradient's reach. An epoch has
    the same number of windows every time, and what `at` yields depends on its arguments and the
    seed alone.

    Args:
      text: the text.
      batch_size: contiguous streams.
      window: the usual length.
      seed: of the lengths.
    """

    def __init__(self, text: Encoded, batch_size: int, window: int, seed: int):
        super().__init__(text, batch_size, window)
        self._deviation = window / 14
        self._usual, self._seed = self._window, seed
        mean = self._usual * (1 - _HALVED / 2)
        fewest = -(-self._length // self._usual)
        self._count = min(max(round(self._length / mean), fewest), self._length)
        # Two deviations more than usual: what is longer is cut, and what is shorter is padded.
        self._window = min(self._usual + round(2 * self._deviation), self._length)
        self._drawn = (0, self._cuts(0))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """A window of an epoch."""
        if self._drawn[0] != epoch:
            self._drawn = (epoch, self._cuts(epoch))
        start, end = self._drawn[1][index : index + 2].tolist()
        return self._between(start, end)

    def _cuts(self, epoch: int) -> np.ndarray:
        """Where the windows of an epoch begin, and where the last one ends."""
        rng = np.random.default_rng((self._seed, epoch))
        base = np.where(rng.random(self._count) < _HALVED, self._usual / 2, self._usual)
        drawn = np.rint(rng.normal(base, self._deviation)).astype(np.int64)
        lengths = np.clip(drawn, 1, self._window)
        # A few windows are a symbol longer or shorter, so that they fill the streams.
        while missing := self._length - int(lengths.sum()):
            step = 1 if missing > 0 else -1
            free = np.flatnonzero(lengths < self._window if step > 0 else lengths > 1)
            lengths[rng.permutation(free)[: abs(missing)]] += step
        return np.concatenate([[0], np.cumsum(lengths)])
