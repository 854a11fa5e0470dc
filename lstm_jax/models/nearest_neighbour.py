"""The nearest training series: what distance alone can classify."""

from collections.abc import Sequence

import numpy as np

_AT_ONCE = 1 << 24  # numbers in the largest array


def euclidean_neighbours(
    series: Sequence[np.ndarray], training: Sequence[np.ndarray]
) -> np.ndarray:
    """The row of the nearest training series for every series, int64 [series].

    Series of other lengths are stretched to that of the longest, along straight lines.

    >>> training = [np.array([[0.0], [0.0]]), np.array([[0.0], [9.0]])]
    >>> euclidean_neighbours([np.array([[0.0], [5.0], [8.0]])], training).tolist()
    [1]

    Args:
      series: arrays [time, dimensions].
      training: the same.
    """
    return _nearest(series, training)[0]


def euclidean_distances(series: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> np.ndarray:
    """The squared distance to the nearest training series of every series [series]."""
    return _nearest(series, training)[1]


def _nearest(
    series: Sequence[np.ndarray], training: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    longest = max(len(one) for one in (*series, *training))
    ours, theirs = (
        np.stack([_stretched(one, longest).ravel() for one in group]).astype(np.float64)
        for group in (series, training)
    )
    squares, block = np.sum(np.square(theirs), axis=-1), max(1, _AT_ONCE // len(theirs))
    rows, distances = [], []
    for i in range(0, len(ours), block):
        part = ours[i : i + block]
        apart = squares - 2 * part @ theirs.T
        rows.append(np.argmin(apart, axis=-1))
        distances.append(apart.min(axis=-1) + np.sum(np.square(part), axis=-1))
    return np.concatenate(rows), np.concatenate(distances)


def _stretched(one: np.ndarray, length: int) -> np.ndarray:
    if len(one) == length:
        return one
    places = np.linspace(0, len(one) - 1, length)
    return np.stack([np.interp(places, np.arange(len(one)), column) for column in one.T], axis=-1)


def warping_cells(series: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> int:
    """How many sums `warping_neighbours` takes: the product of the lengths of all pairs."""
    return sum(map(len, series)) * len(training) * max(map(len, training))


def warping_neighbours(series: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> np.ndarray:
    """The same by dynamic time warping, without a window.

        D[i, j] = |a[i] - b[j]|^2 + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])

    H. Sakoe and S. Chiba, "Dynamic programming algorithm optimization for spoken word recognition",
    1978; series of any lengths.

    >>> training = [np.array([[0.0], [1.0], [0.0]]), np.array([[1.0], [1.0], [1.0]])]
    >>> warping_neighbours([np.array([[0.0], [0.0], [0.0], [0.9], [0.0]])], training).tolist()
    [0]
    """
    lengths = np.array([len(one) for one in training])
    padded = np.zeros((len(training), lengths.max(), training[0].shape[-1]))
    for row, one in enumerate(training):
        padded[row, : len(one)] = one
    return np.array([np.argmin(warping_distances(one, padded, lengths)) for one in series])


def warping_distances(one: np.ndarray, padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The squared distances [rows] of a series [time, dimensions] to several.

    Args:
      one: the series.
      padded: the others [rows, time, dimensions], with anything behind their ends.
      lengths: of the others [rows].
    """
    rows, time = np.arange(len(padded)), padded.shape[1]
    cost = np.square(padded[:, :, None, :] - one[None, None, :, :]).sum(axis=-1)
    # Diagonal by diagonal, k = i + j: a cell needs those of the two diagonals before alone.
    before, last = np.full((2, len(padded), time + 1), np.inf)
    before[:, 0] = 0  # the cell in front of both beginnings
    found = np.full(len(padded), np.inf)
    for k in range(time + len(one) - 1):
        i = np.arange(max(0, k - len(one) + 1), min(time, k + 1))
        here = np.full_like(last, np.inf)
        least = np.minimum(np.minimum(last[:, i + 1], last[:, i]), before[:, i])
        here[:, i + 1] = cost[:, i, k - i] + least
        ends = lengths + len(one) - 2 == k
        found[ends] = here[rows[ends], lengths[ends]]
        before, last = last, here
    return found
