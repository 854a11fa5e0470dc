"""What each initialiser promises of the arrays it draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells.initializers import (
    chrono_bias,
    identity,
    orthogonal,
    per_gate,
    torch_uniform,
)

KEY = jax.random.key(0)


def test_chrono_bias_is_the_logarithm_of_a_uniform_time():
    bias = chrono_bias(100)(KEY, (20_000,))
    times = np.sort(np.exp(bias))
    # The largest distance to the uniform distribution's function, by Kolmogorov and Smirnov.
    distance = np.abs((times - 1) / 98 - np.linspace(0, 1, len(times))).max()
    assert distance < 1.63 / np.sqrt(len(times))  # exceeded in one draw of a hundred
    assert times.min() >= 1 - 1e-5
    assert times.max() <= 99 + 1e-3


def test_chrono_bias_of_two_steps_is_zero():
    np.testing.assert_array_equal(chrono_bias(2)(KEY, (5,)), 0)


def test_torch_uniform_has_the_bounds_and_variance_of_its_distribution():
    kernel = torch_uniform(25)(KEY, (200, 100))
    assert abs(kernel).max() <= 0.2
    assert abs(kernel).max() > 0.199
    np.testing.assert_allclose(kernel.var(), 0.2**2 / 3, rtol=0.03)
    assert abs(kernel.mean()) < 3e-3


def test_identity_in_every_gate():
    kernel = per_gate(identity(0.01), 3)(KEY, (4, 12))
    np.testing.assert_array_equal(kernel, 0.01 * np.tile(np.eye(4, dtype=np.float32), (1, 3)))


def test_an_identity_network_of_rectifiers_adds_up_its_inputs():
    state = jnp.zeros(4)
    recurrent_kernel = identity()(KEY, (4, 4))
    for x in (xs := jax.random.uniform(KEY, (10, 4))):
        state = jax.nn.relu(x + state @ recurrent_kernel)
    np.testing.assert_allclose(state, xs.sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("initializer", [chrono_bias(9), torch_uniform(4), identity()])
def test_the_dtype_is_that_asked_for(initializer):
    assert initializer(KEY, (4, 4), jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chrono_bias(1), "chrono_max must be at least 2, got 1"),
        (lambda: torch_uniform(0), "hidden_size must be at least 1, got 0"),
        (lambda: identity()(KEY, (3, 4)), r"square matrix, got \(3, 4\)"),
        (lambda: identity()(KEY, (3,)), r"square matrix, got \(3,\)"),
        (lambda: per_gate(orthogonal, 4)(KEY, (3, 6)), "does not divide into 4 gates"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
