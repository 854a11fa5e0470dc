"""The convolutional LSTM against torch's convolutions, Keras, Flax and the LSTM."""

import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.conv_lstm import conv_lstm
from tests.cells.naive import noisy

SPACES = {1: (6,), 2: (5, 4), 3: (4, 3, 2)}
TIME, BATCH, CHANNELS, HIDDEN = 4, 2, 3, 2
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
LONG = pytest.mark.long


def example(dimensions, **options):
    cell = conv_lstm(HIDDEN, dimensions=dimensions, **options)
    params = noisy(cell.init(jax.random.key(0), CHANNELS), seed=0, scale=0.2)
    shape = (TIME, BATCH, *SPACES[dimensions], CHANNELS)
    return cell, params, jax.random.normal(jax.random.key(1), shape)


def torch_loop(torch, params, xs, dimensions):
    """Shi et al. 2015, equation 3, channels first inside; returns the outputs channels last."""
    convolve = getattr(torch.nn.functional, f"conv{dimensions}d")
    space = tuple(range(dimensions))

    def kernel(name):
        return params[name].permute(dimensions + 1, dimensions, *space)

    def per_channel(vector):
        return vector.reshape(-1, *[1] * dimensions)

    peepholes = params.get("peephole_kernel", torch.zeros(3 * HIDDEN))
    p_i, p_f, p_o = (per_channel(p) for p in peepholes.split(HIDDEN))
    c = h = torch.zeros(BATCH, HIDDEN, *SPACES[dimensions])
    ys = []
    for x in xs.movedim(-1, 2):
        a = convolve(x, kernel("kernel"), params["bias"], padding="same")
        a = a + convolve(h, kernel("recurrent_kernel"), padding="same")
        i, f, g, o = a.split(HIDDEN, dim=1)
        c_new = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        h = torch.sigmoid(o + p_o * c_new) * torch.tanh(c_new)
        c = c_new
        ys.append(h.movedim(1, -1))
    return c.movedim(1, -1), torch.stack(ys)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("dimensions", "options"),
    [
        (1, {}),
        (2, {}),
        (3, {}),
        (1, {"kernel_size": 4}),
        (2, {"peepholes": True}),
        (2, {"kernel_size": 1}),
    ],
)
def test_equals_torch_convolutions_in_value_and_gradient(dimensions, options):
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    cell, params, xs = example(dimensions, **options)
    weights = jax.random.normal(jax.random.key(2), (*xs.shape[:-1], HIDDEN))

    theirs = {n: torch.tensor(np.asarray(p), requires_grad=True) for n, p in params.items()}
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    c, ys = torch_loop(torch, theirs, x, dimensions)
    (ys * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        carry, ys = lj.scan(cell, params, None, xs)
        return jnp.sum(ys * weights), (carry, ys)

    (_, (carry, ours)), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, xs)
    np.testing.assert_allclose(ours, ys.detach(), **CLOSE)
    np.testing.assert_allclose(carry.hidden, ys[-1].detach(), **CLOSE)
    np.testing.assert_allclose(carry.cell, c.detach(), **CLOSE)
    np.testing.assert_allclose(grads[1], x.grad, **CLOSE)
    for name, gradient in grads[0].items():
        np.testing.assert_allclose(gradient, theirs[name].grad, err_msg=name, **CLOSE)


@pytest.mark.parametrize(
    "dimensions", [pytest.param(1, marks=LONG), 2, pytest.param(3, marks=LONG)]
)
def test_equals_keras_with_the_same_arrays(dimensions):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="keras, the reference, is not installed")
    cell, params, xs = example(dimensions)
    layer = getattr(keras.layers, f"ConvLSTM{dimensions}D")(
        HIDDEN, 3, padding="same", recurrent_activation="sigmoid", return_sequences=True
    )
    xs_bt = np.asarray(xs.swapaxes(0, 1))
    layer.build(xs_bt.shape)
    layer.set_weights([np.asarray(params[n]) for n in ("kernel", "recurrent_kernel", "bias")])
    theirs = keras.ops.convert_to_numpy(layer(xs_bt))
    np.testing.assert_allclose(lj.scan(cell, params, None, xs)[1].swapaxes(0, 1), theirs, **CLOSE)


@pytest.mark.parametrize(
    "dimensions", [pytest.param(1, marks=LONG), 2, pytest.param(3, marks=LONG)]
)
def test_equals_flax_with_the_same_arrays(dimensions):
    cell, params, xs = example(dimensions)

    def in_their_order(array):
        i, f, g, o = jnp.split(array, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    bias = in_their_order(params["bias"]).at[2 * HIDDEN : 3 * HIDDEN].add(-1)  # they add 1 to f
    theirs = {
        "ih": {"kernel": in_their_order(params["kernel"]), "bias": bias},
        "hh": {
            "kernel": in_their_order(params["recurrent_kernel"]),
            "bias": jnp.zeros(4 * HIDDEN),
        },
    }
    layer = nn.RNN(nn.ConvLSTMCell(HIDDEN, (3,) * dimensions), time_major=True)
    expected = layer.apply({"params": {"cell": theirs}}, xs)
    np.testing.assert_allclose(lj.scan(cell, params, None, xs)[1], expected, **CLOSE)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_with_a_window_of_one_it_is_an_lstm_at_every_place(dimensions):
    cell, params, xs = example(dimensions, kernel_size=1)
    assert params["kernel"].shape == (*[1] * dimensions, CHANNELS, 4 * HIDDEN)
    flat = {name: p.reshape(p.shape[-2:] if p.ndim > 1 else -1) for name, p in params.items()}
    np.testing.assert_allclose(
        lj.scan(cell, params, None, xs)[1],
        lj.scan(lj.lstm(HIDDEN), flat, None, xs)[1],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("leading", [(), (BATCH,), (2, 3), (0,)])
def test_takes_any_leading_axes(dimensions, leading):
    cell, params, _ = example(dimensions)
    shape = (*leading, *SPACES[dimensions], CHANNELS)
    x = jax.random.normal(jax.random.key(3), shape)
    carry = noisy(cell.initial_carry(params, shape[:-1]), seed=4)
    new, y = cell.step(params, carry, x)
    assert y.shape == new.cell.shape == (*shape[:-1], HIDDEN)
    for index in np.ndindex(leading):
        alone = jax.tree.map(lambda c, index=index: c[index], carry)
        np.testing.assert_allclose(cell.step(params, alone, x[index])[1], y[index], **CLOSE)


def test_moves_with_its_input():
    cell, params, _ = example(2)
    picture = jax.random.normal(jax.random.key(5), (3, 3, CHANNELS))

    # One step, so that what the border does cannot reach the places that are compared.
    def run(row, column):
        x = jnp.zeros((12, 12, CHANNELS)).at[row : row + 3, column : column + 3].set(picture)
        return cell.step(params, cell.initial_carry(params, (12, 12)), x)[1]

    np.testing.assert_allclose(run(3, 4)[2:7, 3:8], run(5, 3)[4:9, 2:7], **CLOSE)


def test_peepholes_start_as_none():
    without, with_them = conv_lstm(3), conv_lstm(3, peepholes=True)
    params = with_them.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (3, 5, 5, 2))
    plain = {name: p for name, p in params.items() if name != "peephole_kernel"}
    ys = lj.scan(without, plain, None, xs, backend="deferred")[1]
    np.testing.assert_array_equal(lj.scan(with_them, params, None, xs)[1], ys)


def test_says_how_many_axes_an_example_has():
    assert [conv_lstm(1, dimensions=d).input_axes for d in (1, 2, 3)] == [2, 3, 4]


def test_half_precision_stays_half_precision_and_mixes():
    cell, params, xs = example(1)
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    shape = xs.shape[1:-1]
    y = cell.step(half, cell.initial_carry(half, shape), xs[0].astype(jnp.bfloat16))[1]
    assert y.dtype == jnp.bfloat16
    assert cell.step(half, cell.initial_carry(half, shape), xs[0])[1].dtype == jnp.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 4}, "dimensions must be 1, 2 or 3, got 4"),
        ({"kernel_size": 0}, "kernel_size must be at least 1, got 0"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        conv_lstm(**({"hidden_size": 2} | options))


def test_an_input_without_space_is_refused():
    cell, params, _ = example(2)
    with pytest.raises(ValueError, match=r"2 axes of space, got shape \(5, 3\)"):
        cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, CHANNELS)))
