"""The cells of Flax, linen and nnx, against ours with their parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn
from lstm_jax.interop import RecurrentWeights, from_linen, from_nnx, to_linen, to_nnx

XS = jax.random.normal(jax.random.key(0), (2, 6, 3))  # [batch, time, input]
LINEN = {"lstm": nn.LSTMCell, "optimized": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
LINEN |= {"rnn": nn.SimpleCell}
NNX = {"lstm": nnx.LSTMCell, "optimized": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}
NNX |= {"rnn": nnx.SimpleCell}
CELLS = {"lstm": lj.lstm(4), "optimized": lj.lstm(4), "gru": gru(4), "rnn": rnn(4)}


def kind_of(name):
    return "lstm" if name == "optimized" else name


def shaken(params):
    """Random values for all, biases too: Flax begins with zeros."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return tree.unflatten([jax.random.normal(k, x.shape) / 2 for k, x in zip(keys, leaves)])  # noqa: B905


def ours(weights):
    xs = jnp.swapaxes(XS, 0, 1)
    return jnp.swapaxes(lj.scan(weights.cell(), weights.layers[0][0], None, xs)[1], 0, 1)


def assert_close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LINEN)
def test_linen_there_and_back(name):
    layer = nn.RNN(LINEN[name](4))
    params = shaken(layer.init(jax.random.key(0), XS)["params"]["cell"])
    weights = from_linen(params)
    assert (weights.kind, weights.hidden_size) == (kind_of(name), 4)
    assert_close(ours(weights), layer.apply({"params": {"cell": params}}, XS))
    jax.tree.map(np.testing.assert_array_equal, to_linen(weights)[0][0], params)


@pytest.mark.parametrize("name", NNX)
def test_nnx_there_and_back(name):
    cell = NNX[name](3, 4, rngs=nnx.Rngs(0))
    params = shaken(nnx.to_pure_dict(nnx.state(cell, nnx.Param)))
    nnx.update(cell, params)
    weights = from_nnx(cell)
    assert (weights.kind, weights.hidden_size) == (kind_of(name), 4)
    assert_close(ours(weights), nnx.RNN(cell, rngs=nnx.Rngs(0))(XS))
    back = to_nnx(weights, optimized=name == "optimized")[0][0]
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize("name", CELLS)
def test_our_weights_run_in_both(name):
    params = shaken(CELLS[name].init(jax.random.key(0), 3))
    if name == "gru":  # nnx has no bias inside the reset gate
        params["bias"] = params["bias"].at[1, 8:].set(0)
    weights = RecurrentWeights.of(kind_of(name), params)
    linen = nn.RNN(LINEN[name](4))
    assert_close(linen.apply({"params": {"cell": to_linen(weights)[0][0]}}, XS), ours(weights))
    cell = NNX[name](3, 4, rngs=nnx.Rngs(0))
    nnx.update(cell, to_nnx(weights, optimized=name == "optimized")[0][0])
    assert_close(nnx.RNN(cell, rngs=nnx.Rngs(0))(XS), ours(weights))


def test_layers_and_directions_keep_their_places():
    params = [shaken(lj.lstm(4).init(jax.random.key(i), n)) for i, n in enumerate((3, 3, 8, 8))]
    weights = RecurrentWeights.of("lstm", [params[:2], params[2:]])
    for there, back in ((to_linen, from_linen), (to_nnx, from_nnx)):
        jax.tree.map(np.testing.assert_array_equal, back(there(weights)), weights)


@pytest.mark.parametrize("name", LINEN)
def test_one_scan_is_a_stack_of_bidirectional_layers(name):
    lengths = jnp.array([4, 6])
    cells, expected = [], XS
    for i in range(2):
        layer = nn.Bidirectional(nn.RNN(LINEN[name](4)), nn.RNN(LINEN[name](4)))
        variables = shaken(layer.init(jax.random.key(i), expected))
        expected = layer.apply(variables, expected, seq_lengths=lengths)
        cells.append([variables["params"][f"{way}_rnn"]["cell"] for way in ("forward", "backward")])
    cell, params = from_linen(cells).cell_and_params()
    ys = lj.scan(cell, params, None, jnp.swapaxes(XS, 0, 1), lengths=lengths)[1]
    valid = jnp.arange(6) < lengths[:, None]  # Flax goes on in the padding
    assert_close(jnp.swapaxes(ys, 0, 1), jnp.where(valid[..., None], expected, 0))


def test_a_bias_inside_the_reset_gate_is_not_dropped_in_silence():
    weights = RecurrentWeights.of("gru", shaken(gru(4).init(jax.random.key(0), 3)))
    linen = nn.RNN(nn.GRUCell(4))
    assert_close(linen.apply({"params": {"cell": to_linen(weights)[0][0]}}, XS), ours(weights))
    with pytest.raises(ValueError, match="inside the reset gate is not zero"):
        to_nnx(weights)


def test_what_flax_cannot_hold_is_named():
    for kind, cell, message in (
        ("gru", gru(4, reset_after=False), "reset_after=False"),
        ("lstm", lj.lstm(4, projection_size=2), "cannot hold projection_kernel"),
    ):
        weights = RecurrentWeights.of(kind, cell.init(jax.random.key(0), 3))
        for there in (to_linen, to_nnx):
            with pytest.raises(ValueError, match=message):
                there(weights)


def test_what_does_not_fit_is_named():
    params = nn.LSTMCell(4).init(jax.random.key(0), (jnp.ones(4), jnp.ones(4)), jnp.ones(3))
    params = params["params"]
    with pytest.raises(ValueError, match="ig is missing"):
        from_linen({name: leaf for name, leaf in params.items() if name != "ig"})
    with pytest.raises(ValueError, match=r"hf\.bias is missing"):
        from_linen(params | {"hf": {"kernel": params["hf"]["kernel"]}})
    with pytest.raises(ValueError, match="recurrent_kernel must have shape"):
        from_linen(
            params | {f"h{g}": {"kernel": jnp.ones((4, 5)), "bias": jnp.ones(4)} for g in "ifgo"}
        )


def test_another_computation_is_refused():
    with pytest.raises(ValueError, match="residual"):
        from_nnx(nnx.SimpleCell(3, 4, residual=True, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="activation_fn must be tanh"):
        from_nnx(nnx.GRUCell(3, 4, activation_fn=nnx.relu, rngs=nnx.Rngs(0)))
