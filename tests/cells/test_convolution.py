"""The convolution with derivatives of its own against XLA's, in value and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from lstm_jax.cells import convolution
from lstm_jax.cells.convolution import convolve


def xla(x, kernel):
    """That of XLA, whose padding is the same."""
    axes = "DHW"[: kernel.ndim - 2]
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    return jax.lax.conv_general_dilated(
        x, kernel, (1,) * len(axes), "SAME", dimension_numbers=numbers
    )


def example(window, space, batch=6):
    rng = np.random.default_rng(0)
    shapes = (batch, *space, 3), (*window, 3, 5)
    return tuple(rng.normal(size=shape, scale=0.6).astype(np.float32) for shape in shapes)


def assert_equal_for_both(function, *arguments):
    """`function(convolution, *arguments)` gives for both what it gives for one."""
    both = jax.jit(lambda *arguments: [function(c, *arguments) for c in (convolve, xla)])
    for a, b in zip(*map(jax.tree.leaves, both(*arguments)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def value_and_gradients(convolution, *arguments):
    return jax.value_and_grad(lambda *a: jnp.sum(jnp.sin(convolution(*a))), (0, 1))(*arguments)


@pytest.mark.parametrize(
    ("window", "space", "most"),
    [
        ((4,), (1,), 1 << 20),
        ((3, 2), (5, 4), 0),  # bytes: an example at a time
        pytest.param((3,), (7,), 1 << 20, marks=pytest.mark.long),
        pytest.param((1, 3, 4), (2, 3, 4), 1 << 20, marks=pytest.mark.long),
    ],
)
def test_equals_that_of_xla_in_value_and_gradient(window, space, most, monkeypatch):
    monkeypatch.setattr(convolution, "_MOST", most)
    assert_equal_for_both(value_and_gradients, *example(window, space))


def test_derivatives_of_any_order_and_direction_are_those_of_xla():
    def found(convolve, *arguments):
        def gradients(*arguments):
            return value_and_gradients(convolve, *arguments)[1]

        def penalty(arguments):
            forwards = jax.jvp(gradients, arguments, jax.tree.map(jnp.cos, arguments))[1]
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(forwards))

        return jax.grad(penalty)(arguments)

    assert_equal_for_both(found, *example((2, 3), (3, 4), batch=2))


def test_transposed_alone_it_is_the_gradient():
    x, kernel = example((2, 3), (3, 4))

    def found(convolve, x, kernel):
        dy = jnp.cos(jnp.arange(x.size // 3 * 5, dtype=jnp.float32)).reshape(*x.shape[:-1], 5)
        if convolve is xla:
            return jax.vjp(xla, x, kernel)[1](dy)
        (d_x,) = jax.linear_transpose(lambda x: convolve(x, kernel), x)(dy)
        (d_kernel,) = jax.linear_transpose(lambda kernel: convolve(x, kernel), kernel)(dy)
        return d_x, d_kernel

    assert_equal_for_both(found, x, kernel)


@pytest.mark.parametrize(
    "axes",
    [
        (1, 2),
        pytest.param((0, None), marks=pytest.mark.long),
        pytest.param((None, 0), marks=pytest.mark.long),
    ],
)
def test_a_gradient_for_each_of_many(axes):
    many = [
        a if axis is None else np.stack([a, 2 * a, 3 * a], axis)
        for a, axis in zip(example((3, 3), (3, 4), batch=2), axes, strict=True)
    ]

    def found(convolve, *arguments):
        return jax.vmap(lambda *a: value_and_gradients(convolve, *a), axes)(*arguments)

    assert_equal_for_both(found, *many)


def test_the_gradient_of_a_kernel_that_all_devices_share_is_summed_over_them():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def found(convolve, x, kernel):
        share = jax.shard_map(
            lambda x, kernel: jax.lax.psum(jnp.sum(jnp.sin(convolve(x, kernel))), "data"),
            mesh=mesh,
            in_specs=(PartitionSpec("data"), PartitionSpec()),
            out_specs=PartitionSpec(),
        )
        return jax.grad(share, (0, 1))(x, kernel)

    assert_equal_for_both(found, *example((3, 3), (3, 4)))
