"""The examples of docs/frameworks.md run, and compute what `scan` computes."""

import ast
import doctest
import importlib.util
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/frameworks.md").read_text()
CELL = lj.lstm(hidden_size=32)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def blocks(title):
    """The code of the blocks under a title, those of doctests as plain code."""
    section = re.split(rf"^##+ {title}$", PAGE, flags=re.MULTILINE)[1]
    section = re.split(r"^##+ ", section, flags=re.MULTILINE)[0]
    found = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    return [doctest.script_from_examples(code) if ">>>" in code else code for code in found]


def run(code):
    """The names that a block leaves; what it imports and is not here skips the test."""
    for node in ast.walk(ast.parse(code)):
        modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module]
        for package in {name.partition(".")[0] for name in modules}:
            if importlib.util.find_spec(package) is None:  # an import might need settings before
                pytest.skip(f"{package} is not installed")
    namespace = {"__name__": "example"}
    exec(compile(code, "docs/frameworks.md", "exec"), namespace)
    return namespace


# Each example as (params, predict(params, xs, lengths), lstm params, head's kernel and bias).
def plain_jax(names):
    def parts(params):
        return params["lstm"], params["head"]["kernel"], params["head"]["bias"]

    return names["params"], names["classify"], parts


def linen(names):
    def parts(params):
        params = params["params"]
        return params["lstm"]["cell"], params["head"]["kernel"], params["head"]["bias"]

    return names["params"], names["model"].apply, parts


def nnx(names):
    from flax import nnx

    graph, state = nnx.split(names["model"])

    def parts(state):
        state = nnx.to_pure_dict(state)
        return state["lstm"]["params"], state["head"]["kernel"], state["head"]["bias"]

    return state, lambda state, xs, lengths: nnx.merge(graph, state)(xs, lengths), parts


def equinox(names):
    import equinox

    params, static = equinox.partition(names["model"], equinox.is_array)

    def predict(params, xs, lengths):
        model = equinox.combine(params, static)
        return model(xs, lengths) if xs.ndim == 2 else jax.vmap(model)(xs, lengths)

    return params, predict, lambda p: (p.lstm.params, p.head.weight.T, p.head.bias)


def haiku(names):
    def parts(params):
        return params["lstm"], params["head"]["w"], params["head"]["b"]

    return names["params"], names["model"].apply, parts


EXAMPLES = {
    "Plain JAX": (plain_jax, 1),
    "Flax linen": (linen, 0),
    "Flax nnx": (nnx, 0),
    "Equinox": (equinox, 0),
    "Haiku": (haiku, 1),
}


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request):
    """An example that has run: its parts, its batch, and the axis of the batch in `xs`."""
    adapt, batch_axis = EXAMPLES[request.param]
    names = run("\n".join(blocks(request.param)))
    return *adapt(names), names["xs"], names["lengths"], batch_axis, names


def reference(parts, batch_axis):
    """The same classifier as `scan` of a cell and a linear map."""

    def predict(params, xs, lengths):
        lstm, kernel, bias = parts(params)
        xs = jnp.moveaxis(xs, batch_axis, 1)
        carry, _ = lj.scan(CELL, lstm, None, xs, lengths=lengths, backend="reference")
        return carry.hidden @ kernel + bias

    return predict


def test_equals_scan_in_value_and_gradient(example):
    params, predict, parts, xs, lengths, batch_axis, _ = example
    expected = reference(parts, batch_axis)
    logits = predict(params, xs, lengths)
    assert logits.shape == (16, 2)
    np.testing.assert_allclose(logits, expected(params, xs, lengths), **CLOSE)

    def gradients(function):
        return jax.grad(lambda p: (function(p, xs, lengths) ** 2).sum())(params)

    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5),
        gradients(predict),
        gradients(expected),
    )


def test_jit_and_vmap_change_nothing(example):
    params, predict, _, xs, lengths, batch_axis, _ = example
    logits = predict(params, xs, lengths)
    np.testing.assert_allclose(jax.jit(predict)(params, xs, lengths), logits, **CLOSE)
    each = jax.vmap(predict, in_axes=(None, batch_axis, 0))(params, xs, lengths)
    np.testing.assert_allclose(each, logits, **CLOSE)


def test_what_stands_in_the_padding_changes_nothing(example):
    params, predict, _, xs, lengths, batch_axis, _ = example
    padding = jnp.arange(20) >= lengths[:, None]
    padding = (padding if batch_axis == 0 else padding.T)[..., None]
    np.testing.assert_array_equal(
        predict(params, jnp.where(padding, jnp.inf, xs), lengths), predict(params, xs, lengths)
    )


@pytest.mark.parametrize("example", ["Equinox", "Haiku"], indirect=True)  # doctests say it too
def test_one_step_of_the_optimizer_lowers_the_loss(example):
    *_, names = example
    assert names["after"] < names["before"]


def block_of(title, package):
    (code,) = [code for code in blocks(title) if f"import {package}" in code]
    return run(code)


def test_torch():
    names = block_of("torch", "torch")
    for ours, theirs in (("ys", "output"), ("h", "h_n"), ("c", "c_n")):
        np.testing.assert_allclose(names[ours], names[theirs].detach(), rtol=1e-4, atol=1e-5)
    loaded = names["from_torch"](names["module"]).cell_and_params()[1]
    jax.tree.map(np.testing.assert_array_equal, loaded, names["trained"])


def test_keras():
    names = block_of("Keras", "keras")
    np.testing.assert_allclose(names["last"], names["expected"], rtol=1e-4, atol=1e-5)


def test_onnx():
    names = block_of("ONNX", "onnx")
    session = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = session.InferenceSession(names["model"].SerializeToString())
    (y,) = session.run(None, {"X": names["xs"]})  # [time, direction, batch, hidden]
    expected = np.swapaxes(y, 1, 2).reshape(20, 4, 16)
    np.testing.assert_allclose(names["ys"], expected, rtol=1e-4, atol=1e-5)
