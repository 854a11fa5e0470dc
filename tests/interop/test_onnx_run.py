"""ONNX nodes by our cells, against ONNX's own cases and onnxruntime."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.interop import import_node, run_node
from tests.interop.onnx_oracle import GATES, HIDDEN, assert_same, onnxruntime_run, random_inputs

onnx = pytest.importorskip("onnx", reason="onnx has the cases")


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
