"""The LSTM against torch, and against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from tests.cells.torch_reference import assert_equals_torch, with_one_bias


def test_step_follows_the_equations():
    hidden, inputs = 3, 2
    cell = lj.lstm(hidden)
    params = cell.init(jax.random.key(0), inputs)
    rng = np.random.default_rng(0)
    x, c, h = (rng.normal(size=n).astype(np.float32) for n in (inputs, hidden, hidden))
    gates = x @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"]
    i, f, g, o = np.split(np.asarray(gates), 4)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    expected_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    expected_h = sigmoid(o) * np.tanh(expected_c)
    carry, y = cell.step(params, lj.LSTMCarry(cell=c, hidden=h), x)
    np.testing.assert_allclose(carry.cell, expected_c, rtol=1e-5)
    np.testing.assert_allclose(y, expected_h, rtol=1e-5)
    np.testing.assert_array_equal(carry.hidden, y)


@pytest.mark.parametrize(("batch", "time", "inputs", "hidden"), [(1, 1, 1, 1), (3, 17, 5, 8)])
def test_equals_torch_in_value_and_gradient(batch, time, inputs, hidden):
    assert_equals_torch(
        lj.lstm(hidden),
        lambda torch: torch.nn.LSTM(inputs, hidden),
        with_one_bias,
        time=time,
        batch=batch,
        input_size=inputs,
    )


def test_forget_bias_stands_on_the_forget_gate_alone():
    params = lj.lstm(4, forget_bias=2.5).init(jax.random.key(0), 3)
    np.testing.assert_array_equal(params["bias"].reshape(4, 4)[1], 2.5)
    assert not params["bias"].reshape(4, 4)[np.array([0, 2, 3])].any()


def test_each_gate_starts_orthogonal():
    kernel = lj.lstm(6).init(jax.random.key(0), 3)["recurrent_kernel"]
    for gate in jnp.split(kernel, 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-5)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_fast_update_equals_update_in_value_and_gradient(shape):
    cell = lj.lstm(5)
    keys = jax.random.split(jax.random.key(0), 6)
    memory, d_cell, d_hidden, d_y = (jax.random.normal(k, (*shape, 5)) for k in keys[:4])
    z, r = (2 * jax.random.normal(k, (*shape, 20)) for k in keys[4:])

    def pulled(update):
        value, pull = jax.vjp(
            lambda c, z, r: update({}, lj.LSTMCarry(c, jnp.zeros_like(c)), z, r), memory, z, r
        )
        return value, pull((lj.LSTMCarry(d_cell, d_hidden), d_y))

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6),
        pulled(cell.fast_update),
        pulled(cell.update),
    )


def test_fast_update_keeps_the_dtype_of_half_precision():
    cell = lj.lstm(4)
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), cell.init(jax.random.key(0), 3))
    carry = cell.initial_carry(params, (2,))
    z = cell.project(params, jnp.ones((2, 3), jnp.bfloat16))

    def loss(carry, z):
        new, y = cell.fast_update(params, carry, z, cell.recur(params, carry))
        return (y + new.cell).sum()

    grads = jax.grad(loss, (0, 1))(carry, z)
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(grads))


def test_fast_update_is_declared_for_the_plain_cell_alone():
    assert lj.lstm(3, forget_bias=0.0, learn_initial_carry=True).fast_update is not None
    for options in (
        {"peepholes": True},
        {"coupled_gates": True},
        {"layer_norm": True},
        {"cell_clip": 3.0},
        {"activation": "relu"},
        {"gate_activation": "hard_sigmoid"},
        {"projection_size": 2},
    ):
        assert lj.lstm(3, **options).fast_update is None
