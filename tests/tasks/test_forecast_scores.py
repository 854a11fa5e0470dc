"""Scores of forecasts: published formulas, other libraries, limits, and what is missing."""

import numpy as np
import pytest

from lstm_jax.tasks.forecast_scores import (
    LEVELS,
    coverage,
    crps,
    mase,
    nd,
    quantile_loss,
    rmse,
    score,
    seasonal_error,
    smape,
)


@pytest.fixture
def drawn():
    random = np.random.default_rng(0)
    truth = random.normal(5, 3, (7, 4))
    quantiles = np.sort(truth[..., None] + random.normal(size=(7, 4, 9)), axis=-1)
    return truth, quantiles


def test_against_scikit_learn(drawn):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the reference")
    truth, quantiles = drawn
    flat = truth.ravel()
    pinball = [
        metrics.mean_pinball_loss(flat, quantiles[..., i].ravel(), alpha=level)
        for i, level in enumerate(LEVELS)
    ]
    expected = 2 * np.mean(pinball) / np.abs(flat).mean()
    assert quantile_loss(truth, quantiles) == pytest.approx(expected, rel=1e-12)
    squared = metrics.mean_squared_error(flat, quantiles[..., 4].ravel())
    assert rmse(truth, quantiles[..., 4]) == pytest.approx(squared**0.5, rel=1e-12)


def test_worked_example_of_hyndman_s_scaled_error():
    # In training the seasonal naive forecast is off by 2, 2, 5: 3 on average.
    train = np.array([1.0, 4, 3, 6, 8])
    assert seasonal_error(train, 2) == 3
    truth, forecast = np.array([[10.0, 7], [4, 4]]), np.array([[7.0, 13], [4, 1]])
    assert mase(truth, forecast, np.array([3.0, 1])) == pytest.approx((4.5 / 3 + 1.5) / 2)


def test_the_seasonal_naive_forecast_of_the_training_part_has_mase_one():
    values = np.random.default_rng(1).normal(size=60)
    error = np.array([seasonal_error(values, 12)])
    assert mase(values[None, 12:], values[None, :-12], error) == pytest.approx(1)


def test_smape_is_bounded_and_symmetric(drawn):
    truth, quantiles = drawn
    forecast = quantiles[..., 2]
    assert smape(truth, forecast) == pytest.approx(smape(forecast, truth))
    assert smape(np.ones((1, 3)), -np.ones((1, 3))) == 200
    assert smape(np.zeros((1, 3)), np.zeros((1, 3))) == 0


def test_of_the_median_alone_the_quantile_loss_is_the_normalised_deviation(drawn):
    truth, quantiles = drawn
    median = quantiles[..., 4:5]
    assert quantile_loss(truth, median, (0.5,)) == pytest.approx(nd(truth, median[..., 0]))


def test_quantile_loss_is_least_at_the_true_quantiles():
    random = np.random.default_rng(2)
    truth = random.exponential(size=(2000, 1))
    right = np.broadcast_to(-np.log(1 - np.array(LEVELS)), (2000, 1, 9))
    best = quantile_loss(truth, right)
    for factor in (0.8, 1.25):
        assert quantile_loss(truth, right * factor) > best
    assert coverage(truth, right[..., 0], right[..., -1]) == pytest.approx(0.8, abs=0.03)


def test_crps_is_the_double_sum_and_twice_the_pinball_loss_of_many_levels():
    random = np.random.default_rng(3)
    truth, samples = random.normal(size=(3, 2)), random.normal(size=(3, 2, 500))
    pairs = np.abs(samples[..., :, None] - samples[..., None, :]).mean((-1, -2))
    expected = (np.abs(samples - truth[..., None]).mean(-1) - pairs / 2).mean()
    assert crps(truth, samples) == pytest.approx(expected, rel=1e-12)
    levels = tuple((np.arange(1000) + 0.5) / 1000)
    quantiles = np.moveaxis(np.quantile(samples, levels, axis=-1), 0, -1)
    pinball = quantile_loss(truth, quantiles, levels) * np.abs(truth).mean()
    assert pinball == pytest.approx(expected, rel=5e-3)
    one = samples[..., :1]
    assert crps(truth, one) == pytest.approx(np.abs(truth - one[..., 0]).mean())


def test_crps_of_a_normal_distribution_has_its_closed_form():
    from scipy.stats import norm

    points = norm.ppf((np.arange(4000) + 0.5) / 4000)
    expected = 0.7 * (2 * norm.cdf(0.7) - 1) + 2 * norm.pdf(0.7) - 1 / np.sqrt(np.pi)
    assert crps(np.array([[0.7]]), points[None, None]) == pytest.approx(expected, abs=1e-3)


def test_what_is_missing_counts_nowhere(drawn):
    truth, quantiles = drawn
    holes = truth.copy()
    holes[2] = np.nan
    rest = np.delete(truth, 2, axis=0), np.delete(quantiles, 2, axis=0)
    errors = np.arange(1.0, 8)
    assert score(holes, quantiles, errors) == pytest.approx(score(*rest, np.delete(errors, 2)))
    holes = truth.copy()
    holes[0, 1] = np.nan
    kept = np.isfinite(holes)
    expected = nd(truth[kept][None], quantiles[..., 4][kept][None])
    assert nd(holes, quantiles[..., 4]) == pytest.approx(expected)


def test_a_forecast_that_is_nan_is_not_taken_for_a_missing_value(drawn):
    truth, quantiles = drawn
    quantiles = quantiles.copy()
    quantiles[1, 1] = np.nan
    found = score(truth, quantiles, np.ones(7))
    for name in ("mase", "smape", "nd", "rmse", "quantile_loss"):
        assert np.isnan(found[name]), name
    assert found["coverage"] < 1


def test_a_series_without_seasonal_error_is_left_out_of_mase():
    truth = np.array([[1.0, 2], [3, 4]])
    assert np.isnan(seasonal_error(np.ones(30), 7))
    assert np.isnan(seasonal_error(np.ones(5), 7))
    assert mase(truth, truth + 1, np.array([np.nan, 2])) == 0.5


def test_scores_of_nothing_are_nan():
    nothing = np.full((2, 3), np.nan)
    found = score(nothing, np.zeros((2, 3, 9)), np.ones(2))
    assert all(np.isnan(value) for value in found.values())
