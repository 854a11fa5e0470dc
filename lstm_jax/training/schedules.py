"""Learning-rate schedules: the share of the peak rate at every step of a run.

All of them are told in shares of the run, so that a longer run has the same schedule, and that a
run measured in minutes has one too.
"""

import math
from typing import Any

import jax.numpy as jnp
import optax

from lstm_jax.config import (
    Fraction,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Rate,
    register,
)
from lstm_jax.errors import ConfigError
from lstm_jax.training.plateau import Plateau, PlateauSchedule


def _with_warmup(warmup: float, total_steps: int, after: optax.Schedule) -> optax.Schedule:
    """Rises in a line from zero over the first share of the run, then follows `after`."""
    steps = round(warmup * total_steps)
    if steps == 0:
        return after
    # Step 0 already moves: a rate of zero would waste it.
    rise = optax.linear_schedule(1 / (steps + 1), 1.0, steps)
    return optax.join_schedules([rise, after], [steps])


def _rest(warmup: float, total_steps: int) -> int:
    """Steps after the warm-up, at least one."""
    return max(total_steps - round(warmup * total_steps), 1)


def _ones(step: Any) -> Any:
    return jnp.ones_like(step, float)


@register("schedule")
def constant(total_steps: int, *, warmup: Fraction = 0.0) -> optax.Schedule:
    """The peak rate throughout, after a linear warm-up.

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
    """
    return _with_warmup(warmup, total_steps, _ones)


@register("schedule")
def warmup_cosine(
    total_steps: int, *, warmup: Fraction = 0.05, end: Fraction = 0.02
) -> optax.Schedule:
    """A linear warm-up, then half a cosine down (I. Loshchilov and F. Hutter, arXiv 1608.03983).

    >>> schedule = warmup_cosine(100, warmup=0.1, end=0.0)
    >>> [round(float(schedule(step)), 2) for step in (0, 10, 55, 100)]
    [0.09, 1.0, 0.5, 0.0]

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      end: rate at the last step, as a share of the peak.
    """
    rest = _rest(warmup, total_steps)
    return _with_warmup(warmup, total_steps, optax.cosine_decay_schedule(1.0, rest, end))


@register("schedule")
def linear(total_steps: int, *, warmup: Fraction = 0.05, end: Fraction = 0.0) -> optax.Schedule:
    """A linear warm-up, then a line down.

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      end: rate at the last step, as a share of the peak.
    """
    rest = _rest(warmup, total_steps)
    return _with_warmup(warmup, total_steps, optax.linear_schedule(1.0, end, rest))


@register("schedule")
def exponential(
    total_steps: int, *, warmup: Fraction = 0.05, end: PositiveFraction = 0.01
) -> optax.Schedule:
    """A linear warm-up, then the same factor from each step to the next.

    >>> schedule = exponential(100, warmup=0.0, end=0.01)
    >>> [round(float(schedule(step)), 3) for step in (0, 50, 100)]
    [1.0, 0.1, 0.01]

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      end: rate at the last step, as a share of the peak.
    """
    rest = _rest(warmup, total_steps)
    return _with_warmup(warmup, total_steps, optax.exponential_decay(1.0, rest, end))


@register("schedule")
def inverse_sqrt(total_steps: int, *, warmup: Fraction = 0.05) -> optax.Schedule:
    """A linear warm-up, then one over the root of the step (A. Vaswani et al., arXiv 1706.03762).

    `sqrt(w / step)` after `w` steps of warm-up. It has no end of its own: a run may be prolonged.

    >>> schedule = inverse_sqrt(400, warmup=0.25)
    >>> [round(float(schedule(step)), 2) for step in (100, 200, 400)]
    [1.0, 0.71, 0.5]

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
    """
    steps = max(round(warmup * total_steps), 1)
    # Steps before the warm-up's end are looked at too, and not used.
    return _with_warmup(
        warmup, total_steps, lambda step: jnp.sqrt(steps / (jnp.maximum(step, 0) + steps))
    )


@register("schedule")
def one_cycle(
    total_steps: int,
    *,
    warmup: Fraction = 0.3,
    start: PositiveFraction = 0.04,
    end: Fraction = 4e-6,
) -> optax.Schedule:
    """Up by half a cosine, then down by another (L. Smith and N. Topin, arXiv 1708.07120).

    >>> schedule = one_cycle(100, warmup=0.3, start=0.1, end=0.0)
    >>> [round(float(schedule(step)), 2) for step in (0, 30, 65, 100)]
    [0.1, 1.0, 0.5, 0.0]

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      start: rate at the first step, as a share of the peak.
      end: rate at the last step, as a share of the peak.
    """
    rest = _rest(warmup, total_steps)
    fall = optax.cosine_decay_schedule(1.0, rest, end)
    steps = round(warmup * total_steps)
    if steps == 0:
        return fall
    # The descent read backwards.
    rise = optax.cosine_decay_schedule(1.0, steps, start)
    return optax.join_schedules([lambda step: rise(steps - step), fall], [steps])


@register("schedule")
def step(
    total_steps: int,
    *,
    warmup: Fraction = 0.0,
    milestones: tuple[str, ...] = ("50%", "75%"),
    factor: PositiveFraction = 0.1,
) -> optax.Schedule:
    """The peak rate, multiplied by a factor at each milestone.

    >>> schedule = step(100, milestones=("50%", "75%"), factor=0.1)
    >>> [round(float(schedule(step)), 3) for step in (49, 50, 75)]
    [1.0, 0.1, 0.01]

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      milestones: shares of the run, such as "50%", in order and behind the warm-up.
      factor: of the rate at each of them.

    Raises:
      ConfigError: a milestone is no share of the run, or not behind the one before.
    """
    shares = [_share(text) for text in milestones]
    if shares != sorted(set(shares)) or (shares and shares[0] < warmup):
        raise ConfigError(
            f"schedule.milestones: must rise, from the end of the warm-up at {warmup:.0%}; "
            f"got {', '.join(milestones)}"
        )
    begins = round(warmup * total_steps)
    falls = jnp.asarray([round(share * total_steps) - begins for share in shares])

    def fall(step: Any) -> Any:
        return jnp.prod(jnp.where(step >= falls, factor, 1.0))

    return _with_warmup(warmup, total_steps, fall)


def _share(text: str) -> float:
    try:
        share = float(str(text).strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not (str(text).strip().endswith("%") and 0 < share < 1):
        raise ConfigError(f'schedule.milestones: must be shares such as "50%", got {text!r}')
    return share


@register("schedule")
def cosine_restarts(
    total_steps: int,
    *,
    warmup: Fraction = 0.0,
    cycles: PositiveInt = 4,
    growth: PositiveFloat = 1.0,
    end: Fraction = 0.0,
) -> optax.Schedule:
    """Half a cosine down, again and again (I. Loshchilov and F. Hutter, arXiv 1608.03983).

    >>> schedule = cosine_restarts(100, cycles=2)
    >>> [round(float(schedule(step)), 2) for step in (0, 25, 50, 75)]
    [1.0, 0.5, 1.0, 0.5]

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      cycles: how often the rate falls.
      growth: length of each cycle as a multiple of the one before.
      end: rate at the end of each cycle, as a share of the peak.
    """
    rest = _rest(warmup, total_steps)
    weights = [growth**i for i in range(cycles)]
    ends = [round(rest * sum(weights[: i + 1]) / sum(weights)) for i in range(cycles)]
    lengths = [b - a for a, b in zip([0, *ends], ends, strict=False)]
    falls = [optax.cosine_decay_schedule(1.0, max(length, 1), end) for length in lengths]
    return _with_warmup(warmup, total_steps, optax.join_schedules(falls, ends[:-1]))


@register("schedule")
def reduce_on_plateau(
    total_steps: int,
    *,
    warmup: Fraction = 0.0,
    factor: PositiveFraction = 0.1,
    patience: PositiveInt = 10,
    rtol: Rate = 1e-4,
    cooldown: NonNegativeInt = 0,
    min_scale: Fraction = 0.0,
) -> optax.Schedule:
    """The peak rate, multiplied by a factor whenever the validation figure no longer improves.

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      factor: of the rate at each reduction.
      patience: evaluations without an improvement before it.
      rtol: relative change of the first metric that counts as an improvement.
      cooldown: evaluations after a reduction that are not counted.
      min_scale: share of the peak below which the rate does not fall.
    """
    before = _with_warmup(warmup, total_steps, _ones)
    return PlateauSchedule(before, Plateau(factor, patience, rtol, cooldown, min_scale))
