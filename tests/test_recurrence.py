"""`scan` against a Python loop, and what masks, resets and direction mean."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels import sequence

TIME, BATCH, INPUT, HIDDEN = 9, 4, 3, 5
CELL = lj.lstm(HIDDEN)
PARAMS = CELL.init(jax.random.key(0), INPUT)
XS = jax.random.normal(jax.random.key(1), (TIME, BATCH, INPUT))


def loop(xs, carry=None, steps=None):
    carry = CELL.initial_carry(PARAMS, xs.shape[1:-1]) if carry is None else carry
    ys = [None] * len(xs)
    for t in range(len(xs)) if steps is None else steps:
        carry, ys[t] = CELL.step(PARAMS, carry, xs[t])
    return carry, jnp.stack(ys)


def assert_same(a, b, **tolerance):
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-6}
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("options", [{}, {"unroll": 4}])
@pytest.mark.parametrize("shape", [(), (BATCH,), (2, 3)])
def test_equals_a_python_loop(shape, options):
    xs = jax.random.normal(jax.random.key(2), (TIME, *shape, INPUT))
    assert_same(lj.scan(CELL, PARAMS, None, xs, **options), loop(xs))


@pytest.mark.parametrize(("platform", "steps"), [("cpu", 1), ("cuda", 8), ("tpu", 1)])
def test_an_iteration_of_the_loop_has_the_steps_that_are_fast_there(monkeypatch, platform, steps):
    monkeypatch.setattr(sequence, "current_platform", lambda: platform)

    def unrolled(**options):
        run = functools.partial(lj.scan, CELL, PARAMS, None, backend="reference", **options)
        return re.findall(r"unroll=(\d+)", str(jax.make_jaxpr(run)(XS)))

    assert unrolled() == [str(steps)]
    assert unrolled(unroll=3) == ["3"]


def test_carry_goes_on_where_it_stopped():
    carry, first = lj.scan(CELL, PARAMS, None, XS[:4])
    carry, second = lj.scan(CELL, PARAMS, carry, XS[4:])
    assert_same((carry, jnp.concatenate([first, second])), loop(XS))


def test_reverse_runs_from_the_end_and_keeps_places():
    assert_same(
        lj.scan(CELL, PARAMS, None, XS, reverse=True), loop(XS, steps=range(TIME - 1, -1, -1))
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_equal_each_example_alone(reverse):
    lengths = jnp.array([TIME, 4, 1, 0])
    carry, ys = lj.scan(CELL, PARAMS, None, XS, lengths=lengths, reverse=reverse)
    for b, n in enumerate(lengths.tolist()):
        alone, expected = lj.scan(CELL, PARAMS, None, XS[:n, b], reverse=reverse)
        assert_same((jax.tree.map(lambda c, b=b: c[b], carry), ys[:n, b]), (alone, expected))
        assert not ys[n:, b].any()


def test_padding_of_any_content_changes_nothing():
    mask = jax.random.bernoulli(jax.random.key(3), 0.6, (TIME, BATCH))

    def run(xs):
        return lj.scan(CELL, PARAMS, None, xs, mask=mask)

    padded = jnp.where(mask[..., None], XS, 1e30)
    jax.tree.map(np.testing.assert_array_equal, run(padded), run(XS))
    gradient = jax.grad(lambda xs: run(xs)[1].sum())(XS)
    assert not gradient[~mask].any()
    assert gradient[mask].any()


def test_resets_start_anew_before_the_step():
    resets = jnp.zeros((TIME, BATCH), bool).at[4, 1].set(True)
    carry, ys = lj.scan(CELL, PARAMS, None, XS, resets=resets)
    expected_carry, expected = loop(XS)
    anew_carry, anew = loop(XS[4:])
    assert_same(ys[:, 0], expected[:, 0])
    assert_same(ys[:4, 1], expected[:4, 1])
    assert_same(ys[4:, 1], anew[:, 1])
    assert_same(carry.cell[1], anew_carry.cell[1])
    assert_same(carry.cell[0], expected_carry.cell[0])


def test_vmap_over_examples_equals_the_batch():
    lengths = jnp.array([9, 3, 5, 1])

    def run(xs, n):
        return lj.scan(CELL, PARAMS, None, xs, lengths=n)

    mapped = jax.vmap(run, in_axes=(1, 0), out_axes=(0, 1))(XS, lengths)
    assert_same(mapped, lj.scan(CELL, PARAMS, None, XS, lengths=lengths))


def test_a_cell_that_declares_only_its_step_runs_the_same():
    plain = lj.Cell(CELL.init, CELL.initial_carry, CELL.step, HIDDEN)
    assert_same(lj.scan(plain, PARAMS, None, XS), lj.scan(CELL, PARAMS, None, XS))


def test_a_stochastic_cell_gets_another_key_each_step():
    def step(params, carry, x, key):
        noise = 0.0 if key is None else jax.random.normal(key, x.shape)
        return carry, x + noise

    cell = lj.Cell(lambda *_: {}, lambda *_: (), step, INPUT, stochastic=True)
    noise = lj.scan(cell, {}, (), XS, key=jax.random.key(0))[1] - XS
    assert len(np.unique(noise)) == noise.size
    np.testing.assert_array_equal(lj.scan(cell, {}, (), XS)[1], XS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": jnp.ones(3, int)}, r"lengths must have shape \(4,\)"),
        ({"mask": jnp.ones((BATCH, TIME), bool)}, r"mask must have shape \(9, 4\)"),
        ({"resets": jnp.ones(TIME, bool)}, r"resets must have shape \(9, 4\)"),
        ({"carry": lj.LSTMCarry(jnp.zeros(3), jnp.zeros(3))}, "the carry does not fit"),
        ({"carry": (jnp.zeros(3),)}, "the carry does not fit"),
        ({"lengths": jnp.ones(4, int), "mask": jnp.ones((9, 4), bool)}, "not both"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        lj.scan(CELL, PARAMS, options.pop("carry", None), XS, **options)


def test_flags_may_be_zeros_and_ones_and_lengths_are_integers():
    cell = lj.lstm(3)
    params, xs = cell.init(jax.random.key(0), 2), jnp.ones((4, 2, 2))
    flags = jnp.array([[1, 1], [1, 0], [0, 1], [1, 1]])
    expected = lj.scan(cell, params, None, xs, mask=flags == 1, resets=flags == 0)
    actual = lj.scan(cell, params, None, xs, mask=flags.astype(float), resets=1 - flags)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
    with pytest.raises(ValueError, match="lengths must be integers, got float32"):
        lj.scan(cell, params, None, xs, lengths=jnp.array([2.5, 3.0]))
