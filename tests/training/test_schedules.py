"""Schedules rise to their peak, never above, and equal those of other libraries."""

import jax
import numpy as np
import optax
import pytest

from lstm_jax.config import find, names
from lstm_jax.errors import ConfigError


def _values(schedule, steps):
    return np.array(jax.jit(jax.vmap(schedule))(np.arange(steps)))


@pytest.mark.parametrize("name", names("schedule"))
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_schedules_rise_to_the_peak_and_never_above(name, warmup):
    values = _values(find("schedule", name)(100, warmup=warmup), 100)
    assert values.max() <= 1.0 + 1e-6
    assert values.max() > 0.95
    assert values.min() >= 0
    assert values[0] > 0
    rising = values[: round(100 * warmup)]
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize("name", [n for n in names("schedule") if n != "step"])
def test_a_run_may_be_all_warmup(name):
    values = _values(find("schedule", name)(100, warmup=1.0), 100)
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("name", names("schedule"))
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(name, steps):
    values = _values(find("schedule", name)(steps), steps)
    assert np.isfinite(values).all()
    assert values[0] > 0


@pytest.mark.parametrize("name", names("schedule"))
def test_a_share_of_the_run_has_the_same_rate_in_a_longer_run(name):
    """So that a schedule can be read at the share of a time."""
    short, long = (find("schedule", name)(steps, warmup=0.1) for steps in (10_000, 100_000))
    for share in (0.033, 0.2, 0.41, 0.6, 0.83):
        values = float(short(10_000 * share)), float(long(100_000 * share))
        assert values[0] == pytest.approx(values[1], abs=1e-3)  # a step is a share of its own


def test_one_cycle_is_that_of_optax():
    ours = find("schedule", "one_cycle")(100, warmup=0.3, start=0.04, end=4e-6)
    theirs = optax.cosine_onecycle_schedule(100, 1.0, 0.3, 25.0, 1e4)
    np.testing.assert_allclose(_values(ours, 101), _values(theirs, 101), atol=1e-6)


def test_cosine_restarts_are_those_of_optax():
    ours = find("schedule", "cosine_restarts")(70, cycles=3, growth=2.0, end=0.1)
    fall = {"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0, "end_value": 0.1}
    theirs = optax.sgdr_schedule([fall | {"decay_steps": steps} for steps in (10, 20, 40)])
    np.testing.assert_allclose(_values(ours, 70), _values(theirs, 70), atol=1e-6)


def test_milestones_behind_a_warmup():
    schedule = find("schedule", "step")(1000, warmup=0.1, milestones=("20%", "60.5%"), factor=0.5)
    found = [float(schedule(step)) for step in (100, 199, 200, 604, 605, 999)]
    assert found == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    "milestones", [("0.5",), ("half",), ("50%", "25%"), ("150%",), ("5%", "50%"), ("50%", "50%")]
)
def test_milestones_that_cannot_be_are_told(milestones):
    with pytest.raises(ConfigError, match=r"schedule\.milestones"):
        find("schedule", "step")(1000, warmup=0.1, milestones=milestones)
