"""Networks without gates against torch, and against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.rnn import RNNCarry, ind_rnn, rnn
from tests.cells.naive import assert_follows, noisy

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("batch", "time", "inputs", "hidden"), [(1, 1, 1, 1), (3, 11, 5, 6)])
def test_rnn_equals_torch_in_value_and_gradient(batch, time, inputs, hidden, activation):
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    cell = rnn(hidden, activation=activation)
    params = noisy(cell.init(jax.random.key(1), inputs), seed=0, scale=0.1)
    xs = jax.random.normal(jax.random.key(2), (time, batch, inputs))
    weights = jax.random.normal(jax.random.key(3), (time, batch, hidden))

    theirs = torch.nn.RNN(inputs, hidden, nonlinearity=activation)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(np.asarray(params["kernel"].T)))
        theirs.weight_hh_l0.copy_(torch.tensor(np.asarray(params["recurrent_kernel"].T)))
        theirs.bias_ih_l0.copy_(torch.tensor(np.asarray(params["bias"])))
        theirs.bias_hh_l0.zero_()
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    ys, last = theirs(x)
    (ys * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        carry, ys = lj.scan(cell, params, None, xs)
        return jnp.sum(ys * weights), (carry, ys)

    (_, (carry, ours)), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, xs)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(ours, ys.detach(), **close)
    np.testing.assert_allclose(carry.hidden, last[0].detach(), **close)
    np.testing.assert_allclose(grads[0]["kernel"], theirs.weight_ih_l0.grad.T, **close)
    np.testing.assert_allclose(grads[0]["recurrent_kernel"], theirs.weight_hh_l0.grad.T, **close)
    np.testing.assert_allclose(grads[0]["bias"], theirs.bias_ih_l0.grad, **close)
    np.testing.assert_allclose(grads[1], x.grad, **close)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_ind_rnn_follows_the_equation(activation):
    def reference(params, carry, x):
        recurrent = params["recurrent_kernel"] * carry.hidden
        h = ACTIVATIONS[activation](x @ params["kernel"] + recurrent + params["bias"])
        return RNNCarry(h), h

    assert_follows(ind_rnn(4, activation=activation), reference, input_size=3)


def test_ind_rnn_is_an_rnn_with_a_diagonal_matrix():
    params = ind_rnn(5).init(jax.random.key(0), 3)
    full = params | {"recurrent_kernel": jnp.diag(params["recurrent_kernel"])}
    xs = jax.random.normal(jax.random.key(1), (8, 2, 3))
    np.testing.assert_allclose(
        lj.scan(ind_rnn(5), params, None, xs)[1],
        lj.scan(rnn(5, activation="relu"), full, None, xs)[1],
        rtol=1e-5,
        atol=1e-6,
    )


def test_ind_rnn_starts_where_no_unit_explodes():
    u = ind_rnn(200).init(jax.random.key(0), 1)["recurrent_kernel"]
    assert u.min() >= 0
    assert u.max() <= 1
    assert u.std() > 0.2


@pytest.mark.parametrize("cell", [rnn, ind_rnn])
def test_what_cannot_be_is_refused(cell):
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        cell(0)
    with pytest.raises(ValueError, match=r"activation must be one of .*'relu'.*, got 'gelu'"):
        cell(3, activation="gelu")
