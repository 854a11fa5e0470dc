"""The sLSTM against the authors' package, against its equations, and where gates are extreme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.slstm import SLSTMCarry, slstm

TIME, BATCH, INPUT, HIDDEN = 15, 3, 5, 8


def drawn(cell, inputs=INPUT, scale=1.0):
    params = cell.init(jax.random.key(0), inputs)
    keys = jax.random.split(jax.random.key(1), len(params))
    return {
        name: value + scale * jax.random.normal(key, value.shape)
        for key, (name, value) in zip(keys, params.items(), strict=True)
    }


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("begun", [False, True])
def test_equals_the_authors_package_in_value_and_gradient(heads, begun):
    torch = pytest.importorskip("torch", reason="torch, which xlstm needs, is not installed")
    vanilla = pytest.importorskip(
        "xlstm.blocks.slstm.src.vanilla", reason="xlstm, the reference, is not installed"
    )
    cell = slstm(HIDDEN, num_heads=heads)
    params = drawn(cell)
    xs = jax.random.normal(jax.random.key(2), (TIME, BATCH, INPUT))
    weights = jax.random.normal(jax.random.key(3), (TIME, BATCH, HIDDEN))
    start = cell.initial_carry(params, (BATCH,))
    if begun:
        start, _ = lj.scan(cell, params, start, xs[::-1])

    theirs = {n: torch.tensor(np.asarray(p), requires_grad=True) for n, p in params.items()}
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    c, h, n, m = (torch.tensor(np.asarray(a)) for a in start)
    states, last, _ = vanilla.slstm_forward(
        x @ theirs["kernel"],
        torch.stack([h, c, n, m]),
        theirs["recurrent_kernel"].transpose(1, 2),
        theirs["bias"],
        vanilla.slstm_pointwise_function_registry["slstm"],
    )
    (states[0, 1:] * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        carry, ys = lj.scan(cell, params, start, xs)
        return jnp.sum(ys * weights), (carry, ys)

    run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    (_, (carry, ys)), (by_params, by_xs) = run(params, xs)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(ys, states[0, 1:].detach(), **close)
    carry_in_their_order = (carry.hidden, carry.cell, carry.normalizer, carry.stabilizer)
    np.testing.assert_allclose(jnp.stack(carry_in_their_order), last.detach(), **close)
    np.testing.assert_allclose(by_xs, x.grad, rtol=1e-3, atol=1e-4)
    for name, gradient in by_params.items():
        np.testing.assert_allclose(gradient, theirs[name].grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_equals_the_equations_without_a_stabilizer(forget_gate):
    heads, size = 2, HIDDEN // 2
    cell = slstm(HIDDEN, num_heads=heads, forget_gate=forget_gate)
    params = drawn(cell, scale=0.3)
    p = {name: np.float64(value) for name, value in params.items()}
    xs = np.random.default_rng(0).normal(size=(TIME, INPUT)).astype(np.float32)
    c, n, h, expected = np.zeros(HIDDEN), np.zeros(HIDDEN), np.zeros(HIDDEN), []
    for x in xs:
        blocks = [h[k * size : (k + 1) * size] @ p["recurrent_kernel"][k] for k in range(heads)]
        recurrent = np.concatenate([b.reshape(4, size) for b in blocks], axis=1)
        z = (x @ p["kernel"] + p["bias"]).reshape(4, HIDDEN) + recurrent
        i, g, o = np.exp(z[0]), np.tanh(z[2]), 1 / (1 + np.exp(-z[3]))
        f = np.exp(z[1]) if forget_gate == "exp" else 1 / (1 + np.exp(-z[1]))
        c, n = f * c + i * g, f * n + i
        h = o * c / n
        expected.append(h)
    _, ys = lj.scan(cell, params, None, xs)
    np.testing.assert_allclose(ys, np.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("input_bias", [-300.0, 300.0])
def test_exponential_gates_overflow_nowhere(input_bias):
    cell = slstm(HIDDEN)
    params = drawn(cell)
    params["bias"] = params["bias"].at[:HIDDEN].set(input_bias)
    xs = jax.random.normal(jax.random.key(2), (TIME, BATCH, INPUT))

    def loss(params, xs):
        ys = lj.scan(cell, params, None, xs)[1]
        return ys.sum(), ys

    (_, ys), gradients = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, xs)
    assert (jnp.abs(ys) <= 1).all()  # an average of candidates, times a gate
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_output_does_not_depend_on_the_stabilizer():
    cell = slstm(HIDDEN)
    params = drawn(cell)
    xs = jax.random.normal(jax.random.key(2), (5, INPUT))
    carry, _ = lj.scan(cell, params, None, xs)
    shift = jnp.linspace(-3, 3, HIDDEN)
    moved = SLSTMCarry(
        carry.cell * jnp.exp(-shift),
        carry.hidden,
        carry.normalizer * jnp.exp(-shift),
        carry.stabilizer + shift,
    )
    expected = lj.scan(cell, params, carry, xs)[1]
    np.testing.assert_allclose(lj.scan(cell, params, moved, xs)[1], expected, rtol=1e-4, atol=1e-6)


def test_heads_do_not_see_one_another():
    cell = slstm(HIDDEN, num_heads=2)
    params = drawn(cell)
    carry = cell.initial_carry(params, ())
    assert cell.recur is not None
    mixed = jax.jacobian(lambda h: cell.recur(params, carry._replace(hidden=h)))(carry.hidden)
    mixed = mixed.reshape(4, 2, HIDDEN // 2, 2, HIDDEN // 2)
    assert not mixed[:, 0, :, 1].any()
    assert not mixed[:, 1, :, 0].any()
    assert mixed[:, 0, :, 0].all()


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (0, {}, "hidden_size must be at least 1, got 0"),
        (8, {"num_heads": 0}, "num_heads must be at least 1, got 0"),
        (8, {"num_heads": 3}, "num_heads must divide hidden_size 8, got 3"),
        (8, {"forget_gate": "tanh"}, "forget_gate must be one of 'sigmoid', 'exp', got 'tanh'"),
    ],
)
def test_what_cannot_be_is_refused(size, options, message):
    with pytest.raises(ValueError, match=message):
        slstm(size, **options)
