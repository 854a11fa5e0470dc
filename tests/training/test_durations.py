"""Durations of a config, and what is due when."""

import itertools

import pytest

from lstm_jax.config import Duration, Interval
from lstm_jax.errors import ConfigError
from lstm_jax.training.durations import Length, Progress, Units, measure, measure_steps

_UNITS = Units(steps_per_epoch=50, batch_size=16)
_RUN = Length(1000)


def _allows(annotated, text):
    return annotated.__metadata__[0].holds(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1 step", 1),
        ("0.001 epochs", 1),
        ("1.5 epochs", 75),
        ("1 epoch", 50),
        ("160 examples", 10),
        ("1 example", 1),
    ],
)
def test_durations_in_steps(text, steps):
    assert _allows(Duration, text)
    assert _allows(Interval, text)
    assert measure(text, _UNITS, _RUN) == Length(steps)
    assert measure_steps(text, _UNITS, _RUN) == steps


@pytest.mark.parametrize(
    ("text", "seconds"), [("90 minutes", 5400), ("1.5 hours", 5400), ("30 seconds", 30)]
)
def test_durations_in_time(text, seconds):
    assert _allows(Duration, text)
    assert measure(text, _UNITS) == Length(None, seconds)
    with pytest.raises(ConfigError, match="steps are needed"):
        measure_steps(text, _UNITS, _RUN)


def test_shares_of_the_run():
    assert measure("5 percent", _UNITS, _RUN) == Length(50)
    assert measure("0.5%", _UNITS, _RUN) == Length(5)
    assert measure("5%", _UNITS, Length(None, 600)) == Length(None, 30)
    with pytest.raises(ConfigError, match="no length"):
        measure("5%", _UNITS)


@pytest.mark.parametrize("text", ["soon", "0 steps", "1.5 steps", "-1 epochs", "10", "0.0 hours"])
def test_what_is_no_duration(text):
    assert not _allows(Duration, text)
    assert not _allows(Interval, text)


def test_a_share_is_an_interval_and_no_duration():
    assert _allows(Interval, "5 percent")
    assert not _allows(Interval, "0 percent")
    assert not _allows(Duration, "5 percent")


def test_steps_are_due_at_multiples():
    every = Length(7)
    due = [n for n in range(1, 40) if every.passed(Progress(n - 1), Progress(n))]
    assert due == [7, 14, 21, 28, 35]


def test_time_is_due_once_for_each_multiple_also_over_a_resume():
    every = Length(None, 10.0)
    times = [0.0, 4.0, 9.9, 10.1, 12.0, 31.0, 31.5]
    passed = [every.passed(Progress(0, a), Progress(0, b)) for a, b in itertools.pairwise(times)]
    assert passed == [False, False, True, False, True, False]


def test_the_end_of_a_run():
    assert not Length(100).reached(Progress(99, 1e9))
    assert Length(100).reached(Progress(100, 0.0))
    timed = Length(None, 60.0)
    assert not timed.reached(Progress(10**9, 59.0))
    assert timed.reached(Progress(1, 60.5))
    assert timed.share(Progress(0, 15.0)) == 0.25
    assert timed.share(Progress(0, 90.0)) == 1.0


def test_steps_of_a_run_are_at_least_one():
    units, run = Units(steps_per_epoch=50, batch_size=1), Length(1)
    assert measure_steps("1 step", units, run) == 1
    assert measure_steps("0.001 epochs", units, run) == 1
    assert measure_steps("1.5 epochs", units, run) == 75


@pytest.mark.parametrize("text", ["99999999999999999999 steps", "1000000000000 epochs"])
def test_more_steps_than_can_be_counted_are_refused(text):
    with pytest.raises(ConfigError, match="at most 2,147,483,647"):
        measure(text, Units(steps_per_epoch=40, batch_size=16))
