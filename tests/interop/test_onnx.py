"""ONNX nodes by our cells, against ONNX's own cases and onnxruntime."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn
from lstm_jax.interop import RecurrentWeights, from_onnx, import_node, run_node, to_onnx
from lstm_jax.interop.onnx import INPUTS

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
    jax.tree.map(np.testing.assert_array_equal, from_onnx(*node), weights)

    xs = np.random.default_rng(0).normal(size=(TIME, BATCH, INPUT)).astype("f")
    carry, ys = lj.scan(cell, params, None, jnp.asarray(xs))
    theirs = onnxruntime_run(node.op_type, node.attributes, {"X": xs} | node.weights)
    np.testing.assert_allclose(ys, theirs[0][:, 0], **CLOSE)
    np.testing.assert_allclose(carry.hidden, theirs[1][0], **CLOSE)


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
        from_onnx("LSTM", {"clip": 1.0}, weights)


def test_what_onnx_cannot_hold_is_named():
    params = lj.lstm(4, projection_size=2).init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="cannot hold projection_kernel"):
        to_onnx(RecurrentWeights.of("lstm", params))
