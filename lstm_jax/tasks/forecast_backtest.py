"""Forecasts of rolling origins: what was forecast, what came, and intervals that learn from it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.data.windows import RollingWindows
from lstm_jax.models.forecast_heads import ForecastHead, Frame
from lstm_jax.models.forecaster import Forecaster, apply, sample_paths
from lstm_jax.tasks import forecast_scores as scores
from lstm_jax.tasks.forecast_baselines import seasonal_naive
from lstm_jax.tasks.forecast_scores import LEVELS

MEDIAN = LEVELS.index(0.5)
_BAND = 0.8  # from the first level to the last one
_MOST_SPREAD = np.log(5.0)
NETWORK_READS = ("values", "observed", "known", "statics", "series")

ForecastFunction = Callable[[Any, dict[str, np.ndarray]], np.ndarray]
BacktestFunction = Callable[[Any, RollingWindows, RollingWindows | None], "Backtested"]


class Forecasts(NamedTuple):
    """Forecasts of some windows.

    Attributes:
      quantiles: at `LEVELS`, float64 [windows, horizon, levels].
      truth: what came, NaN where it is missing [windows, horizon].
      series: number of the series [windows].
      origins: first step of the horizon [windows].
      begins: time of the first step, datetime64[s] [windows].
      ends: time of the first step behind the horizon, datetime64[s] [windows].
    """

    quantiles: np.ndarray
    truth: np.ndarray
    series: np.ndarray
    origins: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    @property
    def median(self) -> np.ndarray:
        """The forecast as one number a step [windows, horizon]."""
        return self.quantiles[..., MEDIAN]


class Backtested(NamedTuple):
    """Forecasts of some windows with and without what was learnt of earlier outcomes.

    Attributes:
      plain: as the network says.
      forecasts: with intervals that follow earlier outcomes.
      log_spread: the logarithm of the factor behind all of them.
    """

    plain: Forecasts
    forecasts: Forecasts
    log_spread: float


def make_forecast(network: Forecaster, head: ForecastHead, paths: int) -> ForecastFunction:
    """A function `(params, batch) -> quantiles [batch, horizon, levels]`, compiled once.

    Args:
      network: the forecaster.
      head: how values are distributed.
      paths: how many are drawn for a window by an autoregressive network; the same ones every time.
    """
    direct = jax.jit(lambda params, batch: apply(network, params, batch))
    drawn = jax.jit(
        lambda params, batch: sample_paths(network, head, params, batch, jax.random.key(0), paths)
    )

    def forecast(params: Any, batch: dict[str, np.ndarray]) -> np.ndarray:
        batch = {name: batch[name] for name in NETWORK_READS}
        if network.decoder == "autoregressive":
            found = np.asarray(drawn(params, batch), np.float64)
            return np.moveaxis(np.quantile(found, LEVELS, axis=1), 0, -1)
        raw, frame = direct(params, batch)
        center, scale = (np.asarray(part, np.float64) for part in frame)
        return head.quantiles(np.asarray(raw), Frame(center, scale), LEVELS)

    return forecast


def make_backtest(forecast: ForecastFunction, numbers: np.ndarray, rate: float) -> BacktestFunction:
    """A function `(params, windows, before) -> forecasts`, whose intervals follow outcomes.

    Those of some windows begin with what is learnt of the ones before, if there are any.

    Args:
      forecast: what `make_forecast` made.
      numbers: the number by which the network knows each series of the table.
      rate: how far one forecast moves the intervals of later ones.
    """

    def run(params: Any, windows: RollingWindows, before: RollingWindows | None) -> Backtested:
        log_spread = 0.0
        if before is not None:
            earlier = forecast_windows(forecast, params, before, numbers)
            _, log_spread = spread_by_outcomes(earlier, rate)
        plain = forecast_windows(forecast, params, windows, numbers)
        found, log_spread = spread_by_outcomes(plain, rate, log_spread)
        return Backtested(plain, found, log_spread)

    return run


def forecast_windows(
    forecast: ForecastFunction, params: Any, windows: RollingWindows, numbers: np.ndarray
) -> Forecasts:
    """The forecasts of windows, in their order.

    Args:
      forecast: what `make_forecast` made.
      params: of the network.
      windows: which ones.
      numbers: the number by which the network knows each series of the table.
    """
    horizon = windows.store.shape.horizon
    quantiles = []
    for i in range(len(windows)):
        batch = windows[i]
        named = {**batch, "series": numbers[batch["series"]]}
        quantiles.append(forecast(params, named)[batch["valid"]])
    table = windows.store.table
    times = np.stack(
        [
            table.times(table.series[number], origin, horizon + 1)
            for number, origin in zip(
                windows.series.tolist(), windows.origins.tolist(), strict=True
            )
        ]
    )
    return Forecasts(
        np.concatenate(quantiles),
        truth_of(windows),
        windows.series,
        windows.origins,
        times[:, 0],
        times[:, -1],
    )


def truth_of(windows: RollingWindows) -> np.ndarray:
    """What came in the horizons, NaN where it is missing, float64 [windows, horizon]."""
    found = []
    for i in range(len(windows)):
        batch = windows[i]
        came = np.where(batch["observed"], batch["values"].astype(np.float64), np.nan)
        found.append(came[batch["valid"], -windows.store.shape.horizon :])
    return np.concatenate(found)


def spread_by_outcomes(
    forecasts: Forecasts, rate: float, log_spread: float = 0.0
) -> tuple[Forecasts, float]:
    """Quantiles spread about their median by a factor that follows what came of earlier forecasts.

    Whenever the horizon of a forecast is over, the share of its values outside the band from .1 to
    .9 moves the factor of all that begin from then on:

        log c <- log c + rate * (share outside - 0.2)

    so that in the long run a fifth of all values lies outside, however the data change: I. Gibbs
    and E. Candès, "Adaptive Conformal Inference Under Distribution Shift", arXiv 2106.00193. No
    forecast sees an outcome that is not known when it begins.

    Args:
      forecasts: those of some windows.
      rate: how far one forecast moves the factor; 0 for a factor that stays.
      log_spread: the logarithm of the factor at first.

    Returns:
      The forecasts, and the logarithm of the factor behind all of them.
    """
    quantiles = forecasts.quantiles.copy()
    waiting: list[tuple[np.datetime64, int]] = []
    together = max(1, len(np.unique(forecasts.series)))
    for begin in np.unique(forecasts.begins):
        over = [i for end, i in waiting if end <= begin]
        waiting = [(end, i) for end, i in waiting if end > begin]
        log_spread = _follow(log_spread, quantiles, forecasts.truth, over, rate / together)
        for i in np.flatnonzero(forecasts.begins == begin).tolist():
            quantiles[i] = spread(quantiles[i], log_spread)
            waiting.append((forecasts.ends[i], i))
    rest = [i for _, i in waiting]
    log_spread = _follow(log_spread, quantiles, forecasts.truth, rest, rate / together)
    return forecasts._replace(quantiles=quantiles), log_spread


def spread(quantiles: np.ndarray, log_spread: float) -> np.ndarray:
    """Quantiles [..., levels], spread about their median by a factor.

    >>> spread(np.arange(9.0), np.log(2.0)).tolist()
    [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    """
    median = quantiles[..., MEDIAN : MEDIAN + 1]
    return median + np.exp(log_spread) * (quantiles - median)


def _follow(
    log_spread: float, quantiles: np.ndarray, truth: np.ndarray, over: list[int], rate: float
) -> float:
    """The logarithm of the factor after some horizons are over."""
    for i in over:
        came = np.isfinite(truth[i])
        if came.any():
            low, high = quantiles[i, came, 0], quantiles[i, came, -1]
            outside = np.mean((truth[i, came] < low) | (truth[i, came] > high))
            log_spread += rate * (float(outside) - (1 - _BAND))
    return float(np.clip(log_spread, -_MOST_SPREAD, _MOST_SPREAD))


def figures(found: Backtested, windows: RollingWindows, season: int) -> dict[str, float]:
    """The figures of forecasts, and that of the seasonal naive ones of the same windows.

    Args:
      found: the forecasts.
      windows: of what.
      season: steps of a season.
    """
    forecasts, plain = found.forecasts, found.plain
    errors = seasonal_errors(windows, season)
    table, horizon = windows.store.table, windows.store.shape.horizon
    naive = [
        seasonal_naive(table.series[number].values[:origin], horizon, season)
        for number, origin in zip(windows.series.tolist(), windows.origins.tolist(), strict=True)
    ]
    return {
        **scores.score(forecasts.truth, forecasts.quantiles, errors),
        "network_coverage": scores.coverage(
            plain.truth, plain.quantiles[..., 0], plain.quantiles[..., -1]
        ),
        "naive_mase": scores.mase(forecasts.truth, np.stack(naive), errors),
    }


def seasonal_errors(windows: RollingWindows, season: int) -> np.ndarray:
    """What MASE divides the errors of each window by, of its series before the first origin."""
    errors = np.empty(len(windows.series))
    for number in np.unique(windows.series):
        mine = windows.series == number
        before = windows.store.table.series[number].values[: windows.origins[mine].min()]
        errors[mine] = scores.seasonal_error(before, season)
    return errors
