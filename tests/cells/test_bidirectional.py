"""Two directions against each of them alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells import bidirectional

XS = jax.random.normal(jax.random.key(1), (9, 4, 3))
LENGTHS = jnp.array([9, 4, 1, 0])


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a, b)


@pytest.mark.parametrize("backward", [None, lj.gru(5)])
@pytest.mark.parametrize(
    "options", [{}, {"lengths": LENGTHS}, {"lengths": LENGTHS, "reverse": True}]
)
def test_both_directions_are_each_direction_alone(options, backward):
    cell = lj.lstm(5)
    layer = bidirectional(cell, backward)
    params = layer.init(jax.random.key(0), 3)
    turned = {**options, "reverse": not options.get("reverse", False)}
    one, ys_one = lj.scan(cell, params["forward"], None, XS, **options)
    two, ys_two = lj.scan(backward or cell, params["backward"], None, XS, **turned)
    carry, ys = lj.scan(layer, params, None, XS, **options)
    assert_close((carry.forward, carry.backward), (one, two))
    assert_close(ys, jnp.concatenate([ys_one, ys_two], -1))
    for merge, expected in (("sum", ys_one + ys_two), ("mean", (ys_one + ys_two) / 2)):
        merged = bidirectional(cell, backward, merge=merge)
        assert merged.output_size == 5
        assert_close(lj.scan(merged, params, None, XS, **options)[1], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", [lj.lstm(5), lj.min_gru(5)])
def test_sequences_packed_into_one_stay_apart(cell, reverse):
    """Each as alone, in both directions; in reverse a sequence begins at its last step."""
    layer = bidirectional(cell)
    params = layer.init(jax.random.key(0), 3)
    begins = [0, 2, 3, 7]
    parts = [slice(a, b) for a, b in zip(begins, [*begins[1:], len(XS)], strict=True)]
    first = [part.stop - 1 if reverse else part.start for part in parts]
    resets = jnp.zeros(XS.shape[:2], bool).at[jnp.array(first)].set(True)
    ys = lj.scan(layer, params, None, XS, resets=resets, reverse=reverse)[1]
    alone = [lj.scan(layer, params, None, XS[part], reverse=reverse)[1] for part in parts]
    assert_close(ys, jnp.concatenate(alone))


def test_a_reset_of_one_example_leaves_the_others():
    layer = bidirectional(lj.lstm(5))
    params = layer.init(jax.random.key(0), 3)
    resets = jnp.zeros(XS.shape[:2], bool).at[4, 1].set(True)
    carry, ys = lj.scan(layer, params, None, XS, resets=resets)
    whole_carry, whole = lj.scan(layer, params, None, XS)
    others = jnp.array([0, 2, 3])
    assert_close(ys[:, others], whole[:, others])
    ((last, _), late), ((_, first), early) = (
        lj.scan(layer, params, None, part[:, 1]) for part in (XS[4:], XS[:4])
    )
    assert_close(ys[:, 1], jnp.concatenate([early, late]))
    for c, own, of_whole in zip(carry, (last, first), whole_carry, strict=True):
        assert_close(jax.tree.map(lambda a: a[1], c), own)
        assert_close(jax.tree.map(lambda a: a[0], c), jax.tree.map(lambda a: a[0], of_whole))


def test_every_output_sees_every_input_and_the_padding_none():
    layer = bidirectional(lj.gru(5))
    params = layer.init(jax.random.key(0), 3)

    def outputs(xs):
        return lj.scan(layer, params, None, xs, lengths=jnp.array(6))[1].sum(-1)

    seen = jnp.abs(jax.jacobian(outputs)(XS[:, 0])).sum(-1)
    assert (seen[:6, :6] > 0).all()
    assert not seen[6:].any()
    assert not seen[:, 6:].any()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="needs outputs of one size, got 3 and 4"):
        bidirectional(lj.lstm(3), lj.lstm(4), merge="sum")
    with pytest.raises(ValueError, match="merge must be one of 'concat', 'sum', 'mean', got 'avg'"):
        bidirectional(lj.lstm(3), merge="avg")
    with pytest.raises(ValueError, match="inputs of as many axes, got 1 and 3"):
        bidirectional(lj.lstm(3), lj.conv_lstm(3))
    layer = bidirectional(lj.lstm(3))
    with pytest.raises(ValueError, match="no carry after each step"):
        lj.scan(layer, layer.init(jax.random.key(0), 3), None, XS, return_carries=True)
