"""Anomalies that are put into a series, to see whether they are found."""

from collections.abc import Callable, Mapping

import numpy as np

# From the values of a segment and the size of an anomaly to other values.
Kind = Callable[[np.ndarray, float], np.ndarray]


def _flat(segment: np.ndarray, size: float) -> np.ndarray:
    del size
    return np.full_like(segment, segment[0])


def _swapped(segment: np.ndarray, size: float) -> np.ndarray:
    del size
    half = len(segment) // 2
    return np.concatenate([segment[half:], segment[:half]])


ANOMALIES: Mapping[str, Kind] = {
    "spike": lambda segment, size: segment + 2 * size,
    "level": lambda segment, size: segment + size,
    "flat": _flat,
    "swapped": _swapped,
}


def inject(
    kind: str,
    values: np.ndarray,
    first: int,
    segment: tuple[int, int],
    size: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A series with an anomaly of a kind: a spike, a shifted level, a flat or a swapped segment.

    A spike is one step, twice as far off as a level, which is `size` up or down; of a flat segment
    all values are its first; of a swapped one the halves change places.

    >>> random = np.random.default_rng(0)
    >>> found, steps = inject("flat", np.arange(8.0), 4, (3, 3), 1.0, random)
    >>> found.tolist(), np.flatnonzero(steps).tolist()
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0], [5, 6, 7])

    Args:
      kind: a name in `ANOMALIES`.
      values: of the series [time].
      first: the first step that the anomaly may be in.
      segment: the least and the greatest number of steps of one that is no spike.
      size: of what is added to values.
      random: draws its place, its length and its sign.

    Returns:
      The values, and which steps the anomaly is in.
    """
    count = 1 if kind == "spike" else int(random.integers(segment[0], segment[1] + 1))
    begin = int(random.integers(first, len(values) - count + 1))
    steps = np.zeros(len(values), bool)
    steps[begin : begin + count] = True
    changed = values.copy()
    changed[steps] = ANOMALIES[kind](values[steps], size * float(random.choice([-1, 1])))
    return changed, steps
