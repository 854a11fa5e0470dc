"""The QRNN against a convolution of torch and a loop, and what its window holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.qrnn import qrnn

TIME, BATCH, INPUT, HIDDEN = 12, 2, 3, 4


@pytest.mark.parametrize("backend", ["reference", "parallel"])
@pytest.mark.parametrize(
    ("window", "pooling"), [(1, "fo"), (2, "fo"), (5, "fo"), (3, "f"), (2, "ifo")]
)
def test_equals_a_torch_convolution_and_pooling_in_value_and_gradient(window, pooling, backend):
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    cell = qrnn(HIDDEN, window=window, pooling=pooling)
    params = cell.init(jax.random.key(0), INPUT)
    params["bias"] = jax.random.normal(jax.random.key(1), params["bias"].shape)
    xs = jax.random.normal(jax.random.key(2), (TIME, BATCH, INPUT))
    weights = jax.random.normal(jax.random.key(3), (TIME, BATCH, HIDDEN))

    kernel, bias, x = (
        torch.tensor(np.asarray(a), requires_grad=True)
        for a in (params["kernel"], params["bias"], xs)
    )
    padded = torch.nn.functional.pad(x.permute(1, 2, 0), (window - 1, 0))
    z = torch.nn.functional.conv1d(padded, kernel.permute(2, 1, 0), bias).permute(2, 0, 1)
    # The blocks stand in the order i f g o, where there are any.
    *i, f, g = z[..., : (2 + pooling.startswith("i")) * HIDDEN].split(HIDDEN, dim=-1)
    o = z[..., -HIDDEN:].sigmoid() if pooling.endswith("o") else torch.ones_like(f)
    i = i[0].sigmoid() if i else 1 - f.sigmoid()
    c, expected = torch.zeros(BATCH, HIDDEN), []
    for t in range(TIME):
        c = f[t].sigmoid() * c + i[t] * g[t].tanh()
        expected.append(o[t] * c)
    (torch.stack(expected) * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        _, ys = lj.scan(cell, params, None, xs, backend=backend)
        return (ys * weights).sum(), ys

    run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    (_, ys), (by_params, by_xs) = run(params, xs)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(ys, torch.stack(expected).detach(), **close)
    np.testing.assert_allclose(by_params["kernel"], kernel.grad, **close)
    np.testing.assert_allclose(by_params["bias"], bias.grad, **close)
    np.testing.assert_allclose(by_xs, x.grad, **close)


def test_carry_holds_the_last_valid_inputs():
    cell = qrnn(HIDDEN, window=4)
    params = cell.init(jax.random.key(0), INPUT)
    xs = jax.random.normal(jax.random.key(1), (6, INPUT))
    carry = cell.initial_carry(params, ())
    mask = jnp.array([True, True, False, True, True, False])
    last, _ = cell.parallel(params, carry, xs, mask, None)
    np.testing.assert_array_equal(last.inputs, xs[jnp.array([1, 3, 4])])
    resets = jnp.array([False, False, False, False, True, False])
    last, _ = cell.parallel(params, carry, xs, mask, resets)
    np.testing.assert_array_equal(last.inputs[:2], 0)
    np.testing.assert_array_equal(last.inputs[2], xs[4])


@pytest.mark.parametrize(
    ("size", "window", "message"),
    [(0, 2, "hidden_size must be at least 1, got 0"), (3, 0, "window must be at least 1, got 0")],
)
def test_sizes_that_cannot_be_are_refused(size, window, message):
    with pytest.raises(ValueError, match=message):
        qrnn(size, window=window)


def test_a_pooling_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="pooling must be one of 'f', 'fo', 'ifo', got 'max'"):
        qrnn(3, pooling="max")
