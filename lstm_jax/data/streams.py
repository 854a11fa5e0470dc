"""Long text as parallel streams, cut into windows for truncated back-propagation through time."""

import numpy as np

from lstm_jax.data.vocabulary import Encoded


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
        window = slice(index * self._window, (index + 1) * self._window)
        return {
            "inputs": self._cut(self._inputs, window),
            "targets": self._cut(self._targets, window),
            "mask": self._cut(self._mask, window),
            "characters": self._characters[:, window].sum(axis=1, dtype=np.int32),
            "start": np.asarray(index == 0),
        }

    def _streams(self, values: np.ndarray) -> np.ndarray:
        rows, columns = self._shape
        return np.pad(values, (0, rows * columns - len(values))).reshape(rows, columns)

    def _cut(self, streams: np.ndarray, window: slice) -> np.ndarray:
        part = streams[:, window]
        return np.pad(part, ((0, 0), (0, self._window - part.shape[1])))
