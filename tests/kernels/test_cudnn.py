"""The cuDNN backend on any machine: everything but cuDNN itself, which JAX's own reference plays.

`jax.experimental.rnn.lstm_ref` is the plain LSTM in cuDNN's layout; it stands in for the two calls.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import rnn
from jax.interpreters import mlir

import lstm_jax as lj
from lstm_jax.kernels import Request, cudnn, select, sequence

TIME, BATCH, INPUT, HIDDEN = 7, 5, 3, 4
LENGTHS = jnp.array([7, 3, 0, 1, 6])
CELL = lj.lstm(HIDDEN)
PARAMS = CELL.init(jax.random.key(0), INPUT)
XS = jax.random.normal(jax.random.key(1), (TIME, BATCH, INPUT))
CARRY = lj.LSTMCarry(*jax.random.normal(jax.random.key(2), (2, BATCH, HIDDEN)))
scan = functools.partial(lj.scan, backend="cudnn")
reference = functools.partial(lj.scan, backend="reference")


def assert_close(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def played(x, h, c, weights, lengths, *, precision, **sizes):
    dropout = sizes.pop("dropout")
    parts = rnn.unpack_lstm_weights(weights, **sizes)
    return rnn.lstm_ref(x, h, c, *parts, lengths, dropout=dropout, **sizes)


@pytest.fixture
def calls(monkeypatch):
    """The calls of cuDNN, as (name, precision, batch), on a machine that seems to have it."""
    made = []

    def forward(x, h, c, weights, lengths, **sizes):
        made.append(("forward", sizes["precision"], len(x)))
        out = played(x, h, c, weights, lengths, **sizes)
        # As cuDNN fails as a whole where a sequence has no step.
        out = jax.tree.map(lambda a: jnp.where(lengths.min() < 1, jnp.nan, a), out)
        return out, (x, h, c, weights, lengths, out[0], jnp.zeros(1))

    def backward(residuals, gradients, **sizes):
        x, h, c, weights, lengths = residuals[:5]
        made.append(("backward", sizes["precision"], len(x)))
        run = functools.partial(played, lengths=lengths, **sizes)
        _, pull = jax.vjp(lambda *arrays: run(*arrays), x, h, c, weights)
        d_x, *others = pull(gradients)
        padding = jnp.arange(x.shape[1]) >= lengths[:, None]
        d_x = jnp.where(padding[..., None], jnp.nan, d_x)  # memory that nobody wrote
        return d_x, *others, jnp.zeros_like(lengths)

    monkeypatch.setattr(rnn, "lstm_fwd", forward)
    monkeypatch.setattr(rnn, "lstm_bwd", backward)
    monkeypatch.setattr(sequence, "current_platform", lambda: "cuda")
    return made


def value_and_gradients(run, params, carry, xs, **options):
    def loss(params, carry, xs):
        last, ys = run(CELL, params, carry, xs, **options)
        total = jnp.sum(jnp.sin(ys) * jnp.arange(1, ys.size + 1).reshape(ys.shape) / ys.size)
        return total + jnp.sum(last.cell * 2 + last.hidden**2), (last, ys)

    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, carry, xs)


def test_the_packed_weights_are_those_that_jax_unpacks():
    sizes = {"input_size": INPUT, "hidden_size": HIDDEN, "num_layers": 1, "bidirectional": False}
    packed = cudnn.pack(PARAMS)
    assert packed.size == rnn.get_num_params_in_lstm(**sizes)
    w_ih, w_hh, b_ih, b_hh = (part[0] for part in rnn.unpack_lstm_weights(packed, **sizes))
    np.testing.assert_array_equal(w_ih, PARAMS["kernel"].T)
    np.testing.assert_array_equal(w_hh, PARAMS["recurrent_kernel"].T)
    np.testing.assert_array_equal(b_ih + b_hh, PARAMS["bias"])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_equals_the_reference_in_value_and_gradient(calls, lengths, reverse):
    options = {"lengths": lengths, "reverse": reverse}
    actual = value_and_gradients(scan, PARAMS, CARRY, XS, **options)
    assert {name for name, *_ in calls} == {"forward", "backward"}
    assert_close(actual, value_and_gradients(reference, PARAMS, CARRY, XS, **options))


@pytest.mark.parametrize("reverse", [False, True])
def test_equals_the_reference_under_jit_and_in_chunks(calls, reverse):
    @jax.jit
    def run(xs):
        options = {"lengths": LENGTHS, "reverse": reverse, "remat": 3}
        return value_and_gradients(scan, PARAMS, CARRY, xs, **options)

    expected = value_and_gradients(reference, PARAMS, CARRY, XS, lengths=LENGTHS, reverse=reverse)
    assert_close(run(XS), expected)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_takes_any_batch_axes(calls, shape):
    xs = jax.random.normal(jax.random.key(3), (TIME, *shape, INPUT))
    lengths = jnp.arange(6)[: max(1, np.prod(shape, dtype=int))].reshape(shape)
    actual = scan(CELL, PARAMS, None, xs, lengths=lengths, reverse=True)
    assert_close(actual, reference(CELL, PARAMS, None, xs, lengths=lengths, reverse=True))


def test_shard_map_sums_the_gradient_of_shared_weights(calls, sharded_loss):
    actual = jax.jit(jax.grad(sharded_loss))(PARAMS, CARRY, XS)
    expected = jax.grad(lambda p: jnp.sum(jnp.sin(reference(CELL, p, CARRY, XS)[1])))(PARAMS)
    assert_close(actual, expected)


def test_vmap_of_examples_is_one_call_with_a_batch(calls):
    def loss(params, run):
        def example(x, length):
            return run(CELL, params, None, x, lengths=length)[1]

        return jnp.sum(jnp.sin(jax.vmap(example, (1, 0))(XS, LENGTHS)))

    actual = jax.value_and_grad(loss)(PARAMS, scan)
    assert calls[0][2] == 1  # traced for the types of one example, then never run
    assert {batch for _, _, batch in calls[1:]} == {BATCH}
    assert_close(actual, jax.value_and_grad(loss)(PARAMS, reference))


def test_a_population_of_models_runs_one_after_another(calls):
    population = jax.vmap(lambda key: CELL.init(key, INPUT))(jax.random.split(jax.random.key(4), 3))

    def run(scan):
        return jax.vmap(lambda params: value_and_gradients(scan, params, CARRY, XS))(population)

    assert_close(run(scan), run(reference))


def test_nothing_of_the_padding_comes_into_a_gradient(calls):
    padded = jnp.where((jnp.arange(TIME)[:, None] < LENGTHS)[..., None], XS, jnp.nan)
    for reverse in (False, True):
        options = {"lengths": LENGTHS, "reverse": reverse}
        actual = value_and_gradients(scan, PARAMS, CARRY, padded, **options)
        assert_close(actual, value_and_gradients(reference, PARAMS, CARRY, XS, **options))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, "HIGH"), ("tensorfloat32", "HIGH"), ("highest", "HIGHEST"), ("float32", "HIGHEST")],
)
def test_both_calls_have_the_precision_that_was_asked_for(calls, asked, expected):
    with jax.default_matmul_precision(asked):
        _, pull = jax.vjp(lambda xs: scan(CELL, PARAMS, None, xs)[1], XS)
    pull(jnp.ones((TIME, BATCH, HIDDEN)))  # outside: a derivative may be taken at any time
    assert {(name, precision.name) for name, precision, _ in calls} == {
        ("forward", expected),
        ("backward", expected),
    }


@pytest.fixture
def cuda_without_device(monkeypatch):
    """Lowering for CUDA on any machine: what would ask a device or its plugin is answered here."""
    monkeypatch.setattr(sequence, "current_platform", lambda: "cuda")
    source = rnn.gpu_rnn
    sizes = "compute_rnn_workspace_reserve_space_sizes"
    monkeypatch.setattr(source, sizes, lambda *_: (64, 32), raising=False)
    if source._cuda_rnn:
        return

    class Plugin:
        @staticmethod
        def build_rnn_descriptor(*numbers):
            return repr(numbers)

    forward = functools.partial(source._rnn_fwd_lowering, Plugin, "cu")
    backward = functools.partial(source._rnn_bwd_lowering, Plugin, "cu")
    mlir.register_lowering(rnn.rnn_fwd_p, forward, platform="cuda")
    mlir.register_lowering(rnn.rnn_bwd_p, backward, platform="cuda")


@pytest.fixture
def sharded_loss():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec

    def loss(params, carry, xs):
        def local(params, carry, xs):
            return jax.lax.psum(jnp.sum(jnp.sin(scan(CELL, params, carry, xs)[1])), "data")

        specs = spec(), spec("data"), spec(None, "data")
        return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=spec())(params, carry, xs)

    return loss


def test_lowers_to_the_calls_of_cudnn(cuda_without_device, sharded_loss):
    def loss(params, carry, xs):
        last, ys = scan(CELL, params, carry, xs, lengths=LENGTHS, reverse=True)
        return ys.sum() + last.cell.sum()

    targets = "cudnn_rnn_ffi", "cudnn_rnn_bwd_ffi"
    unchecked = *targets, "LayoutConstraint"
    checks = [export.DisabledSafetyCheck.custom_call(target) for target in unchecked]

    def calls(function, params):
        function = export.export(jax.jit(function), platforms=["cuda"], disabled_checks=checks)
        module = function(params, CARRY, XS).mlir_module()
        found = re.findall(r"@(cu\w+)\(([^)]*)\)", module)
        constrained = set(re.findall(r"(%\w+) = stablehlo.custom_call @LayoutConstraint", module))
        for target, operands in found:
            free = set(operands.split(", ")) - constrained
            # JAX itself gives the backward call zeros to add to.
            assert len(free) == (target == "cudnn_rnn_bwd_ffi"), (target, free)
        return [target for target, _ in found]

    gradients = jax.value_and_grad(loss, (0, 1, 2))
    assert calls(loss, PARAMS) == ["cudnn_rnn_ffi"]
    assert calls(gradients, PARAMS) == list(targets)
    assert calls(jax.grad(sharded_loss), PARAMS) == list(targets)
    # In loops over the models, each with one call.
    population = jax.tree.map(lambda p: jnp.stack([p, p]), PARAMS)
    assert calls(jax.vmap(gradients, (0, None, None)), population) == list(targets)


def test_outputs_are_not_taken_for_the_same_on_all_devices(cuda_without_device):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec

    def trace(out_spec):
        run = jax.shard_map(
            lambda xs: scan(CELL, PARAMS, None, xs)[1],
            mesh=mesh,
            in_specs=spec(None, "data"),
            out_specs=out_spec,
        )
        return jax.eval_shape(run, XS)

    assert trace(spec(None, "data")).shape == (TIME, BATCH, HIDDEN)
    with pytest.raises(ValueError, match="out_specs"):
        trace(spec())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"platform": "cpu"}, "needs an NVIDIA GPU, and programs run on cpu here"),
        ({"platform": "rocm"}, "needs an NVIDIA GPU, and programs run on rocm here"),
        ({"dtypes": frozenset({"bfloat16", "float32"})}, "float32 alone, not bfloat16, float32"),
        ({"mask": "any"}, "lengths and no masks"),
        ({"resets": True}, "has no resets"),
        ({"carries": True}, "only the last carry"),
        ({"time": 0}, "needs a step and an example"),
    ],
)
def test_what_it_lacks_is_said(change, message):
    request = Request(platform="cuda")._replace(**change)
    with pytest.raises(ValueError, match=f"backend 'cudnn' cannot run this cell: .*{message}"):
        select("cudnn", CELL, request)
    assert message in select("auto", CELL, request).others["cudnn"]


def test_another_cell_than_the_plain_lstm_is_refused():
    for cell in (lj.gru(HIDDEN), lj.lstm(HIDDEN, peepholes=True), lj.zoneout(CELL, 0.1)):
        with pytest.raises(ValueError, match="cuDNN has the plain LSTM alone"):
            select("cudnn", cell, Request(platform="cuda"))


def test_is_taken_by_name_and_not_by_auto():
    request = Request(platform="cuda", mask="lengths", reverse=True)
    assert select("cudnn", CELL, request).name == "cudnn"
    choice = select("auto", CELL, request)
    assert choice.name == "deferred"
    assert choice.others["cudnn"] == "slower"
