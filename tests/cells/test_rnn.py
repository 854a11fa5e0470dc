"""Networks without gates against torch, and against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.rnn import RNNCarry, ind_rnn, rnn
from tests.cells.naive import assert_follows
from tests.cells.torch_reference import assert_equals_torch, with_one_bias

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("batch", "time", "inputs", "hidden"), [(1, 1, 1, 1), (3, 11, 5, 6)])
def test_rnn_equals_torch_in_value_and_gradient(batch, time, inputs, hidden, activation):
    assert_equals_torch(
        rnn(hidden, activation=activation),
        lambda torch: torch.nn.RNN(inputs, hidden, nonlinearity=activation),
        with_one_bias,
        time=time,
        batch=batch,
        input_size=inputs,
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_ind_rnn_equals_torch_with_a_diagonal_matrix_in_value_and_gradient(activation):
    assert_equals_torch(
        ind_rnn(6, activation=activation),
        lambda torch: torch.nn.RNN(5, 6, nonlinearity=activation),
        lambda p: with_one_bias(p | {"recurrent_kernel": jnp.diag(p["recurrent_kernel"])}),
        time=11,
        batch=3,
        input_size=5,
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_ind_rnn_follows_the_equation(activation):
    def reference(params, carry, x):
        recurrent = params["recurrent_kernel"] * carry.hidden
        h = ACTIVATIONS[activation](x @ params["kernel"] + recurrent + params["bias"])
        return RNNCarry(h), h

    assert_follows(ind_rnn(4, activation=activation), reference, input_size=3)


def test_ind_rnn_starts_where_no_unit_explodes():
    u = ind_rnn(200).init(jax.random.key(0), 1)["recurrent_kernel"]
    assert u.min() >= 0
    assert u.max() <= 1
    assert u.std() > 0.2


def test_torch_uniform_draws_what_torch_draws():
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    torch.manual_seed(0)
    theirs = torch.nn.RNN(30, 400)
    params = rnn(400, initializer="torch_uniform").init(jax.random.key(0), 30)
    for ours, reference in (
        (params["kernel"], theirs.weight_ih_l0),
        (params["recurrent_kernel"], theirs.weight_hh_l0),
        (params["bias"], theirs.bias_ih_l0 + theirs.bias_hh_l0),
    ):
        reference = reference.detach().numpy()
        np.testing.assert_allclose(ours.std(), reference.std(), rtol=0.1)
        np.testing.assert_allclose(abs(ours).max(), abs(reference).max(), rtol=0.1)


def test_an_irnn_starts_as_an_integrator():
    cell = rnn(4, activation="relu", initializer="glorot_identity")
    params = cell.init(jax.random.key(0), 4)
    np.testing.assert_array_equal(params["recurrent_kernel"], np.eye(4))
    assert not params["bias"].any()
    params["kernel"] = jnp.eye(4)
    xs = jax.random.uniform(jax.random.key(1), (10, 4))
    np.testing.assert_allclose(lj.scan(cell, params, None, xs)[1], jnp.cumsum(xs, 0), rtol=1e-6)


@pytest.mark.parametrize("cell", [rnn, ind_rnn])
def test_what_cannot_be_is_refused(cell):
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        cell(0)
    with pytest.raises(ValueError, match=r"activation must be one of .*'relu'.*, got 'gelu'"):
        cell(3, activation="gelu")


def test_an_initializer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"initializer must be one of 'glorot.*, got 'zeros'"):
        rnn(3, initializer="zeros")
