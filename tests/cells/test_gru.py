"""The GRU against torch, Keras and its equations."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import GATE_ORDER, GRUCarry, gru
from tests.cells.naive import assert_follows, noisy, sigmoid
from tests.cells.torch_reference import assert_equals_torch

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def as_torch(params):
    """Our gates z r h on the last axis as torch's r z h on the first."""

    def turned(array):
        z, r, h = jnp.split(array, 3, axis=-1)
        return jnp.concatenate([r, z, h], axis=-1).T

    return {
        "weight_ih_l0": turned(params["kernel"]),
        "weight_hh_l0": turned(params["recurrent_kernel"]),
        "bias_ih_l0": turned(params["bias"][0]),
        "bias_hh_l0": turned(params["bias"][1]),
    }


@pytest.mark.parametrize(("batch", "time", "inputs", "hidden"), [(1, 1, 1, 1), (3, 17, 5, 8)])
def test_reset_after_equals_torch_in_value_and_gradient(batch, time, inputs, hidden):
    assert_equals_torch(
        gru(hidden),
        lambda torch: torch.nn.GRU(inputs, hidden),
        as_torch,
        time=time,
        batch=batch,
        input_size=inputs,
    )


@pytest.mark.parametrize("reset_after", [True, False])
def test_equals_keras_with_the_same_arrays(reset_after):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="keras, the reference, is not installed")
    cell = gru(4, reset_after=reset_after)
    params = noisy(cell.init(jax.random.key(1), 3), seed=0)
    xs = jax.random.normal(jax.random.key(2), (7, 2, 3))
    layer = keras.layers.GRU(4, reset_after=reset_after, return_sequences=True)
    layer.build((2, 7, 3))
    layer.set_weights([np.asarray(params[n]) for n in ("kernel", "recurrent_kernel", "bias")])
    theirs = keras.ops.convert_to_numpy(layer(np.asarray(xs.swapaxes(0, 1))))
    ours = lj.scan(cell, params, None, xs)[1]
    np.testing.assert_allclose(ours.swapaxes(0, 1), theirs, **CLOSE)


def reset_before(params, carry, x):
    """Cho et al. 2014, section 2.3."""
    h = carry.hidden
    size = len(h)
    w, u, b = ({} for _ in range(3))
    for n, gate in enumerate(GATE_ORDER):
        columns = slice(n * size, (n + 1) * size)
        w[gate], u[gate] = params["kernel"][:, columns], params["recurrent_kernel"][:, columns]
        b[gate] = params["bias"][columns]
    r = sigmoid(x @ w["r"] + h @ u["r"] + b["r"])
    z = sigmoid(x @ w["z"] + h @ u["z"] + b["z"])
    candidate = np.tanh(x @ w["h"] + (r * h) @ u["h"] + b["h"])
    new = z * h + (1 - z) * candidate
    return GRUCarry(new), new


def test_reset_before_follows_the_equations():
    assert_follows(gru(4, reset_after=False), reset_before, input_size=3)


def test_the_two_forms_agree_where_the_reset_gate_is_open():
    before, after = gru(4, reset_after=False), gru(4)
    params = before.init(jax.random.key(0), 3)
    params["bias"] = params["bias"].at[4:8].set(50.0)
    both = jnp.stack([params["bias"], jnp.zeros(12)])
    xs = jax.random.normal(jax.random.key(1), (6, 3))
    np.testing.assert_allclose(
        lj.scan(after, params | {"bias": both}, None, xs)[1],
        lj.scan(before, params, None, xs)[1],
        rtol=1e-5,
        atol=1e-6,
    )


def test_recur_is_linear_with_biases_that_are_not_zero():
    cell = gru(4)
    params = noisy(cell.init(jax.random.key(0), 3), seed=0)
    a, b = jax.random.normal(jax.random.key(1), (2, 4))
    assert cell.recur is not None
    both = cell.recur(params, GRUCarry(2 * a - b))
    apart = 2 * cell.recur(params, GRUCarry(a)) - cell.recur(params, GRUCarry(b))
    np.testing.assert_allclose(both, apart, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reset_after", [True, False])
def test_torch_uniform_draws_what_torch_draws(reset_after):
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    torch.manual_seed(0)
    theirs = torch.nn.GRU(30, 100)
    params = gru(100, reset_after=reset_after, initializer="torch_uniform").init(
        jax.random.key(0), 30
    )
    for ours, reference in (
        (params["kernel"], theirs.weight_ih_l0),
        (params["recurrent_kernel"], theirs.weight_hh_l0),
        (params["bias"].reshape(-1, 300)[0], theirs.bias_ih_l0),
        (params["bias"].reshape(-1, 300)[-1], theirs.bias_hh_l0),
    ):
        reference = reference.detach().numpy()
        assert ours.size == reference.size
        np.testing.assert_allclose(ours.std(), reference.std(), rtol=0.1)
        np.testing.assert_allclose(abs(ours).max(), abs(reference).max(), rtol=0.02)


def test_each_gate_starts_orthogonal_and_without_bias():
    for initializer in ("glorot_orthogonal", "lecun_orthogonal"):
        params = gru(6, initializer=initializer).init(jax.random.key(0), 3)
        for gate in jnp.split(params["recurrent_kernel"], 3, axis=1):
            np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-5)
        assert not params["bias"].any()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        gru(0)
    with pytest.raises(ValueError, match=r"initializer must be one of 'glorot.*, got 'identity'"):
        gru(3, initializer="identity")
