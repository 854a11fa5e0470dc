"""Zoneout and dropout in time: what they draw, for how long, and that they are off with no key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.lstm_variants import lstm_variant
from lstm_jax.cells.noisy_cells import recurrent_dropout, zoneout
from lstm_jax.cells.variational_dropout import variational_dropout
from tests.cells.naive import noisy

TIME, BATCH, INPUT, HIDDEN = 8, 3, 4, 5
PLAIN = lj.lstm(HIDDEN)
PARAMS = noisy(PLAIN.init(jax.random.key(0), INPUT), seed=1)
XS = jax.random.normal(jax.random.key(1), (TIME, BATCH, INPUT))
KEY = jax.random.key(2)
OTHER = PLAIN._replace(update=lambda params, carry, z, r: (carry, z + r))

WRAPPERS = {
    "zoneout": lambda cell: zoneout(cell, 0.3),
    "variational": lambda cell: variational_dropout(cell, 0.3, 0.3, 0.3),
    "recurrent": lambda cell: recurrent_dropout(cell, 0.3),
}


def memory(rows=1, hidden=HIDDEN, seed=4):
    rng = np.random.default_rng(seed)
    cell, state = np.float32(rng.normal(size=(2, rows, hidden)))
    return lj.LSTMCarry(jnp.asarray(cell), jnp.asarray(state))


@pytest.mark.parametrize("name", ["variational", "recurrent"])
def test_without_a_key_dropout_is_the_plain_cell(name):
    ys = lj.scan(WRAPPERS[name](PLAIN), PARAMS, None, XS)[1]
    np.testing.assert_allclose(ys, lj.scan(PLAIN, PARAMS, None, XS)[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_key_decides_everything(wrap):
    def run(key):
        return lj.scan(wrap(PLAIN), PARAMS, None, XS, key=key)[1]

    np.testing.assert_array_equal(run(KEY), run(KEY))
    assert abs(run(KEY) - run(jax.random.key(3))).max() > 0.01
    assert abs(run(KEY) - run(None)).max() > 0.01


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_any_leading_axes_and_no_gradient_is_lost(wrap, shape):
    xs = jax.random.normal(jax.random.key(3), (TIME, *shape, INPUT))

    @jax.jit
    def loss(params, xs):
        carry, ys = lj.scan(wrap(PLAIN), params, None, xs, key=KEY)
        return jnp.square(ys).sum(), (carry, ys)

    (_, (_, ys)), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(PARAMS, xs)
    assert ys.shape == (TIME, *shape, HIDDEN)
    assert all(np.isfinite(g).all() and g.any() for g in jax.tree.leaves(grads))


@pytest.mark.parametrize(
    "cell", [zoneout(PLAIN, 0.0), variational_dropout(PLAIN), recurrent_dropout(PLAIN, 0.0)]
)
def test_rates_of_zero_change_nothing(cell):
    ys = lj.scan(cell, PARAMS, None, XS, key=KEY)[1]
    np.testing.assert_allclose(ys, lj.scan(PLAIN, PARAMS, None, XS)[1], rtol=1e-6, atol=1e-6)


# Zoneout


def test_zoneout_without_a_key_is_its_expectation():
    cell, before = zoneout(PLAIN, 0.1, cell_rate=0.6), memory()
    after, _ = PLAIN.step(PARAMS, before, XS[0, :1])
    carry, y = cell.step(PARAMS, before, XS[0, :1], None)
    np.testing.assert_allclose(carry.cell, 0.6 * before.cell + 0.4 * after.cell, rtol=1e-6)
    np.testing.assert_allclose(carry.hidden, 0.1 * before.hidden + 0.9 * after.hidden, rtol=1e-6)
    np.testing.assert_array_equal(y, carry.hidden)


def test_zoneout_keeps_units_whole_and_as_many_as_its_rates_say():
    rows, cell = 4000, zoneout(PLAIN, 0.1, cell_rate=0.6)
    before = memory(rows)
    x = jnp.broadcast_to(XS[0, :1], (rows, INPUT))
    after, _ = PLAIN.step(PARAMS, before, x)
    carry, y = cell.step(PARAMS, before, x, KEY)
    for name, rate in {"cell": 0.6, "hidden": 0.1}.items():
        new, old, would = (getattr(c, name) for c in (carry, before, after))
        kept = np.asarray(new == old)
        np.testing.assert_allclose(np.asarray(new)[~kept], np.asarray(would)[~kept], atol=1e-6)
        # 20,000 units: the standard error of a share is at most 0.0035
        assert abs(kept.mean() - rate) < 0.014
    np.testing.assert_array_equal(y, carry.hidden)


def test_zoneout_of_everything_never_moves():
    start = memory(BATCH)
    carry, ys = lj.scan(zoneout(PLAIN, 1.0), PARAMS, start, XS, key=KEY)
    np.testing.assert_array_equal(carry.cell, start.cell)
    np.testing.assert_array_equal(ys, jnp.broadcast_to(start.hidden, ys.shape))


def test_one_zoneout_rate_serves_both_and_masks_differ():
    rows = 4000
    before = memory(rows)
    carry, _ = zoneout(PLAIN, 0.5).step(PARAMS, before, jnp.zeros((rows, INPUT)), KEY)
    kept_cell, kept_hidden = (np.asarray(a == b) for a, b in zip(carry, before, strict=True))
    assert abs(kept_cell.mean() - 0.5) < 0.015
    assert abs((kept_cell & kept_hidden).mean() - 0.25) < 0.015


def test_zoneout_serves_a_projection():
    cell = zoneout(lj.lstm(HIDDEN, projection_size=2), 0.5)
    params = cell.init(jax.random.key(0), INPUT)
    carry, ys = lj.scan(cell, params, None, XS, key=KEY)
    np.testing.assert_array_equal(ys[-1], carry.hidden)


@pytest.mark.parametrize("size", [None, 2])
def test_zoneout_serves_mixed_precision(size):
    small = lj.mixed_precision(lj.lstm(HIDDEN, projection_size=size))
    cell = zoneout(small, 0.5)
    params = cell.init(jax.random.key(0), INPUT)
    carry, ys = lj.scan(cell, params, None, XS, key=KEY)
    np.testing.assert_array_equal(ys[-1], carry.hidden)
    assert ys.dtype == carry.cell.dtype == jnp.float32


def test_zoneout_refuses_a_state_it_does_not_know():
    full = zoneout(lstm_variant(HIDDEN, variant="full_gate_recurrence"), 0.1)
    with pytest.raises(ValueError, match="zoneout needs a carry with hidden, or cell and hidden"):
        lj.scan(full, full.init(jax.random.key(0), INPUT), None, XS)
    stacked = zoneout(lj.stack([PLAIN]), 0.1)
    with pytest.raises(ValueError, match="cell and hidden, got tuple"):
        lj.scan(stacked, stacked.init(jax.random.key(0), INPUT), None, XS)
    doubled = PLAIN._replace(step=lambda p, c, x: (c, 2 * c.hidden))
    with pytest.raises(ValueError, match="whose output is the field hidden"):
        lj.scan(zoneout(doubled, 0.1), PARAMS, None, XS)


# Recurrent dropout


@pytest.mark.parametrize(
    "plain",
    [
        PLAIN,
        lj.lstm(HIDDEN, peepholes=True, layer_norm=True),
        lj.lstm(HIDDEN, coupled_gates=True),
        lstm_variant(HIDDEN, variant="no_input_gate"),
        lstm_variant(HIDDEN, variant="full_gate_recurrence"),
        lj.gru(HIDDEN),
        lj.janet(HIDDEN),
    ],
)
def test_recurrent_dropout_is_on_what_is_written_alone(plain):
    rate, rows = 0.25, 4000
    params = plain.init(jax.random.key(0), INPUT)
    start = plain.initial_carry(params, (rows,))
    memory = start._fields[0]  # cell, or hidden where there is no cell
    start = start._replace(**{memory: jnp.full((rows, HIDDEN), 0.5)})
    x = jnp.broadcast_to(XS[0, :1], (rows, INPUT))
    z, r = plain.project(params, x), plain.recur(params, start)
    nothing, _ = plain.update(params, start, z, r, 0.0)
    whole, _ = plain.step(params, start, x)
    carry, y = recurrent_dropout(plain, rate).step(params, start, x, KEY)
    new, empty, full = (getattr(c, memory) for c in (carry, nothing, whole))
    mask = np.asarray((new - empty) / (full - empty))
    dropped = np.isclose(mask, 0, atol=1e-4)
    np.testing.assert_allclose(mask[~dropped], 1 / (1 - rate), rtol=1e-3)
    assert abs(dropped.mean() - rate) < 0.013  # 20,000 units: a standard error of 0.003
    np.testing.assert_array_equal(y, carry.hidden)


def test_recurrent_dropout_loses_no_memory():
    params = dict(PARAMS)
    params["bias"] = jnp.zeros((4, HIDDEN)).at[1].set(100.0).at[0].set(-100.0).reshape(-1)
    start = memory(BATCH)
    carry, _ = lj.scan(recurrent_dropout(PLAIN, 0.5), params, start, XS, key=KEY)
    np.testing.assert_allclose(carry.cell, start.cell, rtol=1e-5)


def test_recurrent_dropout_draws_anew_each_step():
    cell = recurrent_dropout(PLAIN, 0.5)
    zeros = PLAIN.initial_carry(PARAMS, (1,))
    steps = [cell.step(PARAMS, zeros, XS[0, :1], k)[0].cell for k in jax.random.split(KEY, 20)]
    assert len({tuple(np.asarray(c[0] == 0)) for c in steps}) > 5


# What cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zoneout(PLAIN, 1.5), r"rate must be in \[0, 1\], got 1.5"),
        (lambda: zoneout(PLAIN, 0.5, -1), r"cell_rate must be in \[0, 1\], got -1"),
        (lambda: variational_dropout(PLAIN, 1.0), r"input_rate must be in \[0, 1\), got 1.0"),
        (
            lambda: variational_dropout(lj.lstm(3, projection_size=2), state_rate=0.5),
            "state_rate must be 0 for a cell without project, recur and update, got 0.5",
        ),
        (lambda: recurrent_dropout(PLAIN, -0.1), r"rate must be in \[0, 1\), got -0.1"),
        (
            lambda: recurrent_dropout(PLAIN._replace(update=lambda p, c, z, r: c), 0.1),
            "takes a candidate_mask",
        ),
        (lambda: recurrent_dropout(lj.lstm(3, projection_size=2), 0.1), "candidate_mask"),
        (lambda: recurrent_dropout(lj.gru(3, reset_after=False), 0.1), "candidate_mask"),
        (lambda: zoneout(lj.bidirectional(PLAIN), 0.1), "zoneout needs a cell, got a SequenceMap"),
        (lambda: variational_dropout(lj.bidirectional(PLAIN), 0.1), "got a SequenceMap"),
        (lambda: recurrent_dropout(lj.bidirectional(PLAIN), 0.1), "got a SequenceMap"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
