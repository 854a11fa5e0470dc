"""Lengths of a run and of its intervals: in steps, epochs, examples, time, or shares of the run."""

import dataclasses
import math
import re
from typing import NamedTuple

from lstm_jax.errors import ConfigError
from lstm_jax.training.clock import TICKS

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_MOST_STEPS = 2**31 - 1  # the state counts in 32 bits


class Units(NamedTuple):
    """What an epoch and a step are.

    Attributes:
      steps_per_epoch: updates in one pass over the training data.
      batch_size: examples in one update, on all devices.
    """

    steps_per_epoch: int
    batch_size: int


class Progress(NamedTuple):
    """How far a run is: steps, and seconds of all processes that worked on it."""

    step: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Length:
    """A length in steps, or one in seconds.

    Attributes:
      steps: the steps; None for a length in seconds.
      seconds: the seconds; infinite for a length in steps.
    """

    steps: int | None
    seconds: float = math.inf

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.steps:,} steps"
        return f"{self.seconds / 60:,.1f} minutes"

    def share(self, progress: Progress) -> float:
        """The share of the length that is done, at most 1."""
        if self.steps is not None:
            return min(progress.step / self.steps, 1.0)
        return min(progress.seconds / self.seconds, 1.0)

    def reached(self, progress: Progress) -> bool:
        """Whether a run of this length is at its end."""
        return self.share(progress) >= 1

    def passed(self, before: Progress, now: Progress) -> bool:
        """Whether a multiple of the length lies between, so that what is done at each is due.

        >>> every = Length(steps=50)
        >>> every.passed(Progress(49), Progress(50)), every.passed(Progress(50), Progress(51))
        (True, False)
        """
        return self._count(now) > self._count(before)

    def _count(self, progress: Progress) -> int:
        if self.steps is not None:
            return progress.step // self.steps
        return math.floor(progress.seconds / self.seconds)

    @property
    def schedule_steps(self) -> int:
        """The steps a schedule is made for; of a run in seconds it is read by `clock`."""
        return TICKS if self.steps is None else self.steps


def measure(text: str, units: Units, run: Length | None = None) -> Length:
    """The length that a text says, at least one step.

    >>> units = Units(steps_per_epoch=40, batch_size=16)
    >>> [str(measure(t, units)) for t in ("300 steps", "2.5 epochs", "1600 examples", "2 hours")]
    ['300 steps', '100 steps', '100 steps', '120.0 minutes']
    >>> str(measure("5 percent", units, run=measure("100 epochs", units)))
    '200 steps'

    Args:
      text: as the config's `Duration` or `Interval` allows it.
      units: what an epoch and a step are.
      run: the length of the run, of which a share may be meant.

    Raises:
      ConfigError: it is a share of nothing, or more steps than can be counted.
    """
    number, unit = re.fullmatch(r"([\d.]+) ?(\D+)", text).groups()  # type: ignore[union-attr]
    amount, unit = float(number), unit.removesuffix("s")
    if unit in _SECONDS:
        return Length(None, amount * _SECONDS[unit])
    if unit in ("percent", "%"):
        if run is None:
            raise ConfigError(f"{text!r} is a share of the run, which has no length yet")
        if run.steps is None:
            return Length(None, run.seconds * amount / 100)
        return Length(max(1, round(run.steps * amount / 100)))
    if unit == "epoch":
        amount *= units.steps_per_epoch
    elif unit == "example":
        amount /= units.batch_size
    if amount > _MOST_STEPS:
        raise ConfigError(f"{text!r} is {amount:.3g} steps; at most {_MOST_STEPS:,} are counted")
    return Length(max(1, round(amount)))


def measure_steps(text: str, units: Units, run: Length) -> int:
    """The number of steps that a text says.

    Raises:
      ConfigError: it is a time, or the share of a run whose length is one.
    """
    steps = measure(text, units, run).steps
    if steps is None:
        raise ConfigError(
            f"{text!r} is a time, and steps are needed here: say steps, epochs or examples"
        )
    return steps
