"""The mean of a figure over runs, and how far it may be from the one of endless runs."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Spread(NamedTuple):
    """A figure over several runs.

    Attributes:
      mean: of the values that are finite; NaN of none.
      deviation: of a sample, with n - 1; NaN of fewer than two.
      low: lower end of the confidence interval of the mean; NaN of fewer than two.
      high: its upper end.
      values: the figure of every run.
    """

    mean: float
    deviation: float
    low: float
    high: float
    values: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it, which has no NaN: None stands for it."""
        found = {
            name: _or_none(value) for name, value in self._asdict().items() if name != "values"
        }
        return found | {"values": [_or_none(value) for value in self.values]}


def spread(values: Sequence[float], confidence: float = 0.95) -> Spread:
    """Mean, deviation and confidence interval: m +- t s / sqrt(n), t of Student with n - 1.

    Values that are not finite, of runs that diverged, are kept in `values` and nowhere else.

    >>> found = spread([1.0, 2.0, 3.0])
    >>> found.mean, found.deviation, round(found.low, 3), round(found.high, 3)
    (2.0, 1.0, -0.484, 4.484)

    Args:
      values: a figure of every run.
      confidence: how often an interval made so covers the true mean, of normal figures.
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    kept = tuple(map(float, values))
    if len(finite) < 2:
        only = float(finite[0]) if len(finite) else math.nan
        return Spread(only, math.nan, math.nan, math.nan, kept)
    from scipy.stats import t

    mean, deviation = float(finite.mean()), float(finite.std(ddof=1))
    reach = float(t.ppf((1 + confidence) / 2, len(finite) - 1)) * deviation / math.sqrt(len(finite))
    return Spread(mean, deviation, mean - reach, mean + reach, kept)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
