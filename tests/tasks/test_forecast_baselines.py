"""Baselines of forecasts: published figures, limits, gaps, and nothing from behind the origin."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.data.backtest import Backtest
from lstm_jax.data.calendar import parse_frequency
from lstm_jax.data.series import series_of_arrays
from lstm_jax.data.series_sources import wide_csv
from lstm_jax.data.windows import Scaling, WindowShape, WindowStore, rolling
from lstm_jax.errors import UserError
from lstm_jax.tasks.forecast_baselines import (
    ETS,
    NAIVE,
    baselines,
    ets,
    naive_offsets,
    require_ets,
    seasonal_naive,
)
from lstm_jax.tasks.forecast_scores import LEVELS, score, seasonal_error

SERIES = Path(os.environ.get("LSTM_JAX_SERIES", Path(__file__).parents[3] / "shared/data/series"))
needs_statsmodels = pytest.mark.skipif(
    importlib.util.find_spec("statsmodels") is None,
    reason="statsmodels is not installed",
)


def _scores(table, backtest, season):
    store = WindowStore(table, WindowShape(1, backtest.horizon), Scaling(*[np.zeros(0)] * 4))
    windows = rolling(store, backtest, "test", 64)
    truth = windows[0]["values"][windows[0]["valid"], 1:]
    train = table.series[0].values[: backtest.origins("test", len(table.series[0].values))[0]]
    errors = np.full(len(truth), seasonal_error(train, season))
    found = baselines(table, backtest, "test", season)
    return {name: score(truth, quantiles, errors) for name, quantiles in found.items()}


@pytest.mark.skipif(not SERIES.exists(), reason="the series are not on this machine")
def test_a_week_before_is_what_others_found_for_the_demand_of_victoria():
    table = wide_csv(path=str(SERIES / "vic_elec.csv"), time_column="Time", columns=("Demand",))()
    found = _scores(table, Backtest(48, 48, 60, 60), 336)[NAIVE]
    assert found["mase"] == pytest.approx(0.939, abs=5e-4)
    assert found["nd"] == pytest.approx(0.0734, abs=5e-5)
    # These two depend on how errors are grouped; the figure beside us is .0587.
    assert found["quantile_loss"] == pytest.approx(0.0587, abs=3e-4)
    assert found["coverage"] == pytest.approx(0.80, abs=5e-3)


@pytest.mark.slow
@needs_statsmodels
@pytest.mark.skipif(not SERIES.exists(), reason="the series are not on this machine")
def test_air_passengers_as_others_found():
    table = wide_csv(path=str(SERIES / "AirPassengers.csv"))()
    found = _scores(table, Backtest(12, 12, 1, 1), 12)
    naive, smooth = found[NAIVE], found[ETS]
    assert (naive["mase"], naive["smape"]) == pytest.approx((1.571, 10.57), abs=5e-3)
    assert (smooth["mase"], smooth["smape"]) == pytest.approx((0.661, 4.12), abs=5e-3)


def test_a_season_that_repeats_is_forecast_without_error():
    values = np.tile([3.0, 1, 4, 1, 5], 12)
    np.testing.assert_array_equal(seasonal_naive(values, 12, 5), np.resize(values[:5], 12))
    np.testing.assert_array_equal(naive_offsets(values, 12, 5, 3), np.zeros((12, 9)))


def test_gaps_are_bridged_by_earlier_seasons_and_at_last_by_the_last_value():
    values = np.array([7.0, np.nan, 1, np.nan, np.nan, np.nan])
    assert seasonal_naive(values, 3, 3).tolist() == [7, 1, 1]
    assert seasonal_naive(np.array([2.0, 4]), 3, 12).tolist() == [4, 4, 4]


def test_of_a_past_without_a_value_there_is_no_forecast():
    late = np.where(np.arange(2200) < 2197, np.nan, 1.0)  # a series that begins behind its origins
    table = series_of_arrays(
        [late, np.tile([1.0, 2], 1100)], parse_frequency("h"), starts=np.datetime64("2024-01-01T00")
    )
    found = baselines(table, Backtest(2, 2, 1, 2), "validation", 2)[NAIVE]
    assert np.isnan(found[0]).all()
    assert found[1, 0, LEVELS.index(0.5)] in (1, 2)


@needs_statsmodels
def test_nothing_is_smoothed_where_nothing_is_known():
    assert np.isnan(ets(np.full(30, np.nan), 3, 1)).all()


def test_each_step_of_the_horizon_has_its_own_errors_if_there_are_enough():
    random = np.random.default_rng(0)
    spread = np.resize([1.0, 10], 4000)  # every other step is ten times as uncertain
    offsets = naive_offsets(random.normal(size=4000) * spread, 2, 2, 2)
    assert offsets[1, -1] == pytest.approx(10 * offsets[0, -1], rel=0.2)
    assert offsets[0, -1] == pytest.approx(1.2816 * 2**0.5, rel=0.15)
    few = naive_offsets(random.normal(size=40), 2, 2, 2)
    np.testing.assert_array_equal(few[0], few[1])


def test_offsets_rise_and_the_median_is_the_naive_forecast():
    offsets = naive_offsets(np.cumsum(np.ones(100)), 3, 4, 1)  # always 4 too low
    assert (np.diff(offsets, axis=-1) >= 0).all()
    assert (offsets[:, LEVELS.index(0.5)] == 0).all()
    assert (offsets[:, -1] == 4).all()


def test_a_series_shorter_than_a_season_has_no_spread():
    np.testing.assert_array_equal(naive_offsets(np.arange(5.0), 2, 12, 1), np.zeros((2, 9)))


def _table(values):
    return series_of_arrays(
        [values], parse_frequency("MS"), starts=np.datetime64("2000-01-01", "s")
    )


def test_no_forecast_depends_on_what_comes_after_its_origin():
    values = np.random.default_rng(0).normal(10, 1, 1200)
    backtest = Backtest(4, 4, 2, 2)
    before = baselines(_table(values), backtest, "test", 7)[NAIVE]
    values[backtest.origins("test", 1200)[1] :] += 50
    after = baselines(_table(values), backtest, "test", 7)[NAIVE]
    np.testing.assert_array_equal(before, after)


@needs_statsmodels
def test_ets_continues_trend_and_season_and_does_not_know_the_future():
    steps = np.arange(60.0)
    values = 100 + 2 * steps + 10 * np.sin(2 * np.pi * steps / 6)
    values[17] = np.nan
    noisy = values + np.random.default_rng(0).normal(scale=0.1, size=60)
    found = ets(noisy[:54], 6, 6)
    np.testing.assert_allclose(found[:, LEVELS.index(0.5)], values[54:], rtol=0.02)
    assert (np.diff(found, axis=-1) > 0).all()
    np.testing.assert_array_equal(found, ets(noisy[:54], 6, 6))


@needs_statsmodels
def test_ets_takes_values_below_zero_and_less_than_two_seasons():
    values = np.random.default_rng(0).normal(size=30)
    assert np.isfinite(ets(values, 5, 4)).all()
    assert np.isfinite(ets(values[:20], 5, 12)).all()


def test_ets_is_left_out_where_it_would_take_minutes():
    values = np.random.default_rng(0).normal(size=1001)
    assert set(baselines(_table(values), Backtest(4, 4, 1, 1), "test", 7)) == {NAIVE}


def test_without_statsmodels_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.exponential_smoothing.ets", None)
    with pytest.raises(UserError, match=r"needs the library statsmodels .*: pip install 'lstm_jax"):
        require_ets()
