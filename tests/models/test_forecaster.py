"""Forecasters: they see what they may, gaps count for nothing, and paths are of one law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.forecast_heads import Frame, gaussian
from lstm_jax.models.forecaster import Forecaster, apply, frame_of, sample_paths

HISTORY, HORIZON, BATCH = 8, 4, 3
DIRECT = {"decoder": "direct", "lags": (4, 6)}
STEPWISE = {"decoder": "autoregressive", "lags": (1, 4)}


def make(**options):
    sizes = {"hidden_size": 5, "history": HISTORY, "horizon": HORIZON, "head_size": 2}
    return Forecaster(**{"cell": lj.lstm, **sizes, **options})


def windows(network, seed=0):
    random = np.random.default_rng(seed)
    steps = max(network.lags) + HISTORY + HORIZON
    return {
        "values": jnp.asarray(5 + random.normal(size=(BATCH, steps)), jnp.float32),
        "observed": jnp.ones((BATCH, steps), bool),
        "known": jnp.asarray(random.normal(size=(BATCH, HISTORY + HORIZON, 2)), jnp.float32),
        "statics": jnp.asarray(random.normal(size=(BATCH, 1)), jnp.float32),
        "series": jnp.arange(BATCH),
    }


def start(network, batch):
    return network.init(jax.random.key(0), batch)["params"]


def reads(network, name):
    """Which steps of an input each step of the output depends on [steps, time]."""
    batch = windows(network)
    params = start(network, batch)

    def outputs(values):
        raw, frame = apply(network, params, {**batch, name: values})
        return raw[0].sum(axis=-1) + frame.center[0] + frame.scale[0]

    slopes = jax.jacobian(outputs)(batch[name])[:, 0]
    return np.abs(slopes).reshape(*slopes.shape[:2], -1).sum(axis=-1) > 0


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("residual_lag", [0, 4])
def test_a_direct_forecast_reads_no_value_of_its_horizon(patch, residual_lag):
    network = make(**DIRECT, patch=patch, residual_lag=residual_lag, scaling="standard")
    found = reads(network, "values")
    assert found.shape == (HORIZON, 6 + HISTORY + HORIZON)
    assert not found[:, -HORIZON:].any()
    assert found[:, 6:-HORIZON].all()
    # What is known of the horizon is read up to the step that is forecast, or its patch.
    ahead = reads(network, "known")[:, HISTORY:]
    steps = np.arange(HORIZON) // patch
    np.testing.assert_array_equal(ahead, steps[None, :] <= steps[:, None])


def test_step_by_step_every_value_is_predicted_from_those_before_it():
    network = make(**STEPWISE, scaling="none")
    found = reads(network, "values")
    steps = HISTORY + HORIZON
    assert found.shape == (steps, 4 + steps)
    for step in range(steps):
        assert not found[step, 4 + step :].any()
        assert found[step, 3 + step]


@pytest.mark.parametrize("options", [DIRECT, STEPWISE])
@pytest.mark.parametrize("scaling", ["mean_absolute", "standard"])
def test_what_stands_where_values_are_missing_changes_nothing(options, scaling):
    network = make(**options, scaling=scaling)
    batch = windows(network)
    seen = batch["observed"].at[:, 5:9].set(False)
    params = start(network, batch)
    results = []
    for filler in (0.0, 1e6):
        values = jnp.where(seen, batch["values"], filler)
        results.append(apply(network, params, {**batch, "values": values, "observed": seen}))
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_array_equal(one, other)
    # That they are missing is told.
    whole, _ = apply(network, params, {**batch, "values": jnp.where(seen, batch["values"], 0)})
    assert np.abs(whole - results[0][0]).max() > 1e-4


@pytest.mark.parametrize("options", [DIRECT, STEPWISE])
def test_a_larger_unit_gives_the_same_forecast_in_that_unit(options):
    network = make(**options, scaling="standard", residual_lag=4)
    batch = windows(network)
    params = start(network, batch)
    raw, frame = apply(network, params, batch)
    larger, larger_frame = apply(network, params, {**batch, "values": 100 * batch["values"] - 7})
    np.testing.assert_allclose(larger, raw, atol=1e-4)
    np.testing.assert_allclose(larger_frame.center, 100 * frame.center - 7, rtol=1e-4)


def test_the_frame_is_of_what_was_observed():
    values = jnp.array([[1.0, -3.0, 9.0], [2.0, 2.0, 2.0], [7.0, 7.0, 7.0]])
    observed = jnp.array([[True, True, False], [True] * 3, [False] * 3])
    center, scale = frame_of(values, observed, "standard")
    np.testing.assert_allclose(center, [-1, 2, 0])
    np.testing.assert_allclose(scale, [2, 2, 1])  # a constant has its size, no value has one
    np.testing.assert_allclose(frame_of(values, observed, "mean_absolute").scale, [2, 2, 1])


def test_with_a_residual_lag_nothing_said_is_the_seasonal_naive_forecast():
    network = make(**DIRECT, residual_lag=4, scaling="standard")
    batch = windows(network)
    params = jax.tree.map(jnp.zeros_like, start(network, batch))
    raw, frame = apply(network, params, batch)
    forecast = gaussian().quantiles(np.asarray(raw), frame, (0.5,))[..., 0]
    np.testing.assert_allclose(forecast, batch["values"][:, -2 * HORIZON : -HORIZON], rtol=1e-5)


def test_paths_are_what_is_predicted_step_by_step_when_nothing_is_random():
    """With a spread near zero the path is that of the locations, fed back one by one."""
    network = make(**STEPWISE, scaling="standard", residual_lag=4, sees_scale=True)
    batch = windows(network)
    params = start(network, batch)
    head = gaussian()._replace(
        sample=lambda key, raw, frame: frame.center + frame.scale * raw[..., 0]
    )
    paths = sample_paths(network, head, params, batch, jax.random.key(0), 2)
    assert paths.shape == (BATCH, 2, HORIZON)
    np.testing.assert_allclose(paths[:, 0], paths[:, 1], rtol=1e-6)
    fed = {**batch, "values": batch["values"].at[:, -HORIZON:].set(paths[:, 0])}
    raw, frame = apply(network, params, fed)
    expected = frame.center + frame.scale * raw[..., 0]
    np.testing.assert_allclose(paths[:, 0], expected[:, -HORIZON:], rtol=1e-4)


def test_paths_do_not_look_at_the_horizon():
    network = make(**STEPWISE)
    batch = windows(network)
    params = start(network, batch)
    other = {**batch, "values": batch["values"].at[:, -HORIZON:].set(1e3)}
    draw = [sample_paths(network, gaussian(), params, b, jax.random.key(0), 5) for b in
            (batch, other)]  # fmt: skip
    np.testing.assert_array_equal(*draw)
    assert np.std(draw[0], axis=1).min() > 0


def test_the_number_of_a_series_and_its_statics_are_read():
    network = make(**DIRECT, series=BATCH, embedding_size=2)
    batch = windows(network)
    params = start(network, batch)
    assert params["embedding"]["embedding"].shape == (BATCH, 2)
    before, _ = apply(network, params, batch)
    for name, value in {"series": jnp.array([1, 1, 2]), "statics": batch["statics"] + 1}.items():
        after, _ = apply(network, params, {**batch, name: value})
        assert np.abs(after - before)[0].max() > 1e-4


def test_dropout_is_for_training_alone():
    network = make(**DIRECT, dropout=0.5)
    batch = windows(network)
    params = start(network, batch)
    raw, _ = apply(network, params, batch)
    rngs = {"dropout": jax.random.key(1)}
    dropped, frame = apply(network, params, batch, deterministic=False, rngs=rngs)
    assert isinstance(frame, Frame)
    assert np.abs(dropped - raw).max() > 1e-4
    np.testing.assert_array_equal(apply(network, params, batch)[0], raw)
