"""Keras layers against our cells with their weights."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.interop import RecurrentWeights, from_keras, to_keras

os.environ["KERAS_BACKEND"] = "jax"  # before keras is imported, which reads it once
keras = pytest.importorskip("keras", reason="keras is the oracle")

XS = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)  # [batch, time, input]


def layers():
    return {
        "lstm": keras.layers.LSTM(4, return_sequences=True),
        "lstm without bias": keras.layers.LSTM(4, use_bias=False, return_sequences=True),
        "gru": keras.layers.GRU(4, return_sequences=True),
        "gru, reset before": keras.layers.GRU(4, reset_after=False, return_sequences=True),
        "gru without bias": keras.layers.GRU(4, use_bias=False, return_sequences=True),
        "rnn": keras.layers.SimpleRNN(4, return_sequences=True),
        "rnn of relu": keras.layers.SimpleRNN(4, activation="relu", return_sequences=True),
        "both directions": keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True)),
    }


def built(layer, seed=0):
    """The layer with random weights, biases too: Keras begins with zeros."""
    layer(XS)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape).astype("f") / 2 for w in layer.get_weights()])
    return layer


def run(weights):
    xs, cell = jnp.swapaxes(jnp.asarray(XS), 0, 1), weights.cell()
    for directions in weights.layers:
        ys = [lj.scan(cell, p, None, xs, reverse=bool(d))[1] for d, p in enumerate(directions)]
        xs = jnp.concatenate(ys, axis=-1)
    return jnp.swapaxes(xs, 0, 1)


@pytest.mark.parametrize("name", layers())
def test_computes_what_the_layer_computes(name):
    layer = built(layers()[name])
    weights = from_keras(layer)
    np.testing.assert_allclose(run(weights), layer(XS), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(to_keras(weights)[0], layer.get_weights(), strict=False):
        if "without bias" not in name:
            np.testing.assert_array_equal(ours, theirs)


def test_layers_stand_one_upon_another():
    first, second = (keras.layers.LSTM(n, return_sequences=True) for n in (4, 4))
    model = keras.Sequential([first, second])
    model(XS)
    weights = from_keras(first.get_weights(), second.get_weights())
    assert (weights.kind, weights.num_layers) == ("lstm", 2)
    np.testing.assert_allclose(run(weights), model(XS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reset_after", [True, False])
def test_our_weights_go_into_a_layer_and_come_back(reset_after):
    params = gru(4, reset_after=reset_after).init(jax.random.key(0), 3)
    weights = RecurrentWeights.of("gru", params)
    layer = built(keras.layers.GRU(4, reset_after=reset_after, return_sequences=True))
    layer.set_weights(to_keras(weights)[0])
    np.testing.assert_allclose(run(weights), layer(XS), rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, from_keras(layer), weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.layers.LSTM(4, recurrent_activation="hard_sigmoid"), "must be sigmoid"),
        (lambda: keras.layers.GRU(4, activation="relu"), "activation must be tanh, got relu"),
        (lambda: keras.layers.Dense(4), "LSTM, GRU, SimpleRNN, got Dense"),
    ],
)
def test_another_computation_is_refused(make, message):
    layer = make()
    layer(XS)
    with pytest.raises(ValueError, match=message):
        from_keras(layer)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.ones((3, 10), "f"), np.ones((2, 10), "f")], "10 columns for hidden size 2"),
        ([np.ones((3, 8), "f")], "has 1 weights"),
        ([np.ones((3, 8), "f"), np.ones((2, 8), "f"), np.ones(7, "f")], r"bias must have.*\(8,\)"),
    ],
)
def test_what_does_not_fit_is_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        from_keras(arrays)


def test_layers_of_two_kinds_are_refused():
    one, other = ([np.ones((3, n), "f"), np.ones((2, n), "f")] for n in (8, 6))
    with pytest.raises(ValueError, match="one kind"):
        from_keras(one, other)


def test_what_keras_cannot_hold_is_named():
    params = lj.lstm(4, peepholes=True).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="a Keras layer cannot hold peephole_kernel"):
        to_keras(RecurrentWeights.of("lstm", params))
