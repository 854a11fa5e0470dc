"""Every parallel form against the loop over its own step: value, gradient, masks and resets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.min_rnn import min_gru, min_lstm
from lstm_jax.cells.mlstm import mlstm
from lstm_jax.cells.qrnn import qrnn
from lstm_jax.cells.sru import sru

TIME, BATCH, INPUT, HIDDEN = 11, 4, 3, 6
CELLS = {
    "min_lstm": min_lstm(HIDDEN, forget_bias=1.0),
    "min_gru": min_gru(HIDDEN),
    "qrnn_1": qrnn(HIDDEN, window=1),
    "qrnn_2": qrnn(HIDDEN),
    "qrnn_4": qrnn(HIDDEN, window=4),
    "qrnn_f": qrnn(HIDDEN, pooling="f"),
    "qrnn_ifo": qrnn(HIDDEN, pooling="ifo"),
    "sru": sru(HIDDEN),
    "sru_tanh": sru(HIDDEN, activation="tanh", highway_bias=-1.0, highway_scale=1.5),
    "mlstm_one_chunk": mlstm(HIDDEN, num_heads=2),
    "mlstm_chunks": mlstm(HIDDEN, num_heads=3, chunk_size=4),
    "mlstm_chunk_1": mlstm(HIDDEN, num_heads=1, chunk_size=1),
}
loop = functools.partial(lj.scan, backend="reference")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
every_cell = pytest.mark.parametrize("name", CELLS)
one_of_each = pytest.mark.parametrize(
    "name", ["min_lstm", "min_gru", "qrnn_2", "sru", "mlstm_chunks"]
)


def assert_same(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **(tolerance or CLOSE)), a, b)


def noisy(tree, seed, scale=0.5):
    """Adds noise to every leaf, so that no parameter and no part of a carry is zero."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    drawn = [
        leaf + scale * jax.random.normal(k, leaf.shape)
        for leaf, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def setup(name, shape=(BATCH,), time=TIME):
    cell = CELLS[name]
    params = noisy(cell.init(jax.random.key(0), INPUT), 1)
    carry = noisy(cell.initial_carry(params, shape), 2)
    return cell, params, carry, jax.random.normal(jax.random.key(3), (time, *shape, INPUT))


def masks(shape=(BATCH,)):
    keys = jax.random.split(jax.random.key(4), 2)
    mask = jax.random.bernoulli(keys[0], 0.6, (TIME, *shape))
    resets = jax.random.bernoulli(keys[1], 0.3, (TIME, *shape))
    if shape == (BATCH,):  # one example without any valid step, one reset at its first step
        mask, resets = mask.at[:, 1].set(False), resets.at[0, 2].set(True)
    return mask, resets


@every_cell
@pytest.mark.parametrize("marked", [False, True])
def test_equals_the_loop_in_value_and_gradient(name, marked):
    cell, params, carry, xs = setup(name)
    mask, resets = masks() if marked else (None, None)

    def weighed(run):
        def loss(params, carry, xs):
            result = run(params, carry, xs)
            weights = noisy(jax.tree.map(jnp.zeros_like, result), 6)
            return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, weights, result))), result

        return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)

    def at_once(params, carry, xs):
        return cell.parallel(params, carry, xs, mask, resets)

    def in_turn(params, carry, xs):
        return loop(cell, params, carry, xs, mask=mask, resets=resets)

    both = jax.jit(lambda *a: (weighed(at_once)(*a), weighed(in_turn)(*a)))
    ((_, ours), gradients), ((_, expected), expected_gradients) = both(params, carry, xs)
    assert_same(ours, expected)
    assert_same(gradients, expected_gradients, rtol=1e-3, atol=5e-5)


@one_of_each
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_takes_any_batch_axes(name, shape):
    cell, params, carry, xs = setup(name, shape)
    mask, resets = masks(shape)

    @jax.jit
    def both(xs):
        looped = loop(cell, params, carry, xs, mask=mask, resets=resets)
        return cell.parallel(params, carry, xs, mask, resets), looped

    assert_same(*both(xs))


@one_of_each
@pytest.mark.parametrize("time", [0, 1])
def test_few_steps(name, time):
    cell, params, carry, xs = setup(name, time=time)
    both = jax.jit(
        lambda x: (cell.parallel(params, carry, x, None, None), loop(cell, params, carry, x))
    )
    assert_same(*both(xs))


@one_of_each
def test_carry_goes_on_where_it_stopped(name):
    cell, params, start, xs = setup(name)

    @jax.jit
    def both(xs):
        carry, first = cell.parallel(params, start, xs[:5], None, None)
        carry, second = cell.parallel(params, carry, xs[5:], None, None)
        whole = cell.parallel(params, start, xs, None, None)
        return (carry, jnp.concatenate([first, second])), whole

    assert_same(*both(xs))


@one_of_each
def test_padding_of_any_content_changes_nothing(name):
    cell, params, carry, xs = setup(name)
    mask, resets = masks()
    content = jnp.resize(jnp.array([1e30, jnp.inf, jnp.nan]), xs.shape)

    @jax.jit
    def run(params, xs):
        def loss(params, xs):
            result = cell.parallel(params, carry, xs, mask, resets)
            return sum(leaf.sum() for leaf in jax.tree.leaves(result)), result

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(params, xs)

    ours = run(params, jnp.where(mask[..., None], xs, content))
    jax.tree.map(np.testing.assert_array_equal, ours, run(params, xs))
    (_, (_, ys)), (_, by_xs) = ours
    assert not ys[~mask].any()
    assert not by_xs[~mask].any()
    assert by_xs[mask].any()


@one_of_each
def test_no_output_sees_a_later_input(name):
    cell, params, carry, xs = setup(name, shape=())
    shown = jax.jit(jax.jacobian(lambda x: cell.parallel(params, carry, x, None, None)[1].sum(-1)))
    seen = jnp.abs(shown(xs)).sum(-1)  # [time of output, time of input]
    np.testing.assert_array_equal(jnp.triu(seen, 1), 0)
    assert (jnp.diagonal(seen) > 0).all()


@one_of_each
def test_4096_steps_equal_the_loop(name):
    cell, params, carry, xs = setup(name, shape=(), time=4096)
    both = jax.jit(
        lambda x: (cell.parallel(params, carry, x, None, None), loop(cell, params, carry, x))
    )
    # An mLSTM divides by sums that may nearly cancel, and their rounding grows with the quotient.
    assert_same(*both(xs), rtol=3e-4 if name == "mlstm_chunks" else 2e-5, atol=1e-5)


@one_of_each
def test_gates_far_from_the_middle_stay_finite(name):
    cell, params, carry, xs = setup(name)
    params = jax.tree.map(lambda p: 50 * p, params)

    def loss(params, xs):
        return cell.parallel(params, carry, xs, None, None)[1].sum()

    for leaf in jax.tree.leaves(jax.jit(jax.value_and_grad(loss, (0, 1)))(params, 20 * xs)):
        assert jnp.isfinite(leaf).all()
