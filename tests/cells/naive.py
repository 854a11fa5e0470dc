"""Holds a cell against its published equation, written once more in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax as lj

TIME, BATCH = 5, 3


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def noisy(tree, seed, scale=0.4):
    """The same arrays with noise on them, so that no bias or carry is zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: a + jnp.float32(scale * rng.normal(size=a.shape)), tree)


def assert_follows(cell, reference, *, input_size):
    """Holds outputs, last carry, and derivatives along random directions to the reference.

    `reference(params, carry, x) -> (carry, y)` is one step of one example in float64; its
    derivatives are central differences, one direction for each array of parameters, inputs and
    carry.
    """
    params = noisy(cell.init(jax.random.key(0), input_size), seed=1)
    carry = noisy(cell.initial_carry(params, (BATCH,)), seed=2)
    rng = np.random.default_rng(3)
    xs = jnp.float32(rng.normal(size=(TIME, BATCH, input_size)))
    weights = rng.normal(size=(TIME, BATCH, cell.output_size))

    def ours(params, carry, xs):
        last, ys = lj.scan(cell, params, carry, xs)
        return jnp.sum(ys * weights), (last, ys)

    def theirs(arguments):
        last, ys = _loop(reference, *arguments)
        return np.sum(ys * weights), (last, ys)

    arguments = (params, carry, xs)
    in_double = jax.tree.map(lambda a: np.asarray(a, np.float64), arguments)
    (_, outcome), gradient = jax.value_and_grad(ours, (0, 1, 2), has_aux=True)(*arguments)
    jax.tree.map(_close, outcome, theirs(in_double)[1])

    example = jax.tree.map(lambda a: a[0], carry)
    _close(cell.step(params, example, xs[0, 0])[1], outcome[1][0, 0])

    leaves, structure = jax.tree.flatten(in_double)
    for n, slope in enumerate(jax.tree.leaves(gradient)):
        direction = rng.normal(size=leaves[n].shape)

        def moved(step, n=n, direction=direction):
            there = [*leaves[:n], leaves[n] + step * direction, *leaves[n + 1 :]]
            return theirs(jax.tree.unflatten(structure, there))[0]

        expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
        np.testing.assert_allclose(np.sum(slope * direction), expected, rtol=1e-4, atol=1e-4)


def _close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def _loop(reference, params, carry, xs):
    ys, last = np.zeros((TIME, BATCH), object), []
    for b in range(BATCH):
        example = jax.tree.map(lambda c, b=b: c[b], carry)
        for t in range(TIME):
            example, ys[t, b] = reference(params, example, xs[t, b])
        last.append(example)
    return jax.tree.map(lambda *c: np.stack(c), *last), np.array(ys.tolist())
