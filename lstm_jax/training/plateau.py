"""A learning rate that falls when the validation figure stops falling.

The factor is part of the optimiser's state, so that it is saved and restored with it, and so that
a population of runs has one each.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.training.optimizer_state import replace_states


@dataclasses.dataclass(frozen=True)
class Plateau:
    """When the rate falls, and by how much (see the schedule `reduce_on_plateau`)."""

    factor: float
    patience: int
    rtol: float
    cooldown: int
    min_scale: float


@dataclasses.dataclass(frozen=True)
class PlateauSchedule:
    """A schedule, to be scaled further by what evaluations show."""

    before: optax.Schedule
    plateau: Plateau

    def __call__(self, step: Any) -> Any:
        """The share of the peak rate without the reductions."""
        return self.before(step)


class PlateauState(NamedTuple):
    """What evaluations have shown.

    Attributes:
      scale: factor of the learning rate now.
      best: the best score.
      evaluations: how many came since it, without an improvement.
      cooldown: how many more are not counted.
    """

    scale: jax.Array
    best: jax.Array
    evaluations: jax.Array
    cooldown: jax.Array


def scale_by_plateau() -> optax.GradientTransformation:
    """Scales updates by the factor in its state, which `observe_score` moves."""

    def init(params: Any) -> PlateauState:
        del params
        return PlateauState(jnp.float32(1), jnp.float32(jnp.inf), jnp.int32(0), jnp.int32(0))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, PlateauState]:
        del params
        scaled = jax.tree.map(lambda u: (state.scale * u).astype(u.dtype), updates)
        return scaled, state

    return optax.GradientTransformation(init, update)


def observe_score(opt_state: Any, plateau: Plateau, score: float) -> Any:
    """The optimiser's state after an evaluation.

    An evaluation improves if `score < best - rtol * |best|`; the `patience`-th in a row that does
    not scales the rate by `factor`, and `cooldown` evaluations after that are not counted. For
    figures above zero this is `optax.contrib.reduce_on_plateau`, whose bound for figures below
    zero (as a score is whose metric is better when higher) lies on the wrong side.

    Args:
      opt_state: the whole state of an optimiser with `scale_by_plateau` in it.
      plateau: the rule.
      score: of the validation split, the lower, the better; NaN is no improvement.
    """

    def observe(state: PlateauState) -> PlateauState:
        return _observe(state, jax.device_put(np.float32(score), state.best.sharding), plateau)

    return replace_states(opt_state, PlateauState, observe)


@functools.partial(jax.jit, static_argnums=2)
def _observe(state: PlateauState, value: jax.Array, plateau: Plateau) -> PlateauState:
    margin = jnp.where(jnp.isfinite(state.best), plateau.rtol * jnp.abs(state.best), 0.0)
    improved = value < state.best - margin
    cooling = state.cooldown > 0
    waited = jnp.where(improved | cooling, 0, state.evaluations + 1)
    falls = waited >= plateau.patience
    lower = jnp.maximum(state.scale * plateau.factor, plateau.min_scale)
    return PlateauState(
        scale=jnp.where(falls, jnp.minimum(state.scale, lower), state.scale),
        best=jnp.where(improved, value, state.best),
        evaluations=jnp.where(falls, 0, waited).astype(jnp.int32),
        cooldown=jnp.where(falls, plateau.cooldown, jnp.maximum(state.cooldown - 1, 0)).astype(
            jnp.int32
        ),
    )
