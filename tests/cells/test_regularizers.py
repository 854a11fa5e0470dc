"""DropConnect on recurrent weights, and penalties on outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.regularizers import (
    activation_penalty,
    temporal_activation_penalty,
    weight_drop,
)

KEY = jax.random.key(0)
PARAMS = {
    "layer_0": lj.lstm(30).init(jax.random.key(1), 7),
    "layer_1": lj.lstm(30).init(jax.random.key(2), 30),
}


def test_weight_drop_without_a_key_changes_nothing():
    assert weight_drop(None, PARAMS, 0.5) is PARAMS
    assert weight_drop(KEY, PARAMS, 0.0) is PARAMS


def test_weight_drop_drops_recurrent_kernels_alone_and_scales_what_stays():
    dropped = weight_drop(KEY, PARAMS, 0.25)
    assert jax.tree.structure(dropped) == jax.tree.structure(PARAMS)
    for layer, params in PARAMS.items():
        for name in ("kernel", "bias"):
            assert dropped[layer][name] is params[name]
        ratio = np.asarray(dropped[layer]["recurrent_kernel"] / params["recurrent_kernel"])
        np.testing.assert_allclose(ratio[ratio != 0], 1 / 0.75, rtol=1e-6)
        assert abs((ratio == 0).mean() - 0.25) < 0.03  # 3600 weights: a standard error of 0.007


def test_weight_drop_draws_each_layer_by_itself():
    first, second = (
        np.asarray(layer["recurrent_kernel"] == 0)
        for layer in weight_drop(KEY, PARAMS, 0.5).values()
    )
    assert abs((first == second).mean() - 0.5) < 0.05
    again = np.asarray(weight_drop(KEY, PARAMS, 0.5)["layer_0"]["recurrent_kernel"] == 0)
    np.testing.assert_array_equal(first, again)


def test_the_mean_over_many_weight_drops_is_the_weight():
    params = {"recurrent_kernel": jnp.arange(1.0, 7.0).reshape(2, 3)}
    keys = jax.random.split(KEY, 20_000)
    mean = jax.vmap(lambda key: weight_drop(key, params, 0.5)["recurrent_kernel"])(keys).mean(0)
    np.testing.assert_allclose(mean, params["recurrent_kernel"], rtol=0.04)


def test_dropped_weights_get_no_gradient():
    cell, params = lj.lstm(5), lj.lstm(5).init(jax.random.key(1), 3)
    xs = jax.random.normal(jax.random.key(2), (6, 2, 3))

    def loss(params):
        return lj.scan(cell, weight_drop(KEY, params, 0.5), None, xs)[1].sum()

    gradient = jax.jit(jax.grad(loss))(params)["recurrent_kernel"]
    dropped = weight_drop(KEY, params, 0.5)["recurrent_kernel"] == 0
    np.testing.assert_array_equal(gradient == 0, dropped)


def test_penalties_equal_their_sums():
    ys = np.random.default_rng(0).normal(size=(5, 3, 4))
    np.testing.assert_allclose(activation_penalty(ys, 2.0), 2 * np.mean(ys**2), rtol=1e-6)
    np.testing.assert_allclose(
        temporal_activation_penalty(ys, 0.5), 0.5 * np.mean(np.diff(ys, axis=0) ** 2), rtol=1e-6
    )


def test_penalties_count_valid_steps_alone():
    ys = jax.random.normal(KEY, (6, 2, 3))
    mask = jnp.arange(6)[:, None] < jnp.array([4, 1])
    padded = jnp.where(mask[..., None], ys, jnp.nan)
    squares = np.concatenate([ys[:4, 0], ys[:1, 1]]) ** 2
    np.testing.assert_allclose(activation_penalty(padded, 1.0, mask), squares.mean(), rtol=1e-6)
    changes = np.diff(ys[:4, 0], axis=0) ** 2
    found = temporal_activation_penalty(padded, 1.0, mask)
    np.testing.assert_allclose(found, changes.mean(), rtol=1e-6)


def test_penalties_of_outputs_in_space_count_valid_steps_alone():
    ys = jax.random.normal(KEY, (4, 2, 5, 3, 6))  # [time, batch, height, width, channels]
    mask = jnp.arange(4)[:, None] < jnp.array([4, 2])
    squares = np.concatenate([ys[:, 0], ys[:2, 1]]) ** 2
    np.testing.assert_allclose(activation_penalty(ys, 1.0, mask), squares.mean(), rtol=1e-5)
    changes = np.concatenate([np.diff(ys[:, 0], axis=0), np.diff(ys[:2, 1], axis=0)]) ** 2
    found = temporal_activation_penalty(ys, 1.0, mask)
    np.testing.assert_allclose(found, changes.mean(), rtol=1e-5)


def test_penalties_of_nothing_are_zero():
    assert temporal_activation_penalty(jnp.ones((1, 2, 3)), 1.0) == 0
    assert activation_penalty(jnp.ones((2, 3, 4)), 1.0, jnp.zeros((2, 3), bool)) == 0


def test_padding_passes_no_gradient_to_a_penalty():
    ys = jnp.array([[1.0], [jnp.inf]])
    mask = jnp.array([True, False])
    gradient = jax.grad(activation_penalty)(ys, 1.0, mask)
    np.testing.assert_array_equal(gradient, [[2.0], [0.0]])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), got 1"):
        weight_drop(KEY, PARAMS, 1)
    with pytest.raises(ValueError, match="params must have a leaf recurrent_kernel, got kernel"):
        weight_drop(KEY, {"kernel": jnp.ones(2)}, 0.5)
