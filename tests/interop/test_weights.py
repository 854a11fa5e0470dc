"""The weights between libraries: what is checked, and what needs no other library."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.interop import RecurrentWeights, from_torch, to_torch

PARAMS = lj.lstm(4).init(jax.random.key(0), 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_a_safetensors_file_is_read_without_torch(tmp_path, monkeypatch, dtype):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors writes the file")
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it raises
    params = jax.tree.map(lambda x: x.astype(dtype), PARAMS)
    path = str(tmp_path / "weights.safetensors")
    numpy.save_file(to_torch(RecurrentWeights.of("lstm", params)), path)
    read = from_torch(path).layers[0][0]
    jax.tree.map(np.testing.assert_array_equal, read, params)
    assert {x.dtype for x in jax.tree.leaves(read)} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"peepholes": True},
        {"coupled_gates": True},
        {"projection_size": 2},
        {"layer_norm": True, "learn_initial_carry": True},
    ],
)
def test_the_cell_is_read_off_the_params(options):
    cell = lj.lstm(4, **options)
    params = jax.tree.map(lambda x: x + 0.1, cell.init(jax.random.key(0), 3))
    weights = RecurrentWeights.of("lstm", params)
    assert weights.hidden_size == 4
    xs = jax.random.normal(jax.random.key(1), (5, 2, 3))
    expected = lj.scan(cell, params, None, xs)
    jax.tree.map(np.testing.assert_array_equal, lj.scan(weights.cell(), params, None, xs), expected)


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_place_of_the_reset_gate_is_read_off_the_bias(reset_after):
    cell = gru(4, reset_after=reset_after)
    params = cell.init(jax.random.key(0), 3)
    xs = jax.random.normal(jax.random.key(1), (5, 2, 3))
    ys = lj.scan(RecurrentWeights.of("gru", params).cell(), params, None, xs)[1]
    np.testing.assert_array_equal(ys, lj.scan(cell, params, None, xs)[1])


LSTM, GRU = lj.lstm(4), gru(4)
NETWORKS = [
    ("lstm", LSTM, "concat"),
    ("gru", lj.stack([GRU, gru(5)]), "concat"),
    ("gru", lj.bidirectional(GRU), "concat"),
    ("lstm", lj.bidirectional(LSTM, merge="mean"), "mean"),
    ("lstm", lj.stack([lj.bidirectional(LSTM), lj.bidirectional(LSTM)]), "concat"),
    ("lstm", lj.stack([lj.bidirectional(LSTM), LSTM, LSTM]), "concat"),
    ("gru", lj.stack([lj.bidirectional(GRU, merge="sum"), gru(2)]), "sum"),
    ("lstm", lj.stack([LSTM] * 11), "concat"),  # layer_10 stands behind layer_9
]


@pytest.mark.parametrize(("kind", "network", "merge"), NETWORKS)
def test_a_network_goes_in_and_comes_out_as_it_was(kind, network, merge):
    params = network.init(jax.random.key(0), 3)
    cell, same = RecurrentWeights.of(kind, params, merge=merge).cell_and_params()
    jax.tree.map(np.testing.assert_array_equal, same, params)
    xs = jax.random.normal(jax.random.key(1), (5, 2, 3))
    lengths = jnp.array([3, 5])
    jax.tree.map(
        np.testing.assert_array_equal,
        lj.scan(cell, params, None, xs, lengths=lengths),
        lj.scan(network, params, None, xs, lengths=lengths),
    )


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_states_and_carries_are_each_others_inverse(kind):
    cell = lj.lstm(4, projection_size=2) if kind == "lstm" else GRU
    network = lj.stack([lj.bidirectional(cell), lj.bidirectional(cell)])
    weights = RecurrentWeights.of(kind, network.init(jax.random.key(0), 3))
    cell, params = weights.cell_and_params()
    xs = jax.random.normal(jax.random.key(1), (5, 7, 3))
    carry, _ = lj.scan(cell, params, None, xs)
    states = weights.states(carry)
    assert [s.shape for s in states] == ([(4, 7, 2), (4, 7, 4)] if kind == "lstm" else [(4, 7, 4)])
    np.testing.assert_array_equal(states[0][2], carry[1].forward.hidden)
    np.testing.assert_array_equal(states[-1][1], carry[0].backward[0])
    jax.tree.map(np.testing.assert_array_equal, weights.carry(*states), carry)
    one, _ = lj.scan(cell, params, None, xs[:, 0])  # of one example
    jax.tree.map(np.testing.assert_array_equal, weights.carry(*weights.states(one)), one)


def test_states_that_do_not_fit_are_named():
    weights = RecurrentWeights.of("lstm", lj.stack([LSTM, LSTM]).init(jax.random.key(0), 3))
    ones = jnp.ones((2, 7, 4))
    with pytest.raises(ValueError, match="states of kind lstm are hidden, cell; got 1"):
        weights.carry(ones)
    with pytest.raises(ValueError, match=r"cell must have shape \(2, 7, 4\).*got \(1, 7, 4\)"):
        weights.carry(ones, ones[:1])
    uneven = lj.stack([LSTM, lj.lstm(5)])
    params = uneven.init(jax.random.key(0), 3)
    weights = RecurrentWeights.of("lstm", params)
    with pytest.raises(ValueError, match="hidden has another size in another layer"):
        weights.states(uneven.initial_carry(params, (7,)))


HIGHWAY = lj.stack([LSTM, LSTM], connection="highway").init(jax.random.key(0), 4)
DEEP = lj.bidirectional(lj.stack([LSTM, LSTM])).init(jax.random.key(0), 3)
FORWARD_ALONE = {"forward": PARAMS}
NORMED = lj.lstm(4, layer_norm=True).init(jax.random.key(0), 3)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("lstn", PARAMS, "kind must be one of lstm, gru, rnn, got 'lstn'"),
        ("gru", PARAMS, "layer 0, direction 0: kernel must have 3 gates of 4 columns"),
        ("lstm", {}, "layer 0, direction 0: kernel is missing"),
        ("lstm", [PARAMS], "layers must be a sequence of layers"),
        ("lstm", [], "layers must be a sequence of layers"),
        ("lstm", HIGHWAY, "a plain stack has layer_0, layer_1, ... alone, got also highway"),
        ("lstm", {"layer_0": PARAMS, "layer_2": PARAMS}, "alone, got also layer_2"),
        ("lstm", DEEP, "layer 0, direction 0: kernel is missing"),
        ("lstm", FORWARD_ALONE, r"must hold forward and backward, got \['forward'\]"),
        ("lstm", PARAMS | {"zoneout": jnp.ones(4)}, "zoneout is no parameter of our lstm"),
        ("lstm", PARAMS | {"peephole_kernel": jnp.ones(4)}, r"peephole_kernel must have .*\(12,\)"),
        ("lstm", NORMED | {"cell_norm": {"gamma": jnp.ones(4)}}, "cell_norm.beta is missing"),
        ("lstm", PARAMS | {"kernel": jnp.ones(16)}, r"kernel must have 2 axes, got shape \(16,\)"),
        ("lstm", [[PARAMS], [PARAMS]], "layer 1, direction 0: kernel must have 4 rows, as layer 0"),
        (
            "lstm",
            [[PARAMS, LSTM.init(jax.random.key(0), 5)]],
            "layer 0, direction 1: kernel must have 3 rows, as direction 0 reads 3",
        ),
        (
            "lstm",
            [[PARAMS, PARAMS | {"bias": jnp.ones(7)}]],
            r"layer 0, direction 1: bias must have shape \(16,\), got \(7,\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(kind, params, message):
    with pytest.raises(ValueError, match=message):
        RecurrentWeights.of(kind, params)


def test_a_choice_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="activation must be one of tanh, relu, got 'gelu'"):
        RecurrentWeights.of("rnn", PARAMS, "gelu")
    with pytest.raises(ValueError, match="merge must be one of concat, sum, mean, got 'mul'"):
        RecurrentWeights.of("lstm", PARAMS, merge="mul")
    uneven = [[PARAMS, lj.lstm(5).init(jax.random.key(0), 3)]]
    assert RecurrentWeights.of("lstm", uneven).cell_and_params()[0].output_size == 9
    with pytest.raises(ValueError, match=r"merge=sum needs one size, got \[4, 5\]"):
        RecurrentWeights.of("lstm", uneven, merge="sum")
