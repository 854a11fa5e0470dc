"""The LSTM against torch, and against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj


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
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    cell = lj.lstm(hidden)
    params = cell.init(jax.random.key(1), inputs)
    xs = jax.random.normal(jax.random.key(2), (time, batch, inputs))
    weights = jax.random.normal(jax.random.key(3), (time, batch, hidden))

    theirs = torch.nn.LSTM(inputs, hidden)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(np.asarray(params["kernel"].T)))
        theirs.weight_hh_l0.copy_(torch.tensor(np.asarray(params["recurrent_kernel"].T)))
        theirs.bias_ih_l0.copy_(torch.tensor(np.asarray(params["bias"])))
        theirs.bias_hh_l0.zero_()
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    ys, (h, c) = theirs(x)
    (ys * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        carry, ys = lj.scan(cell, params, None, xs)
        return jnp.sum(ys * weights), (carry, ys)

    (_, (carry, ours)), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, xs)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(ours, ys.detach(), **close)
    np.testing.assert_allclose(carry.hidden, h[0].detach(), **close)
    np.testing.assert_allclose(carry.cell, c[0].detach(), **close)
    np.testing.assert_allclose(grads[0]["kernel"], theirs.weight_ih_l0.grad.T, **close)
    np.testing.assert_allclose(grads[0]["recurrent_kernel"], theirs.weight_hh_l0.grad.T, **close)
    np.testing.assert_allclose(grads[0]["bias"], theirs.bias_ih_l0.grad, **close)
    np.testing.assert_allclose(grads[1], x.grad, **close)


def test_forget_bias_stands_on_the_forget_gate_alone():
    params = lj.lstm(4, forget_bias=2.5).init(jax.random.key(0), 3)
    np.testing.assert_array_equal(params["bias"].reshape(4, 4)[1], 2.5)
    assert not params["bias"].reshape(4, 4)[np.array([0, 2, 3])].any()


def test_each_gate_starts_orthogonal():
    kernel = lj.lstm(6).init(jax.random.key(0), 3)["recurrent_kernel"]
    for gate in jnp.split(kernel, 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-5)


def test_a_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        lj.lstm(0)
