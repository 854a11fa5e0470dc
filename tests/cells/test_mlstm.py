"""The mLSTM, both its forms, against the authors' package and against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.mlstm import mlstm

TIME, BATCH, INPUT, HIDDEN, HEADS = 15, 3, 5, 8, 2


def drawn(cell, inputs=INPUT):
    params = cell.init(jax.random.key(0), inputs)
    keys = jax.random.split(jax.random.key(1), len(params))
    return {
        name: value + 0.7 * jax.random.normal(key, value.shape)
        for key, (name, value) in zip(keys, params.items(), strict=True)
    }


def at_once(cell, params, xs):
    return cell.parallel(params, cell.initial_carry(params, xs.shape[1:-1]), xs, None, None)


def in_turn(cell, params, xs):
    return lj.scan(cell, params, None, xs, backend="reference")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch, which xlstm needs, is not installed")


@pytest.fixture(scope="module")
def backends(torch):
    return pytest.importorskip(
        "xlstm.blocks.mlstm.backends", reason="xlstm, the reference, is not installed"
    )


def by_heads(torch, params, xs):
    """Our parameters as leaves of torch, and what they make of xs in the package's layout."""
    theirs = {n: torch.tensor(np.asarray(p), requires_grad=True) for n, p in params.items()}
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    q, k, v, o = (x @ theirs["kernel"] + theirs["bias"]).chunk(4, dim=-1)
    i, f = (x @ theirs["gate_kernel"] + theirs["gate_bias"]).chunk(2, dim=-1)
    q, k, v = (a.reshape(*a.shape[:2], HEADS, -1).permute(1, 2, 0, 3) for a in (q, k, v))
    i, f = (a.permute(1, 2, 0)[..., None] for a in (i, f))
    return theirs, x, (q, k, v, i, f), o.sigmoid()


@pytest.mark.parametrize("run", [at_once, in_turn])
def test_equals_the_authors_parallel_form_in_value_and_gradient(torch, backends, run):
    cell = mlstm(HIDDEN, num_heads=HEADS, chunk_size=6)
    params = drawn(cell)
    xs = jax.random.normal(jax.random.key(2), (TIME, BATCH, INPUT))
    weights = jax.random.normal(jax.random.key(3), (TIME, BATCH, HIDDEN))
    theirs, x, inputs, o = by_heads(torch, params, xs)
    read = backends.parallel_stabilized_simple(*inputs)  # [batch, heads, time, head]
    expected = o * read.permute(2, 0, 1, 3).reshape(o.shape)
    (expected * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        ys = run(cell, params, xs)[1]
        return jnp.sum(ys * weights), ys

    (_, ys), (by_params, by_xs) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        params, xs
    )
    np.testing.assert_allclose(ys, expected.detach(), rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(by_xs, x.grad, rtol=1e-3, atol=2e-4)
    for name, gradient in by_params.items():
        np.testing.assert_allclose(gradient, theirs[name].grad, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("run", [at_once, in_turn])
def test_equals_the_authors_step_in_output_and_carry(torch, backends, run):
    cell = mlstm(HIDDEN, num_heads=HEADS, chunk_size=4)
    params = drawn(cell)
    xs = jax.random.normal(jax.random.key(4), (TIME, BATCH, INPUT))
    _, _, inputs, o = by_heads(torch, params, xs)
    head = HIDDEN // HEADS
    state = (
        torch.zeros(BATCH, HEADS, head, head),
        torch.zeros(BATCH, HEADS, head, 1),
        torch.zeros(BATCH, HEADS, 1, 1),
    )
    expected = []
    with torch.no_grad():
        for t in range(TIME):
            now = (a[:, :, t : t + 1].clone() for a in inputs)
            read, state = backends.recurrent_step_stabilized_simple(*state, *now)
            expected.append(o[t] * read.reshape(BATCH, HIDDEN))
    carry, ys = jax.jit(lambda p, x: run(cell, p, x))(params, xs)
    close = {"rtol": 1e-4, "atol": 2e-5}
    np.testing.assert_allclose(ys, torch.stack(expected), **close)
    np.testing.assert_allclose(carry.cell, state[0], **close)
    np.testing.assert_allclose(carry.normalizer, state[1][..., 0], **close)
    np.testing.assert_allclose(carry.stabilizer, state[2][..., 0, 0], **close)


def test_equals_the_equations_without_a_stabilizer():
    cell = mlstm(HIDDEN, num_heads=HEADS)
    params = drawn(cell)
    xs = np.random.default_rng(0).normal(size=(TIME, INPUT)).astype(np.float32)
    p = {name: np.float64(value) for name, value in params.items()}
    head = HIDDEN // HEADS
    expected = np.zeros((TIME, HEADS, head))
    q, k, v, o = np.split(xs @ p["kernel"] + p["bias"], 4, axis=1)
    i, f = np.split(xs @ p["gate_kernel"] + p["gate_bias"], 2, axis=1)
    for a in range(HEADS):
        memory, normalizer = np.zeros((head, head)), np.zeros(head)
        part = slice(a * head, (a + 1) * head)
        for t in range(TIME):
            key = np.exp(i[t, a]) * k[t, part] / np.sqrt(head)
            forget = 1 / (1 + np.exp(-f[t, a]))
            memory = forget * memory + np.outer(key, v[t, part])
            normalizer = forget * normalizer + key
            expected[t, a] = memory.T @ q[t, part] / max(abs(normalizer @ q[t, part]), 1)
    expected = expected.reshape(TIME, HIDDEN) / (1 + np.exp(-o))
    _, ys = in_turn(cell, params, xs)
    np.testing.assert_allclose(ys, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("input_bias", [-300.0, 300.0])
@pytest.mark.parametrize("run", [at_once, in_turn])
def test_exponential_gates_overflow_nowhere(run, input_bias):
    cell = mlstm(HIDDEN, num_heads=HEADS, chunk_size=4)
    params = drawn(cell)
    params["gate_bias"] = params["gate_bias"].at[:HEADS].set(input_bias).at[HEADS:].set(-30.0)
    xs = jax.random.normal(jax.random.key(2), (TIME, BATCH, INPUT))

    def loss(params, xs):
        return run(cell, params, xs)[1].sum()

    results = jax.jit(jax.value_and_grad(loss, (0, 1)))(params, xs)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(results))


def test_gates_forget_long_sums_without_losing_digits():
    """A chunk that forgets much before it writes is as exact as the loop after it."""
    cell = mlstm(HIDDEN, num_heads=HEADS, chunk_size=64)
    params = drawn(cell, inputs=1)
    params["gate_kernel"] = jnp.zeros((1, 2 * HEADS)).at[:, HEADS:].set(1.0)
    xs = jnp.where(jnp.arange(64) < 40, -3000.0, 4.0)[:, None]  # 40 steps forget all, then none
    expected = in_turn(cell, params, xs)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5),
        at_once(cell, params, xs)[0].normalizer,
        expected[0].normalizer,
    )


def test_gates_begin_the_same_for_every_input_and_forget_biases_spread():
    cell = mlstm(8, num_heads=4, forget_bias_first=1.0, forget_bias_last=7.0)
    params = cell.init(jax.random.key(0), 3)
    assert not params["gate_kernel"].any()
    np.testing.assert_allclose(params["gate_bias"], [0, 0, 0, 0, 1, 3, 5, 7])


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (0, {}, "hidden_size must be at least 1, got 0"),
        (8, {"num_heads": 3}, "num_heads must divide hidden_size 8, got 3"),
        (8, {"chunk_size": 0}, "chunk_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(size, options, message):
    with pytest.raises(ValueError, match=message):
        mlstm(size, **options)
