"""From series as they were measured to what a network reads: no gaps, and one scale."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json

Normalization = Literal["series", "training", "none"]


class SeriesInputs(NamedTuple):
    """How values become inputs.

    A missing value lies on the line between its neighbours in time; outside them it is as the
    nearest one, and a dimension of which nothing is known is as the training series are on average.

    Attributes:
      normalization: "series": every dimension of every series gets mean 0 and deviation 1;
        "training": every dimension those of all training series together; or "none".
      mean: of the training series [dimensions].
      deviation: of the training series [dimensions]; 1 where they are constant.
    """

    normalization: Normalization
    mean: np.ndarray
    deviation: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Inputs [time, dimensions] of a series.

        >>> inputs = inputs_of([np.array([[0.0], [4.0]])], "training")
        >>> inputs(np.array([[np.nan], [2.0], [np.nan], [6.0]])).ravel().tolist()
        [0.0, 0.0, 1.0, 2.0]
        """
        columns = [_filled(column, self.mean[i]) for i, column in enumerate(values.T)]
        filled = np.stack(columns, axis=-1)
        if self.normalization == "training":
            filled = (filled - self.mean) / self.deviation
        if self.normalization == "series":
            filled = (filled - filled.mean(axis=0)) / _nonzero(filled.std(axis=0))
        return filled.astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        fields = [self.normalization, self.mean.tolist(), self.deviation.tolist()]
        write_atomically(path, json.dumps(dict(zip(self._fields, fields, strict=True))) + "\n")


def inputs_of(training: Sequence[np.ndarray], normalization: Normalization) -> SeriesInputs:
    """How values become inputs, from the values of the training series [time, dimensions]."""
    every = np.concatenate([values.astype(np.float64) for values in training])
    known = ~np.isnan(every)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, every, 0).sum(axis=0) / count
    variance = np.square(np.where(known, every - mean, 0)).sum(axis=0) / count
    return SeriesInputs(normalization, mean, _nonzero(np.sqrt(variance)))


def load_inputs(path: Path) -> SeriesInputs:
    """Reads what `SeriesInputs.save` wrote.

    Raises:
      UserError: the file is missing or holds something else.
    """
    try:
        fields = read_json(path)
        if fields["normalization"] not in get_args(Normalization):
            raise ValueError("its normalization is unknown")
        mean, deviation = (np.array(fields[name], np.float64) for name in ("mean", "deviation"))
        if mean.ndim != 1 or mean.shape != deviation.shape:
            raise ValueError("its mean and deviation do not fit")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not say how series become inputs ({error})") from None
    return SeriesInputs(fields["normalization"], mean, deviation)


def _filled(column: np.ndarray, otherwise: float) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        return np.full(len(column), otherwise)
    return np.interp(np.arange(len(column)), known, column[known].astype(np.float64))


def _nonzero(deviation: np.ndarray) -> np.ndarray:
    # What is constant but for rounding would become noise.
    return np.where(deviation > 1e-8, deviation, 1.0)
