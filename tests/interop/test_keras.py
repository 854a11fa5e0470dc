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


def run(weights, **options):
    cell, params = weights.cell_and_params()
    carry, ys = lj.scan(cell, params, None, jnp.swapaxes(jnp.asarray(XS), 0, 1), **options)
    return carry, jnp.swapaxes(ys, 0, 1)


@pytest.mark.parametrize("name", layers())
def test_computes_what_the_layer_computes(name):
    layer = built(layers()[name])
    weights = from_keras(layer)
    np.testing.assert_allclose(run(weights)[1], layer(XS), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(to_keras(weights)[0], layer.get_weights(), strict=False):
        if "without bias" not in name:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave"])
def test_layers_stand_one_upon_another(merge_mode):
    def one(n):
        return keras.layers.LSTM(n, return_sequences=True)

    both = [keras.layers.Bidirectional(one(n), merge_mode=merge_mode) for n in (4, 5)]
    model = built(keras.Sequential([*both, one(3)]))
    weights = from_keras(*model.layers)
    assert (weights.kind, weights.num_layers) == ("lstm", 3)
    np.testing.assert_allclose(run(weights)[1], model(XS), rtol=1e-4, atol=1e-5)
    for arrays, layer in zip(to_keras(weights), model.layers, strict=True):
        jax.tree.map(np.testing.assert_array_equal, arrays, layer.get_weights())


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_lengths_and_last_states_of_both_directions(name):
    inner = getattr(keras.layers, name)(4, return_sequences=True, return_state=True)
    layer = built(keras.layers.Bidirectional(inner))
    lengths = np.array([3, 6])
    mask = np.arange(6) < lengths[:, None]
    expected, *states = layer(XS, mask=mask)
    weights = from_keras(layer)
    carry, ys = run(weights, lengths=jnp.asarray(lengths))
    np.testing.assert_allclose(ys, np.where(mask[..., None], expected, 0), rtol=1e-4, atol=1e-5)
    ours = [state[d] for d in (0, 1) for state in weights.states(carry)]  # h, c; then backwards
    for one, other in zip(ours, states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_activation_of_arrays_is_told():
    layer = built(layers()["rnn of relu"])
    weights = from_keras(layer.get_weights(), activation="relu")
    np.testing.assert_allclose(run(weights)[1], layer(XS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reset_after", [True, False])
def test_our_weights_go_into_a_layer_and_come_back(reset_after):
    params = gru(4, reset_after=reset_after).init(jax.random.key(0), 3)
    weights = RecurrentWeights.of("gru", params)
    layer = built(keras.layers.GRU(4, reset_after=reset_after, return_sequences=True))
    layer.set_weights(to_keras(weights)[0])
    np.testing.assert_allclose(run(weights)[1], layer(XS), rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, from_keras(layer), weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.layers.LSTM(4, recurrent_activation="hard_sigmoid"), "must be sigmoid"),
        (lambda: keras.layers.GRU(4, activation="relu"), "activation must be tanh, got relu"),
        (lambda: keras.layers.Dense(4), "layer 0 must be one of LSTM, GRU, SimpleRNN, got Dense"),
        (lambda: keras.layers.GRU(4, go_backwards=True), "go_backwards; .* reverse=True"),
        (
            lambda: keras.layers.Bidirectional(keras.layers.GRU(4), merge_mode="mul"),
            "merge_mode must be one of concat, sum, ave, got mul",
        ),
        (
            lambda: keras.layers.Bidirectional(
                keras.layers.GRU(4), backward_layer=keras.layers.LSTM(4, go_backwards=True)
            ),
            "the directions must be alike",
        ),
        (
            lambda: keras.layers.Bidirectional(
                keras.layers.SimpleRNN(4),
                backward_layer=keras.layers.SimpleRNN(4, activation="relu", go_backwards=True),
            ),
            "the directions must be alike",
        ),
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
        ([], "has 0 weights; a Keras layer, once built"),
        ([np.ones((3, 8), "f"), np.ones(8, "f")], "recurrent_kernel must have 2 axes"),
        ([np.ones((3, 8), "f"), np.ones((2, 8), "f"), np.ones(7, "f")], r"bias must have.*\(8,\)"),
    ],
)
def test_what_does_not_fit_is_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        from_keras(arrays)


def test_layers_that_do_not_go_together_are_refused():
    def arrays(inputs, columns):
        return [np.ones((inputs, columns), "f"), np.ones((2, columns), "f")]

    with pytest.raises(ValueError, match="one kind, got gru, lstm"):
        from_keras(arrays(3, 8), arrays(2, 6))
    with pytest.raises(ValueError, match="layer 1, direction 0: kernel must have 2 rows"):
        from_keras(arrays(3, 8), arrays(3, 8))
    both = [keras.layers.Bidirectional(keras.layers.GRU(4), merge_mode=m) for m in ("sum", "ave")]
    with pytest.raises(ValueError, match="one merge_mode, got mean, sum"):
        from_keras(*(built(one) for one in both))
    with pytest.raises(ValueError, match="at least one layer"):
        from_keras()


def test_what_keras_cannot_hold_is_named():
    params = lj.lstm(4, peepholes=True).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="a Keras layer cannot hold peephole_kernel"):
        to_keras(RecurrentWeights.of("lstm", params))
