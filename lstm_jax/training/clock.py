"""A schedule over the time of a run, for runs whose number of steps is not known before."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.training.optimizer_state import find_states, replace_states

# A schedule is made for this many steps and read at the share of them that the run has done.
TICKS = 10_000


class ClockState(NamedTuple):
    """The share of the run that is done, from 0 to 1."""

    share: jax.Array


def scale_by_clock(schedule: optax.Schedule) -> optax.GradientTransformation:
    """Scales updates by the schedule at the share of the run that `set_share` set last.

    Args:
      schedule: for a run of `TICKS` steps.
    """

    def init(params: Any) -> ClockState:
        del params
        return ClockState(jnp.float32(0))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, ClockState]:
        del params
        scale = schedule(state.share * TICKS)
        return jax.tree.map(lambda u: (scale * u).astype(u.dtype), updates), state

    return optax.GradientTransformation(init, update)


def set_share(opt_state: Any, share: float) -> Any:
    """The optimiser's state at this share of the run; as it was, if it follows no clock."""

    def move(state: ClockState) -> ClockState:
        # From the old one, so that it lies where that lay, on one device or on many.
        return ClockState(jax.device_put(np.float32(share), state.share.sharding))

    return replace_states(opt_state, ClockState, move)


def clock_step(opt_state: Any, step: int) -> Any:
    """Where a schedule is read: at the clock's share if there is one, else at the step."""
    clocks = find_states(opt_state, ClockState)
    return clocks[0].share * TICKS if clocks else step
