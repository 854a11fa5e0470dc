"""Schedules, durations, and one step of training by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.config import find, names
from lstm_jax.tasks import Learner
from lstm_jax.training.durations import to_steps
from lstm_jax.training.state import initial_state, make_train_step


@pytest.mark.parametrize("name", names("schedule"))
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_schedules_rise_to_the_peak_and_never_above(name, warmup):
    schedule = find("schedule", name)(100, warmup=warmup)
    values = np.array([float(schedule(step)) for step in range(100)])
    assert values.max() <= 1.0 + 1e-6
    assert values.min() >= 0
    assert values[0] > 0
    rising = values[: round(100 * warmup)]
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize("name", names("optimizer"))
def test_optimizers_follow_the_schedule(name):
    optimizer = find("optimizer", name)(lambda step: 0.0, learning_rate=0.1)
    params = {"w": jnp.ones(3)}
    updates, _ = optimizer.update({"w": jnp.ones(3)}, optimizer.init(params), params)
    assert not updates["w"].any()


def test_durations():
    assert to_steps("1 step", 50) == 1
    assert to_steps("0.001 epochs", 50) == 1
    assert to_steps("1.5 epochs", 50) == 75


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
