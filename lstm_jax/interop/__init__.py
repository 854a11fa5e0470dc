"""Weights in and out: torch, Keras, Flax and ONNX."""

from lstm_jax.interop.flax import from_linen, from_nnx, to_linen, to_nnx
from lstm_jax.interop.keras import from_keras, to_keras
from lstm_jax.interop.onnx import OnnxNode, from_onnx, read_onnx, to_onnx
from lstm_jax.interop.onnx_run import import_node, run_node
from lstm_jax.interop.torch import from_torch, to_torch
from lstm_jax.interop.weights import RecurrentWeights

__all__ = [
    "OnnxNode",
    "RecurrentWeights",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_onnx",
    "from_torch",
    "import_node",
    "read_onnx",
    "run_node",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_onnx",
    "to_torch",
]
