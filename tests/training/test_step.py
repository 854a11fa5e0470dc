"""The step: parts of a batch, low precision, and numbers that go wrong."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Compute
from lstm_jax.training import build_experiment, experiment
from lstm_jax.training.guard import initial_guard, judge
from lstm_jax.training.state import StepOptions, initial_state, make_train_step
from tests.training.small import small


def regression(weight: str | None = "rows"):
    """A stateless loss: the mean square over the rows that count."""

    def init(key):
        return {"layer": {"w": jax.random.normal(key, (3, 2))}, "b": jnp.zeros(2)}

    def loss(params, carry, batch, key):
        errors = ((batch["x"] @ params["layer"]["w"] + params["b"]) - batch["y"]) ** 2
        mask = batch["mask"]
        total = jnp.sum(errors.sum(-1) * mask)
        rows = jnp.sum(mask).astype(jnp.float32)
        return total / jnp.maximum(rows, 1), carry, {"square": total, "rows": rows}

    return Learner(init, lambda params, n: (), loss, dict, (), weight)


def rows(seed=0, count=12):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(count, 3)), rng.normal(size=(count, 2))
    mask = rng.random(count) < 0.6  # unevenly spread over the parts
    return {"x": x.astype(np.float32), "y": y.astype(np.float32), "mask": mask}


def run(learner, batches, optimizer=None, **options):
    optimizer = optimizer or optax.adam(1e-2)
    size = len(batches[0]["x"]) if "x" in batches[0] else len(batches[0]["inputs"])
    precision = options.get("precision", "float32")
    state = initial_state(learner, optimizer, batches[0], size, 0, precision=precision)
    step = make_train_step(learner, optimizer, StepOptions(**options), batch_size=size)
    for batch in batches:
        state = step(state, batch)
    return jax.device_get(state)


@pytest.mark.parametrize("parts", [2, 3, 12])
def test_parts_of_a_batch_are_the_batch(parts):
    batches = [rows(seed) for seed in range(5)]
    whole, cut = (run(regression(), batches, parts=n) for n in (1, parts))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), whole.params, cut.params)
    for name, value in whole.sums.items():
        np.testing.assert_allclose(cut.sums[name], value, rtol=1e-5, err_msg=name)


def test_without_a_weight_parts_count_the_same():
    batch = rows()
    whole = run(regression(None), [batch | {"mask": np.ones(12, bool)}])
    cut = run(regression(None), [batch | {"mask": np.ones(12, bool)}], parts=3)
    np.testing.assert_allclose(cut.params["b"], whole.params["b"], rtol=1e-5)
    sgd = optax.sgd(0.1)  # Adam's first step has no size
    uneven = (run(regression(None), [batch], sgd, parts=n).params["layer"]["w"] for n in (1, 3))
    assert not np.allclose(*uneven, rtol=1e-5)


@pytest.fixture
def text(tmp_path):
    def prepare(compute=Compute(), **sections):  # noqa: B008
        built = build_experiment(experiment(**small(tmp_path, **sections)))
        return built.task.prepare(tmp_path, compute)

    return prepare


def test_streams_keep_their_carry_through_parts(text):
    learner, dataset = text()
    batches = [dataset.train[i] for i in range(4)]
    whole, cut = (run(learner, batches, optax.sgd(0.1), parts=n) for n in (1, 4))
    close = functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-6)
    jax.tree.map(close, whole.carry, cut.carry)
    jax.tree.map(close, whole.params, cut.params)
    assert whole.sums["characters"] == cut.sums["characters"]


def test_a_carry_without_a_batch_axis_goes_from_part_to_part():
    def loss(params, carry, batch, key):
        return jnp.sum(params["w"] * batch["x"]) + carry[0], (carry[0] + 1, batch["x"]), {}

    def first(params, n):
        return jnp.float32(0), jnp.zeros(n)

    learner = Learner(lambda key: {"w": jnp.ones(())}, first, loss, dict, ())
    state = run(learner, [{"x": np.arange(6, dtype=np.float32)}], parts=3)
    assert state.carry[0] == 3
    np.testing.assert_array_equal(state.carry[1], np.arange(6))


@pytest.mark.parametrize("remat", ["step", "sqrt"])
def test_remat_changes_no_gradient(text, remat):
    states = []
    for choice in ("none", remat):
        learner, dataset = text(Compute(remat=choice))
        states.append(run(learner, [dataset.train[0]], optax.sgd(1.0)))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, states[0].params, states[1].params)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_follows_float32_and_keeps_its_state_in_it(text, precision):
    sums = {}
    for choice in ("float32", precision):
        learner, dataset = text(Compute(choice))
        batches = [dataset.train[i] for i in range(12)]
        state = run(learner, batches, precision=choice)
        kept = (state.params, state.opt_state, state.carry)
        types = {leaf.dtype for leaf in jax.tree.leaves(kept)}
        assert types == {np.dtype("float32"), np.dtype("int32")}
        assert state.sums["steps"] == 12
        sums[choice] = state.sums["nats"]
    assert sums[precision] != sums["float32"], "the products were in float32 all along"
    np.testing.assert_allclose(sums[precision], sums["float32"], rtol=1e-2)
    gradient = jax.jit(jax.grad(lambda *a: _with_aux(learner.loss(*a)), has_aux=True))
    program = gradient.lower(state.params, state.carry, batches[0], None).as_text()
    products = [line for line in program.splitlines() if "stablehlo.dot_general" in line]
    short = {"bfloat16": "xbf16>", "float16": "xf16>"}[precision]
    assert len(products) > 6
    assert not [line for line in products if line.count(short) < 2], "a product in float32"


def _with_aux(found):
    loss, *rest = found
    return loss, rest


def test_the_loss_scale_halves_at_an_overflow_and_grows_after_a_while():
    guard, scales = initial_guard("float16"), []
    one = jnp.float32(1)
    for step in range(4000):
        norm = jnp.inf if step in (0, 1) else 1.0
        verdict = _judge(guard, step, one, (), norm, "stop")
        guard = verdict.guard
        scales.append(float(guard.loss_scale))
    assert scales[0] == 2.0**14
    assert scales[1] == scales[2000] == 2.0**13
    assert scales[2001] == 2.0**14
    assert int(guard.bad_step) == -1
    assert int(guard.skipped) == 0


_judge = jax.jit(judge, static_argnums=5)


def test_small_gradients_are_lost_in_float16_but_for_the_scale():
    def loss(params, carry, batch, key):
        low = params["w"].astype(jnp.float16) * jnp.float16(1e-4)
        return (low.astype(jnp.float32) * 1e-4), carry, {}

    learner = Learner(lambda key: {"w": jnp.ones(())}, lambda params, n: (), loss, dict, ())
    batches = [{"x": np.zeros(1, np.float32)}]
    scaled = run(learner, batches, optax.sgd(1e6), precision="float16").sums["gradient_norm"]
    plain = run(learner, batches, optax.sgd(1e6)).sums["gradient_norm"]
    assert abs(scaled - 1e-8) < 1e-10
    assert abs(plain - 1e-8) > 1e-10  # the cotangent is a coarse float16


def test_an_overflow_in_float16_passes_the_step_over_and_keeps_the_carry():
    def loss(params, carry, batch, key):
        value = params["w"].astype(jnp.float16) * batch["x"].astype(jnp.float16)
        return jnp.sum(value.astype(jnp.float32)), carry + 1, {"seen": jnp.float32(1)}

    learner = Learner(
        lambda key: {"w": jnp.ones(())}, lambda params, n: jnp.float32(0), loss, dict, ()
    )
    # 2**15 times 8 is beyond float16; after three halvings it is not.
    state = run(learner, [{"x": np.full(1, 8, np.float32)}] * 5, precision="float16")
    assert state.guard.loss_scale == 2.0**12
    assert (state.step, state.carry) == (5, 5)
    assert state.sums["skipped"] == 3
    assert state.sums["seen"] == state.sums["steps"] == 2
    assert state.guard.skipped == 0, "the scale's own doing is no fault"


def spoiled(policy, bad=2, count=5):
    batches = [rows(seed) for seed in range(count)]
    batches[bad]["x"][:] = np.nan
    return run(regression(), batches, on_nonfinite=policy), batches


def test_skip_goes_on_as_if_the_batch_had_not_been():
    state, batches = spoiled("skip")
    del batches[2]
    expected = run(regression(), batches)
    jax.tree.map(np.testing.assert_array_equal, state.params, expected.params)
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, expected.opt_state)
    assert (state.step, state.guard.skipped, state.guard.skipped_in_a_row) == (5, 1, 0)
    assert state.sums["skipped"] == 1
    assert state.sums["square"] == expected.sums["square"]


@pytest.mark.parametrize("policy", ["stop", "rewind"])
def test_otherwise_the_state_stands_still_before_the_bad_step(policy):
    state, batches = spoiled(policy)
    expected = run(regression(), batches[:2])
    jax.tree.map(np.testing.assert_array_equal, state.params, expected.params)
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, expected.opt_state)
    jax.tree.map(np.testing.assert_array_equal, state.sums, expected.sums)
    assert (state.step, state.guard.bad_step) == (2, 2)


def test_an_infinite_gradient_of_a_finite_loss_is_noticed():
    def loss(params, carry, batch, key):
        return jnp.sqrt(params["w"] * batch["x"][0]), carry, {}

    learner = Learner(lambda key: {"w": jnp.ones(())}, lambda params, n: (), loss, dict, ())
    batches = [{"x": np.full(1, x, np.float32)} for x in (1, 0, 1)]
    state = run(learner, batches)
    assert state.guard.bad_step == 1


def test_a_carry_that_is_not_finite_is_noticed():
    def loss(params, carry, batch, key):
        return params["w"] ** 2, carry / batch["x"][0], {}

    learner = Learner(
        lambda key: {"w": jnp.ones(())}, lambda params, n: jnp.float32(1), loss, dict, ()
    )
    batches = [{"x": np.full(1, x, np.float32)} for x in (1, 0, 1)]
    assert run(learner, batches).guard.bad_step == 1


def test_norms_by_group_make_up_the_norm():
    state = run(regression(), [rows()])
    norms = [state.sums[f"gradient_norm/{name}"] for name in ("layer", "b")]
    assert state.sums["gradient_norm"] == pytest.approx(np.hypot(*norms), rel=1e-6)


def test_a_spike_is_far_above_what_the_loss_has_been():
    rng = np.random.default_rng(0)
    guard, spikes = initial_guard(), []
    for step in range(400):
        loss = 2.0 + 0.1 * rng.normal() + (1.0 if step in (50, 200, 300) else 0.0)
        verdict = _judge(guard, step, jnp.float32(loss), (), 1.0, "stop")
        guard = verdict.guard
        if verdict.spike:
            spikes.append(step)
    assert spikes == [200, 300]  # at 50, it is not known yet what is usual
    assert float(guard.loss_mean) == pytest.approx(2.0, abs=0.1)
