"""Scores of forecasts, in NumPy: of a point, of quantiles, of samples.

Everywhere `truth` is [windows, horizon] with NaN where a value is missing, which counts nowhere; a
score of nothing is NaN, and so is that of a forecast that is NaN.
"""

import numpy as np

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def seasonal_error(values: np.ndarray, season: int) -> float:
    """Mean absolute change from one season to the next: the error of the seasonal naive forecast.

    What MASE divides by, from values that are trained on alone; NaN if they do not reach over a
    season, or never change from one to the next.

    >>> seasonal_error(np.array([1.0, 5, 2, 7]), 2)
    1.5

    Args:
      values: of one series [time], NaN where one is missing.
      season: steps in a season.
    """
    changes = np.abs(values[season:].astype(np.float64) - values[:-season])
    error = _mean(changes, changes)
    return error if error > 0 else np.nan


def mase(truth: np.ndarray, forecast: np.ndarray, errors: np.ndarray) -> float:
    """Mean absolute scaled error: 1 is as good as the seasonal naive forecast was in training.

        mean over windows of mean_h |y_h - f_h| / e

    R. J. Hyndman and A. B. Koehler, "Another look at measures of forecast accuracy", 2006.
    Windows of a series whose error is NaN count nowhere.

    >>> mase(np.array([[1.0, 2]]), np.array([[2.0, 4]]), np.array([1.5]))
    1.0

    Args:
      truth: the values [windows, horizon].
      forecast: the forecasts, of the same shape.
      errors: `seasonal_error` of the series of each window [windows].
    """
    seen = np.isfinite(truth)
    count = seen.sum(axis=1)
    means = np.where(seen, np.abs(truth - forecast), 0).sum(axis=1) / np.maximum(count, 1)
    return _mean(np.where(count > 0, errors, np.nan), means / errors)


def smape(truth: np.ndarray, forecast: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, from 0 to 200.

        100 * mean 2 |y - f| / (|y| + |f|),   0 where both are 0

    S. Makridakis, "Accuracy measures", 1993, as in the M4 competition.

    >>> smape(np.array([[1.0, 0]]), np.array([[3.0, 0]]))
    50.0

    Args:
      truth: the values [windows, horizon].
      forecast: the forecasts, of the same shape.
    """
    size = np.abs(truth) + np.abs(forecast)
    return 100 * _mean(truth, 2 * np.abs(truth - forecast) / np.where(size == 0, 1, size))


def nd(truth: np.ndarray, forecast: np.ndarray) -> float:
    """Normalised deviation: the sum of absolute errors over the sum of absolute values.

    H.-F. Yu, N. Rao and I. S. Dhillon, 2016; as of D. Salinas et al., arXiv 1704.04110.

    >>> nd(np.array([[1.0, 3]]), np.array([[2.0, 3]]))
    0.25

    Args:
      truth: the values [windows, horizon].
      forecast: the forecasts, of the same shape.
    """
    return _over_truth(truth, np.abs(truth - forecast))


def rmse(truth: np.ndarray, forecast: np.ndarray) -> float:
    """Root mean squared error, in the unit of the values.

    >>> rmse(np.array([[1.0, 3]]), np.array([[2.0, 4]]))
    1.0

    Args:
      truth: the values [windows, horizon].
      forecast: the forecasts, of the same shape.
    """
    return float(np.sqrt(_mean(truth, (truth.astype(np.float64) - forecast) ** 2)))


def quantile_loss(
    truth: np.ndarray, quantiles: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> float:
    """Mean weighted quantile loss: of the median alone it would be ND.

        mean over q of 2 sum max(q (y - f_q), (q - 1) (y - f_q)) / sum |y|

    Y. Park et al., arXiv 2111.06581; twice the mean pinball loss is the CRPS in the limit of many
    levels.

    >>> quantile_loss(np.array([[1.0, 3]]), np.array([[[2.0], [3]]]), (0.5,))
    0.25

    Args:
      truth: the values [windows, horizon].
      quantiles: their forecasts [windows, horizon, levels].
      levels: of the quantiles.
    """
    over = truth[..., None] - quantiles
    at = np.asarray(levels)
    return _over_truth(truth, 2 * np.maximum(at * over, (at - 1) * over).mean(axis=-1))


def coverage(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """The share of values within an interval; that of .1 and .9 should cover .8.

    An end that is NaN covers nothing.

    >>> coverage(np.array([[1.0, 3]]), np.zeros((1, 2)), np.ones((1, 2)))
    0.5

    Args:
      truth: the values [windows, horizon].
      low: lower ends, of the same shape.
      high: upper ends, of the same shape.
    """
    return _mean(truth, (truth >= low) & (truth <= high))


def crps(truth: np.ndarray, samples: np.ndarray) -> float:
    """Continuous ranked probability score of samples, in the unit of the values, the mean of all.

        E|X - y| - E|X - X'| / 2

    T. Gneiting and A. E. Raftery, "Strictly proper scoring rules", 2007, equation 21. Of one
    sample it is the absolute error.

    >>> crps(np.array([[2.0]]), np.array([[[1.0, 3]]]))
    0.5

    Args:
      truth: the values [windows, horizon].
      samples: of each value [windows, horizon, samples].
    """
    count = samples.shape[-1]
    ordered = np.sort(samples.astype(np.float64), axis=-1)
    off = np.abs(ordered - truth[..., None]).mean(axis=-1)
    # The sum of |x_i - x_j| over all pairs, by how often each sample is the larger one of two.
    weights = 2 * np.arange(count) - count + 1
    return _mean(truth, off - (ordered * weights).sum(axis=-1) / count**2)


def score(
    truth: np.ndarray,
    quantiles: np.ndarray,
    errors: np.ndarray,
    levels: tuple[float, ...] = LEVELS,
    mean: np.ndarray | None = None,
) -> dict[str, float]:
    """All scores of quantiles; the point is the median, and for RMSE the mean if there is one.

    Args:
      truth: the values [windows, horizon].
      quantiles: their forecasts [windows, horizon, levels].
      errors: `seasonal_error` of the series of each window [windows].
      levels: of the quantiles, rising, with 0.5 among them.
      mean: forecasts of the mean [windows, horizon].
    """
    median = quantiles[..., levels.index(0.5)]
    return {
        "mase": mase(truth, median, errors),
        "smape": smape(truth, median),
        "nd": nd(truth, median),
        "rmse": rmse(truth, median if mean is None else mean),
        "quantile_loss": quantile_loss(truth, quantiles, levels),
        "coverage": coverage(truth, quantiles[..., 0], quantiles[..., -1]),
    }


def _mean(truth: np.ndarray, values: np.ndarray) -> float:
    """The mean where the truth is known; a forecast that is NaN there shows."""
    found = values[np.isfinite(truth)]
    return float(found.mean(dtype=np.float64)) if found.size else np.nan


def _over_truth(truth: np.ndarray, losses: np.ndarray) -> float:
    seen = np.isfinite(truth)
    total = np.abs(truth[seen]).sum(dtype=np.float64)
    return float(losses[seen].sum(dtype=np.float64) / total) if total > 0 else np.nan
