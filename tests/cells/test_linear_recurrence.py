"""The parallel scan against a loop in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells.linear_recurrence import blank_masked, linear_recurrence


def loop(decay, increment, initial, mask=None, resets=None, restart=0.0):
    h, hs = np.asarray(initial, np.float64), []
    for t in range(len(decay)):
        if resets is not None:
            h = np.where(np.asarray(resets)[t][..., None], restart, h)
        new = np.float64(decay[t]) * h + np.float64(increment[t])
        h = new if mask is None else np.where(np.asarray(mask)[t][..., None], new, h)
        hs.append(h)
    return h, np.stack(hs)


def draw(shape):
    keys = jax.random.split(jax.random.key(0), 3)
    decay = jax.random.uniform(keys[0], shape, minval=-1.0, maxval=1.0)
    return decay, jax.random.normal(keys[1], shape), jax.random.normal(keys[2], shape[1:])


@pytest.mark.parametrize("shape", [(1, 2), (13, 2), (10, 3, 2), (8, 2, 3, 2)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_equals_a_loop(shape, masked, reset):
    decay, increment, initial = draw(shape)
    mask = jax.random.bernoulli(jax.random.key(1), 0.6, shape[:-1]) if masked else None
    resets = jax.random.bernoulli(jax.random.key(2), 0.3, shape[:-1]) if reset else None
    restart = jnp.array([0.5, -2.0])
    last, hs = linear_recurrence(
        decay, increment, initial, mask=mask, resets=resets, restart=restart
    )
    expected_last, expected = loop(decay, increment, initial, mask, resets, restart)
    np.testing.assert_allclose(hs, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last, expected_last, rtol=1e-5, atol=1e-5)


def test_reset_without_a_restart_begins_at_zero():
    decay, increment, initial = draw((6, 2))
    resets = jnp.zeros(6, bool).at[3].set(True)
    _, hs = linear_recurrence(decay, increment, initial, resets=resets)
    np.testing.assert_allclose(hs[3], increment[3], rtol=1e-6)


def test_positive_terms_stay_exact_over_thousands_of_steps():
    keys = jax.random.split(jax.random.key(3), 2)
    decay = jax.nn.sigmoid(2 * jax.random.normal(keys[0], (4096, 4)))
    increment = jax.random.uniform(keys[1], (4096, 4), minval=0.01, maxval=2.0)
    _, hs = linear_recurrence(decay, increment, jnp.zeros(4))
    np.testing.assert_allclose(hs, loop(decay, increment, np.zeros(4))[1], rtol=2e-6)


def test_decays_that_vanish_have_a_gradient():
    def loss(decay):
        return linear_recurrence(decay, jnp.ones((5, 1)), jnp.ones(1))[1].sum()

    gradient = jax.grad(loss)(jnp.zeros((5, 1)))  # h_t = 1 everywhere but for the decay's slope
    np.testing.assert_allclose(gradient, 1.0)


def test_no_steps_hold_the_state():
    last, hs = linear_recurrence(jnp.ones((0, 3)), jnp.ones((0, 3)), jnp.arange(3.0))
    np.testing.assert_array_equal(last, [0, 1, 2])
    assert hs.shape == (0, 3)


def test_blank_masked_stops_infinities_and_their_gradients():
    mask = jnp.array([True, False])
    xs = jnp.array([[1.0], [jnp.inf]])
    np.testing.assert_array_equal(blank_masked(xs, mask), [[1.0], [0.0]])
    gradient = jax.grad(lambda xs: (0.0 * blank_masked(xs, mask) ** 2).sum())(xs)
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("increment", "initial"), [(jnp.ones((4, 2)), jnp.ones(2)), (jnp.ones((5, 2)), jnp.ones(3))]
)
def test_shapes_that_do_not_fit_are_refused(increment, initial):
    with pytest.raises(ValueError, match="must fit"):
        linear_recurrence(jnp.ones((5, 2)), increment, initial)
