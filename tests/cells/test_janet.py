"""JANET against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.janet import JANETCarry, janet
from tests.cells.naive import assert_follows, sigmoid


@pytest.mark.parametrize("beta", [1.0, 0.0, -0.5])
def test_follows_the_equations(beta):
    def reference(params, carry, x):
        h = carry.hidden
        s, g = np.split(x @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"], 2)
        new = sigmoid(s) * h + (1 - sigmoid(s - beta)) * np.tanh(g)
        return JANETCarry(new), new

    assert_follows(janet(4, beta=beta), reference, input_size=3)


def test_without_beta_the_state_stays_between_minus_one_and_one():
    cell = janet(4, beta=0.0)
    params = cell.init(jax.random.key(0), 3)
    xs = 10 * jax.random.normal(jax.random.key(1), (50, 3))
    assert jnp.abs(lj.scan(cell, params, None, xs)[1]).max() <= 1


def test_chrono_initialisation_spreads_forget_biases_up_to_the_longest_dependency():
    bias = janet(500, longest_dependency=101).init(jax.random.key(0), 1)["bias"]
    steps = np.exp(bias[:500])
    assert steps.min() >= 1
    assert steps.max() <= 100.001
    assert abs(steps.mean() - 50.5) < 5
    assert not bias[500:].any()


def test_forget_biases_start_at_one_without_it():
    np.testing.assert_array_equal(janet(3).init(jax.random.key(0), 2)["bias"], [1, 1, 1, 0, 0, 0])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        janet(0)
    with pytest.raises(ValueError, match="longest_dependency must be at least 2, got 1"):
        janet(3, longest_dependency=1)
