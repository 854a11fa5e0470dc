"""The multiplicative LSTM against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.multiplicative_lstm import multiplicative_lstm
from tests.cells.naive import assert_follows, sigmoid


def reference(params, carry, x):
    """Krause et al. 2016, the equations of mLSTM."""
    from_input = x @ params["multiplicative_kernel"]
    m = from_input * (carry.hidden @ params["multiplicative_recurrent_kernel"])
    n = len(m)
    w, u, b = params["kernel"], params["recurrent_kernel"], params["bias"]

    def gate(index):
        columns = slice(index * n, (index + 1) * n)
        return x @ w[:, columns] + m @ u[:, columns] + b[columns]

    i, f, candidate, o = sigmoid(gate(0)), sigmoid(gate(1)), np.tanh(gate(2)), sigmoid(gate(3))
    c = f * carry.cell + i * candidate
    h = np.tanh(c) * o
    return lj.LSTMCarry(cell=c, hidden=h), h


def test_follows_the_equations():
    assert_follows(multiplicative_lstm(4), reference, input_size=3)


def test_is_the_lstm_where_the_multiplier_of_the_hidden_state_is_one():
    cell = multiplicative_lstm(4)
    params = cell.init(jax.random.key(0), 3)
    # The last input is always 1 and alone feeds the multiplier; the other factor is the identity.
    params["multiplicative_kernel"] = jnp.zeros((3, 4)).at[2].set(1.0)
    params["multiplicative_recurrent_kernel"] = jnp.eye(4)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 3)).at[..., 2].set(1.0)
    np.testing.assert_allclose(
        lj.scan(cell, params, None, xs)[1],
        lj.scan(lj.lstm(4), params, None, xs)[1],
        rtol=1e-5,
        atol=1e-6,
    )


def test_forget_bias_stands_on_the_forget_gate_alone():
    bias = multiplicative_lstm(4, forget_bias=2.5).init(jax.random.key(0), 3)["bias"]
    np.testing.assert_array_equal(bias.reshape(4, 4)[1], 2.5)
    assert not bias.reshape(4, 4)[np.array([0, 2, 3])].any()


def test_a_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        multiplicative_lstm(0)
