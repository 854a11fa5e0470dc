"""ONNX nodes by our cells, against ONNX's own cases and onnxruntime."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn
from lstm_jax.interop import (
    OnnxNode,
    RecurrentWeights,
    from_onnx,
    import_node,
    read_onnx,
    run_node,
    to_onnx,
)
from lstm_jax.interop.onnx_node import INPUTS

onnx = pytest.importorskip("onnx", reason="onnx has the cases")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
TIME, BATCH, INPUT, HIDDEN = 5, 3, 2, 4


def node_cases():
    """The cases register themselves on import; all of ONNX's would take many seconds."""
    from onnx.backend.test.case import node

    for op_type in GATES:
        importlib.import_module(f"onnx.backend.test.case.node.{op_type.lower()}")
    cases = {case.name: case for case in node._NodeTestCases}
    return {n: case for n, case in cases.items() if case.model.graph.node[0].op_type in GATES}


CASES = node_cases()


def test_there_are_the_cases_of_the_standard():
    assert len(CASES) == 18
    assert sum("batchwise" in name for name in CASES) == 3


@pytest.mark.parametrize("name", CASES)
def test_case_of_the_standard(name):
    case = CASES[name]
    node = case.model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for inputs, expected in case.data_sets:
        given = iter(inputs)
        inputs = [next(given) if slot else None for slot in node.input]
        outputs = run_node(node.op_type, attributes, inputs)
        named = [y for y, slot in zip(outputs, node.output, strict=False) if slot]
        assert len(named) == len(expected) > 0
        for ours, theirs in zip(named, expected, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=case.rtol, atol=case.atol)


def random_inputs(op_type, directions=1, *, states=True, peepholes=False, seed=0):
    rng = np.random.default_rng(seed)
    rows = GATES[op_type] * HIDDEN
    shapes = {
        "X": (TIME, BATCH, INPUT),
        "W": (directions, rows, INPUT),
        "R": (directions, rows, HIDDEN),
        "B": (directions, 2 * rows),
    }
    if states:
        shapes["initial_h"] = (directions, BATCH, HIDDEN)
    if states and op_type == "LSTM":
        shapes["initial_c"] = (directions, BATCH, HIDDEN)
    if peepholes:
        shapes["P"] = (directions, 3 * HIDDEN)
    return {name: rng.normal(size=shape).astype("f") for name, shape in shapes.items()}


def onnxruntime_run(op_type, attributes, inputs):
    """Y, Y_h and Y_c by onnxruntime, which knows the layout with time first alone."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle")
    helper, types = onnx.helper, onnx.TensorProto
    slots = [name for name in INPUTS if op_type == "LSTM" or name not in ("initial_c", "P")]
    names = [name if name in inputs else "" for name in slots]
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op_type == "LSTM" else 2]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, **attributes)],
        "one_node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape
            )
            for name, values in inputs.items()
        ],
        [helper.make_tensor_value_info(name, types.FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)
    return runtime.InferenceSession(model.SerializeToString()).run(None, inputs)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


OPTIONS = [
    ("LSTM", {}),
    ("LSTM", {"peepholes": True}),
    ("LSTM", {"input_forget": 1}),
    ("LSTM", {"input_forget": 1, "peepholes": True}),
    ("LSTM", {"clip": 0.5, "peepholes": True}),
    ("LSTM", {"clip": 0.5, "input_forget": 1}),
    ("LSTM", {"activations": ["HardSigmoid", "Softsign", "Relu"]}),
    (
        "LSTM",
        {
            "activations": ["Sigmoid", "LeakyRelu", "ScaledTanh"],
            "activation_alpha": [0.3, 1.5],
            "activation_beta": [0.7],
        },
    ),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"linear_before_reset": 1, "clip": 0.5}),
    ("GRU", {"clip": 0.5}),
    ("GRU", {"activations": ["HardSigmoid", "Elu"]}),
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
    ("RNN", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}),
    ("RNN", {"clip": 0.3}),
]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op_type", "options"), OPTIONS)
def test_equals_onnxruntime(op_type, options, direction):
    options = dict(options)
    directions = 2 if direction == "bidirectional" else 1
    inputs = random_inputs(op_type, directions, peepholes=options.pop("peepholes", False))
    for name in ("activations", "activation_alpha", "activation_beta"):
        if name in options:
            options[name] = options[name] * directions
    attributes = {"hidden_size": HIDDEN, "direction": direction} | options
    assert_same(run_node(op_type, attributes, inputs), onnxruntime_run(op_type, attributes, inputs))


@pytest.mark.parametrize("op_type", GATES)
def test_lengths_equal_onnxruntime(op_type):
    inputs = random_inputs(op_type, 2) | {"sequence_lens": np.array([5, 2, 3], "i")}
    attributes = {"hidden_size": HIDDEN, "direction": "bidirectional"}
    assert_same(run_node(op_type, attributes, inputs), onnxruntime_run(op_type, attributes, inputs))


@pytest.mark.parametrize("op_type", GATES)
def test_batch_first_is_time_first_turned(op_type):
    inputs = random_inputs(op_type, 2)
    turned = {
        name: np.swapaxes(values, 0, 1) if name in ("X", "initial_h", "initial_c") else values
        for name, values in inputs.items()
    }
    attributes = {"direction": "bidirectional"}
    y, *last = run_node(op_type, attributes, inputs)
    y_turned, *last_turned = run_node(op_type, attributes | {"layout": 1}, turned)
    np.testing.assert_array_equal(y_turned, jnp.transpose(y, (2, 0, 1, 3)))
    for one, other in zip(last, last_turned, strict=True):
        np.testing.assert_array_equal(one, jnp.swapaxes(other, 0, 1))


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


def test_a_gradient_flows_through_an_imported_node():
    inputs = random_inputs("LSTM", states=False)
    x = inputs.pop("X")
    run = import_node("LSTM", {}, inputs)
    gradient = jax.grad(lambda x: run(x)[0][0].sum())(jnp.asarray(x))
    assert gradient[0].any()
    assert not gradient[1:].any()  # the first output sees the first input alone


@pytest.mark.parametrize(
    ("op_type", "attributes", "change", "message"),
    [
        ("Conv", {}, {}, "op_type must be one of LSTM, GRU, RNN, got 'Conv'"),
        ("LSTM", {"linear_before_reset": 1}, {}, "LSTM has no attribute linear_before_reset"),
        ("LSTM", {"hidden_size": 7}, {}, "hidden_size is 7, but R has shape"),
        ("LSTM", {"direction": "backward"}, {}, "direction must be one of"),
        ("LSTM", {"direction": "bidirectional"}, {}, r"W must have shape \(2, 16, 2\)"),
        ("LSTM", {"activations": ["Tanh"]}, {}, "activations must be 3 names, got 1"),
        ("RNN", {"activations": ["Sinus"]}, {}, "there is no 'Sinus'"),
        ("RNN", {"activations": ["Affine"]}, {}, "activation_alpha must hold a value for Affine"),
        ("GRU", {}, {"B": np.ones((1, 12), "f")}, r"B must have shape \(1, 24\)"),
        ("GRU", {}, {"P": np.ones((1, 12), "f")}, "P \\(peepholes\\) belongs to an LSTM alone"),
        ("GRU", {}, {"initial_c": np.ones((1, 3, 4), "f")}, "initial_c belongs to an LSTM alone"),
        ("GRU", {}, {"initial_h": np.ones((1, 2, 4), "f")}, "initial_h must have shape"),
        ("GRU", {}, {"X": np.ones((5, 3, 7), "f")}, r"X must have shape"),
        ("GRU", {}, {"X": np.ones((5, 3), "f")}, r"X must have"),
    ],
)
def test_what_does_not_fit_is_named(op_type, attributes, change, message):
    inputs = random_inputs(op_type if op_type in GATES else "LSTM", states=False)
    with pytest.raises(ValueError, match=message):
        run_node(op_type, attributes, inputs | change)


def test_what_our_cells_do_not_have_is_refused_by_from_onnx():
    weights = random_inputs("LSTM", states=False)
    del weights["X"]
    with pytest.raises(ValueError, match="import_node runs them"):
        from_onnx(("LSTM", {"clip": 1.0}, weights))


def test_what_onnx_cannot_hold_is_named():
    params = lj.lstm(4, projection_size=2).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="cannot hold projection_kernel"):
        to_onnx(RecurrentWeights.of("lstm", params))
