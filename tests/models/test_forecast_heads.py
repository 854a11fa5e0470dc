"""Heads of a forecaster: densities and quantiles are SciPy's, samples are of the same law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lstm_jax.config import build, complete, find
from lstm_jax.errors import ConfigError
from lstm_jax.models.forecast_heads import ForecastHead, Frame

LEVELS = (0.1, 0.25, 0.5, 0.9)
HEADS = ("gaussian", "student_t", "negative_binomial", "quantiles")


def make(name, **options) -> ForecastHead:
    return build(find("forecast_head", name), complete(find("forecast_head", name), options))


def softplus(x):
    return np.logaddexp(0, x)


def law(name, raw, frame):
    """The same distribution by SciPy."""
    center, scale = frame
    spread = softplus(raw[..., 1]) + 1e-3
    if name == "gaussian":
        return scipy.stats.norm(center + scale * raw[..., 0], scale * spread)
    if name == "student_t":
        freedom = 2 + softplus(raw[..., 2])
        return scipy.stats.t(freedom, center + scale * raw[..., 0], scale * spread)
    mean, r = scale * (softplus(raw[..., 0]) + 1e-3), np.sqrt(scale) / spread
    return scipy.stats.nbinom(r, r / (r + mean))


def example(name):
    head = make(name)
    random = np.random.default_rng(0)
    raw = random.normal(size=(5, head.size)).astype(np.float32)
    center = np.zeros(5) if head.counts else random.normal(size=5)
    return head, raw, Frame(center.astype(np.float32), np.array([1, 2, 3, 50, 7], np.float32))


@pytest.mark.parametrize("name", HEADS[:3])
def test_costs_are_log_densities(name):
    head, raw, frame = example(name)
    values = np.array([3, 0, 7, 40, 5], np.float32)
    expected = law(name, raw.astype(float), frame)
    if head.counts:
        nats = -expected.logpmf(values)
    else:
        nats = -expected.logpdf(values) - np.log(frame.scale)  # in units of the scale
    np.testing.assert_allclose(head.cost(raw, frame, values), nats, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", HEADS[:3])
def test_quantiles_are_those_of_scipy(name):
    head, raw, frame = example(name)
    found = head.quantiles(raw, frame, LEVELS)
    expected = law(name, raw.astype(float), frame).ppf(np.array(LEVELS)[:, None]).T
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_samples_are_of_the_law_of_the_quantiles(name):
    head, raw, frame = example(name)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.vmap(lambda key: head.sample(key, raw, frame))(keys))
    found = head.quantiles(raw, frame, (0.2, 0.5, 0.8))
    below = (drawn[..., None] <= found + 1e-4).mean(axis=0)
    if head.counts:  # a step of the distribution may be high
        assert (below >= np.array([0.2, 0.5, 0.8]) - 0.03).all()
        assert ((drawn[..., None] < found).mean(axis=0) <= np.array([0.2, 0.5, 0.8]) + 0.03).all()
    else:
        np.testing.assert_allclose(below, np.tile([0.2, 0.5, 0.8], (5, 1)), atol=0.03)


@pytest.mark.parametrize("name", HEADS)
def test_a_larger_unit_changes_no_forecast(name):
    head, raw, frame = example(name)
    if head.counts:
        pytest.skip("counts have no unit")
    larger = Frame(1000 * frame.center, 1000 * frame.scale)
    values = np.array([3, 0, 7, 40, 5], np.float32)
    np.testing.assert_allclose(
        head.cost(raw, larger, 1000 * values), head.cost(raw, frame, values), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        head.quantiles(raw, larger, LEVELS), 1000 * head.quantiles(raw, frame, LEVELS), rtol=1e-4
    )


def test_the_pinball_loss_is_least_at_the_quantiles_of_the_data():
    head = make("quantiles", count=3)
    values = np.random.default_rng(0).exponential(size=2001).astype(np.float32)
    frame = Frame(np.float32(0), np.float32(1))

    def loss(raw):
        return jnp.mean(head.cost(jnp.tile(raw, (len(values), 1)), frame, values))

    raw = jnp.zeros(3)
    for _ in range(600):
        raw -= 0.3 * jax.grad(loss)(raw)
    found = head.quantiles(np.asarray(raw), frame, (0.25, 0.5, 0.75))
    np.testing.assert_allclose(found, np.quantile(values, (0.25, 0.5, 0.75)), atol=0.03)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_quantiles_never_cross(count):
    head = make("quantiles", count=count)
    raw = 5 * np.random.default_rng(0).normal(size=(50, count)).astype(np.float32)
    found = head.quantiles(raw, Frame(np.zeros(50), np.ones(50)), np.arange(0.01, 1, 0.01))
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_finite_far_from_the_data(name):
    head, _, frame = example(name)

    def total(raw, values):
        return jnp.sum(head.cost(raw, frame, values))

    for size in (-30.0, 0.0, 30.0):
        for value in (0.0, 1e4):
            values = np.full(5, value, np.float32)
            raw = jnp.full((5, head.size), size)
            cost, slope = jax.value_and_grad(total)(raw, values)
            assert np.isfinite(cost), (size, value)
            assert np.isfinite(slope).all(), (size, value)


def test_an_even_number_of_quantiles_is_told():
    with pytest.raises(ConfigError, match="needs an odd number, so that the median is one, got 4"):
        make("quantiles", count=4)
