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


def run(weights, xs, **options):
    """The carry and the outputs of all layers and directions, in one scan."""
    cell, params = weights.cell_and_params()
    return lj.scan(cell, params, None, jnp.asarray(xs), **options)


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


def assert_states(weights, carry, theirs):
    """The carry is h_n, of an LSTM (h_n, c_n)."""
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    for one, other in zip(weights.states(carry), theirs, strict=True):
        np.testing.assert_allclose(one, other.detach(), **CLOSE)


def check_module(kind, module):
    weights = from_torch(module)
    assert (weights.kind, weights.hidden_size) == (kind, module.hidden_size)
    assert (weights.num_layers, weights.bidirectional) == (module.num_layers, module.bidirectional)
    assert weights.projection_size == (module.proj_size or None)
    xs = torch.randn(6, 2, module.input_size)
    expected, states = module(xs)
    carry, ys = run(weights, xs.numpy())
    np.testing.assert_allclose(ys, expected.detach(), **CLOSE)
    assert_states(weights, carry, states)

    back = to_torch(weights, bias=module.bias)
    assert back.keys() == module.state_dict().keys()
    jax.tree.map(
        np.testing.assert_array_equal,
        from_torch(back, activation=weights.activation)._asdict(),
        weights._asdict(),
    )
    module.load_state_dict({name: torch.from_numpy(values) for name, values in back.items()})
    np.testing.assert_allclose(module(xs)[0].detach(), expected.detach(), **CLOSE)


def check_packed(module, lengths, time):
    """Sequences of any order of lengths, from any state, as torch packs them."""
    weights = from_torch(module)
    xs = torch.randn(time, len(lengths), module.input_size)
    directions = 2 if module.bidirectional else 1
    size = (module.num_layers * directions, len(lengths))
    start = [torch.randn(*size, module.proj_size or module.hidden_size)]
    if weights.kind == "lstm":
        start.append(torch.randn(*size, module.hidden_size))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor(lengths), enforce_sorted=False
    )
    output, states = module(packed, tuple(start) if weights.kind == "lstm" else start[0])
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=time)

    cell, params = weights.cell_and_params()
    carry = weights.carry(*(state.numpy() for state in start))
    given = {"lengths": jnp.array(lengths)}
    carry, ys = lj.scan(cell, params, carry, jnp.asarray(xs.numpy()), **given)
    np.testing.assert_allclose(ys, expected.detach(), **CLOSE)
    assert_states(weights, carry, states)


@st.composite
def packed(draw):
    time = draw(st.integers(1, 7))
    lengths = draw(st.lists(st.integers(1, time), min_size=1, max_size=5))
    return draw(modules())[1], lengths, time


@settings(max_examples=10, deadline=None)
@given(modules())
def test_computes_what_the_module_computes_and_comes_back_exactly(drawn):
    check_module(*drawn)


@settings(max_examples=10, deadline=None)
@given(packed())
def test_lengths_are_what_torch_packs(drawn):
    check_packed(*drawn)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(modules(), packed())
def test_many_configurations(drawn, packed):
    check_module(*drawn)
    check_packed(*packed)


@pytest.mark.parametrize("kind", MODULES)
def test_deep_in_both_directions_with_lengths(kind):
    torch.manual_seed(0)
    options = {"proj_size": 2} if kind == "lstm" else {}
    module = MODULES[kind](3, 4, num_layers=3, bidirectional=True, **options)
    check_packed(module, [5, 1, 7, 2], 7)


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
    module = torch.nn.GRU(3, 4, num_layers=2, bidirectional=True)
    weights = from_torch(module)
    xs, lengths = torch.randn(5, 3, 3), [4, 1, 5]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor(lengths), enforce_sorted=False
    )
    (module(packed)[0].data ** 2).sum().backward()

    def loss(layers):
        new = weights._replace(layers=layers)
        return (run(new, xs.numpy(), lengths=jnp.array(lengths))[1] ** 2).sum()

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


def test_a_file_of_torch_in_half_precision_is_read(tmp_path):
    theirs = pytest.importorskip("safetensors.torch", reason="safetensors writes the file")
    module = torch.nn.GRU(3, 4, bidirectional=True, dtype=torch.bfloat16)
    path = tmp_path / "weights.safetensors"
    theirs.save_file({f"net.gru.{k}": v for k, v in module.state_dict().items()}, path)
    read = from_torch(path, prefix="net.gru.")
    assert {leaf.dtype for leaf in jax.tree.leaves(read.layers)} == {jnp.dtype(jnp.bfloat16)}
    jax.tree.map(np.testing.assert_array_equal, read.layers, from_torch(module).layers)


def test_a_module_inside_a_larger_one():
    inner = torch.nn.RNN(3, 4, nonlinearity="relu")
    whole = torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({"rnn": inner})})
    weights = from_torch(whole, prefix="encoder.rnn.")
    assert weights.activation == "relu"
    jax.tree.map(np.testing.assert_array_equal, weights.layers, from_torch(inner).layers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh_l0": np.ones((16, 3), "f")}, "weight_ih_l0 has 16 rows for hidden size 3"),
        ({"bias_ih_l0": np.ones(12, "f")}, r"bias_ih_l0 must have shape \(16,\), got \(12,\)"),
        ({"weight_ih_l2": np.ones((16, 4), "f")}, "weight_hh_l1 is missing|bias_hh_l1 is missing"),
        ({"weight_ih_l0": np.ones((16, 3), int)}, "weight_ih_l0 must hold floating-point numbers"),
        ({"weight_ih_l0": np.ones((16, 3))}, "weight_ih_l0 is float64"),
        ({"head.weight": np.ones((16, 3), "f")}, "'head.weight' is no weight of a torch LSTM"),
        ({"weight_hh_l0": np.ones(16, "f")}, r"weight_hh_l0 must have 2 axes, got shape \(16,\)"),
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


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("", r"'encoder\.rnn\.\w+' is no weight .*; there are 'decoder\.', 'encoder\.rnn\.'"),
        ("encoder.rnn", "is no weight .*; there are"),  # the dot belongs to it
        ("encoder.", "is no weight .*; there are"),
        ("encodr.", r"no name begins with 'encodr\.'; .*; there are 'decoder\.', 'encoder\.rnn\.'"),
    ],
)
def test_a_prefix_that_does_not_fit_is_told_the_right_ones(prefix, message):
    larger = {f"encoder.rnn.{k}": v for k, v in state().items()}
    larger |= {f"decoder.{k}": v for k, v in state("gru").items()} | {"head.bias": np.ones(2, "f")}
    with pytest.raises(ValueError, match=message):
        from_torch(larger, prefix=prefix)
    assert from_torch(larger, prefix="decoder.").kind == "gru"


def test_a_weight_is_named_with_its_prefix():
    larger = {f"encoder.{k}": v for k, v in state(num_layers=2).items()}
    with pytest.raises(ValueError, match=r"encoder\.bias_hh_l0 must have shape \(16,\)"):
        from_torch(larger | {"encoder.bias_hh_l0": np.ones(3, "f")}, prefix="encoder.")
    del larger["encoder.weight_hh_l1"]
    with pytest.raises(ValueError, match=r"encoder\.weight_hh_l1 is missing"):
        from_torch(larger, prefix="encoder.")


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the state is empty"):
        from_torch({})
    with pytest.raises(ValueError, match="source must be a module, a state or a path, got 3"):
        from_torch(3)
    whole = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(3, 4)})
    with pytest.raises(ValueError, match=r"no name begins with 'rnn\.'; .*; there are 'encoder\.'"):
        from_torch(whole, prefix="rnn.")
    pytest.importorskip("safetensors", reason="safetensors reads files")
    torch.save(whole.state_dict(), path := tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"weights\.pt cannot be read as safetensors"):
        from_torch(path)


def test_layers_that_no_module_has_are_refused():
    for sizes in ((4, 5), (5, 4)):
        deep = lj.stack([lj.lstm(size) for size in sizes])
        weights = RecurrentWeights.of("lstm", deep.init(jax.random.key(0), 3))
        with pytest.raises(ValueError, match="all layers of a torch module have one size"):
            to_torch(weights)
    mixed = lj.stack([lj.bidirectional(lj.lstm(4)), lj.lstm(4)])
    with pytest.raises(ValueError, match="the same directions"):
        to_torch(RecurrentWeights.of("lstm", mixed.init(jax.random.key(0), 3)))
    summed = lj.bidirectional(lj.lstm(4), merge="sum").init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="cannot hold merge='sum'"):
        to_torch(RecurrentWeights.of("lstm", summed, merge="sum"))


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
