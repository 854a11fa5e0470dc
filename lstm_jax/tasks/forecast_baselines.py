"""What simple forecasts achieve: the seasonal naive one, and exponential smoothing."""

import warnings
from typing import Any

import numpy as np

from lstm_jax.data.backtest import Backtest
from lstm_jax.data.series import SeriesTable
from lstm_jax.errors import UserError
from lstm_jax.tasks.forecast_scores import LEVELS

NAIVE, ETS = "seasonal naive", "ETS"
_FEW = 20  # errors of a step of the horizon; with fewer of them all steps share theirs
_MOST_FITS, _LONGEST, _LONGEST_SEASON = 12, 1000, 24  # beyond these ETS would take minutes
_PATHS = 1000


def baselines(
    table: SeriesTable, backtest: Backtest, split: str, season: int
) -> dict[str, np.ndarray]:
    """Quantiles at `LEVELS` by the name of the baseline, each [windows, horizon, levels].

    Windows are in the order of `windows.rolling`; errors of the naive forecast are those of all
    steps before the first of them. ETS is computed for up to 12 windows of series
    of up to 1,000 steps with a season of up to 24: it is fitted anew for each of them.

    Args:
      table: the series.
      backtest: which windows there are.
      split: "validation" or "test".
      season: steps in a season.

    Raises:
      UserError: ETS is to be computed, and statsmodels is not installed.
    """
    naive, smoothed, fits = [], [], _fits(table, backtest, split, season)
    for series in table.series:
        values, length = series.values.astype(np.float64), len(series.values)
        origins = backtest.origins(split, length).tolist()
        past = values[: origins[0]]
        offsets = naive_offsets(past, backtest.horizon, season, backtest.stride)
        for origin in origins:
            point = seasonal_naive(values[:origin], backtest.horizon, season)
            naive.append(point[:, None] + offsets)
            if fits:
                smoothed.append(ets(values[:origin], backtest.horizon, season))
    found = {NAIVE: np.stack(naive)}
    return found | ({ETS: np.stack(smoothed)} if fits else {})


def _fits(table: SeriesTable, backtest: Backtest, split: str, season: int) -> bool:
    each = backtest.validation_origins if split == "validation" else backtest.test_origins
    longest = max(len(series.values) for series in table.series)
    few = len(table.series) * each <= _MOST_FITS
    return few and longest <= _LONGEST and season <= _LONGEST_SEASON


def seasonal_naive(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The value one season before, or as many as it takes to find one [horizon].

    Where no season before has a value it is the last value of all; NaN if there is none.

    >>> seasonal_naive(np.array([1.0, 2, 3, np.nan, 5]), 3, 2).tolist()
    [2.0, 5.0, 2.0]

    Args:
      values: up to the forecast [time], NaN where one is missing.
      horizon: steps of the forecast.
      season: steps in a season.
    """
    filled = _filled(values, season)
    found = _last_season(filled, np.array([len(values)]), horizon, season)[0]
    seen = values[np.isfinite(values)]
    return np.where(np.isfinite(found), found, seen[-1] if seen.size else np.nan)


def naive_offsets(values: np.ndarray, horizon: int, season: int, stride: int) -> np.ndarray:
    """Quantiles at `LEVELS` of the errors of the seasonal naive forecast [horizon, levels].

    Of forecasts of the past, `stride` steps apart, so that each step of the horizon has its own
    errors if there are enough. The median is 0: the point is the naive forecast itself.

    Args:
      values: of the past [time], NaN where one is missing.
      horizon: steps of the forecast.
      season: steps in a season.
      stride: steps between two forecasts.
    """
    origins = np.arange(len(values) - horizon, season - 1, -stride)
    steps = np.arange(horizon)
    off = values[origins[:, None] + steps]
    off = off - _last_season(_filled(values, season), origins, horizon, season)
    if (np.isfinite(off).sum(axis=0) < _FEW).any():
        changes = values[season:] - values[:-season]
        off = np.broadcast_to(changes[:, None], (len(changes), horizon))
    if not np.isfinite(off).any():
        return np.zeros((horizon, len(LEVELS)))  # shorter than a season: nothing is known of errors
    offsets = np.nanquantile(off, LEVELS, axis=0).T
    middle = LEVELS.index(0.5)
    offsets[:, :middle] = np.minimum(offsets[:, :middle], 0)
    offsets[:, middle] = 0
    offsets[:, middle + 1 :] = np.maximum(offsets[:, middle + 1 :], 0)
    return offsets


def _filled(values: np.ndarray, season: int) -> np.ndarray:
    """The values, those that are missing taken from the same place of the season before."""
    rows = -(-len(values) // season)
    folded = np.full(rows * season, np.nan)
    folded[: len(values)] = values
    folded = folded.reshape(rows, season)
    seen = np.where(np.isfinite(folded), np.arange(rows)[:, None], 0)
    last = np.maximum.accumulate(seen, axis=0)
    return np.take_along_axis(folded, last, axis=0).ravel()[: len(values)]


def _last_season(filled: np.ndarray, origins: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """What stood one season before, or more where that is in the horizon too [origins, horizon]."""
    steps = np.arange(horizon)
    places = origins[:, None] + steps - season * (steps // season + 1)
    return np.where(places >= 0, filled[np.maximum(places, 0)], np.nan)


def ets(values: np.ndarray, horizon: int, season: int, seed: int = 0) -> np.ndarray:
    """Exponential smoothing with trend and season by statsmodels: quantiles [horizon, levels].

    ETS(M, A, M) of positive values and ETS(A, A, A) of others, as of R. J. Hyndman et al.,
    "Forecasting with Exponential Smoothing", 2008; without a season where values do not fill two
    of them. The median is the forecast of the fitted model, quantiles about it are those of
    simulated paths with normal errors. What is missing is interpolated; of nothing comes NaN.

    Args:
      values: up to the forecast [time], NaN where one is missing.
      horizon: steps of the forecast.
      season: steps in a season.
      seed: of the simulated paths.

    Raises:
      UserError: statsmodels is not installed.
    """
    model_class = require_ets()
    seen = np.isfinite(values)
    if not seen.any():
        return np.full((horizon, len(LEVELS)), np.nan)
    steps = np.arange(len(values))
    whole = np.interp(steps, steps[seen], values[seen])
    kind = "mul" if whole.min() > 0 else "add"
    seasonal = kind if season > 1 and len(whole) >= 2 * season + 2 else None
    periods = season if seasonal else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a fit did not converge to the last digit
        model = model_class(
            whole, error=kind, trend="add", seasonal=seasonal, seasonal_periods=periods
        )
        fitted = model.fit(disp=False)
        point = np.asarray(fitted.forecast(horizon))
        errors = np.random.default_rng(seed).normal(size=(horizon, _PATHS)) * fitted.scale**0.5
        paths = fitted.simulate(horizon, anchor="end", repetitions=_PATHS, random_errors=errors)
    quantiles = np.quantile(np.asarray(paths), LEVELS, axis=1).T
    return quantiles + (point - quantiles[:, LEVELS.index(0.5)])[:, None]


def require_ets() -> Any:
    """The model class of statsmodels.

    Raises:
      UserError: it is not installed.
    """
    try:
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    except ImportError as error:
        raise UserError(
            f"the ETS baseline needs the library statsmodels ({error}): "
            "pip install 'lstm_jax[series]'"
        ) from None
    return ETSModel
