"""The minimal gated unit against its equations."""

import jax
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import GRUCarry
from lstm_jax.cells.mgu import mgu
from tests.cells.naive import assert_follows, sigmoid


def reference(params, carry, x):
    """Zhou et al. 2016, the unit of one gate."""
    h, n = carry.hidden, len(carry.hidden)
    kernel, recurrent, bias = params["kernel"], params["recurrent_kernel"], params["bias"]
    f = sigmoid(x @ kernel[:, :n] + h @ recurrent[:, :n] + bias[:n])
    candidate = np.tanh(x @ kernel[:, n:] + (f * h) @ recurrent[:, n:] + bias[n:])
    new = (1 - f) * h + f * candidate
    return GRUCarry(new), new


def test_follows_the_equations():
    assert_follows(mgu(4), reference, input_size=3)


def test_a_closed_gate_holds_the_memory():
    cell = mgu(4)
    params = cell.init(jax.random.key(0), 3)
    params["bias"] = params["bias"].at[:4].set(-50.0)
    start = GRUCarry(jax.random.normal(jax.random.key(1), (4,)))
    xs = jax.random.normal(jax.random.key(2), (9, 3))
    np.testing.assert_allclose(lj.scan(cell, params, start, xs)[0].hidden, start.hidden, rtol=1e-6)


def test_a_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got -1"):
        mgu(-1)
