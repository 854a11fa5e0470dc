"""The minimal gated unit against its equations, and as a GRU of Keras with its gates tied."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import GRUCarry
from lstm_jax.cells.mgu import mgu
from tests.cells.naive import assert_follows, noisy, sigmoid


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


def test_equals_a_keras_gru_with_its_gates_tied_in_value_and_gradient():
    """With z = 1 - f and r = f the GRU that resets before its product is the unit of one gate."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="keras, the reference, is not installed")
    if keras.backend.backend() != "jax":
        pytest.skip("keras differentiates with another backend")
    cell = mgu(4)
    params = noisy(cell.init(jax.random.key(0), 3), seed=1)
    xs = jax.random.normal(jax.random.key(1), (7, 2, 3))
    weights = jax.random.normal(jax.random.key(2), (7, 2, 4))
    layer = keras.layers.GRU(4, reset_after=False, return_sequences=True)
    layer.build((2, 7, 3))
    state = [v.value for v in layer.non_trainable_variables]

    def theirs(params, xs):
        blocks = {name: jnp.split(array, 2, axis=-1) for name, array in params.items()}
        tied = {name: jnp.concatenate([-f, f, h], -1) for name, (f, h) in blocks.items()}
        arrays = [tied[name] for name in ("kernel", "recurrent_kernel", "bias")]
        ys = layer.stateless_call(arrays, state, xs.swapaxes(0, 1))[0].swapaxes(0, 1)
        return (ys * weights).sum(), ys

    def ours(params, xs):
        ys = lj.scan(cell, params, None, xs)[1]
        return (ys * weights).sum(), ys

    results = (jax.grad(run, (0, 1), has_aux=True)(params, xs) for run in (ours, theirs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


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
