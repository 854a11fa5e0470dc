"""What backends promise beyond being equal, which the contract suite checks for every cell.

Those with a derivative of their own are checked, as far as this machine has what they need.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels import BACKENDS, Request
from lstm_jax.kernels.backend import current_platform
from lstm_jax.kernels.dependence import reads

HIDDEN, BATCH = 8, 4
CELL = lj.lstm(HIDDEN)
PARAMS = CELL.init(jax.random.key(0), 3)
XS = jax.random.normal(jax.random.key(1), (9, BATCH, 3))
HERE = Request(platform=current_platform())
every_backend = pytest.mark.parametrize(
    "backend",
    [n for n, b in BACKENDS.items() if n != "reference" and b.lacking(CELL, HERE) is None],
)


def loss_of_examples(params, xs, backend):
    def example(x):
        return lj.scan(CELL, params, None, x, backend=backend)[1]

    return jnp.sum(jnp.sin(jax.vmap(example, 1)(xs)))


def loss_of_batch(params, xs, backend):
    return jnp.sum(jnp.sin(lj.scan(CELL, params, None, xs, backend=backend)[1]))


def gradient(loss, backend):
    """A function of params and xs."""
    return jax.grad(functools.partial(loss, backend=backend))


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


@every_backend
def test_a_function_of_one_example_under_vmap_forms_no_gradient_per_example(backend):
    by_examples = gradient(loss_of_examples, backend)
    assert f"{BATCH},{HIDDEN},{4 * HIDDEN}]" not in str(jax.make_jaxpr(by_examples)(PARAMS, XS))
    expected = gradient(loss_of_batch, "reference")(PARAMS, XS)
    assert_close(by_examples(PARAMS, XS), expected)
    assert_close(jax.jit(by_examples)(PARAMS, XS), expected)


@every_backend
def test_gradients_per_example_are_still_to_be_had(backend):
    gradients = jax.vmap(gradient(loss_of_batch, backend), (None, 1))(PARAMS, XS[:, :, None])
    for b in range(BATCH):
        alone = gradient(loss_of_batch, "reference")(PARAMS, XS[:, b : b + 1])
        assert_close(jax.tree.map(lambda g, b=b: g[b], gradients), alone)


@every_backend
def test_a_population_of_models_is_each_model_alone(backend):
    population = jax.vmap(lambda key: CELL.init(key, 3))(jax.random.split(jax.random.key(2), 5))
    gradients = jax.jit(jax.vmap(gradient(loss_of_batch, backend), (0, None)))(population, XS)
    for i in range(5):
        params = jax.tree.map(lambda p, i=i: p[i], population)
        alone = gradient(loss_of_batch, "reference")(params, XS)
        assert_close(jax.tree.map(lambda g, i=i: g[i], gradients), alone)


@every_backend
def test_vmap_over_two_axes(backend):
    def run(x):
        return lj.scan(CELL, PARAMS, None, x, backend=backend)[1]

    xs = jax.random.normal(jax.random.key(3), (2, 9, 5, 3))
    twice = jax.vmap(jax.vmap(run, 1, 1))(xs)
    assert_close(twice, jnp.stack([run(x) for x in xs]))


def test_the_reference_has_forward_derivatives_and_the_deferred_says_it_has_none():
    def run(xs, backend):
        return lj.scan(CELL, PARAMS, None, xs, backend=backend)[1]

    _, tangent = jax.jvp(lambda xs: run(xs, "reference"), (XS,), (jnp.ones_like(XS),))
    step = 1e-2
    difference = (run(XS + step, "reference") - run(XS - step, "reference")) / (2 * step)
    np.testing.assert_allclose(tangent, difference, atol=1e-3)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda xs: run(xs, "deferred"), (XS,), (jnp.ones_like(XS),))


@every_backend
def test_shard_map_over_the_batch(backend):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    sharded = jax.shard_map(
        lambda xs: lj.scan(CELL, PARAMS, None, xs, backend=backend)[1],
        mesh=mesh,
        in_specs=spec(None, "data"),
        out_specs=spec(None, "data"),
    )
    assert_close(jax.jit(sharded)(XS), lj.scan(CELL, PARAMS, None, XS, backend="reference")[1])

    def loss(params):
        local = jax.shard_map(
            lambda params, xs: jax.lax.psum(loss_of_batch(params, xs, backend), "data"),
            mesh=mesh,
            in_specs=(spec(), spec(None, "data")),
            out_specs=spec(),
        )
        return local(params, XS)

    expected = gradient(loss_of_batch, "reference")(PARAMS, XS)
    assert_close(jax.jit(jax.grad(loss))(PARAMS), expected)


@every_backend
@pytest.mark.parametrize("remat", ["none", "sqrt"])
def test_chunked_remat_keeps_less(remat, backend):
    length = 256
    xs = jnp.zeros((length, BATCH, 3))

    def loss(params):
        return jnp.sum(lj.scan(CELL, params, None, xs, remat=remat, backend=backend)[1])

    _, pull = jax.vjp(loss, PARAMS)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull) if hasattr(leaf, "size"))
    per_step = BATCH * HIDDEN
    if remat == "none":
        assert kept > 4 * length * per_step
    else:
        assert kept < 2 * 2 * 16 * per_step + xs.size + 2000  # 16 chunks, two carries each


@every_backend
def test_compile_size_does_not_depend_on_length(backend):
    def size(length):
        xs = jnp.zeros((length, BATCH, 3))
        return len(str(jax.make_jaxpr(gradient(loss_of_batch, backend))(PARAMS, xs)))

    assert abs(size(1000) - size(10)) < 500


def test_dependence_is_found_through_unused_results():
    def function(a, b):
        unused = b["y"] * a
        del unused
        return a + b["x"]

    assert reads(function, 1.0, {"x": jnp.ones(2), "y": jnp.ones(2)}) == [True, True, False]
