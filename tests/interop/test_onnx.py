"""Weights of ONNX nodes in and out, against onnxruntime."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn
from lstm_jax.interop import OnnxNode, RecurrentWeights, from_onnx, read_onnx, to_onnx
from tests.interop.onnx_oracle import (
    BATCH,
    CLOSE,
    GATES,
    HIDDEN,
    INPUT,
    TIME,
    assert_same,
    onnxruntime_run,
    random_inputs,
)

onnx = pytest.importorskip("onnx", reason="onnx makes the models")


@pytest.mark.parametrize(
    ("kind", "cell", "activation"),
    [
        ("lstm", lj.lstm(HIDDEN), "tanh"),
        ("lstm", lj.lstm(HIDDEN, peepholes=True), "tanh"),
        ("lstm", lj.lstm(HIDDEN, coupled_gates=True), "tanh"),
        ("lstm", lj.lstm(HIDDEN, coupled_gates=True, peepholes=True), "tanh"),
        ("gru", gru(HIDDEN), "tanh"),
        ("gru", gru(HIDDEN, reset_after=False), "tanh"),
        ("rnn", rnn(HIDDEN), "tanh"),
        ("rnn", rnn(HIDDEN, activation="relu"), "relu"),
    ],
)
def test_our_weights_run_in_onnxruntime_and_come_back_exactly(kind, cell, activation):
    leaves, tree = jax.tree.flatten(cell.init(jax.random.key(0), INPUT))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    values = [jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    params = tree.unflatten(values)
    weights = RecurrentWeights.of(kind, params, activation)
    (node,) = to_onnx(weights)
    jax.tree.map(np.testing.assert_array_equal, from_onnx(node), weights)

    xs = np.random.default_rng(0).normal(size=(TIME, BATCH, INPUT)).astype("f")
    carry, ys = lj.scan(cell, params, None, jnp.asarray(xs))
    theirs = onnxruntime_run(node.op_type, node.attributes, {"X": xs} | node.weights)
    np.testing.assert_allclose(ys, theirs[0][:, 0], **CLOSE)
    np.testing.assert_allclose(carry.hidden, theirs[1][0], **CLOSE)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op_type", GATES)
def test_one_scan_is_the_node(op_type, direction):
    directions = 2 if direction == "bidirectional" else 1
    inputs = random_inputs(op_type, directions)
    lengths = np.array([5, 2, 3], "i")
    attributes = {"hidden_size": HIDDEN, "direction": direction}
    y, *last = onnxruntime_run(op_type, attributes, inputs | {"sequence_lens": lengths})
    arrays = {name: inputs[name] for name in "WRB"}
    weights = from_onnx(OnnxNode(op_type, attributes, arrays))
    cell, params = weights.cell_and_params()
    states = [inputs[name] for name in ("initial_h", "initial_c") if name in inputs]
    carry, ys = lj.scan(
        cell, params, weights.carry(*states), jnp.asarray(inputs["X"]),
        lengths=jnp.asarray(lengths), reverse=direction == "reverse",
    )  # fmt: skip
    expected = np.swapaxes(y, 1, 2).reshape(TIME, BATCH, -1)
    assert_same([ys, *weights.states(carry)], [expected, *last])
    (back,) = to_onnx(weights, reverse=direction == "reverse")
    assert back.attributes["direction"] == direction
    np.testing.assert_array_equal(back.weights["R"], inputs["R"])


def model_of(nodes):
    """A model in which each node reads what the one before gives, as to_onnx says."""
    helper, inside, stored, x = onnx.helper, [], [], "X"
    for i, node in enumerate(nodes):
        names = [f"{name}_{i}" for name in node.weights]
        stored += [
            onnx.numpy_helper.from_array(values, name)
            for name, values in zip(names, node.weights.values(), strict=True)
        ]
        inside.append(helper.make_node(node.op_type, [x, *names], [f"Y_{i}"], **node.attributes))
        inside.append(helper.make_node("Transpose", [f"Y_{i}"], [f"T_{i}"], perm=[0, 2, 1, 3]))
        inside.append(helper.make_node("Reshape", [f"T_{i}", "shape"], [f"X_{i}"]))
        x = f"X_{i}"
    stored.append(onnx.numpy_helper.from_array(np.array([0, 0, -1], np.int64), "shape"))
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (None, None, None))
        for name in ("X", x)
    ]
    graph = helper.make_graph(inside, "layers", values[:1], values[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)


def test_layers_of_a_model_file(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle")
    layer = lj.bidirectional(gru(HIDDEN))
    network = lj.stack([layer, layer])
    weights = RecurrentWeights.of("gru", network.init(jax.random.key(0), INPUT))
    path = tmp_path / "layers.onnx"
    onnx.save(model_of(to_onnx(weights)), path)
    read = read_onnx(path)
    assert list(read) == ["GRU_0", "GRU_1"]
    again = from_onnx(*read.values())
    jax.tree.map(np.testing.assert_array_equal, again, weights)
    cell, params = again.cell_and_params()
    xs = random_inputs("GRU")["X"]
    ys = lj.scan(cell, params, None, jnp.asarray(xs))[1]
    np.testing.assert_allclose(ys, runtime.InferenceSession(path).run(None, {"X": xs})[0], **CLOSE)


def test_arrays_of_a_model_are_found_or_named():
    weights = RecurrentWeights.of("lstm", lj.lstm(HIDDEN).init(jax.random.key(0), INPUT))
    (node,) = to_onnx(weights)
    model = model_of([node])
    stored = {one.name: one for one in model.graph.initializer}
    model.graph.initializer.remove(stored["W_0"])
    with pytest.raises(ValueError, match="LSTM_0: W is computed by the model, not stored in it"):
        read_onnx(model)
    constant = onnx.helper.make_node("Constant", [], ["W_0"], value=stored["W_0"])
    model.graph.node.insert(0, constant)
    jax.tree.map(np.testing.assert_array_equal, from_onnx(*read_onnx(model).values()), weights)
    del model.graph.node[:]
    with pytest.raises(ValueError, match="no node LSTM, GRU, RNN"):
        read_onnx(model)


def test_nodes_that_do_not_go_together_are_refused():
    def node(op_type, inputs=INPUT, **attributes):
        rows = GATES[op_type] * HIDDEN
        arrays = {"W": np.ones((1, rows, inputs), "f"), "R": np.ones((1, rows, HIDDEN), "f")}
        return OnnxNode(op_type, attributes, arrays)

    with pytest.raises(ValueError, match="agree in kind, got gru, lstm"):
        from_onnx(node("LSTM"), node("GRU", HIDDEN))
    with pytest.raises(ValueError, match="agree in activation, got relu, tanh"):
        from_onnx(node("RNN"), node("RNN", HIDDEN, activations=["Relu"]))
    with pytest.raises(ValueError, match="agree in direction, got forward, reverse"):
        from_onnx(node("RNN"), node("RNN", HIDDEN, direction="reverse"))
    with pytest.raises(ValueError, match="node 1: hidden_size is 7"):
        from_onnx(node("LSTM"), node("LSTM", HIDDEN, hidden_size=7))
    with pytest.raises(ValueError, match="layer 1, direction 0: kernel must have 4 rows"):
        from_onnx(node("LSTM"), node("LSTM"))
    with pytest.raises(ValueError, match="at least one node"):
        from_onnx()


def test_what_one_node_cannot_be_is_refused():
    layer = lj.bidirectional(lj.lstm(4)).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="reverse: layer 0 reads in both directions"):
        to_onnx(RecurrentWeights.of("lstm", layer), reverse=True)
    uneven = lj.bidirectional(lj.lstm(4), lj.lstm(5)).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="needs directions alike"):
        to_onnx(RecurrentWeights.of("lstm", uneven))


def test_what_our_cells_do_not_have_is_refused_by_from_onnx():
    weights = random_inputs("LSTM", states=False)
    del weights["X"]
    with pytest.raises(ValueError, match="import_node runs them"):
        from_onnx(("LSTM", {"clip": 1.0}, weights))


def test_what_onnx_cannot_hold_is_named():
    params = lj.lstm(4, projection_size=2).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="cannot hold projection_kernel"):
        to_onnx(RecurrentWeights.of("lstm", params))
