"""The likelihood with smoothed labels: torch's, block by block as all at once, and finite."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models import cross_entropy
from lstm_jax.models.cross_entropy import compact, dense, log_likelihood

KEYS = jax.random.split(jax.random.key(0), 5)
X = jax.random.normal(KEYS[0], (10, 6))
TABLE = jax.random.normal(KEYS[1], (11, 6))
BIAS = jax.random.normal(KEYS[2], (11,))
TARGETS = jax.random.randint(KEYS[3], (10,), 0, 11)
COUNTED = jnp.array([True, False, True, True, False, True, True, False, True, True])


def smoothed(x, table, bias, smoothing=0.1):
    right, mean = log_likelihood(x, table, bias, TARGETS, COUNTED)
    return -jnp.sum((1 - smoothing) * right + smoothing * mean) / jnp.sum(COUNTED)


def test_value_and_gradient_are_those_of_torch_with_smoothed_labels():
    torch = pytest.importorskip("torch")
    arrays = [torch.tensor(np.asarray(a), requires_grad=True) for a in (X, TABLE, BIAS)]
    targets = torch.tensor(np.where(COUNTED, TARGETS, -100), dtype=torch.long)
    logits = torch.nn.functional.linear(*arrays)
    loss = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    loss.backward()
    value, gradients = jax.value_and_grad(smoothed, (0, 1, 2))(X, TABLE, BIAS)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    for gradient, array in zip(gradients, arrays, strict=True):
        np.testing.assert_allclose(gradient, array.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("block", [1, 3, 4, 64])
@pytest.mark.parametrize("counted", [COUNTED, jnp.zeros(10, bool), jnp.ones(10, bool)])
def test_block_by_block_is_all_at_once(block, counted, monkeypatch):
    monkeypatch.setattr(cross_entropy, "_BLOCK", block)

    def run(rule, *arrays):
        found = rule(*arrays, TARGETS, counted)
        return jnp.sum(jnp.sin(found[0])) + jnp.sum(found[1] ** 2), found

    one, two = (
        jax.value_and_grad(functools.partial(run, rule), (0, 1, 2), has_aux=True)(X, TABLE, BIAS)
        for rule in (compact, dense)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_large_logits_stay_finite():
    value, gradients = jax.value_and_grad(smoothed, (0, 1, 2))(X * 1e4, TABLE, BIAS)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
