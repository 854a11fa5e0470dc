"""Variational dropout: which masks, for how long, and where they stand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.noisy_cells import zoneout
from lstm_jax.cells.variational_dropout import VariationalCarry, redraw_masks, variational_dropout
from tests.cells.naive import noisy

TIME, BATCH, INPUT, HIDDEN = 8, 3, 4, 5
PLAIN = lj.lstm(HIDDEN)
PARAMS = noisy(PLAIN.init(jax.random.key(0), INPUT), seed=1)
XS = jax.random.normal(jax.random.key(1), (TIME, BATCH, INPUT))
KEY = jax.random.key(2)


def memory(rows=1):
    rng = np.random.default_rng(4)
    cell, hidden = np.float32(rng.normal(size=(2, rows, HIDDEN)))
    return lj.LSTMCarry(jnp.asarray(cell), jnp.asarray(hidden))


def echo(hidden=HIDDEN):
    """A cell that shows what reaches it: y = x + h, where h stays what it was."""
    return lj.gated_cell(
        init=lambda key, input_size: {},
        initial_carry=lambda params, shape: lj.LSTMCarry(*[jnp.ones((*shape, hidden))] * 2),
        project=lambda params, x: x,
        recur=lambda params, carry: carry.hidden,
        update=lambda params, carry, z, r: (carry, z + r),
        output_size=hidden,
    )


ONES = jnp.ones((TIME, BATCH, HIDDEN))


@pytest.mark.parametrize("place", ["input", "output", "state"])
def test_one_mask_for_all_steps_another_for_each_example(place):
    hidden, batch = 64, 50
    cell = variational_dropout(echo(hidden), **{f"{place}_rate": 0.25})
    ys = lj.scan(cell, {}, None, jnp.ones((TIME, batch, hidden)), key=KEY)[1]
    np.testing.assert_array_equal(ys, jnp.broadcast_to(ys[0], ys.shape))
    masks = ys[0] / 2 if place == "output" else ys[0] - 1  # the other term of x + h is one
    dropped = np.isclose(masks, 0, atol=1e-6)
    np.testing.assert_allclose(np.asarray(masks)[~dropped], 1 / 0.75, rtol=1e-5)
    assert abs(dropped.mean() - 0.25) < 0.03  # 3200 units: a standard error of 0.008
    assert len(np.unique(dropped, axis=0)) == batch


def test_the_three_masks_differ():
    seed = jnp.array([9], jnp.uint32)
    masks = []
    for rates in ((0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5)):
        cell = variational_dropout(echo(64), *rates)
        carry = VariationalCarry(lj.LSTMCarry(jnp.ones((1, 64)), jnp.ones((1, 64))), seed)
        y = cell.step({}, carry, jnp.ones((1, 64)), KEY)[1]
        masks.append(tuple(np.asarray(y > y.min())[0]))
    assert len(set(masks)) == 3


def test_masks_last_from_window_to_window():
    cell = variational_dropout(echo(), 0.5)
    carry, first = lj.scan(cell, {}, None, ONES, key=KEY)
    again, second = lj.scan(cell, {}, carry, ONES, key=jax.random.key(77))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(carry.seed, again.seed)


def test_redraw_masks_forgets_masks_alone():
    cell = variational_dropout(PLAIN, 0.5)
    carry, _ = lj.scan(cell, PARAMS, None, XS, key=KEY)
    anew = redraw_masks({"layer": (carry, jnp.ones(3))})
    assert not anew["layer"][0].seed.any()
    jax.tree.map(np.testing.assert_array_equal, anew["layer"][0].carry, carry.carry)
    np.testing.assert_array_equal(anew["layer"][1], 1)
    nested = VariationalCarry(carry, carry.seed)
    assert not redraw_masks(nested).carry.seed.any()
    after, _ = lj.scan(cell, PARAMS, anew["layer"][0], XS, key=jax.random.key(77))
    assert (after.seed != carry.seed).all()


def test_a_reset_draws_new_masks_for_its_example_alone():
    hidden = 64
    cell = variational_dropout(echo(hidden), 0.5)
    resets = jnp.zeros((TIME, BATCH), bool).at[4, 1].set(True)
    ys = lj.scan(cell, {}, None, jnp.ones((TIME, BATCH, hidden)), resets=resets, key=KEY)[1]
    same = (ys[3] == ys[4]).all(axis=-1)
    assert same.tolist() == [True, False, True]
    np.testing.assert_array_equal(ys[4, 1], ys[-1, 1])


def test_steps_without_a_key_keep_the_masks_for_later():
    cell = variational_dropout(echo(), 0.5)
    carry, first = lj.scan(cell, {}, None, ONES, key=KEY)
    between, plain = lj.scan(cell, {}, carry, ONES)
    np.testing.assert_array_equal(plain, 2 * ONES)
    np.testing.assert_array_equal(lj.scan(cell, {}, between, ONES, key=KEY)[1], first)
    assert not lj.scan(cell, {}, None, ONES)[0].seed.any()


def test_padding_draws_no_masks():
    cell = variational_dropout(PLAIN, 0.5)
    carry, _ = lj.scan(cell, PARAMS, None, XS, lengths=jnp.array([TIME, 1, 0]), key=KEY)
    assert (carry.seed != 0).tolist() == [True, True, False]


def test_the_state_mask_stands_before_the_recurrent_kernel_alone():
    rate, x = 0.5, XS[0, :1]
    before = memory()
    gru = lj.gated_cell(
        init=PLAIN.init,
        initial_carry=PLAIN.initial_carry,
        project=lambda params, x: jnp.zeros((*x.shape[:-1], HIDDEN)),
        recur=lambda params, carry: carry.hidden,
        update=lambda params, carry, z, r: (carry._replace(cell=r), carry.hidden),
        output_size=HIDDEN,
    )
    carry = VariationalCarry(before, jnp.array([3], jnp.uint32))
    new, y = variational_dropout(gru, state_rate=rate).step({}, carry, x, KEY)
    np.testing.assert_array_equal(y, before.hidden)
    ratio = np.asarray(new.carry.cell / before.hidden)
    np.testing.assert_allclose(np.sort(np.unique(ratio.round(5))), [0, 2])


def test_masked_inputs_and_states_of_an_lstm_follow_the_equation():
    seed = jnp.arange(1, BATCH + 1, dtype=jnp.uint32)
    rates = (0.5, 0.25, 0.4)

    def mask(place, size):
        chosen = [rate if n == place else 0 for n, rate in enumerate(rates)]
        ones = jnp.ones((BATCH, size))
        start = VariationalCarry(lj.LSTMCarry(ones, ones), seed)
        y = variational_dropout(echo(size), *chosen).step({}, start, ones, KEY)[1]
        return y / 2 if place == 1 else y - 1

    m_x, m_y, m_h = mask(0, INPUT), mask(1, HIDDEN), mask(2, HIDDEN)
    before = memory(BATCH)
    cell = variational_dropout(PLAIN, *rates)
    carry, y = cell.step(PARAMS, VariationalCarry(before, seed), XS[0], KEY)
    masked = before._replace(hidden=before.hidden * m_h)
    expected, shown = PLAIN.step(PARAMS, masked, XS[0] * m_x)
    np.testing.assert_allclose(carry.carry.cell, expected.cell, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(carry.carry.hidden, shown, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y, shown * m_y, rtol=1e-5, atol=1e-6)


def test_dropout_around_zoneout_passes_a_key_on():
    cell = variational_dropout(zoneout(PLAIN, 0.5), input_rate=0.2)
    ours = lj.scan(cell, PARAMS, None, XS, key=KEY)[1]
    without = variational_dropout(PLAIN, input_rate=0.2)
    assert abs(ours - lj.scan(without, PARAMS, None, XS, key=KEY)[1]).max() > 0.01
    expectation = lj.scan(zoneout(PLAIN, 0.5), PARAMS, None, XS)[1]
    np.testing.assert_allclose(lj.scan(cell, PARAMS, None, XS)[1], expectation, atol=1e-6)
