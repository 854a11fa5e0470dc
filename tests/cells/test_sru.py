"""The SRU against its equations, and its highway."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells.sru import SRUCarry, sru

HIDDEN = 4


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("activation", ["identity", "tanh"])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("inputs", [HIDDEN, 3])
def test_step_follows_the_equations(activation, peepholes, inputs):
    cell = sru(HIDDEN, activation=activation, peepholes=peepholes, highway_scale=1.7)
    params = cell.init(jax.random.key(0), inputs)
    rng = np.random.default_rng(0)
    params["bias"] = rng.normal(size=2 * HIDDEN).astype(np.float32)
    x, c = rng.normal(size=inputs).astype(np.float32), rng.normal(size=HIDDEN).astype(np.float32)
    p = {name: np.float64(value) for name, value in params.items()}
    (wf, wg, wr), (bf, br) = np.split(p["kernel"], 3, axis=1), np.split(p["bias"], 2)
    vf, vr = np.split(p["peephole_kernel"], 2) if peepholes else (0, 0)
    f, r = sigmoid(x @ wf + vf * c + bf), sigmoid(x @ wr + vr * c + br)
    expected_c = f * c + (1 - f) * (x @ wg)
    passed = x if inputs == HIDDEN else x @ p["highway_kernel"]
    shown = np.tanh(expected_c) if activation == "tanh" else expected_c
    carry, y = cell.step(params, SRUCarry(c), x)
    np.testing.assert_allclose(carry.cell, expected_c, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y, r * shown + (1 - r) * 1.7 * passed, rtol=1e-5, atol=1e-6)


def test_a_closed_highway_gate_passes_the_input():
    cell = sru(HIDDEN, highway_bias=-50.0)
    params = cell.init(jax.random.key(0), HIDDEN)
    xs = jax.random.normal(jax.random.key(1), (5, 2, HIDDEN))
    _, ys = cell.parallel(params, cell.initial_carry(params, (2,)), xs, None, None)
    np.testing.assert_allclose(ys, xs, atol=1e-6)


def test_a_product_on_the_highway_only_where_sizes_differ():
    assert set(sru(4).init(jax.random.key(0), 4)) == {"kernel", "bias"}
    assert sru(4).init(jax.random.key(0), 3)["highway_kernel"].shape == (3, 4)


def test_peepholes_have_no_parallel_form():
    assert sru(4, peepholes=True).parallel is None
    assert sru(4).parallel is not None


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (0, {}, "hidden_size must be at least 1, got 0"),
        (3, {"activation": "relu"}, "activation must be one of 'identity', 'tanh', got 'relu'"),
    ],
)
def test_what_cannot_be_is_refused(size, options, message):
    with pytest.raises(ValueError, match=message):
        sru(size, **options)


def test_gradient_of_the_state_is_the_forget_gate():
    cell = sru(HIDDEN)
    params = cell.init(jax.random.key(0), HIDDEN)
    x = jax.random.normal(jax.random.key(1), (HIDDEN,))
    jacobian = jax.jacobian(lambda c: cell.step(params, SRUCarry(c), x)[0].cell)(jnp.ones(HIDDEN))
    forget = jax.nn.sigmoid(x @ params["kernel"][:, :HIDDEN])
    np.testing.assert_allclose(jacobian, jnp.diag(forget), rtol=1e-5, atol=1e-6)
