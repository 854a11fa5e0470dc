"""Mean and deviation of features over a training set, as they are measured, kept and applied."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json

_CONSTANT = 1e-5  # a deviation below this is that of rounding


class FeatureScale(NamedTuple):
    """Mean and deviation of every feature, float32 [features]."""

    mean: np.ndarray
    deviation: np.ndarray

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        content = {name: getattr(self, name).tolist() for name in self._fields}
        write_atomically(path, json.dumps(content) + "\n")


def scale_of(sequences: Iterable[np.ndarray]) -> FeatureScale:
    """The scale of all frames of some sequences [frames, features]; a constant one has deviation 1.

    >>> scale = scale_of([np.array([[1.0], [3.0]]), np.array([[8.0]])])
    >>> scale.mean.tolist(), scale.deviation.round()
    ([4.0], array([3.], dtype=float32))
    """
    count, mean, square = 0, np.zeros(1), np.zeros(1)
    for sequence in sequences:
        # Means are joined as T. Chan et al. do, 1979: a difference of large sums loses digits.
        frames = np.asarray(sequence, np.float64)
        if not len(frames):
            continue
        total = count + len(frames)
        step = frames.mean(axis=0) - mean
        square = square + np.square(frames - frames.mean(axis=0)).sum(axis=0)
        square = square + np.square(step) * count * len(frames) / total
        mean, count = mean + step * len(frames) / total, total
    deviation = np.sqrt(square / max(count, 1))
    deviation = np.where(deviation > _CONSTANT, deviation, 1)
    return FeatureScale(mean.astype(np.float32), deviation.astype(np.float32))


def load_scale(path: Path) -> FeatureScale:
    """Reads what `FeatureScale.save` wrote.

    Raises:
      UserError: the file is missing or holds something else.
    """
    try:
        content = read_json(path)
        scale = FeatureScale(
            *(np.array(content[name], np.float32) for name in ("mean", "deviation"))
        )
        if scale.mean.ndim != 1 or scale.mean.shape != scale.deviation.shape:
            raise ValueError("its mean and deviation do not fit")
        if not (np.isfinite(scale.mean).all() and (scale.deviation > 0).all()):
            raise ValueError("its numbers are no mean and deviation")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no scale of features ({error})") from None
    return scale


class Scaled(Sequence):
    """Sequences [frames, features] on a scale, each as it is asked for.

    >>> scale = FeatureScale(np.array([1.0]), np.array([2.0]))
    >>> Scaled([np.array([[5.0]])], scale)[0].tolist()
    [[2.0]]
    """

    def __init__(self, sequences: Sequence[np.ndarray], scale: FeatureScale):
        self._sequences, self._scale = sequences, scale

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, index: Any) -> Any:
        return (self._sequences[index] - self._scale.mean) / self._scale.deviation
