"""The convolution with derivatives of its own against XLA's, in value and derivatives."""

import functools

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
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (batch, *space, 3))
    return x, jax.random.normal(keys[1], (*window, 3, 5)) / 3


def cost(convolution, *arguments):
    return jnp.sum(jnp.sin(convolution(*arguments)))


def assert_close(actual, expected):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("most", [1 << 20, 0], ids=["all examples at once", "one by one"])
@pytest.mark.parametrize(
    ("window", "space"),
    [((3,), (7,)), ((4,), (1,)), ((3, 2), (5, 4)), ((1, 3, 4), (2, 3, 4))],
)
def test_equals_that_of_xla_in_value_and_gradient(window, space, most, monkeypatch):
    monkeypatch.setattr(convolution, "_MOST", most)
    arguments = example(window, space)

    def found(convolve):
        return jax.jit(jax.value_and_grad(functools.partial(cost, convolve), (0, 1)))(*arguments)

    assert_close(found(convolve), found(xla))


def test_derivatives_of_any_order_and_direction_are_those_of_xla():
    arguments = example((2, 3), (3, 4), batch=2)

    def found(convolve):
        gradient = jax.grad(functools.partial(cost, convolve), (0, 1))

        def penalty(arguments):
            forwards = jax.jvp(gradient, arguments, jax.tree.map(jnp.cos, arguments))[1]
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(forwards))

        return jax.jit(jax.grad(penalty))(arguments)

    assert_close(found(convolve), found(xla))


def test_transposed_alone_it_is_the_gradient():
    x, kernel = example((2, 3), (3, 4))
    dy = jax.random.normal(jax.random.key(1), (*x.shape[:-1], 5))
    for i in range(2):
        (transposed,) = jax.linear_transpose(
            lambda a, i=i: convolve(*((a, kernel), (x, a))[i]), (x, kernel)[i]
        )(dy)
        assert_close(transposed, jax.vjp(xla, x, kernel)[1](dy)[i])


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (1, 2)])
def test_a_gradient_for_each_of_many(axes):
    many = [
        a if axis is None else jnp.stack([a, 2 * a, 3 * a], axis)
        for a, axis in zip(example((3, 3), (3, 4), batch=2), axes, strict=True)
    ]

    def found(convolve):
        gradient = jax.grad(functools.partial(cost, convolve), (0, 1))
        return jax.jit(jax.vmap(gradient, axes))(*many)

    assert_close(found(convolve), found(xla))


def test_the_gradient_of_a_kernel_that_all_devices_share_is_summed_over_them():
    x, kernel = example((3, 3), (3, 4))
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    share = jax.shard_map(
        lambda x, kernel: jax.lax.psum(cost(convolve, x, kernel), "data"),
        mesh=mesh,
        in_specs=(PartitionSpec("data"), PartitionSpec()),
        out_specs=PartitionSpec(),
    )
    found = jax.grad(share, (0, 1))(x, kernel)
    assert_close(found, jax.grad(functools.partial(cost, xla), (0, 1))(x, kernel))
