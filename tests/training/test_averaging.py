"""Averages of parameters: by their definitions, and as evaluation reads them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.config import build, complete, find
from lstm_jax.errors import ConfigError
from lstm_jax.training.averaging import (
    TriggeredState,
    ema,
    evaluation_params,
    is_averaging,
    none,
    nt_asgd,
    observe_score,
    swa,
)
from lstm_jax.training.optimizer_state import find_states


def _walk(optimizer, steps, dtype=jnp.float32):
    """Parameters after every step of a walk, and what evaluation uses there."""
    params = {"w": jnp.array([1.0, -2.0], dtype), "b": jnp.zeros((), dtype)}
    state = optimizer.init(params)
    seen, used = [], []
    for i in range(steps):
        push = np.sin(i)
        gradients = {name: (0.3 * p + push).astype(dtype) for name, p in params.items()}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
        used.append(evaluation_params(state, params))
    return seen, used


def _with(average):
    return optax.chain(optax.sgd(0.5), average)


def test_ema_is_that_of_optax():
    seen, used = _walk(_with(ema(int, decay=0.9)), 20)
    reference = optax.ema(0.9, debias=True)
    state = reference.init(seen[0])
    for params, average in zip(seen, used, strict=True):
        expected, state = reference.update(params, state)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), average, expected
        )


def test_ema_with_bias_begins_at_the_first_parameters():
    optimizer = _with(ema(int, decay=0.75, debias=False))
    first = {"w": jnp.array([1.0, -2.0]), "b": jnp.zeros(())}
    assert evaluation_params(optimizer.init(first), first)["w"].tolist() == [1.0, -2.0]
    seen, used = _walk(optimizer, 1)
    np.testing.assert_allclose(used[0]["w"], 0.75 * first["w"] + 0.25 * seen[0]["w"], rtol=1e-6)


def test_swa_is_the_mean_of_every_third_from_its_start():
    steps = {"5 steps": 5, "3 steps": 3, "100 percent": 14}
    seen, used = _walk(_with(swa(steps.__getitem__, start="5 steps", every="3 steps")), 14)
    taken = []
    for i, (params, average) in enumerate(zip(seen, used, strict=True), start=1):
        if i >= 5 and (i - 5) % 3 == 0:
            taken.append(params["w"])
        expected = np.mean(taken, axis=0) if taken else params["w"]
        np.testing.assert_allclose(average["w"], expected, rtol=1e-5, atol=1e-6)
    assert len(taken) == 4


def test_an_average_that_would_never_begin_is_refused():
    steps = {"150%": 60, "1 epoch": 3, "100 percent": 40}
    with pytest.raises(ConfigError, match=r"averaging\.start: '150%' is behind the end"):
        swa(steps.__getitem__, start="150%")


@pytest.mark.parametrize("average", [ema(int), swa(lambda _: 2)])
def test_training_goes_on_as_without_an_average(average):
    with_average, _ = _walk(_with(average), 5)
    without, _ = _walk(optax.sgd(0.5), 5)
    assert all(np.array_equal(a["w"], b["w"]) for a, b in zip(with_average, without, strict=True))


def test_the_average_is_kept_in_float32_and_read_in_the_type_of_the_parameters():
    state = ema(int).init({"w": jnp.ones(2, jnp.bfloat16)})
    assert state.average["w"].dtype == jnp.float32
    _, used = _walk(_with(ema(int, decay=0.99)), 2, jnp.bfloat16)
    assert used[0]["w"].dtype == jnp.bfloat16


def test_an_infinite_parameter_before_the_start_leaves_no_trace():
    average = swa({"a": 2, "b": 1, "100 percent": 9}.__getitem__, start="a", every="b")
    state = average.init({"w": jnp.zeros(1)})
    for value in (np.inf, 3.0):
        params = {"w": jnp.array([value])}
        _, state = average.update({"w": jnp.zeros(1)}, state, params)
    assert evaluation_params(state, params)["w"].tolist() == [3.0]


def test_without_an_average_evaluation_uses_the_parameters():
    assert none(int) is None
    params = {"w": jnp.ones(2)}
    state = optax.adam(0.1).init(params)
    assert not is_averaging(state)
    assert evaluation_params(state, params) is params


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_schedule_free_optimizers_are_evaluated_at_their_average(name):
    optimizer = find("optimizer", name)(lambda step: jnp.ones_like(step, float), learning_rate=0.1)
    params = {"w": jnp.array([1.0, 2.0])}
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update({"w": 0.5 * params["w"]}, state, params)
        params = optax.apply_updates(params, updates)
    assert is_averaging(state)
    expected = optax.contrib.schedule_free_eval_params(state, params)
    np.testing.assert_array_equal(evaluation_params(state, params)["w"], expected["w"])
    assert not np.array_equal(expected["w"], params["w"])


def test_schedule_free_in_groups_is_evaluated_group_by_group():
    sgd = optax.contrib.schedule_free_sgd
    optimizer = optax.chain(
        optax.clip(1.0), optax.partition({"a": sgd(0.1), "b": sgd(0.3)}, {"w": "a", "v": "b"})
    )
    params = {"w": jnp.array([1.0, 2.0]), "v": jnp.array(3.0)}
    apart = {"w": sgd(0.1), "v": sgd(0.3)}
    state, states = optimizer.init(params), {k: apart[k].init(params[k]) for k in apart}
    for _ in range(3):
        gradients = jax.tree.map(lambda p: 0.2 * p, params)
        updates, state = optimizer.update(gradients, state, params)
        for k in apart:
            _, states[k] = apart[k].update(gradients[k], states[k], params[k])
        params = optax.apply_updates(params, updates)
    used = evaluation_params(state, params)
    for k in apart:
        expected = optax.contrib.schedule_free_eval_params(states[k], params[k])
        np.testing.assert_allclose(used[k], expected, rtol=1e-6)


def test_averages_are_parts_of_a_config():
    average = build(
        find("averaging", "swa"), complete(find("averaging", "swa"), {"every": "9 steps"})
    )
    asked = []
    average(lambda text: asked.append(text) or 1)
    assert asked == ["75 percent", "9 steps", "100 percent"]


def test_nt_asgd_is_the_mean_since_an_evaluation_worse_than_the_best_before_the_last():
    optimizer = _with(nt_asgd(int, patience=2))
    params = {"w": jnp.array([1.0, -2.0])}
    state = optimizer.init(params)
    # 6 is worse than the best before the last two, 4; 5 and 4.5 are not compared with it yet.
    scores, begun, taken = [5.0, 4.0, 5.0, 4.5, 6.0, 1.0], [], []
    for i, score in enumerate(scores):
        for _ in range(2):
            updates, state = optimizer.update({"w": jnp.float32([i, 1.0])}, state, params)
            params = optax.apply_updates(params, updates)
            if begun and begun[-1]:
                taken.append(params["w"])
            expected = np.mean(taken, axis=0) if taken else params["w"]
            np.testing.assert_allclose(
                evaluation_params(state, params)["w"], expected, rtol=1e-5, atol=1e-6
            )
        state = observe_score(state, score)
        begun.append(bool(find_states(state, TriggeredState)[0].begun))
    assert begun == [False, False, False, False, True, True]
    assert len(taken) == 2


def test_nt_asgd_takes_no_nan_for_an_improvement():
    state = nt_asgd(int, patience=1).init({"w": jnp.zeros(2)})
    for score in (3.0, float("nan"), float("nan"), 3.5):
        state = observe_score(state, score)
    (found,) = find_states(state, TriggeredState)
    assert found.begun
    assert float(found.best_before) == 3.0


def test_what_observes_no_score_stays_as_it_is():
    state = optax.adam(0.1).init({"w": jnp.zeros(2)})
    jax.tree.map(np.testing.assert_array_equal, observe_score(state, 1.0), state)
