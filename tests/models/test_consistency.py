"""The divergence of two outputs, against its definition, and what is learnt from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models.consistency import consistency

LOGITS, OTHERS = 2 * jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
VALID = jnp.arange(5) < jnp.array([5, 2, 0])[:, None]


def test_it_is_half_of_the_divergence_both_ways_at_valid_steps():
    stats = pytest.importorskip("scipy.stats")
    p, q = (np.asarray(jax.nn.softmax(x), np.float64) for x in (LOGITS, OTHERS))
    each = (stats.entropy(p, q, axis=-1) + stats.entropy(q, p, axis=-1)) / 2
    expected = np.where(VALID, each, 0).sum(axis=1)
    np.testing.assert_allclose(consistency(LOGITS, OTHERS, VALID), expected, rtol=1e-5)
    assert float(consistency(LOGITS, LOGITS, VALID).max()) == 0


def test_each_learns_from_the_other_and_moves_no_target():
    def total(logits, others):
        return jnp.sum(consistency(logits, others, VALID))

    p, q = jax.nn.softmax(LOGITS), jax.nn.softmax(OTHERS)
    expected = jnp.where(VALID[..., None], p - q, 0) / 2  # that of the cross-entropy with q
    found = jax.grad(total, (0, 1))(LOGITS, OTHERS)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found[1], -expected, atol=1e-6)
