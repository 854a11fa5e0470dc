"""Schedules over the time of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.config import find, names
from lstm_jax.training.clock import TICKS, clock_step, scale_by_clock, set_share


@pytest.mark.parametrize("name", names("schedule"))
def test_the_rate_is_that_of_the_share_of_time(name):
    schedule = find("schedule", name)(TICKS, warmup=0.2)
    optimizer = optax.chain(optax.sgd(1.0), scale_by_clock(schedule))
    params = {"w": jnp.ones(2)}
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    in_steps = find("schedule", name)(100, warmup=0.2)
    for share in (0.3, 0.55, 0.9):
        state = set_share(state, share)
        for _ in range(2):  # however many steps there are
            updates, state = update(params, state, params)
        assert float(-updates["w"][0]) == pytest.approx(float(in_steps(100 * share)), abs=2e-2)
        read = float(schedule(clock_step(state, 7)))
        assert read == pytest.approx(float(-updates["w"][0]), abs=1e-6)
    assert update._cache_size() == 1


def test_the_first_step_moves():
    optimizer = scale_by_clock(find("schedule", "warmup_cosine")(TICKS))
    updates, _ = optimizer.update({"w": jnp.ones(1)}, optimizer.init({}))
    assert float(updates["w"][0]) > 0


def test_other_optimizers_follow_no_clock():
    state = optax.adam(0.1).init({"w": jnp.ones(2)})
    moved = set_share(state, 0.5)
    assert jax.tree.leaves(moved)[0] is jax.tree.leaves(state)[0]
    assert clock_step(state, 7) == 7


def test_setting_the_share_needs_no_implicit_transfer():
    state = scale_by_clock(lambda step: step).init({})
    with jax.transfer_guard("disallow"):
        state = set_share(state, 0.25)
    np.testing.assert_array_equal(state.share, 0.25)
