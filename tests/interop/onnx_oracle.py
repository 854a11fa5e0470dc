"""Random nodes of ONNX, and what onnxruntime makes of them."""

import numpy as np
import pytest

from lstm_jax.interop.onnx_node import INPUTS

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
TIME, BATCH, INPUT, HIDDEN = 5, 3, 2, 4


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
    onnx = pytest.importorskip("onnx", reason="onnx makes the model")
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
