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


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("lstn", PARAMS, "kind must be one of lstm, gru, rnn, got 'lstn'"),
        ("gru", PARAMS, "layer 0, direction 0: kernel must have 3 gates of 4 columns"),
        ("lstm", {}, "layer 0, direction 0: kernel is missing"),
        ("lstm", [PARAMS], "layers must be a sequence of layers"),
        ("lstm", [], "layers must be a sequence of layers"),
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
