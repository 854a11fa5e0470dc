"""Holds a cell against a layer of torch, in value and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from tests.cells.naive import noisy

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def assert_equals_torch(cell, make_layer, as_torch, *, time, batch, input_size):
    """Compares outputs, last carry, and the gradients in parameters, inputs and first carry.

    `make_layer(torch)` is the layer; `as_torch(params)` says by its names what it must hold, as a
    function that JAX can differentiate: its transpose brings torch's gradients back to ours.
    """
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    params = noisy(cell.init(jax.random.key(1), input_size), seed=0, scale=0.2)
    start = noisy(cell.initial_carry(params, (batch,)), seed=1)
    xs = jax.random.normal(jax.random.key(2), (time, batch, input_size))
    weights = jax.random.normal(jax.random.key(3), (time, batch, cell.output_size))

    held, bring_back = jax.vjp(as_torch, params)
    layer = make_layer(torch)
    named = dict(layer.named_parameters())
    assert set(named) == set(held)
    with torch.no_grad():
        for name, values in held.items():
            named[name].copy_(torch.tensor(np.asarray(values)))
    x, h, *c = (torch.tensor(np.asarray(a), requires_grad=True) for a in (xs, *_torch_order(start)))
    expected, last = layer(x, (h[None], c[0][None]) if c else h[None])
    (expected * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs, start):
        carry, ys = lj.scan(cell, params, start, xs)
        return jnp.sum(ys * weights), (carry, ys)

    grads, (carry, ys) = jax.grad(loss, (0, 1, 2), has_aux=True)(params, xs, start)
    np.testing.assert_allclose(ys, expected.detach(), **CLOSE)
    for ours, theirs in zip(_torch_order(carry), last if c else (last,), strict=True):
        np.testing.assert_allclose(ours, theirs[0].detach(), **CLOSE)
    (by_params,) = bring_back({name: jnp.asarray(p.grad.numpy()) for name, p in named.items()})
    for name, gradient in grads[0].items():
        np.testing.assert_allclose(gradient, by_params[name], err_msg=name, **CLOSE)
    np.testing.assert_allclose(grads[1], x.grad, **CLOSE)
    for ours, theirs in zip(_torch_order(grads[2]), (h, *c), strict=True):
        np.testing.assert_allclose(ours, theirs.grad, **CLOSE)


def with_one_bias(params):
    """Our arrays by torch's names, where both have the same gates in the same order."""
    return {
        "weight_ih_l0": params["kernel"].T,
        "weight_hh_l0": params["recurrent_kernel"].T,
        "bias_ih_l0": params["bias"],
        "bias_hh_l0": jnp.zeros_like(params["bias"]),
    }


def _torch_order(carry):
    return (carry.hidden, carry.cell) if hasattr(carry, "cell") else (carry.hidden,)
