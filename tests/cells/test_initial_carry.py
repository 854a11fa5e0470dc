"""A learned beginning against the cells that are given it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.initial_carry import learned_carry
from lstm_jax.testing import check_cell
from tests.cells.naive import noisy

TIME, BATCH, INPUT, HIDDEN = 7, 4, 3, 5
XS = jax.random.normal(jax.random.key(1), (TIME, BATCH, INPUT))


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a, b)


@pytest.mark.parametrize("make", [lj.lstm, lj.gru, lj.mgu, lj.ind_rnn, lj.min_lstm, lj.qrnn])
def test_begins_as_the_cell_itself_and_then_where_it_was_taught(make):
    plain, cell = make(HIDDEN), learned_carry(make(HIDDEN))
    params = cell.init(jax.random.key(0), INPUT)
    close(lj.scan(cell, params, None, XS), lj.scan(plain, params, None, XS))

    params = noisy(params, seed=1)
    start = cell.initial_carry(params, (BATCH,))
    for name, leaf in zip(start._fields, start, strict=True):
        expected = jnp.broadcast_to(params[f"initial_{name}"], leaf.shape)
        np.testing.assert_array_equal(leaf, expected)
    resets = jnp.zeros((TIME, BATCH), bool).at[4, 1].set(True)
    _, ys = lj.scan(cell, params, None, XS, resets=resets)
    close(ys[:, 0], lj.scan(plain, params, start, XS)[1][:, 0])
    _, again = lj.scan(plain, params, start, XS[4:])
    close(ys[4:, 1], again[:, 1])


@pytest.mark.parametrize("backend", ["auto", "reference", "deferred"])
def test_equals_the_option_of_the_lstm_in_value_and_gradient(backend):
    ours, theirs = learned_carry(lj.lstm(HIDDEN)), lj.lstm(HIDDEN, learn_initial_carry=True)
    params = ours.init(jax.random.key(0), INPUT)
    jax.tree.map(np.testing.assert_array_equal, params, theirs.init(jax.random.key(0), INPUT))
    params = noisy(params, seed=1)
    resets = jax.random.bernoulli(jax.random.key(2), 0.3, (TIME, BATCH))

    def loss(cell, params):
        ys = lj.scan(cell, params, None, XS, resets=resets, backend=backend)[1]
        return jnp.square(ys).sum(), ys

    results = [jax.grad(lambda p, c=c: loss(c, p), has_aux=True)(params) for c in (ours, theirs)]
    close(*results)
    assert results[0][0]["initial_cell"].all()
    assert results[0][0]["initial_hidden"].all()


def test_a_convolutional_cell_begins_the_same_at_every_place():
    cell = learned_carry(lj.conv_lstm(HIDDEN, dimensions=2))
    params = noisy(cell.init(jax.random.key(0), INPUT), seed=1)
    assert params["initial_cell"].shape == (HIDDEN,)
    carry = cell.initial_carry(params, (2, 6, 4))
    np.testing.assert_array_equal(
        carry.cell, jnp.broadcast_to(params["initial_cell"], (2, 6, 4, HIDDEN))
    )
    assert lj.scan(cell, params, None, jnp.ones((3, 2, 6, 4, INPUT)))[1].shape[2:4] == (6, 4)


def test_goes_with_noise_and_in_stacks():
    cell = lj.stack([learned_carry(lj.gru(HIDDEN)), lj.zoneout(learned_carry(lj.gru(HIDDEN)), 0.5)])
    params = noisy(cell.init(jax.random.key(0), INPUT), seed=1)

    def loss(params):
        return lj.scan(cell, params, None, XS, key=jax.random.key(1))[1].sum()

    gradient = jax.grad(loss)(params)
    assert gradient["layer_0"]["initial_hidden"].all()
    assert gradient["layer_1"]["initial_hidden"].all()


@pytest.mark.slow
@pytest.mark.parametrize("cell", [lj.gru(4), lj.min_gru(4), lj.slstm(4)])
def test_keeps_the_contract(cell):
    check_cell(learned_carry(cell))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="learned_carry needs a cell, got a SequenceMap"):
        learned_carry(lj.bidirectional(lj.lstm(3)))
    for cell in (lj.stack([lj.lstm(3)]), lj.variational_dropout(lj.lstm(3))):
        with pytest.raises(ValueError, match="not made of cells"):
            learned_carry(cell)
    counting = lj.lstm(3)._replace(initial_carry=lambda params, shape: jnp.zeros(shape, int))
    with pytest.raises(ValueError, match="a NamedTuple of float arrays"):
        learned_carry(counting).init(jax.random.key(0), 2)
