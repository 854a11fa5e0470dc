"""Learning-rate schedules: the share of the peak rate at every step of a run."""

import jax.numpy as jnp
import optax

from lstm_jax.config import Fraction, register


def _with_warmup(warmup: float, total_steps: int, after: optax.Schedule) -> optax.Schedule:
    """Rises in a line from zero over the first share of the run, then follows `after`."""
    steps = round(warmup * total_steps)
    if steps == 0:
        return after
    # Step 0 already moves: a rate of zero would waste it.
    rise = optax.linear_schedule(1 / (steps + 1), 1.0, steps)
    return optax.join_schedules([rise, after], [steps])


@register("schedule")
def constant(total_steps: int, *, warmup: Fraction = 0.0) -> optax.Schedule:
    """The peak rate throughout, after a linear warm-up.

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
    """
    return _with_warmup(warmup, total_steps, lambda step: jnp.ones_like(step, float))


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
    rest = max(total_steps - round(warmup * total_steps), 1)
    return _with_warmup(warmup, total_steps, optax.cosine_decay_schedule(1.0, rest, end))


@register("schedule")
def linear(total_steps: int, *, warmup: Fraction = 0.05, end: Fraction = 0.0) -> optax.Schedule:
    """A linear warm-up, then a line down.

    Args:
      total_steps: steps of the run.
      warmup: share of the run over which the rate rises to its peak.
      end: rate at the last step, as a share of the peak.
    """
    rest = max(total_steps - round(warmup * total_steps), 1)
    return _with_warmup(warmup, total_steps, optax.linear_schedule(1.0, end, rest))
