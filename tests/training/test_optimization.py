"""The whole optimiser of a run, and one step of training by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.config import build, complete, find, names
from lstm_jax.errors import ConfigError
from lstm_jax.tasks import Learner
from lstm_jax.training.averaging import ema, evaluation_params
from lstm_jax.training.clock import set_share
from lstm_jax.training.durations import Length, Units, measure_steps
from lstm_jax.training.optimization import learning_rate_share, make_optimizer
from lstm_jax.training.parameter_groups import ParameterGroups
from lstm_jax.training.plateau import observe_score
from lstm_jax.training.state import initial_state, make_train_step

_PARAMS = {
    "embedding": {"embedding": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)},
    "layer_0": {"kernel": jnp.linspace(0.5, 2.0, 6).reshape(3, 2), "bias": jnp.ones(2)},
}


def _part(kind, name, **values):
    return build(find(kind, name), complete(find(kind, name), values))


def _make(optimizer="adamw", schedule="linear", run=None, groups=None, **options):
    values = options.pop("values", {})
    run = run or Length(100)
    return make_optimizer(
        _part("optimizer", optimizer, **values),
        _part("schedule", schedule),
        run=run,
        steps=functools.partial(measure_steps, units=Units(10, 4), run=run),
        groups=groups or ParameterGroups(),
        **options,
    )


def _train(optimizer, steps, params=_PARAMS, between=None):
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for i in range(steps):
        turn = np.cos(i)
        gradients = jax.tree.map(functools.partial(jnp.multiply, turn), params)
        updates, state = update(gradients, state, params, value=jnp.float32(1.0))
        params = optax.apply_updates(params, updates)
        if between is not None:
            state = between(i, state)
    return params, state


def _equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_by_default_it_is_the_clipping_before_the_optimizer():
    schedule = _part("schedule", "linear")(100)
    plain = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(lambda s: 1e-3 * schedule(s), weight_decay=0.0)
    )
    ours = _make(clip_norm=1.0, averaging=_part("averaging", "none"))
    plain, ours = _train(optax.with_extra_args_support(plain), 5), _train(ours, 5)
    _equal(plain[0], ours[0])
    _equal(jax.tree.leaves(plain[1]), jax.tree.leaves(ours[1]))


@pytest.mark.parametrize("name", names("optimizer"))
def test_every_optimizer_trains_with_clipping_and_groups(name):
    groups = ParameterGroups(learning_rates=("bias=2",), frozen=("embedding",))
    optimizer = _make(name, groups=groups, clip_norm=1.0)
    params, _ = _train(optimizer, 2)
    _equal(params["embedding"], _PARAMS["embedding"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    assert not np.array_equal(params["layer_0"]["bias"], _PARAMS["layer_0"]["bias"])
    # A state may be donated: no two leaves share a buffer, nor one with a parameter.
    leaves = jax.tree.leaves((optimizer.init(_PARAMS), _PARAMS))
    pointers = [leaf.unsafe_buffer_pointer() for leaf in leaves if not _is_key(leaf)]
    assert len(pointers) == len(set(pointers))


def _is_key(leaf):
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def test_gradients_are_clipped_by_value_then_group_then_norm():
    groups = ParameterGroups(clip_norms=("layer_0=0.5",), frozen=("embedding",))
    optimizer = _make("sgd", "constant", groups=groups, clip_value=1.0, clip_norm=0.25)
    gradients = {
        "embedding": {"embedding": jnp.full((4, 3), 100.0)},
        "layer_0": {"kernel": jnp.full((3, 2), 7.0), "bias": jnp.array([0.0, -3.0])},
    }
    updates, _ = optimizer.update(gradients, optimizer.init(_PARAMS), _PARAMS)
    # To ones and a minus one, seven elements; 0.5 for their norm; 0.25 for that of all.
    expected = 0.25 / np.sqrt(7)
    np.testing.assert_allclose(updates["layer_0"]["kernel"], -expected, rtol=1e-5)
    np.testing.assert_allclose(updates["layer_0"]["bias"], [0.0, expected], rtol=1e-5)
    assert not updates["embedding"]["embedding"].any()


def test_frozen_embeddings_do_not_count_in_the_norm():
    groups = ParameterGroups(frozen=("embedding",))
    optimizer = _make("sgd", "constant", groups=groups, clip_norm=10.0)
    gradients = jax.tree.map(jnp.ones_like, _PARAMS)
    gradients["embedding"]["embedding"] *= 1e6
    updates, _ = optimizer.update(gradients, optimizer.init(_PARAMS), _PARAMS)
    np.testing.assert_array_equal(updates["layer_0"]["kernel"], -1.0)


def test_weight_decay_follows_the_groups():
    values = {"weight_decay": 0.5}
    zero = jax.tree.map(jnp.zeros_like, _PARAMS)

    def moved(groups):
        optimizer = _make("adamw", "constant", groups=groups, values=values)
        updates, _ = optimizer.update(zero, optimizer.init(_PARAMS), _PARAMS)
        return {k: bool(u.any()) for k, u in updates["layer_0"].items()} | {
            "embedding": bool(updates["embedding"]["embedding"].any())
        }

    assert moved(ParameterGroups()) == {"kernel": True, "bias": False, "embedding": True}
    assert moved(ParameterGroups(no_decay=("embedding",)))["embedding"] is False
    assert moved(ParameterGroups(decay_biases=True))["bias"] is True
    both = ParameterGroups(no_decay=("embedding",), learning_rates=("kernel=0.5",))
    assert moved(both) == {"kernel": True, "bias": False, "embedding": False}


def test_a_pattern_that_matches_nothing_is_told_when_the_parameters_are_known():
    optimizer = _make(groups=ParameterGroups(frozen=("embeding",)))
    with pytest.raises(ConfigError, match="embedding/embedding"):
        optimizer.init(_PARAMS)


def test_a_plateau_scales_the_rate_and_the_figure():
    part = _part("schedule", "reduce_on_plateau", patience=1, factor=0.5)
    schedule = part(100)

    optimizer = _make("sgd", "reduce_on_plateau", values={"learning_rate": 0.1})
    _, state = _train(optimizer, 3)
    assert learning_rate_share(schedule, state, 3) == 1.0
    state = observe_score(observe_score(state, schedule.plateau, 1.0), schedule.plateau, 1.0)
    assert learning_rate_share(schedule, state, 3) == 0.5
    updates, _ = optimizer.update(_PARAMS, state, _PARAMS)
    np.testing.assert_allclose(updates["layer_0"]["bias"], -0.05, rtol=1e-6)


def test_a_run_in_minutes_follows_the_clock():
    run = Length(None, 600.0)
    schedule = _part("schedule", "linear")(run.schedule_steps)
    optimizer = _make("sgd", "linear", run=run)
    state = set_share(optimizer.init(_PARAMS), 0.525)
    updates, state = optimizer.update(_PARAMS, state, _PARAMS)
    np.testing.assert_allclose(updates["layer_0"]["bias"], -0.5, rtol=1e-4)
    assert learning_rate_share(schedule, state, 12345) == pytest.approx(0.5, rel=1e-4)


def test_a_saved_state_goes_on_bit_for_bit():
    """Everything that moves is in the state: clock, plateau, average, groups."""
    optimizer = _make(
        "adamw", "reduce_on_plateau", run=Length(None, 600.0), clip_norm=1.0, clip_value=0.5,
        groups=ParameterGroups(learning_rates=("bias=2",), clip_norms=("kernel=1",)),
        averaging=_part("averaging", "ema", decay=0.9),
    )  # fmt: skip
    plateau = _part("schedule", "reduce_on_plateau", patience=1)(1).plateau

    def between(i, state):
        return observe_score(set_share(state, 0.1 * i), plateau, 1.0)

    params, state = _train(optimizer, 4, between=between)
    saved = jax.tree.map(np.array, state)
    restored = jax.tree.map(jnp.asarray, saved)
    assert float(jax.tree.leaves(state)[-1].sum()) == float(jax.tree.leaves(restored)[-1].sum())
    update = jax.jit(optimizer.update)
    _equal(update(_PARAMS, state, params), update(_PARAMS, restored, params))
    _equal(evaluation_params(state, params), evaluation_params(restored, params))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: _make("prodigy", groups=ParameterGroups(no_decay=("bias",))), "groups.no_decay"),
        (lambda: _make("schedule_free_sgd", "reduce_on_plateau"), "schedule"),
        (lambda: _make("schedule_free_sgd", run=Length(None, 60.0)), "schedule"),
        (lambda: _make("schedule_free_adamw", averaging=_part("averaging", "ema")), "averaging"),
        (lambda: _make(run=Length(None, 60.0), averaging=_part("averaging", "swa")), "steps are"),
    ],
)
def test_pieces_that_do_not_fit_are_told(make, problem):
    with pytest.raises(ConfigError, match=problem):
        make()


def test_a_step_by_hand():
    def loss(params, carry, batch, key):
        value = (params["w"] * batch["x"] - carry) ** 2
        return value, carry + 1.0, {"squares": value}

    learner = Learner(
        lambda key: {"w": jnp.float32(2.0)}, lambda p, n: jnp.float32(1.0), loss, dict, ()
    )
    optimizer = optax.sgd(0.1)
    batch = {"x": np.float32(3.0)}
    state = initial_state(learner, optimizer, batch, 1, seed=0)
    step = make_train_step(learner, optimizer)
    state = step(state, batch)
    # (2 * 3 - 1)^2 = 25, its gradient 2 * 5 * 3 = 30
    assert float(state.params["w"]) == pytest.approx(2.0 - 0.1 * 30)
    assert float(state.carry) == 2.0
    assert int(state.step) == 1
    state = step(state, batch)
    sums = jax.device_get(state.sums)
    assert sums["squares"] == pytest.approx(25 + (-1 * 3 - 2) ** 2)
    assert sums["steps"] == 2
    assert sums["gradient_norm"] == pytest.approx(30 + 2 * 5 * 3)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_rate_scale_scales_the_update_behind_clipping_and_before_the_average(name):
    params, gradients = {"w": jnp.ones((2, 3))}, {"w": jnp.full((2, 3), 5.0)}
    average = functools.partial(ema, decay=0.5)
    optimizer = _make(name, schedule="constant", clip_norm=1.0, averaging=average)
    state = optimizer.init(params)
    whole, _ = optimizer.update(gradients, state, params)
    half, after = optimizer.update(gradients, state, params, rate_scale=jnp.float32(0.5))
    np.testing.assert_allclose(half["w"], 0.5 * whole["w"], rtol=1e-6)
    found = evaluation_params(after, params)
    np.testing.assert_allclose(found["w"], params["w"] + half["w"], rtol=1e-6)
