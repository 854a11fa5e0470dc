"""Averages of the parameters over training, kept in the optimiser's state.

Evaluations and checkpoints use the average (`evaluation_params`); training goes on from the
parameters themselves.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.contrib import ScheduleFreeState

from lstm_jax.config import Interval, PositiveInt, Rate, register
from lstm_jax.errors import ConfigError
from lstm_jax.training.optimizer_state import find_states, replace_states

# From a duration of the config to steps.
Steps = Callable[[str], int]


class AverageState(NamedTuple):
    """An average of parameters.

    Attributes:
      step: updates that were seen.
      weight: the sum of the weights of what is in the average, at most 1.
      taken: how many parameters it is made of.
      average: the weighted sum, in float32 or wider.
    """

    step: jax.Array
    weight: jax.Array
    taken: jax.Array
    average: Any


class TriggeredState(NamedTuple):
    """An average that begins when the validation figure no longer improves.

    Attributes:
      begun: whether it has begun.
      recent: the scores of the last evaluations, the latest last; infinite before the first.
      best_before: the best score before those.
      average: the average, empty until it begins.
    """

    begun: jax.Array
    recent: jax.Array
    best_before: jax.Array
    average: AverageState


@register("averaging")
def none(steps: Steps) -> None:
    """No average: the parameters as they are.

    Args:
      steps: the number of steps of a duration.
    """
    del steps


@register("averaging")
def ema(
    steps: Steps, *, decay: Rate = 0.999, debias: bool = True
) -> optax.GradientTransformationExtraArgs:
    """An exponential moving average of parameters (B. Polyak and A. Juditsky, 1992).

    `a <- decay * a + (1 - decay) * p` after every update. Without a bias towards where training
    began, `a` starts at zero and is divided by `1 - decay^n` when it is used.

    >>> average = ema(int, decay=0.5)
    >>> params = {"w": jnp.float32(0.0)}
    >>> state = average.init(params)
    >>> for _ in range(2):  # to 1, then to 2
    ...     updates, state = average.update({"w": jnp.float32(1.0)}, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> round(float(evaluation_params(state, params)["w"]), 3)  # (0.25 * 1 + 0.5 * 2) / 0.75
    1.667

    Args:
      steps: the number of steps of a duration.
      decay: weight of the past at each step.
      debias: whether the parameters before the first update have no part in it.
    """
    del steps

    def follow(state: AverageState, params: Any) -> AverageState:
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.average, params)
        weight = decay * state.weight + (1 - decay)
        return AverageState(state.step, weight, state.taken + 1, average)

    return _averaging(follow, starts_with_params=not debias)


@register("averaging")
def swa(
    steps: Steps, *, start: Interval = "75 percent", every: Interval = "1 epoch"
) -> optax.GradientTransformationExtraArgs:
    """The mean of parameters along the last part of a run (P. Izmailov et al., arXiv 1803.05407).

    Until its start the parameters are used as they are. The paper keeps the learning rate high or
    cyclic while it averages: the schedules `constant` and `cosine_restarts`.

    Args:
      steps: the number of steps of a duration.
      start: how long training goes before the first parameters are taken.
      every: between two that are taken.

    Raises:
      ConfigError: nothing would be taken before the run ends, or it is measured in time.
    """
    first, between = (
        _named(steps, name, text) for name, text in {"start": start, "every": every}.items()
    )
    whole = steps("100 percent")
    if first > whole:
        raise ConfigError(
            f"averaging.start: {start!r} is behind the end of the run ({whole:,} steps)"
        )

    def follow(state: AverageState, params: Any) -> AverageState:
        due = (state.step >= first) & ((state.step - first) % between == 0)
        taken = state.taken + due
        part = 1 / jnp.maximum(taken, 1)
        # Chosen rather than multiplied by zero, which a parameter of infinity would survive.
        average = jax.tree.map(
            lambda a, p: jnp.where(due, a + part * (p - a), a), state.average, params
        )
        return AverageState(state.step, jnp.minimum(taken, 1).astype(jnp.float32), taken, average)

    return _averaging(follow, starts_with_params=False)


def _named(steps: Steps, field: str, text: str) -> int:
    try:
        return steps(text)
    except ConfigError as error:
        raise ConfigError(f"averaging.{field}: {error}") from None


@register("averaging")
def nt_asgd(steps: Steps, *, patience: PositiveInt = 5) -> optax.GradientTransformationExtraArgs:
    """The mean of all parameters since the validation figure stopped falling, at a constant rate.

    It begins behind the first evaluation that is worse than the best one before the last `patience`
    of them, and then takes every update. S. Merity, N. S. Keskar and R. Socher, "Regularizing and
    Optimizing LSTM Language Models", arXiv 1708.02182, with SGD; B. Polyak and A. Juditsky, 1992.

    >>> import numpy as np
    >>> average = nt_asgd(int, patience=1)
    >>> state = average.init({"w": jnp.zeros(())})
    >>> [bool((state := observe_score(state, score)).begun) for score in (5.0, 4.0, 4.5, 4.6)]
    [False, False, False, True]

    Args:
      steps: the number of steps of a duration.
      patience: evaluations that an improvement may take.
    """
    del steps

    def follow(state: AverageState, params: Any) -> AverageState:
        taken = state.taken + 1
        average = jax.tree.map(lambda a, p: a + (p - a) / taken, state.average, params)
        return AverageState(state.step, jnp.float32(1), taken, average)

    mean: Any = _averaging(follow, starts_with_params=False)

    def init(params: Any) -> TriggeredState:
        scores = jnp.full(patience, jnp.inf, jnp.float32)
        return TriggeredState(jnp.array(False), scores, jnp.float32(jnp.inf), mean.init(params))

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, TriggeredState]:
        _, after = mean.update(updates, state.average, params, **extra)
        # Chosen rather than multiplied by zero, which a parameter of infinity would survive.
        kept = jax.tree.map(lambda a, b: jnp.where(state.begun, a, b), after, state.average)
        return updates, state._replace(average=kept._replace(step=after.step))

    return optax.GradientTransformationExtraArgs(init, update)


def observe_score(opt_state: Any, score: float) -> Any:
    """The optimiser's state after an evaluation, which an average of `nt_asgd` may begin behind.

    Args:
      opt_state: the whole state of an optimiser.
      score: of the validation split, the lower, the better; NaN is no improvement.
    """

    def observe(state: TriggeredState) -> TriggeredState:
        return _observe(state, jax.device_put(np.float32(score), state.best_before.sharding))

    return replace_states(opt_state, TriggeredState, observe)


@jax.jit
def _observe(state: TriggeredState, score: jax.Array) -> TriggeredState:
    score = jnp.where(jnp.isnan(score), jnp.inf, score)
    return state._replace(
        begun=state.begun | (score > state.best_before),
        recent=jnp.append(state.recent[1:], score),
        best_before=jnp.minimum(state.best_before, state.recent[0]),
    )


def is_averaging(opt_state: Any) -> bool:
    """Whether evaluation uses other parameters than training does."""
    return bool(find_states(opt_state, AverageState) or find_states(opt_state, ScheduleFreeState))


def evaluation_params(opt_state: Any, params: Any) -> Any:
    """The parameters for evaluation: their average if the optimiser keeps one.

    The average of `averaging`, or that of the schedule-free optimisers. The parameters themselves
    while an average is still empty, and if there is none.
    """
    averages = find_states(opt_state, AverageState)
    if averages:
        return _read(averages[-1], params)
    for state in find_states(opt_state, ScheduleFreeState):  # one for every group of parameters
        params = jax.tree.map(functools.partial(_interpolate, state.b1), params, state.z)
    return params


def _averaging(
    follow: Callable[[AverageState, Any], AverageState], *, starts_with_params: bool
) -> optax.GradientTransformationExtraArgs:
    """The transformation that leaves updates as they are; it must come last in a chain."""

    def init(params: Any) -> AverageState:
        begins = 1.0 if starts_with_params else 0.0
        average = jax.tree.map(lambda p: begins * p.astype(_wide(p)), params)
        return AverageState(jnp.int32(0), jnp.float32(begins), jnp.int32(0), average)

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, AverageState]:
        del extra
        moved = optax.apply_updates(params, updates)
        state = state._replace(step=state.step + 1)
        return updates, follow(state, jax.tree.map(lambda p: p.astype(_wide(p)), moved))

    return optax.GradientTransformationExtraArgs(init, update)


def _read(state: AverageState, params: Any) -> Any:
    weight = jnp.where(state.weight > 0, state.weight, 1)
    return jax.tree.map(
        lambda a, p: jnp.where(state.weight > 0, (a / weight).astype(p.dtype), p),
        state.average,
        params,
    )


def _interpolate(b1: Any, y: jax.Array, z: Any) -> jax.Array:
    """The average of a schedule-free optimiser, which trains at `y = b1 * x + (1 - b1) * z`."""
    if isinstance(z, optax.MaskedNode):  # of another group
        return y
    return ((y - (1 - b1) * z) / b1).astype(y.dtype)


def _wide(leaf: jax.Array) -> Any:
    """Small steps of an average are lost in 16 bits."""
    return jnp.promote_types(leaf.dtype, jnp.float32)
