"""Which backend is chosen, that it is the one that runs, and that `explain` tells it."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.kernels import BACKENDS, BackendName, Request, select
from lstm_jax.kernels.backend import current_platform

TIME, BATCH, INPUT, HIDDEN = 6, 4, 3, 4
GRU, MIN_LSTM = lj.gru(HIDDEN), lj.min_lstm(HIDDEN)
XS = jax.random.normal(jax.random.key(0), (TIME, BATCH, INPUT))
LENGTHS = jnp.array([6, 2, 0, 5])
on_cpu = pytest.mark.skipif(current_platform() != "cpu", reason="tells what auto takes on a CPU")


def init(cell):
    return cell.init(jax.random.key(1), INPUT)


@pytest.fixture
def log(monkeypatch):
    """What every backend was asked, and which ran: (name, request) and name."""
    asked, ran = [], []

    def watch(name, backend):
        def lacking(cell, request):
            asked.append((name, request))
            return backend.lacking(cell, request)

        def run(*args, **options):
            ran.append(name)
            return backend.run(*args, **options)

        return backend._replace(lacking=lacking, run=run)

    for name, backend in list(BACKENDS.items()):
        monkeypatch.setitem(BACKENDS, name, watch(name, backend))
    return asked, ran


def test_every_backend_has_its_name_in_the_type_of_the_argument():
    assert set(get_args(BackendName)) == {"auto", *BACKENDS}
    assert all(name == backend.name for name, backend in BACKENDS.items())


@pytest.mark.parametrize("platform", ["cpu", "cuda", "rocm", "tpu"])
def test_every_backend_is_named_once_on_every_platform(platform):
    for cell in (GRU, MIN_LSTM, lj.mlstm(HIDDEN, num_heads=2)):
        choice = select("auto", cell, Request(platform=platform))
        assert sorted([choice.name, *choice.others]) == sorted(BACKENDS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"lengths": LENGTHS}, {"mask": "lengths"}),
        ({"mask": jnp.ones((TIME, BATCH), bool)}, {"mask": "any"}),
        ({"resets": jnp.ones((TIME, BATCH), bool)}, {"resets": True}),
        ({"reverse": True}, {"reverse": True}),
        ({"return_carries": True}, {"carries": True}),
        ({"key": jax.random.key(0)}, {"random": True}),
    ],
)
def test_a_backend_is_asked_for_what_the_run_is_given(log, options, expected):
    asked, _ = log
    lj.scan(GRU, init(GRU), None, XS, backend="reference", **options)
    lj.explain(GRU, XS, backend="reference", **options)
    (_, by_scan), (_, by_explain) = asked
    assert by_scan == by_explain
    sizes = {"time": TIME, "batch": BATCH, "input_size": INPUT, "carry_size": HIDDEN}
    assert by_scan == Request(platform=current_platform(), **sizes)._replace(**expected)


def test_a_backend_is_told_the_types_of_inputs_parameters_and_carry(log):
    asked, _ = log
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), init(GRU))
    xs = XS.astype(jnp.float16)
    carry = GRU.initial_carry(init(GRU), (BATCH,))
    lj.explain(GRU, xs, params=params, carry=carry, backend="deferred")
    assert asked[-1][1].dtypes == {"float16", "bfloat16", "float32"}


STACK = lj.stack([lj.bidirectional(GRU), MIN_LSTM], dropout=0.1)


@on_cpu
@pytest.mark.parametrize(
    ("cell", "options", "expected"),
    [
        (GRU, {}, ["deferred"]),
        (MIN_LSTM, {}, ["parallel"]),
        (MIN_LSTM, {"return_carries": True}, ["reference"]),
        (lj.lstm(HIDDEN, projection_size=2), {}, ["reference"]),
        (STACK, {"lengths": LENGTHS}, ["deferred", "deferred", "parallel"]),
        (lj.stack([GRU, MIN_LSTM]), {"return_carries": True}, ["reference"]),
        (lj.stack([GRU, MIN_LSTM]), {"backend": "reference"}, ["reference"]),
    ],
)
def test_explain_tells_what_runs(log, cell, options, expected):
    _, ran = log
    lj.scan(cell, init(cell), None, XS, **options)
    assert ran == expected
    choice = lj.explain(cell, XS, **options)
    assert [c.name for c in choice.layers.values()] == expected or choice.name == expected[0]


@on_cpu
def test_explain_names_the_layers_as_the_parameters_are_named():
    choice = lj.explain(STACK, XS, lengths=LENGTHS)
    assert choice.name == "over_time"
    names = {path: layer.name for path, layer in choice.layers.items()}
    assert names == {
        "layer_0.forward": "deferred",
        "layer_0.backward": "deferred",
        "layer_1": "parallel",
    }
    lines = str(choice).splitlines()
    assert "  layer_1: parallel: all time steps at once" in lines
    assert "    not deferred: the cell declares no project, recur and update" in lines


def test_layers_with_the_same_parameters_are_all_told():
    def over_time(scan, params, carry, xs, key):
        carry, _ = scan(GRU, params, carry, xs)
        return scan(GRU, params, carry, xs[::-1])

    twice = lj.SequenceMap(GRU.init, GRU.initial_carry, over_time, HIDDEN)
    assert list(lj.explain(twice, XS).layers) == ["cell", "cell#2"]


def test_explain_computes_nothing_and_takes_shapes():
    shape = jax.ShapeDtypeStruct((10**6, 10**6, INPUT), jnp.float32)
    lengths = jax.ShapeDtypeStruct((10**6,), jnp.int32)
    assert lj.explain(GRU, shape, lengths=lengths).name == lj.explain(GRU, XS).name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lengths": jnp.ones(3, int)}, ValueError, r"lengths must have shape \(4,\)"),
        ({"lenghts": LENGTHS}, TypeError, "lenghts"),
    ],
)
def test_explain_refuses_what_scan_refuses(options, error, message):
    with pytest.raises(error, match=message):
        lj.explain(GRU, XS, **options)


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        (MIN_LSTM, {"backend": "deferred"}, "declares no project, recur and update"),
        (GRU, {"backend": "parallel"}, "has no parallel form"),
        (MIN_LSTM, {"backend": "parallel", "return_carries": True}, "yields only the last carry"),
        (GRU, {"backend": "defered"}, "did you mean deferred"),
        (GRU, {"remat": "all"}, "remat must be none, step, sqrt"),
    ],
)
def test_a_named_backend_that_cannot_serve_says_what_it_lacks(cell, options, message):
    for run in (
        lambda **o: lj.scan(cell, init(cell), None, XS, **o),
        lambda **o: lj.explain(cell, XS, **o),
    ):
        with pytest.raises(ValueError, match=message):
            run(**options)


def test_a_backend_that_was_asked_for_is_told_as_such():
    choice = lj.explain(GRU, XS, backend="reference")
    assert (
        str(choice)
        == "reference: asked for; jax.lax.scan over the cell's step, differentiated by JAX"
    )


def test_a_cell_made_of_cells_names_the_one_that_a_backend_cannot_run():
    with pytest.raises(ValueError, match="'parallel' cannot run this cell: the cell has no"):
        lj.explain(lj.stack([MIN_LSTM, GRU]), XS, backend="parallel")


def test_a_parallel_form_is_left_out_where_it_was_measured_slower():
    small = Request(batch=32, carry_size=HIDDEN)
    assert select("auto", MIN_LSTM, small).name == "parallel"
    assert select("auto", MIN_LSTM, small._replace(platform="tpu", batch=256)).name == "parallel"
    choice = select("auto", MIN_LSTM, small._replace(batch=33))
    assert choice.name == "reference"
    assert "slower on a CPU for more than 32 examples" in choice.others["parallel"]
    assert select("parallel", MIN_LSTM, small._replace(batch=33)).name == "parallel"


@on_cpu
def test_a_memory_of_matrices_is_run_in_parallel_at_any_batch():
    cell = lj.mlstm(64)
    assert lj.explain(cell, jnp.ones((2, 256, 3))).name == "parallel"


def test_a_noisy_cell_without_a_key_runs_as_the_cell_inside(log):
    _, ran = log
    for cell in (lj.recurrent_dropout(GRU, 0.3), lj.variational_dropout(GRU, 0.3, 0.3, 0.3)):
        lj.scan(GRU, init(GRU), None, XS, lengths=LENGTHS)
        lj.scan(cell, init(GRU), None, XS, lengths=LENGTHS)
        lj.scan(cell, init(GRU), None, XS, lengths=LENGTHS, key=jax.random.key(0))
    plain = ran[0]
    assert ran == [plain, plain, "reference"] * 2
    with pytest.raises(ValueError, match="the cell is random in its step"):
        lj.explain(lj.recurrent_dropout(GRU, 0.3), XS, key=jax.random.key(0), backend="deferred")


def test_a_cell_of_published_equations_is_such_only_without_noise():
    noisy, request = lj.recurrent_dropout(lj.lstm(HIDDEN), 0.3), Request(platform="cuda")
    assert select("cudnn", noisy, request).name == "cudnn"
    with pytest.raises(ValueError, match="the cell is random in its step"):
        select("cudnn", noisy, request._replace(random=True))


@pytest.mark.parametrize("carry_given", [False, True])
def test_masks_are_kept_and_forgotten_as_step_by_step(carry_given):
    cell = lj.variational_dropout(GRU, 0.5)
    params, carry = init(GRU), None
    if carry_given:
        seed = jnp.arange(1, BATCH + 1, dtype=jnp.uint32)
        carry = cell.initial_carry(params, (BATCH,))._replace(seed=seed)
    resets = jnp.zeros((TIME, BATCH), bool).at[3, 1].set(True).at[5, 3].set(True)
    mask = jnp.ones((TIME, BATCH), bool).at[5, 3].set(False)  # a reset in the padding counts too
    runs = [
        lj.scan(cell, params, carry, XS, mask=mask, resets=resets, backend=backend)
        for backend in ("auto", "reference")
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *runs)
    assert runs[0][0].seed.tolist() == ([1, 0, 3, 0] if carry_given else [0] * 4)


def counting(cell):
    """A gated cell whose carry also counts its steps, in integers."""

    def update(params, carry, z, r):
        inner, steps = carry
        inner, y = cell.update(params, inner, z, r)
        return (inner, steps + 1), y

    def initial_carry(params, shape):
        return cell.initial_carry(params, shape), jnp.zeros(shape, jnp.int32)

    return lj.gated_cell(
        init=cell.init,
        initial_carry=initial_carry,
        project=cell.project,
        recur=lambda params, carry: cell.recur(params, carry[0]),
        update=update,
        output_size=cell.output_size,
    )


def test_a_carry_with_integers_has_gradients():
    cell, params = counting(GRU), init(GRU)

    def loss(params, cell):
        return jnp.sum(lj.scan(cell, params, None, XS, lengths=LENGTHS)[1] ** 2)

    (_, steps), _ = lj.scan(cell, params, None, XS, lengths=LENGTHS)
    np.testing.assert_array_equal(steps, LENGTHS)
    actual, expected = jax.grad(loss)(params, cell), jax.grad(loss)(params, GRU)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), actual, expected
    )


def test_the_platform_is_that_of_the_default_device():
    expected = current_platform()
    with jax.default_device("cpu"):
        assert current_platform() == "cpu"
    with jax.default_device(jax.devices("cpu")[0]):
        assert current_platform() == "cpu"
    assert current_platform() == expected
