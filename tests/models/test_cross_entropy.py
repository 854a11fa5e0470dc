"""The cross-entropy with smoothed labels: torch's, and a derivative that is the right one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models.cross_entropy import log_likelihood

LOGITS = 3 * jax.random.normal(jax.random.key(0), (2, 5, 11))
TARGETS = jax.random.randint(jax.random.key(1), (2, 5), 0, 11)


def smoothed(logits, smoothing=0.1):
    right, mean = log_likelihood(logits, TARGETS)
    return -jnp.mean((1 - smoothing) * right + smoothing * mean)


def test_value_and_gradient_are_those_of_torch_with_smoothed_labels():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(np.asarray(LOGITS).reshape(10, 11), requires_grad=True)
    targets = torch.tensor(np.asarray(TARGETS).reshape(10), dtype=torch.long)
    loss = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    loss.backward()
    value, gradient = jax.value_and_grad(smoothed)(LOGITS)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-6)
    np.testing.assert_allclose(gradient.reshape(10, 11), logits.grad, rtol=1e-4, atol=1e-7)


def test_large_logits_stay_finite():
    value, gradient = jax.value_and_grad(smoothed)(LOGITS * 1e4)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
