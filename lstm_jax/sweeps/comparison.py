"""Two configs, each run with several seeds: is one better, or was it luck?"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Comparison(NamedTuple):
    """What the runs of two configs say of the difference of a figure, the second less the first.

    Attributes:
      difference: of the means.
      low: lower end of its 95 % confidence interval.
      high: its upper end.
      p_value: how likely a difference as large would be if there were none.
      test: the test's name.
    """

    difference: float
    low: float
    high: float
    p_value: float
    test: str

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.p_value < 0.05


def compare(first: Sequence[float], second: Sequence[float], *, paired: bool = False) -> Comparison:
    """Welch's t-test of runs that have nothing in common, or Student's of pairs.

    Runs of two configs are pairs only where the seed decides something for both alike, such as
    which records are held out: then a difficult split is so for both. A seed that only initialises
    makes no pairs, and Welch's test, which lets the two deviations differ, is the right one
    (C. Colas, O. Sigaud and P.-Y. Oudeyer, arXiv 1904.06979).

    >>> found = compare([0.90, 0.91, 0.92], [0.95, 0.96, 0.97])
    >>> round(found.difference, 3), round(found.p_value, 4), found.is_told
    (0.05, 0.0036, True)

    Args:
      first: a finite figure of every run of the first config.
      second: of every run of the second.
      paired: whether figures at the same place are of the same seed.

    Raises:
      ValueError: one config has fewer than two runs, or pairs are of unequal number.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if min(len(a), len(b)) < 2:
        raise ValueError("two runs of each config are needed at least")
    if paired and len(a) != len(b):
        raise ValueError(f"pairs need as many runs of both configs, got {len(a)} and {len(b)}")
    difference = float(b.mean() - a.mean())
    error, freedom = _paired_error(b - a) if paired else _welch_error(a, b)
    name = "Student's t-test of pairs" if paired else "Welch's t-test"
    if error == 0:  # every run of a config has the same figure
        return Comparison(difference, difference, difference, float(difference == 0), name)
    from scipy.stats import t

    reach = float(t.ppf(0.975, freedom)) * error
    p_value = float(2 * t.sf(abs(difference) / error, freedom))
    return Comparison(difference, difference - reach, difference + reach, p_value, name)


def _paired_error(differences: np.ndarray) -> tuple[float, float]:
    """Standard error of the mean difference, and the degrees of freedom."""
    count = len(differences)
    return float(differences.std(ddof=1)) / math.sqrt(count), count - 1


def _welch_error(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    parts = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
    total = sum(parts)
    if total == 0:
        return 0.0, 1.0
    freedom = total**2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True))
    return math.sqrt(total), freedom
