"""torch's own modules against our cells with their weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm_jax as lj
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn
from lstm_jax.interop import RecurrentWeights, from_torch, to_torch

torch = pytest.importorskip("torch", reason="torch is the oracle")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}


def run(weights, xs):
    """All layers and directions; the outputs [time, batch, directions * output]."""
    cell = weights.cell()
    for directions in weights.layers:
        ys = [
            lj.scan(cell, params, None, xs, reverse=bool(d))[1]
            for d, params in enumerate(directions)
        ]
        xs = jnp.concatenate(ys, axis=-1)
    return xs


def arrays(state):
    return {name: np.asarray(values) for name, values in state.items()}


def state(kind="lstm", **options):
    torch.manual_seed(0)
    return arrays(MODULES[kind](3, 4, **options).state_dict())


@st.composite
def modules(draw):
    kind = draw(st.sampled_from(sorted(MODULES)))
    hidden = draw(st.integers(1, 5))
    options = {
        "num_layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    if kind == "rnn":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind == "lstm" and hidden > 1 and draw(st.booleans()):
        options["proj_size"] = draw(st.integers(1, hidden - 1))
    torch.manual_seed(draw(st.integers(0, 99)))
    return kind, MODULES[kind](draw(st.integers(1, 4)), hidden, **options)


@settings(max_examples=10, deadline=None)
@given(modules())
def test_computes_what_the_module_computes_and_comes_back_exactly(drawn):
    kind, module = drawn
    weights = from_torch(module)
    assert (weights.kind, weights.hidden_size) == (kind, module.hidden_size)
    assert (weights.num_layers, weights.bidirectional) == (module.num_layers, module.bidirectional)
    assert weights.projection_size == (module.proj_size or None)
    xs = torch.randn(6, 2, module.input_size)
    expected = module(xs)[0].detach()
    np.testing.assert_allclose(run(weights, jnp.asarray(xs.numpy())), expected, **CLOSE)

    back = to_torch(weights, bias=module.bias)
    assert back.keys() == module.state_dict().keys()
    jax.tree.map(
        np.testing.assert_array_equal,
        from_torch(back, activation=weights.activation)._asdict(),
        weights._asdict(),
    )
    module.load_state_dict({name: torch.from_numpy(values) for name, values in back.items()})
    np.testing.assert_allclose(module(xs)[0].detach(), expected, **CLOSE)


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("lstm", lj.lstm(4)),
        ("lstm", lj.lstm(4, projection_size=2)),
        ("gru", gru(4)),
        ("rnn", rnn(4)),
    ],
)
def test_our_weights_come_back_exactly(kind, cell):
    params = cell.init(jax.random.key(0), 3)
    params["bias"] = jax.random.normal(jax.random.key(1), params["bias"].shape)
    back = from_torch(to_torch(RecurrentWeights.of(kind, params)))
    assert back.kind == kind
    jax.tree.map(np.testing.assert_array_equal, back.layers[0][0], params)


def test_gradients_are_those_of_torch():
    module = torch.nn.GRU(3, 4, num_layers=2)
    weights = from_torch(module)
    xs = torch.randn(5, 2, 3)
    (module(xs)[0] ** 2).sum().backward()

    def loss(layers):
        return (run(weights._replace(layers=layers), jnp.asarray(xs.numpy())) ** 2).sum()

    grads = to_torch(weights._replace(layers=jax.grad(loss)(weights.layers)))
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(grads[name], parameter.grad, err_msg=name, **CLOSE)


def test_reads_a_safetensors_file(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors writes the file")
    path = tmp_path / "weights.safetensors"
    expected = state(num_layers=2, bidirectional=True)
    numpy.save_file({f"encoder.{k}": v for k, v in expected.items()} | {"head": np.ones(2)}, path)
    weights = from_torch(path, prefix="encoder.")
    jax.tree.map(np.testing.assert_array_equal, weights, from_torch(expected))
    numpy.save_file(to_torch(weights), path)  # refuses what is not laid out row by row
    jax.tree.map(np.testing.assert_array_equal, from_torch(path), weights)


def test_half_precision_is_kept():
    module = torch.nn.LSTM(3, 4, dtype=torch.bfloat16)
    kernel = from_torch(module).layers[0][0]["kernel"]
    assert kernel.dtype == jnp.bfloat16
    expected = module.weight_ih_l0.detach().float().numpy().T
    np.testing.assert_array_equal(kernel.astype(jnp.float32), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh_l0": np.ones((16, 3), "f")}, "weight_ih_l0 has 16 rows for hidden size 3"),
        ({"bias_ih_l0": np.ones(12, "f")}, r"bias_ih_l0 must have shape \(16,\), got \(12,\)"),
        ({"weight_ih_l2": np.ones((16, 4), "f")}, "weight_hh_l1 is missing|bias_hh_l1 is missing"),
        ({"weight_ih_l0": np.ones((16, 3), int)}, "weight_ih_l0 must hold floating-point numbers"),
        ({"weight_ih_l0": np.ones((16, 3))}, "weight_ih_l0 is float64"),
        ({"head.weight": np.ones((16, 3), "f")}, "'head.weight' is no weight of a torch LSTM"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_torch(state() | change)


def test_a_direction_that_is_missing_is_named():
    broken = state(bidirectional=True)
    del broken["weight_hh_l0_reverse"]
    with pytest.raises(ValueError, match="weight_hh_l0_reverse is missing"):
        from_torch(broken)


def test_a_prefix_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no name begins with 'decoder\.'"):
        from_torch(state(), prefix="decoder.")


@pytest.mark.parametrize(
    ("kind", "cell", "message"),
    [
        ("lstm", lj.lstm(4, peepholes=True), "torch's LSTM cannot hold peephole_kernel"),
        ("lstm", lj.lstm(4, coupled_gates=True), "coupled_gates"),
        ("gru", gru(4, reset_after=False), "reset_after=False"),
    ],
)
def test_what_torch_cannot_hold_is_named(kind, cell, message):
    with pytest.raises(ValueError, match=message):
        to_torch(RecurrentWeights.of(kind, cell.init(jax.random.key(0), 3)))


def test_a_bias_is_not_dropped_in_silence():
    weights = RecurrentWeights.of("lstm", lj.lstm(4).init(jax.random.key(0), 3))
    with pytest.raises(ValueError, match="bias is not zero"):
        to_torch(weights, bias=False)
