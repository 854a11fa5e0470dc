"""Weight files from a stranger: they hold weights, or a sentence says why not."""

import json
import os
import struct

import jax
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.interop import RecurrentWeights, from_onnx, from_torch, read_onnx, to_onnx

safetensors = pytest.importorskip("safetensors.numpy")


def safetensors_file(header, content=b""):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + content


def tensor(shape, *, kind="F32", offsets=(0, 32)):
    return {"weight_ih_l0": {"dtype": kind, "shape": shape, "data_offsets": offsets}}


SAFETENSORS = {
    "empty": b"",
    "a header without end": struct.pack("<Q", 2**62) + b"{}",
    "a header that is none": safetensors_file(b"\xff" * 20),
    "a deep header": safetensors_file(b'{"a":' * 100_000),
    "more numbers than bytes": safetensors_file(tensor([10**12]), bytes(32)),
    "sizes that overflow": safetensors_file(tensor([2**62, 2**62]), bytes(32)),
    "a negative size": safetensors_file(tensor([-8]), bytes(32)),
    "offsets outside": safetensors_file(tensor([8], offsets=(10**9, 10**9 + 32)), bytes(32)),
    "offsets backwards": safetensors_file(tensor([8], offsets=(32, 0)), bytes(32)),
    "a type that is none": safetensors_file(tensor([8], kind="PYOBJ"), bytes(32)),
    "a type that numpy lacks": safetensors_file(tensor([32], kind="F8_E4M3"), bytes(32)),
    "integers": safetensors_file(tensor([8], kind="I32"), bytes(32)),
    "another name": safetensors_file({"../../x": tensor([8])["weight_ih_l0"]}, bytes(32)),
    "a layer without end": safetensors_file(
        {"weight_ih_l99999999999": tensor([8])["weight_ih_l0"]}, bytes(32)
    ),
    "a pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
    "an archive of torch": b"PK\3\4" + bytes(100),
}


@pytest.mark.parametrize("what", SAFETENSORS)
def test_a_hostile_safetensors_file_is_refused(tmp_path, what):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(SAFETENSORS[what])
    with pytest.raises(ValueError) as refused:
        from_torch(path)
    assert 0 < len(str(refused.value)) < 1000


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path, make):
    path = tmp_path / "weights"
    make(path)
    for read in (from_torch, read_onnx):
        with pytest.raises((ValueError, OSError)):
            read(path)


def test_layers_are_counted_by_what_is_there():
    """A name of a far layer asks for no work and no memory."""
    state = {
        "weight_ih_l0": np.ones((8, 3), "f"),
        "weight_hh_l0": np.ones((8, 2), "f"),
        "weight_ih_l999999999999": np.ones((8, 2), "f"),
        "weight_hh_l999999999999": np.ones((8, 2), "f"),
    }
    with pytest.raises(ValueError, match="weight_hh_l1 is missing"):
        from_torch(state)


# ONNX


@pytest.fixture
def model():
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    params = lj.lstm(hidden_size=2).init(jax.random.key(0), 3)
    (node,) = to_onnx(RecurrentWeights.of("lstm", params))
    stored = [onnx.numpy_helper.from_array(node.weights[name], name) for name in "WRB"]
    made = helper.make_node("LSTM", ["X", *"WRB"], ["Y"], name="rnn", **node.attributes)
    value = helper.make_tensor_value_info("X", 1, None)
    result = helper.make_tensor_value_info("Y", 1, None)
    return helper.make_model(helper.make_graph([made], "graph", [value], [result], stored))


def outside(tensor, location):
    """The numbers stand in another file."""
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    tensor.data_location = 1  # external
    tensor.ClearField("raw_data")


def dims(tensor, *sizes):
    del tensor.dims[:]
    tensor.dims.extend(sizes)


ONNX = {
    "numbers above the folder": lambda w, tmp: outside(w, "../secret"),
    "numbers anywhere": lambda w, tmp: outside(w, str(tmp / "secret")),
    "numbers behind a link": lambda w, tmp: (
        (tmp / "model" / "link").symlink_to(tmp / "secret"),
        outside(w, "link"),
    ),
    "numbers in a pipe": lambda w, tmp: (
        os.mkfifo(tmp / "model" / "pipe"),
        outside(w, "pipe"),
    ),
    "more numbers than bytes": lambda w, tmp: dims(w, 10**6, 10**6),
    "a negative size": lambda w, tmp: dims(w, 1, -8, 3),
    "a type that is none": lambda w, tmp: setattr(w, "data_type", 99),
    "texts": lambda w, tmp: setattr(w, "data_type", 8),
}


@pytest.mark.parametrize("what", ONNX)
def test_a_hostile_onnx_model_is_refused(tmp_path, model, what):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(np.ones((1, 8, 3), "f").tobytes())
    path = tmp_path / "model" / "model.onnx"
    ONNX[what](model.graph.initializer[0], tmp_path)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError) as refused:
        from_onnx(*read_onnx(path).values())
    assert 0 < len(str(refused.value)) < 1000


def test_what_is_no_onnx_model_is_refused(tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    for content in (b"\x80\x04.", b"\xff" * 100, b"PK\3\4"):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            read_onnx(path)


def test_the_model_itself_is_read(tmp_path, model):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert from_onnx(*read_onnx(path).values()).hidden_size == 2
