"""The C++ LSTM against the reference, in value and gradient, however the work is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels import Steps, reference
from lstm_jax.kernels.native import library, lstm

pytestmark = pytest.mark.skipif(
    library.problem() is not None, reason=library.problem() or "the C++ kernels are there"
)

# time, batch, input, hidden: less than a vector, less than a panel, a bit more than one; rows for
# every thread, and so few rows with so many units that threads share the units.
SIZES = [
    (1, 1, 1, 1),
    (5, 3, 2, 4),
    (7, 16, 8, 64),
    (9, 13, 5, 65),
    (20, 1, 10, 130),
    (6, 20, 65, 650),
]


def carry_like(key, shape):
    return lj.LSTMCarry(*jax.random.normal(key, (2, *shape)))


def case(size, *, seed=0, chosen=()):
    """The plain LSTM with random numbers wherever it takes any."""
    time, batch, width, hidden = size
    keys = jax.random.split(jax.random.key(seed), 7)
    params = lj.lstm(hidden).init(keys[0], width)
    params["bias"] = jax.random.normal(keys[1], params["bias"].shape)
    carry, start = carry_like(keys[2], (batch, hidden)), carry_like(keys[3], (batch, hidden))
    xs = jax.random.normal(keys[4], (time, batch, width))
    mask = jax.random.bernoulli(keys[5], 0.7, (time, batch)) if "mask" in chosen else None
    resets = jax.random.bernoulli(keys[6], 0.3, (time, batch)) if "resets" in chosen else None
    return lj.lstm(hidden), (params, xs, carry, start), mask, resets


def value_and_gradients(run, cell, arguments, mask, resets, reverse):
    def loss(params, xs, carry, start):
        steps = Steps(xs, mask, resets)
        last, ys = run(cell, params, carry, start, steps, reverse=reverse)
        weights = jnp.sin(jnp.arange(ys.size, dtype=jnp.float32)).reshape(ys.shape)
        return jnp.sum(ys * weights) + jnp.sum(1.3 * last.cell + 0.7 * last.hidden), (last, ys)

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True))(*arguments)


def assert_close(actual, expected, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        scale = max(1.0, float(jnp.max(jnp.abs(b), initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chosen", [(), ("mask",), ("resets",), ("mask", "resets")])
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_reference(size, chosen, reverse):
    made = case(size, chosen=chosen)
    found = [value_and_gradients(run, *made, reverse) for run in (lstm.run, reference.run)]
    assert_close(*found)


def test_of_no_steps_the_carry_comes_back():
    cell, (params, _, carry, start), *_ = case((1, 3, 2, 4))
    last, ys = lstm.run(cell, params, carry, start, Steps(jnp.zeros((0, 3, 2))))
    assert ys.shape == (0, 3, 4)
    assert_close(last, carry, 0)


def test_any_batch_axes_and_none():
    cell, (params, xs, carry, _), *_ = case((4, 6, 3, 5))
    expected = lj.scan(cell, params, carry, xs, backend="reference")
    two = jax.tree.map(lambda a: a.reshape(*a.shape[:-2], 2, 3, a.shape[-1]), (carry, xs))
    actual = lj.scan(cell, params, *two, backend="native")
    assert_close(jax.tree.map(lambda a: a.reshape(*a.shape[:-3], 6, 5), actual), expected)
    one = jax.tree.map(lambda a: a[..., 2, :], (carry, xs))
    actual = lj.scan(cell, params, *one, backend="native")
    assert_close(actual, jax.tree.map(lambda a: a[..., 2, :], expected))


def test_a_function_of_one_example_is_run_as_a_batch():
    cell, (params, xs, *_), *_ = case((4, 6, 3, 5))

    def loss(params, x_td):
        return jnp.sum(lj.scan(cell, params, None, x_td, backend="native")[1] ** 2)

    def mapped(params, xs):
        return jnp.sum(jax.vmap(loss, (None, 1))(params, xs))

    assert_close(jax.grad(mapped, (0, 1))(params, xs), jax.grad(loss, (0, 1))(params, xs))
    text = str(jax.make_jaxpr(jax.grad(mapped))(params, xs))
    assert "6,3,20" not in text, "a gradient of the kernel for every example"


def test_a_population_has_parameters_of_its_own():
    cell, (params, xs, *_), *_ = case((4, 6, 3, 5))
    many = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)

    def loss(params):
        return jnp.sum(lj.scan(cell, params, None, xs, backend="native")[1] ** 2)

    found = jax.vmap(jax.value_and_grad(loss))(many)
    for i in range(2):
        alone = jax.value_and_grad(loss)(jax.tree.map(lambda a, i=i: a[i], many))
        assert_close(jax.tree.map(lambda a, i=i: a[i], found), alone)


def test_activations_are_right_to_the_last_digits():
    # One unit, one step, no recurrence: the candidate through open gates is tanh, the output gate
    # over a full memory is the sigmoid times tanh(30) = 1.
    x = np.concatenate([np.linspace(-30, 30, 4001), np.logspace(-20, 1, 500)]).astype(np.float32)
    kernel = {"kernel": jnp.array([[0.0, 0, 1, 0]]), "recurrent_kernel": jnp.zeros((1, 4))}
    cell = lj.lstm(1)

    def step(kernel, bias, memory):
        carry = lj.LSTMCarry(jnp.full((len(x), 1), memory), jnp.zeros((len(x), 1)))
        params = {**kernel, "bias": jnp.array(bias, jnp.float32)}
        last, ys = lj.scan(cell, params, carry, x[None, :, None], backend="native")
        return np.asarray(last.cell)[:, 0], np.asarray(ys)[0, :, 0]

    candidate, _ = step(kernel, [40.0, -80, 0, 40], 0.0)
    np.testing.assert_allclose(candidate, np.tanh(x.astype(np.float64)), rtol=3e-7)
    shown = {"kernel": jnp.array([[0.0, 0, 0, 1]]), "recurrent_kernel": jnp.zeros((1, 4))}
    _, output = step(shown, [-80.0, 40, 0, 0], 30.0)
    np.testing.assert_allclose(output, 1 / (1 + np.exp(-x.astype(np.float64))), rtol=3e-7)


def test_nan_stays_and_infinity_saturates():
    cell, (params, xs, carry, _), *_ = case((4, 6, 3, 5))
    _, ys = lj.scan(cell, params, carry, xs.at[1, 2, 0].set(jnp.nan), backend="native")
    assert jnp.isnan(ys[1:, 2]).all()
    assert jnp.isfinite(ys[:, :2]).all()
    _, ys = lj.scan(cell, params, carry, xs.at[1, 2, 0].set(1e30), backend="native")
    assert jnp.isfinite(ys).all()


def test_the_same_numbers_every_time():
    made = case((6, 20, 65, 650), chosen=("mask",))
    first, again = (value_and_gradients(lstm.run, *made, False) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_bfloat16_and_all_carries_are_refused_by_name():
    cell, (params, xs, *_), *_ = case((4, 6, 3, 5))
    with pytest.raises(ValueError, match="float32 alone, not bfloat16"):
        lj.scan(cell, params, None, xs.astype(jnp.bfloat16), backend="native")
    with pytest.raises(ValueError, match="only the last carry"):
        lj.scan(cell, params, None, xs, backend="native", return_carries=True)
    with pytest.raises(ValueError, match="plain and the convolutional LSTM alone"):
        lj.scan(lj.gru(5), lj.gru(5).init(jax.random.key(0), 3), None, xs, backend="native")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kernel": (5, 20)}, r"kernel must have shape \(3, 20\) for inputs of size 3"),
        ({"recurrent_kernel": (5, 15)}, r"recurrent_kernel must have shape \(5, 20\)"),
        ({"bias": ()}, r"bias must have shape \(20,\)"),
    ],
)
def test_no_memory_is_read_but_that_of_the_arrays(changed, message):
    cell, (params, xs, *_), *_ = case((4, 6, 3, 5))
    wrong = params | {name: jnp.ones(shape) for name, shape in changed.items()}
    with pytest.raises(ValueError, match=message):
        lj.scan(cell, wrong, None, xs, backend="native")


@pytest.mark.parametrize("chosen", [pytest.param((), marks=pytest.mark.long), ("mask", "resets")])
def test_second_derivatives_are_those_of_the_reference(chosen):
    cell, (params, xs, carry, _), mask, resets = case((4, 3, 2, 3), chosen=chosen)

    def penalty(xs, params, backend):
        def loss(xs):
            options = {"mask": mask, "resets": resets, "backend": backend}
            return jnp.sum(jnp.sin(lj.scan(cell, params, carry, xs, **options)[1]))

        gradient = jax.grad(loss)(xs)
        product = jax.jvp(jax.grad(loss), (xs,), (jnp.cos(xs),))[1]
        return jnp.sum(gradient**2) + jnp.sum(product**2)

    for wanted in (0, 1):
        found = [jax.grad(penalty, wanted)(xs, params, name) for name in ("native", "reference")]
        assert_close(*found, tolerance=1e-4)
