"""The whole optimiser of a run: clipping, rates by group, schedule, average, in this order."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.errors import ConfigError
from lstm_jax.training import averaging as averages
from lstm_jax.training import plateau
from lstm_jax.training.averaging import Steps
from lstm_jax.training.clock import clock_step, scale_by_clock
from lstm_jax.training.durations import Length
from lstm_jax.training.optimizer_state import find_states
from lstm_jax.training.optimizers import averages_by_itself, takes_decay_mask
from lstm_jax.training.parameter_groups import ParameterGroups
from lstm_jax.training.plateau import PlateauSchedule, PlateauState, scale_by_plateau
from lstm_jax.training.schedules import constant

Transform = optax.GradientTransformation


def make_optimizer(
    optimizer: Callable[..., Transform],
    schedule: Callable[[int], optax.Schedule],
    *,
    run: Length,
    steps: Steps,
    groups: ParameterGroups,
    averaging: Callable[[Steps], Transform | None] | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The optimiser of a run.

    Gradients of frozen parameters become zero; then each element is clipped to `clip_value`, each
    group to its norm, and all together to `clip_norm`. The optimiser follows, once for every rate
    that groups have, then the factors that the clock or evaluations move, then the average. Its
    `update` takes a `rate_scale`, by which the learning rate of this one update is multiplied.

    Args:
      optimizer: the part of the config: `(schedule[, decay_mask]) -> transformation`.
      schedule: the part of the config: `(total_steps) -> schedule`.
      run: how long the run is.
      steps: the number of steps of a duration.
      groups: what is done to some parameters only.
      averaging: the part of the config, or None.
      clip_norm: largest norm of all gradients together.
      clip_value: largest absolute value of an element of a gradient.

    Raises:
      ConfigError: the pieces do not fit together; from its `init`: a pattern of `groups` matches
        no parameter.
    """
    share = schedule(run.schedule_steps)
    scales: list[Transform] = []
    if run.steps is None:
        scales.append(scale_by_clock(share))
    if isinstance(share, PlateauSchedule):
        scales.append(scale_by_plateau())
    average = None if averaging is None else averaging(steps)
    _require_fit(optimizer, groups, scaled=bool(scales), averaged=average is not None)
    inner = constant(1) if run.steps is None else share

    def with_rate(factor: float) -> Transform:
        rate = inner if factor == 1 else lambda step: factor * inner(step)
        masks = (groups.decay_mask,) if takes_decay_mask(optimizer) else ()
        return optimizer(rate, *masks)

    clips = [] if clip_value is None else [optax.clip(clip_value)]
    clips = [*groups.freeze(), *clips, *groups.clip()]
    clips += [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    chain = [*clips, _scalable(groups.optimizer(with_rate, steps)), *scales]
    if average is not None:
        chain.append(average)
    return _checked(groups, chain[0] if len(chain) == 1 else optax.chain(*chain))


def learning_rate_share(schedule: optax.Schedule, opt_state: Any, step: int) -> float:
    """The share of the peak rate that the update at a step has, for figures.

    Args:
      schedule: made for `run.schedule_steps`.
      opt_state: the state of the optimiser that `make_optimizer` made.
      step: of the update, counted from 0; looked at if the optimiser follows no clock.
    """
    share = float(np.asarray(schedule(clock_step(opt_state, step))))
    for state in find_states(opt_state, PlateauState):
        share *= float(state.scale)
    return share


def observe_score(opt_state: Any, schedule: optax.Schedule, score: float) -> Any:
    """The optimiser's state after an evaluation, which may lower the rate or begin an average.

    Args:
      opt_state: the state of the optimiser that `make_optimizer` made.
      schedule: the one it was made with.
      score: of the validation split, the lower, the better.
    """
    if isinstance(schedule, PlateauSchedule):
        opt_state = plateau.observe_score(opt_state, schedule.plateau, score)
    return averages.observe_score(opt_state, score)


def _scalable(optimizer: Transform) -> optax.GradientTransformationExtraArgs:
    """The optimiser with a `rate_scale`, an argument of its update."""
    inner = optax.with_extra_args_support(optimizer)

    def update(
        updates: Any, state: Any, params: Any = None, *, rate_scale: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        updates, state = inner.update(updates, state, params, **extra)
        if rate_scale is not None:
            updates = jax.tree.map(lambda u: (rate_scale * u).astype(u.dtype), updates)
        return updates, state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _require_fit(
    optimizer: Callable[..., Transform], groups: ParameterGroups, *, scaled: bool, averaged: bool
) -> None:
    problems = []
    if (groups.no_decay or groups.decay_biases) and not takes_decay_mask(optimizer):
        problems.append(
            "groups.no_decay, groups.decay_biases: this optimiser decays all parameters or none"
        )
    if averages_by_itself(optimizer) and averaged:
        problems.append("averaging: the schedule-free optimisers average by themselves; use none")
    if averages_by_itself(optimizer) and scaled:
        problems.append(
            "schedule: the schedule-free optimisers take no reduce_on_plateau, and no run whose "
            "duration is a time"
        )
    if problems:
        raise ConfigError(problems)


def _checked(
    groups: ParameterGroups, optimizer: Transform
) -> optax.GradientTransformationExtraArgs:
    """The optimiser, whose `init` looks at the patterns first, and shares no array."""
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> Any:
        groups.check(params)
        # Some states hold one array twice, or the parameters: none of that can be donated.
        return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), inner.init(params))

    return optax.GradientTransformationExtraArgs(init, inner.update)
