"""Cells made of cells: stacks, directions, precision."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells import bidirectional, mixed_precision, stack
from lstm_jax.testing import check_cell

XS = jax.random.normal(jax.random.key(1), (9, 4, 3))
LENGTHS = jnp.array([9, 4, 1, 0])


def assert_close(a, b, **tolerance):
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-5}
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("connection", ["none", "residual", "highway", "dense"])
def test_a_stack_keeps_the_contract(connection):
    check_cell(stack([lj.lstm(4), lj.lstm(4), lj.lstm(5)], connection=connection))


def test_a_stack_is_its_layers_in_turn():
    cells = [lj.lstm(5), lj.lstm(6)]
    cell = stack(cells)
    params = cell.init(jax.random.key(0), 3)
    one, middle = lj.scan(cells[0], params["layer_0"], None, XS, lengths=LENGTHS)
    two, ys = lj.scan(cells[1], params["layer_1"], None, middle, lengths=LENGTHS)
    assert_close(lj.scan(cell, params, None, XS, lengths=LENGTHS), ((one, two), ys))


def test_connections_by_their_equations():
    cells = [lj.lstm(4), lj.lstm(4)]
    x = XS[..., :2].repeat(2, axis=-1)
    for connection in ("residual", "highway", "dense"):
        cell = stack(cells, connection=connection)
        params = cell.init(jax.random.key(0), 4)
        below = x
        outputs = []
        for i in (0, 1):
            p = params[f"layer_{i}"]
            y = lj.scan(cells[i], p, None, below)[1]
            outputs.append(y)
            if connection == "residual":
                below = below + y
            elif connection == "dense":
                below = jnp.concatenate([below, y], -1)
            else:
                t = jax.nn.sigmoid(below @ p["highway_kernel"] + p["highway_bias"])
                below = t * y + (1 - t) * below
        expected = jnp.concatenate(outputs, -1) if connection == "dense" else below
        assert_close(lj.scan(cell, params, None, x)[1], expected)
        assert cell.output_size == expected.shape[-1]


def test_dropout_between_layers_acts_only_with_a_key():
    cell, plain = (stack([lj.lstm(5), lj.lstm(5)], dropout=rate) for rate in (0.5, 0.0))
    params = cell.init(jax.random.key(0), 3)
    still = lj.scan(cell, params, None, XS)
    assert_close(still, lj.scan(plain, params, None, XS))
    one, two = (lj.scan(cell, params, None, XS, key=jax.random.key(k)) for k in (0, 1))
    assert not np.allclose(one[1], two[1])
    assert_close(one[0][0], still[0][0])  # the first layer sees everything


def test_both_directions_are_each_direction_alone():
    cell = lj.lstm(5)
    layer = bidirectional(cell)
    params = layer.init(jax.random.key(0), 3)
    for options in ({}, {"lengths": LENGTHS}, {"lengths": LENGTHS, "reverse": True}):
        turned = {**options, "reverse": not options.get("reverse", False)}
        one, ys_one = lj.scan(cell, params["forward"], None, XS, **options)
        two, ys_two = lj.scan(cell, params["backward"], None, XS, **turned)
        carry, ys = lj.scan(layer, params, None, XS, **options)
        assert_close((carry.forward, carry.backward), (one, two))
        assert_close(ys, jnp.concatenate([ys_one, ys_two], -1))
        summed = lj.scan(bidirectional(cell, merge="sum"), params, None, XS, **options)[1]
        assert_close(summed, ys_one + ys_two)


@pytest.mark.parametrize(
    ("layers", "directions", "size"), list(itertools.product([1, 2], [1, 2], [4]))
)
def test_stacks_of_directions_equal_torch(layers, directions, size):
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    theirs = torch.nn.LSTM(3, size, num_layers=layers, bidirectional=directions == 2)
    make = (lambda: bidirectional(lj.lstm(size))) if directions == 2 else (lambda: lj.lstm(size))
    cell = stack([make() for _ in range(layers)])
    params = cell.init(jax.random.key(0), 3)
    for i in range(layers):
        layer = params[f"layer_{i}"]
        parts = [layer["forward"], layer["backward"]] if directions == 2 else [layer]
        for part, suffix in zip(parts, ("", "_reverse"), strict=False):
            with torch.no_grad():
                for name, value in (
                    ("weight_ih", part["kernel"].T),
                    ("weight_hh", part["recurrent_kernel"].T),
                    ("bias_ih", part["bias"]),
                    ("bias_hh", jnp.zeros_like(part["bias"])),
                ):
                    getattr(theirs, f"{name}_l{i}{suffix}").copy_(torch.tensor(np.asarray(value)))
    expected = theirs(torch.tensor(np.asarray(XS)))[0].detach().numpy()
    assert_close(lj.scan(cell, params, None, XS)[1], expected)


def test_small_products_stay_near_and_the_carry_stays_whole():
    for cell in (lj.lstm(16), lj.lstm(16)._replace(project=None, recur=None, update=None)):
        small = mixed_precision(cell)
        params = small.init(jax.random.key(0), 3)
        carry, ys = lj.scan(small, params, None, XS)
        exact_carry, exact = lj.scan(cell, params, None, XS)
        assert carry.cell.dtype == exact_carry.cell.dtype == jnp.float32
        assert 0 < np.abs(ys - exact).max() < 0.03


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="needs at least one cell"):
        stack([])
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        stack([lj.lstm(3)], dropout=1.0)
    with pytest.raises(ValueError, match="needs outputs of one size, got 3 and 4"):
        bidirectional(lj.lstm(3), lj.lstm(4), merge="sum")
    layer = bidirectional(lj.lstm(3))
    with pytest.raises(ValueError, match="no carry after each step"):
        lj.scan(layer, layer.init(jax.random.key(0), 3), None, XS, return_carries=True)
