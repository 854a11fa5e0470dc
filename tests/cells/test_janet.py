"""JANET against its equations, and as an LSTM of onnxruntime whose output gate is open."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.janet import JANETCarry, janet
from tests.cells.naive import assert_follows, noisy, sigmoid


@pytest.mark.parametrize("beta", [1.0, 0.0, -0.5])
def test_follows_the_equations(beta):
    def reference(params, carry, x):
        h = carry.hidden
        s, g = np.split(x @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"], 2)
        new = sigmoid(s) * h + (1 - sigmoid(s - beta)) * np.tanh(g)
        return JANETCarry(new), new

    assert_follows(janet(4, beta=beta), reference, input_size=3)


def onnxruntime_lstm(xs, kernel, recurrent_kernel, bias):
    """The outputs h' = sigmoid(o) * c' of an LSTM that shows its memory as it is; gates i o f c."""
    onnx = pytest.importorskip("onnx", reason="onnx describes the reference to onnxruntime")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime, the reference")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    inputs = {
        "X": np.asarray(xs),
        "W": np.asarray(kernel).T[None],
        "R": np.asarray(recurrent_kernel).T[None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
    }
    node = helper.make_node(
        "LSTM",
        list(inputs),
        ["Y"],
        hidden_size=len(recurrent_kernel),
        activations=["Sigmoid", "Tanh", "Affine"],  # of gates, candidate and shown memory
        activation_alpha=[1.0],
        activation_beta=[0.0],
    )
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info(n, kind, a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info("Y", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)
    return runtime.InferenceSession(model.SerializeToString()).run(None, inputs)[0][:, 0]


@pytest.mark.parametrize("beta", [1.0, 0.0, -0.5])
def test_equals_an_lstm_of_onnxruntime_with_its_gates_tied(beta):
    cell = janet(4, beta=beta)
    params = noisy(cell.init(jax.random.key(0), 3), seed=1)
    xs = jax.random.normal(jax.random.key(1), (9, 2, 3))

    def tied(array, input_gate, output_gate):
        """i = 1 - sigmoid(s - beta) = sigmoid(beta - s), and an output gate that is one."""
        s, g = jnp.split(array, 2, axis=-1)
        blocks = [input_gate - s, jnp.full_like(s, output_gate), s, g]
        return np.concatenate(blocks, axis=-1)

    expected = onnxruntime_lstm(
        xs,
        tied(params["kernel"], 0.0, 0.0),
        tied(params["recurrent_kernel"], 0.0, 0.0),
        tied(params["bias"], beta, 100.0),
    )
    ys = lj.scan(cell, params, None, xs)[1]
    np.testing.assert_allclose(ys, expected, rtol=1e-4, atol=1e-5)


def test_without_beta_the_state_stays_between_minus_one_and_one():
    cell = janet(4, beta=0.0)
    params = cell.init(jax.random.key(0), 3)
    xs = 10 * jax.random.normal(jax.random.key(1), (50, 3))
    assert jnp.abs(lj.scan(cell, params, None, xs)[1]).max() <= 1


def test_chrono_initialisation_spreads_forget_biases_up_to_the_longest_time():
    bias = janet(500, chrono_max=101).init(jax.random.key(0), 1)["bias"]
    steps = np.exp(bias[:500])
    assert steps.min() >= 1
    assert steps.max() <= 100.001
    assert abs(steps.mean() - 50.5) < 5
    assert not bias[500:].any()


def test_forget_biases_start_at_one_without_it():
    np.testing.assert_array_equal(janet(3).init(jax.random.key(0), 2)["bias"], [1, 1, 1, 0, 0, 0])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        janet(0)
    with pytest.raises(ValueError, match="chrono_max must be at least 2, got 1"):
        janet(3, chrono_max=1)
