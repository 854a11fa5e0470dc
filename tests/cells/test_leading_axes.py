"""Cells take any leading axes and keep the precision of what they are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.cells.janet import janet
from lstm_jax.cells.mgu import mgu
from lstm_jax.cells.mogrifier_lstm import mogrifier_lstm
from lstm_jax.cells.multiplicative_lstm import multiplicative_lstm
from lstm_jax.cells.rnn import ind_rnn, rnn
from tests.cells.naive import noisy

INPUT = 3
CELLS = {
    "gru": gru(4),
    "gru_reset_before": gru(4, reset_after=False),
    "rnn": rnn(4),
    "ind_rnn": ind_rnn(4),
    "mgu": mgu(4),
    "janet": janet(4),
    "multiplicative_lstm": multiplicative_lstm(4),
    "mogrifier_lstm": mogrifier_lstm(4, rounds=3),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_example_is_as_alone(name):
    cell = CELLS[name]
    params = noisy(cell.init(jax.random.key(0), INPUT), seed=0)
    xs = jax.random.normal(jax.random.key(1), (2, 3, INPUT))
    carries = noisy(cell.initial_carry(params, (2, 3)), seed=1)
    new, ys = cell.step(params, carries, xs)
    alone = jax.vmap(jax.vmap(lambda carry, x: cell.step(params, carry, x)))(carries, xs)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), (new, ys), alone
    )
    assert ys.shape == (2, 3, cell.output_size)


@pytest.mark.parametrize("name", CELLS)
def test_half_precision_stays_half_precision(name):
    cell = CELLS[name]
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), cell.init(jax.random.key(0), INPUT))
    xs = jax.random.normal(jax.random.key(1), (5, 2, INPUT), jnp.bfloat16)
    carry, ys = lj.scan(cell, params, None, xs)
    assert {a.dtype for a in jax.tree.leaves((carry, ys))} == {jnp.dtype(jnp.bfloat16)}
