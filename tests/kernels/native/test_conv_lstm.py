"""The convolutional LSTM in C++ against the reference, in value and gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels.native import library
from tests.kernels.native.test_lstm import assert_close

pytestmark = pytest.mark.skipif(
    library.problem("conv_lstm") is not None,
    reason=library.problem("conv_lstm") or "the C++ kernels are there",
)

TIME, BATCH = 4, 3
LONG = pytest.mark.long


def case(space, window, channels, hidden, chosen=()):
    """The cell with random numbers wherever it takes any."""
    cell = lj.conv_lstm(hidden, dimensions=len(space), kernel_size=window)
    rng = np.random.default_rng(0)

    def normal(*shape, scale=1.0):
        return rng.normal(size=shape, scale=scale).astype(np.float32)

    widths = (window,) * len(space)
    params = {
        "kernel": normal(*widths, channels, 4 * hidden, scale=0.3),
        "recurrent_kernel": normal(*widths, hidden, 4 * hidden, scale=1 / np.sqrt(hidden) / window),
        "bias": normal(4 * hidden),
    }
    carry = lj.LSTMCarry(*normal(2, BATCH, *space, hidden))
    options = {"reverse": "reverse" in chosen}
    options |= {
        name: rng.random((TIME, BATCH)) < rate
        for name, rate in (("mask", 0.7), ("resets", 0.4))
        if name in chosen
    }
    return cell, (params, carry, normal(TIME, BATCH, *space, channels)), options


def value_and_gradients(cell, options, backend, *arguments):
    def loss(params, carry, xs):
        last, ys = lj.scan(cell, params, carry, xs, backend=backend, **options)
        weights = jnp.sin(jnp.arange(ys.size, dtype=jnp.float32)).reshape(ys.shape)
        return jnp.sum(ys * weights) + jnp.sum(1.3 * last.cell + 0.7 * last.hidden), (last, ys)

    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*arguments)


# Less than a vector of units, a bit more than one and than a panel of four; windows of even widths,
# wider than the space, and of one place.
@pytest.mark.parametrize(
    ("space", "window", "channels", "hidden", "chosen"),
    [
        ((6, 5), 3, 3, 17, ("mask", "resets", "reverse")),
        pytest.param((3, 4, 2), 2, 5, 3, (), marks=LONG),
        pytest.param((6,), 4, 3, 16, ("reverse",), marks=LONG),
        pytest.param((2, 3), 5, 20, 33, ("mask",), marks=LONG),
        pytest.param((9, 7), 3, 2, 70, ("resets",), marks=LONG),
        pytest.param((4, 6), 1, 20, 65, ("mask", "resets"), marks=LONG),
        pytest.param((0, 3), 3, 2, 3, (), marks=LONG),
    ],
)
def test_equals_the_reference(space, window, channels, hidden, chosen):
    cell, arguments, options = case(space, window, channels, hidden, chosen)
    run = functools.partial(value_and_gradients, cell, options)
    both = jax.jit(lambda *arguments: [run(name, *arguments) for name in ("native", "reference")])
    found = both(*arguments)
    assert_close(*found)
    # In C++ the sums have one order, whatever the threads.
    assert_close(both(*arguments)[0], found[0], 0)


def test_of_no_steps_the_carry_comes_back():
    cell, (params, carry, xs), _ = case((3, 2), 3, 2, 4)
    last, ys = lj.scan(cell, params, carry, xs[:0], backend="native")
    assert ys.shape == (0, BATCH, 3, 2, 4)
    assert_close(last, carry, 0)


@pytest.mark.long
def test_a_function_of_one_example_is_run_as_a_batch():
    cell, (params, _, xs), _ = case((3, 2), 3, 2, 4)

    def loss(params, x_tsc):
        return jnp.sum(lj.scan(cell, params, None, x_tsc, backend="native")[1] ** 2)

    def mapped(params, xs):
        return jnp.sum(jax.vmap(loss, (None, 1))(params, xs))

    assert_close(jax.grad(mapped, (0, 1))(params, xs), jax.grad(loss, (0, 1))(params, xs))


@pytest.mark.long
def test_second_derivatives_are_those_of_the_reference():
    cell, (params, carry, xs), options = case((3, 2), 3, 2, 4, ("mask", "resets"))

    def penalty(params, backend):
        def loss(xs):
            return jnp.sum(jnp.sin(lj.scan(cell, params, carry, xs, backend=backend, **options)[1]))

        return jnp.sum(jax.grad(loss)(xs) ** 2)

    found = [jax.grad(penalty)(params, name) for name in ("native", "reference")]
    assert_close(*found, tolerance=1e-4)


def test_it_is_taken_but_for_what_it_has_not():
    _, (_, _, xs), _ = case((3, 2), 3, 2, 4)
    assert lj.explain(lj.conv_lstm(4), xs).name == "native"
    choice = lj.explain(lj.conv_lstm(4, peepholes=True), xs)
    assert choice.name == "deferred"
    assert "plain and the convolutional LSTM alone" in choice.others["native"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kernel": (3, 3, 5, 16)}, r"kernel must have shape \(3, 3, 2, 16\) for inputs of 2 chan"),
        ({"recurrent_kernel": (2, 3, 4, 16)}, r"recurrent_kernel must have shape \(3, 3, 4, 16\)"),
        ({"bias": ()}, r"bias must have shape \(16,\)"),
    ],
)
def test_no_memory_is_read_but_that_of_the_arrays(changed, message):
    cell, (params, _, xs), _ = case((3, 2), 3, 2, 4)
    wrong = params | {name: jnp.ones(shape) for name, shape in changed.items()}
    with pytest.raises(ValueError, match=message):
        lj.scan(cell, wrong, None, xs, backend="native")
