"""minLSTM and minGRU against their equations and against the published sum of logarithms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.min_rnn import MinRNNCarry, min_gru, min_lstm, positive

INPUT, HIDDEN = 3, 4


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def g(z):
    return np.where(z >= 0, z + 0.5, sigmoid(z))


def projected(cell, xs, seed=0):
    params = cell.init(jax.random.key(seed), INPUT)
    params["bias"] = params["bias"] + jax.random.normal(jax.random.key(9), params["bias"].shape)
    return params, np.float64(xs) @ np.float64(params["kernel"]) + np.float64(params["bias"])


def terms(cell, z):
    """Decay and increment as the paper's sequential listings write them, in double precision."""
    if cell is LSTM:
        i, f, h = np.split(z, 3, axis=-1)
        total = sigmoid(f) + sigmoid(i)
        return sigmoid(f) / total, sigmoid(i) / total * g(h)
    update, h = np.split(z, 2, axis=-1)
    return 1 - sigmoid(update), sigmoid(update) * g(h)


LSTM, GRU = min_lstm(HIDDEN, forget_bias=0.5), min_gru(HIDDEN)
both = pytest.mark.parametrize("cell", [LSTM, GRU], ids=["min_lstm", "min_gru"])


@both
def test_step_follows_the_equations(cell):
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=INPUT).astype(np.float32), rng.normal(size=HIDDEN).astype(np.float32)
    params, z = projected(cell, x)
    decay, increment = terms(cell, z)
    carry, y = cell.step(params, MinRNNCarry(h), x)
    np.testing.assert_allclose(y, decay * h + increment, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(carry.hidden, y)


@both
def test_equals_the_published_sum_of_logarithms(cell):
    """log h_t = A_t + logsumexp_(s<=t)(log b_s - A_s), A_t the sum of the log decays up to t."""
    xs = np.random.default_rng(1).normal(size=(40, INPUT)).astype(np.float32)
    params, z = projected(cell, xs)
    decay, increment = terms(cell, z)
    start = g(np.zeros(HIDDEN))  # the paper's initial state, g of zero
    sums = np.cumsum(np.log(decay), axis=0)
    earlier = np.logaddexp.accumulate(np.vstack([np.log(start), np.log(increment) - sums]))
    expected = np.exp(sums + earlier[1:])
    carry = MinRNNCarry(jnp.array(start, jnp.float32))
    _, ys = jax.jit(cell.parallel, static_argnums=(3, 4))(params, carry, xs, None, None)
    np.testing.assert_allclose(ys, expected, rtol=1e-5)


@both
def test_step_and_parallel_equal_double_precision_after_thousands_of_steps(cell):
    xs = np.random.default_rng(2).normal(size=(4096, INPUT)).astype(np.float32)
    params, z = projected(cell, xs)
    h, expected = np.zeros(HIDDEN), []
    for a, b in zip(*terms(cell, z), strict=True):
        h = a * h + b
        expected.append(h)
    carry = cell.initial_carry(params, ())
    _, at_once = jax.jit(cell.parallel, static_argnums=(3, 4))(params, carry, xs, None, None)
    _, in_turn = jax.jit(lambda p, x: lj.scan(cell, p, None, x, backend="reference"))(params, xs)
    np.testing.assert_allclose(at_once, np.stack(expected), rtol=5e-6)
    np.testing.assert_allclose(in_turn, np.stack(expected), rtol=5e-6)


def test_states_stay_positive_and_gates_far_from_the_middle_do_not_divide_by_zero():
    params = LSTM.init(jax.random.key(0), INPUT)
    params["bias"] = jnp.repeat(jnp.array([-200.0, -300.0, 0.0]), HIDDEN)  # sigmoids are zero

    def loss(params):
        _, y = LSTM.step(params, MinRNNCarry(jnp.ones(HIDDEN)), jnp.zeros(INPUT))
        return y.sum(), y

    (_, y), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    np.testing.assert_allclose(y, 0.5, rtol=1e-6)  # the input gate has all the weight
    assert jnp.isfinite(gradient["bias"]).all()


def test_candidates_are_positive_and_increase():
    z = jnp.linspace(-30, 30, 601)
    assert (positive(z) > 0).all()
    assert (jnp.diff(positive(z)) > 0).all()


def test_biases_stand_on_their_gates_alone():
    bias = min_lstm(4, forget_bias=2.5).init(jax.random.key(0), 3)["bias"].reshape(3, 4)
    np.testing.assert_array_equal(bias, np.array([[0.0], [2.5], [0.0]]) * np.ones(4))
    bias = min_gru(4, update_bias=-1.0).init(jax.random.key(0), 3)["bias"].reshape(2, 4)
    np.testing.assert_array_equal(bias, np.array([[-1.0], [0.0]]) * np.ones(4))


@pytest.mark.parametrize("make", [min_lstm, min_gru])
def test_a_size_that_cannot_be_is_refused(make):
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        make(0)
