"""The linen module is `scan` with its parameters kept by Flax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.flax.linen import RNN

XS = jax.random.normal(jax.random.key(0), (4, 9, 3))  # [batch, time, input]


def initialized(layer, xs):
    """The parameters of the cell, and what `apply` of the layer does with them."""
    variables = layer.init(jax.random.key(2), xs)
    return variables["params"]["cell"], functools.partial(layer.apply, variables)


@pytest.mark.parametrize("time_major", [False, True])
def test_equals_scan(time_major):
    cell = lj.lstm(5)
    layer = RNN(cell, time_major=time_major)
    xs = jnp.swapaxes(XS, 0, 1) if time_major else XS
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, xs.shape[:2])
    variables = layer.init(jax.random.key(2), xs)
    carry, ys = layer.apply(variables, xs, mask=mask)
    mask_tb = mask if time_major else mask.T
    expected_carry, expected = lj.scan(
        cell, variables["params"]["cell"], None, jnp.swapaxes(XS, 0, 1), mask=mask_tb
    )
    np.testing.assert_array_equal(ys if time_major else jnp.swapaxes(ys, 0, 1), expected)
    np.testing.assert_array_equal(carry.cell, expected_carry.cell)


def test_initial_carry_is_that_of_the_cell():
    layer = RNN(lj.lstm(5))
    variables = layer.init(jax.random.key(2), XS)
    carry = layer.apply(variables, (7,), method="initial_carry")
    assert carry.cell.shape == (7, 5)


def test_layers_and_directions():
    layer = lj.bidirectional(lj.lstm(5))
    network = lj.stack([layer, layer])
    params, run = initialized(RNN(network), XS)
    xs = jnp.swapaxes(XS, 0, 1)
    lengths = jnp.array([9, 1, 0, 4])
    expected_carry, expected = lj.scan(network, params, None, xs, lengths=lengths)
    carry, ys = run(XS, lengths=lengths)
    np.testing.assert_array_equal(jnp.swapaxes(ys, 0, 1), expected)
    jax.tree.map(np.testing.assert_array_equal, carry, expected_carry)


def test_any_number_of_batch_axes():
    _, run = initialized(RNN(lj.lstm(5)), XS)
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, XS.shape[:2])
    resets = jax.random.bernoulli(jax.random.key(3), 0.3, XS.shape[:2])
    carry, ys = run(XS, mask=mask, resets=resets)
    one_carry, one = run(XS[1], mask=mask[1], resets=resets[1])
    np.testing.assert_allclose(one, ys[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one_carry.cell, carry.cell[1], rtol=1e-5, atol=1e-6)
    _, each = jax.vmap(lambda x, m, r: run(x, mask=m, resets=r))(XS, mask, resets)
    np.testing.assert_allclose(each, ys, rtol=1e-5, atol=1e-6)
    square = XS.reshape(2, 2, 9, 3)
    _, squared = run(square, mask=mask.reshape(2, 2, 9), resets=resets.reshape(2, 2, 9))
    np.testing.assert_allclose(squared.reshape(ys.shape), ys, rtol=1e-5, atol=1e-6)


def test_a_picture_has_its_time_behind_the_batch():
    cell = lj.conv_lstm(2, kernel_size=3, dimensions=2)
    frames = jax.random.normal(jax.random.key(0), (4, 3, 5, 6, 2))  # batch, time, space, channels
    params, run = initialized(RNN(cell), frames)
    _, expected = lj.scan(cell, params, None, jnp.swapaxes(frames, 0, 1))
    np.testing.assert_array_equal(run(frames)[1], jnp.swapaxes(expected, 0, 1))


@pytest.mark.parametrize("name", ["mask", "resets"])
def test_a_mask_of_another_layout_is_named(name):
    _, run = initialized(RNN(lj.lstm(5)), XS)
    with pytest.raises(ValueError, match=rf"{name} must have shape \(4, 9\) .*got \(9, 4\)"):
        run(XS, **{name: jnp.ones((9, 4), bool)})
