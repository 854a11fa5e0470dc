"""cuDNN itself against the reference, on a machine with an NVIDIA GPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels.backend import current_platform

pytestmark = pytest.mark.skipif(
    current_platform() != "cuda", reason=f"needs an NVIDIA GPU, this is {current_platform()}"
)
LENGTHS = {"none": None, "some": jnp.array([11, 4, 1, 0, 11, 7]), "all": jnp.full(6, 11)}


def value_and_gradients(cell, params, carry, xs, weights, **options):
    """Outputs, last carry, and the gradients in parameters, carry and inputs."""

    def loss(params, carry, xs):
        last, ys = lj.scan(cell, params, carry, xs, **options)
        return jnp.sum(ys * weights) + jnp.sum(last.cell * last.hidden), (last, ys)

    function = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    # TensorFloat-32 keeps ten bits of a factor, too few to tell an error from rounding.
    with jax.default_matmul_precision("highest"):
        return function(params, carry, xs)


def assert_backends_agree(time, batch, input_size, hidden_size, **options):
    cell = lj.lstm(hidden_size)
    params = cell.init(jax.random.key(0), input_size)
    carry = lj.LSTMCarry(*jax.random.normal(jax.random.key(1), (2, batch, hidden_size)))
    xs = jax.random.normal(jax.random.key(2), (time, batch, input_size))
    weights = jax.random.normal(jax.random.key(3), (time, batch, hidden_size))
    actual, expected = (
        value_and_gradients(cell, params, carry, xs, weights, backend=backend, **options)
        for backend in ("cudnn", "reference")
    )
    for (path, a), b in zip(
        jax.tree_util.tree_flatten_with_path(actual)[0], jax.tree.leaves(expected), strict=True
    ):
        name, scale = jax.tree_util.keystr(path), max(1.0, float(jnp.abs(b).max()))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_equals_the_reference_with_lengths_and_in_reverse(lengths, reverse):
    assert_backends_agree(11, 6, 5, 8, lengths=LENGTHS[lengths], reverse=reverse)


@pytest.mark.parametrize("batch", [1, 2, 33, 256])
@pytest.mark.parametrize(("input_size", "hidden_size"), [(1, 1), (7, 13), (64, 128), (512, 512)])
def test_equals_the_reference_at_many_sizes(batch, input_size, hidden_size):
    assert_backends_agree(35, batch, input_size, hidden_size)


@pytest.mark.parametrize("remat", ["sqrt", 4])
def test_equals_the_reference_in_chunks(remat):
    assert_backends_agree(11, 6, 5, 8, lengths=LENGTHS["some"], remat=remat)


def test_a_population_is_each_model_alone():
    cell = lj.lstm(8)
    xs = jax.random.normal(jax.random.key(0), (11, 6, 5))
    population = jax.vmap(lambda key: cell.init(key, 5))(jax.random.split(jax.random.key(1), 3))

    def loss(params):
        return jnp.sum(jnp.sin(lj.scan(cell, params, None, xs, backend="cudnn")[1]))

    with jax.default_matmul_precision("highest"):
        together = jax.jit(jax.vmap(jax.grad(loss)))(population)
        for i in range(3):
            alone = jax.jit(jax.grad(loss))(jax.tree.map(lambda p, i=i: p[i], population))
            for name, gradient in alone.items():
                np.testing.assert_allclose(together[name][i], gradient, rtol=1e-4, atol=1e-5)


def test_long_sequences_have_finite_gradients():
    cell = lj.lstm(16)
    params = cell.init(jax.random.key(0), 4)
    xs = jax.random.normal(jax.random.key(1), (2048, 3, 4))
    gradients = jax.grad(lambda p: jnp.sum(lj.scan(cell, p, None, xs, backend="cudnn")[1]))(params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
