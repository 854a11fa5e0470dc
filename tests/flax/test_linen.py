"""The linen module is `scan` with its parameters kept by Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.flax.linen import RNN

XS = jax.random.normal(jax.random.key(0), (4, 9, 3))  # [batch, time, input]


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
