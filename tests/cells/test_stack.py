"""Stacks against their layers in turn, torch, and each sequence alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells import bidirectional, stack
from lstm_jax.testing import check_cell

XS = jax.random.normal(jax.random.key(1), (9, 4, 3))
LENGTHS = jnp.array([9, 4, 1, 0])


def assert_close(a, b, **tolerance):
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-5}
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


slow = [pytest.param(name, marks=pytest.mark.slow) for name in ("none", "residual", "dense")]


@pytest.mark.parametrize("connection", [*slow, "highway"])
def test_a_stack_keeps_the_contract(connection):
    check_cell(stack([lj.lstm(4), lj.lstm(5), lj.lstm(5)], connection=connection))


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
                highway = params[f"highway_{i}"]
                t = jax.nn.sigmoid(below @ highway["kernel"] + highway["bias"])
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


def mixed():
    """Layers of every kind: with and without a step, one that is a stack, and directions summed."""
    inner = stack([lj.lstm(6), lj.rnn(6)], connection="residual")
    return stack(
        [
            bidirectional(lj.gru(3), lj.qrnn(3)),
            inner,
            bidirectional(lj.lstm(6), merge="sum"),
        ],
        connection="highway",
    )


@pytest.mark.parametrize("form", ["lengths", pytest.param("mask", marks=pytest.mark.long)])
def test_a_stack_of_everything_takes_each_sequence_as_alone(form):
    cell = mixed()
    assert isinstance(cell, lj.SequenceMap)
    params = cell.init(jax.random.key(0), 3)
    lengths = jnp.array([9, 4, 4, 0])
    mask = jnp.arange(9)[:, None] < lengths
    if form == "mask":
        mask = jax.random.permutation(jax.random.key(2), mask, independent=True)
    options = {"lengths": lengths} if form == "lengths" else {"mask": mask}
    xs = jnp.where(mask[..., None], XS, jnp.nan)
    carry, ys = lj.scan(cell, params, None, xs, **options)
    assert not ys[~mask].any()
    for b in range(XS.shape[1]):
        alone = lj.scan(cell, params, None, XS[mask[:, b], b])
        assert_close((jax.tree.map(lambda c, b=b: c[b], carry), ys[mask[:, b], b]), alone)
    gradient = jax.grad(lambda xs: lj.scan(cell, params, None, xs, **options)[1].sum())(xs)
    assert not gradient[~mask].any()
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_what_goes_around_the_layers_is_not_the_padding(connection):
    cell = stack([lj.lstm(3), lj.lstm(3)], connection=connection)
    params = cell.init(jax.random.key(0), 3)
    mask = jnp.arange(9)[:, None] < LENGTHS
    xs = jnp.where(mask[..., None], XS, 7.0)
    ys = lj.scan(cell, params, None, xs, lengths=LENGTHS)[1]
    assert not ys[~mask].any()
    reference = lj.scan(cell, params, None, xs, lengths=LENGTHS, backend="reference")[1]
    assert_close(ys, reference)


def test_a_highway_leaves_the_parameters_of_its_layers_alone():
    """Also those of an SRU, which has a highway of its own."""
    cell = stack([lj.sru(3), lj.sru(3)], connection="highway")
    params = cell.init(jax.random.key(0), 3)
    assert set(params["layer_0"]) == set(lj.sru(3).init(jax.random.key(0), 3))
    below = XS
    for i in range(2):
        y = lj.scan(lj.sru(3), params[f"layer_{i}"], None, below)[1]
        highway = params[f"highway_{i}"]
        t = jax.nn.sigmoid(below @ highway["kernel"] + highway["bias"])
        below = t * y + (1 - t) * below
    assert_close(lj.scan(cell, params, None, XS)[1], below)


def echo(size):
    """A cell whose output is its input."""
    return lj.Cell(lambda *_: {}, lambda *_: (), lambda params, carry, x: (carry, x), size)


def test_dropout_drops_its_share_of_what_each_upper_layer_reads_and_keeps_the_mean():
    cell = stack([echo(50), echo(50), echo(50)], dropout=0.25)
    xs = jnp.ones((40, 10, 50))
    ys = lj.scan(cell, cell.init(jax.random.key(0), 50), None, xs, key=jax.random.key(1))[1]
    kept = np.asarray(ys != 0)
    np.testing.assert_allclose(ys[kept], 1 / 0.75**2, rtol=1e-6)
    assert abs(kept.mean() - 0.75**2) < 0.015  # 20,000 units: a standard error of 0.0035
    assert len(np.unique(kept[:, 0], axis=0)) == 40  # drawn anew at every step


@pytest.mark.parametrize("connection", ["residual", "dense"])
def test_dropout_is_not_on_what_goes_around_a_layer(connection):
    blind = echo(5)._replace(step=lambda params, carry, x: (carry, jnp.ones_like(x[..., :5])))
    cell = stack([blind] * 3, dropout=0.5, connection=connection)
    xs = jax.random.normal(jax.random.key(0), (9, 4, 5))
    ys = lj.scan(cell, cell.init(jax.random.key(0), 5), None, xs, key=jax.random.key(1))[1]
    expected = xs + 3 if connection == "residual" else jnp.ones((9, 4, 15))
    np.testing.assert_allclose(ys, expected, rtol=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="needs at least one cell"):
        stack([])
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        stack([lj.lstm(3)], dropout=1.0)
    with pytest.raises(ValueError, match=r"connection must be one of 'none'.*, got 'dnse'"):
        stack([lj.lstm(3)], connection="dnse")
