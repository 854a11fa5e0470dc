"""The nnx module is `scan` with its parameters kept by Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lstm_jax as lj
from lstm_jax.flax.nnx import RNN

XS = jax.random.normal(jax.random.key(0), (4, 9, 3))  # [batch, time, input]


def arrays(layer):
    return nnx.to_pure_dict(nnx.state(layer, nnx.Param))["params"]


@pytest.mark.parametrize("time_major", [False, True])
def test_equals_scan(time_major):
    layer = RNN(lj.lstm(5), 3, time_major=time_major, rngs=nnx.Rngs(0))
    xs = jnp.swapaxes(XS, 0, 1) if time_major else XS
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, xs.shape[:2])
    carry, ys = layer(xs, mask=mask)
    expected_carry, expected = lj.scan(
        layer.cell,
        arrays(layer),
        None,
        jnp.swapaxes(XS, 0, 1),
        mask=mask if time_major else mask.T,
    )
    np.testing.assert_array_equal(ys if time_major else jnp.swapaxes(ys, 0, 1), expected)
    np.testing.assert_array_equal(carry.cell, expected_carry.cell)


def test_parameters_are_those_of_the_cell():
    cell = lj.lstm(5, layer_norm=True)
    layer = RNN(cell, 3, rngs=nnx.Rngs(params=7))
    expected = cell.init(nnx.Rngs(params=7).params(), 3)
    jax.tree.map(np.testing.assert_array_equal, arrays(layer), expected)


def test_carry_goes_on_where_it_stopped():
    layer = RNN(lj.lstm(5), 3, rngs=nnx.Rngs(0))
    assert layer.initial_carry((7,)).cell.shape == (7, 5)
    carry, first = layer(XS[:, :4], layer.initial_carry((4,)))
    _, second = layer(XS[:, 4:], carry)
    whole = layer(XS)[1]
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_parameters_and_are_those_of_scan():
    layer = RNN(lj.lstm(5), 3, rngs=nnx.Rngs(0))
    grads = nnx.grad(lambda layer: (layer(XS)[1] ** 2).sum())(layer)

    def loss(params):
        return (lj.scan(layer.cell, params, None, jnp.swapaxes(XS, 0, 1))[1] ** 2).sum()

    expected = jax.grad(loss)(arrays(layer))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        nnx.to_pure_dict(grads)["params"],
        expected,
    )


def test_trains_under_nnx_jit():
    layer = RNN(lj.lstm(5), 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(layer, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(layer, optimizer):
        loss, grads = nnx.value_and_grad(lambda layer: ((layer(XS)[1] - 0.3) ** 2).mean())(layer)
        optimizer.update(layer, grads)
        return loss

    losses = [float(step(layer, optimizer)) for _ in range(20)]
    assert losses[-1] < 0.8 * losses[0]


def test_carries_have_the_layout_of_the_outputs():
    layer = RNN(lj.lstm(5), 3, rngs=nnx.Rngs(0))
    _, (ys, carries) = layer(XS, return_carries=True)
    np.testing.assert_array_equal(carries.hidden, ys)
    assert ys.shape == (4, 9, 5)


def test_layers_and_directions():
    layer = lj.bidirectional(lj.lstm(5))
    network = lj.stack([layer, layer])
    run = RNN(network, 3, rngs=nnx.Rngs(0))
    params = arrays(run)
    xs = jnp.swapaxes(XS, 0, 1)
    lengths = jnp.array([9, 1, 0, 4])
    expected_carry, expected = lj.scan(network, params, None, xs, lengths=lengths)
    carry, ys = run(XS, lengths=lengths)
    np.testing.assert_array_equal(jnp.swapaxes(ys, 0, 1), expected)
    jax.tree.map(np.testing.assert_array_equal, carry, expected_carry)


def test_any_number_of_batch_axes():
    run = RNN(lj.lstm(5), 3, rngs=nnx.Rngs(0))
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, XS.shape[:2])
    resets = jax.random.bernoulli(jax.random.key(3), 0.3, XS.shape[:2])
    carry, ys = run(XS, mask=mask, resets=resets)
    one_carry, one = run(XS[1], mask=mask[1], resets=resets[1])
    np.testing.assert_allclose(one, ys[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one_carry.cell, carry.cell[1], rtol=1e-5, atol=1e-6)
    _, each = jax.vmap(lambda x, m, r: run(x, mask=m, resets=r))(XS, mask, resets)
    np.testing.assert_allclose(each, ys, rtol=1e-5, atol=1e-6)
    square = XS.reshape(2, 2, 9, 3)
    _, squared = run(square, mask=mask.reshape(2, 2, 9), resets=resets.reshape(2, 2, 9))
    np.testing.assert_allclose(squared.reshape(ys.shape), ys, rtol=1e-5, atol=1e-6)


def test_a_picture_has_its_time_behind_the_batch():
    cell = lj.conv_lstm(2, kernel_size=3, dimensions=2)
    frames = jax.random.normal(jax.random.key(0), (4, 3, 5, 6, 2))  # batch, time, space, channels
    run = RNN(cell, 2, rngs=nnx.Rngs(0))
    params = arrays(run)
    _, expected = lj.scan(cell, params, None, jnp.swapaxes(frames, 0, 1))
    np.testing.assert_array_equal(run(frames)[1], jnp.swapaxes(expected, 0, 1))


@pytest.mark.parametrize("name", ["mask", "resets"])
def test_a_mask_of_another_layout_is_named(name):
    run = RNN(lj.lstm(5), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=rf"{name} must have shape \(4, 9\) .*got \(9, 4\)"):
        run(XS, **{name: jnp.ones((9, 4), bool)})


def test_other_parameters_are_loaded():
    network = lj.stack([lj.bidirectional(lj.lstm(5)), lj.lstm(5)])
    layer = RNN(network, 3, rngs=nnx.Rngs(0))
    params = network.init(jax.random.key(7), 3)
    nnx.update(layer, {"params": params})
    expected = lj.scan(network, params, None, jnp.swapaxes(XS, 0, 1))[1]
    np.testing.assert_array_equal(layer(XS)[1], jnp.swapaxes(expected, 0, 1))
