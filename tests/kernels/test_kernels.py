"""What backends promise beyond being equal, which the contract suite checks for every cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels.dependence import reads

HIDDEN, BATCH = 8, 4
CELL = lj.lstm(HIDDEN)
PARAMS = CELL.init(jax.random.key(0), 3)
XS = jax.random.normal(jax.random.key(1), (9, BATCH, 3))
PLAIN = lj.Cell(CELL.init, CELL.initial_carry, CELL.step, HIDDEN)


def loss_of_examples(params, xs):
    return jnp.sum(jnp.sin(jax.vmap(lambda x: lj.scan(CELL, params, None, x)[1], 1)(xs)))


def loss_of_batch(params, xs):
    return jnp.sum(jnp.sin(lj.scan(CELL, params, None, xs)[1]))


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def test_a_function_of_one_example_under_vmap_forms_no_gradient_per_example():
    jaxpr = str(jax.make_jaxpr(jax.grad(loss_of_examples))(PARAMS, XS))
    assert f"{BATCH},{HIDDEN},{4 * HIDDEN}]" not in jaxpr
    assert_close(jax.grad(loss_of_examples)(PARAMS, XS), jax.grad(loss_of_batch)(PARAMS, XS))
    assert_close(
        jax.jit(jax.grad(loss_of_examples))(PARAMS, XS), jax.grad(loss_of_batch)(PARAMS, XS)
    )


def test_gradients_per_example_are_still_to_be_had():
    gradients = jax.vmap(jax.grad(loss_of_batch), (None, 1))(PARAMS, XS[:, :, None])
    for b in range(BATCH):
        alone = jax.grad(loss_of_batch)(PARAMS, XS[:, b : b + 1])
        assert_close(jax.tree.map(lambda g, b=b: g[b], gradients), alone)


def test_a_population_of_models_is_each_model_alone():
    population = jax.vmap(lambda key: CELL.init(key, 3))(jax.random.split(jax.random.key(2), 5))
    gradients = jax.jit(jax.vmap(jax.grad(loss_of_batch), (0, None)))(population, XS)
    for i in range(5):
        params = jax.tree.map(lambda p, i=i: p[i], population)
        alone = jax.grad(loss_of_batch)(params, XS)
        assert_close(jax.tree.map(lambda g, i=i: g[i], gradients), alone)


def test_vmap_over_two_axes():
    xs = jax.random.normal(jax.random.key(3), (2, 9, 5, 3))
    twice = jax.vmap(jax.vmap(lambda x: lj.scan(CELL, PARAMS, None, x)[1], 1, 1))(xs)
    expected = jnp.stack([lj.scan(CELL, PARAMS, None, x)[1] for x in xs])
    assert_close(twice, expected)


def test_the_reference_has_forward_derivatives_and_the_deferred_says_it_has_none():
    def run(xs, backend):
        return lj.scan(CELL, PARAMS, None, xs, backend=backend)[1]

    _, tangent = jax.jvp(lambda xs: run(xs, "reference"), (XS,), (jnp.ones_like(XS),))
    step = 1e-2
    difference = (run(XS + step, "reference") - run(XS - step, "reference")) / (2 * step)
    np.testing.assert_allclose(tangent, difference, atol=1e-3)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda xs: run(xs, "deferred"), (XS,), (jnp.ones_like(XS),))


def test_shard_map_over_the_batch():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    sharded = jax.shard_map(
        lambda xs: lj.scan(CELL, PARAMS, None, xs)[1],
        mesh=mesh,
        in_specs=spec(None, "data"),
        out_specs=spec(None, "data"),
    )
    assert_close(jax.jit(sharded)(XS), lj.scan(CELL, PARAMS, None, XS)[1])

    def loss(params):
        local = jax.shard_map(
            lambda params, xs: jax.lax.psum(loss_of_batch(params, xs), "data"),
            mesh=mesh,
            in_specs=(spec(), spec(None, "data")),
            out_specs=spec(),
        )
        return local(params, XS)

    assert_close(jax.jit(jax.grad(loss))(PARAMS), jax.grad(loss_of_batch)(PARAMS, XS))


@pytest.mark.parametrize("remat", ["none", "sqrt"])
def test_chunked_remat_keeps_less(remat):
    length = 256
    xs = jnp.zeros((length, BATCH, 3))

    def loss(params):
        return jnp.sum(lj.scan(CELL, params, None, xs, remat=remat)[1])

    _, pull = jax.vjp(loss, PARAMS)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull) if hasattr(leaf, "size"))
    per_step = BATCH * HIDDEN
    if remat == "none":
        assert kept > 4 * length * per_step
    else:
        assert kept < 2 * 2 * 16 * per_step + xs.size + 2000  # 16 chunks, two carries each


def test_compile_size_does_not_depend_on_length():
    def size(length):
        xs = jnp.zeros((length, BATCH, 3))
        return len(str(jax.make_jaxpr(jax.grad(loss_of_batch))(PARAMS, xs)))

    assert abs(size(1000) - size(10)) < 500


def test_a_named_backend_that_cannot_serve_says_what_it_lacks():
    with pytest.raises(ValueError, match="declares no project, recur and update"):
        lj.scan(PLAIN, PARAMS, None, XS, backend="deferred")
    with pytest.raises(ValueError, match="has no parallel form"):
        lj.scan(CELL, PARAMS, None, XS, backend="parallel")
    with pytest.raises(ValueError, match="did you mean deferred"):
        lj.scan(CELL, PARAMS, None, XS, backend="defered")
    with pytest.raises(ValueError, match="remat must be none, step, sqrt"):
        lj.scan(CELL, PARAMS, None, XS, remat="all")


def test_explain_says_which_and_why():
    assert lj.explain(CELL, XS).name == "deferred"
    choice = lj.explain(PLAIN, XS)
    assert choice.name == "reference"
    assert "declares no project" in choice.others["deferred"]
    assert "asked for" in str(lj.explain(CELL, XS, backend="reference"))


def test_dependence_is_found_through_unused_results():
    def function(a, b):
        unused = b["y"] * a
        del unused
        return a + b["x"]

    assert reads(function, 1.0, {"x": jnp.ones(2), "y": jnp.ones(2)}) == [True, True, False]
