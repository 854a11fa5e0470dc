"""What the step does when numbers go wrong, decided inside it: no host waits for a verdict.

A step whose loss, carry or gradient is not finite changes no parameter. Under the policy "skip" it
is counted and the next batch follows; otherwise the state stands still from then on, as it was
before that step, until the host looks and finds out which one it was.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax.tasks.task import Array

OnNonFinite = Literal["stop", "skip", "rewind"]
Precision = Literal["float32", "bfloat16", "float16"]

_FIRST_SCALE = 2.0**15
_LARGEST_SCALE = 2.0**24
_GROW_AFTER = 2000  # steps without an overflow
_LOSS_DECAY = 0.99  # of the running mean and variance of the loss
_SETTLED = 100  # steps before a loss can be called a spike
_SPIKE = 6.0  # standard deviations above the mean


class Guard(NamedTuple):
    """What the step remembers of its own health.

    Attributes:
      bad_step: the step at which the state stands still, -1 while all is well.
      skipped: steps of the run that changed nothing, but for those that the loss scale caused.
      skipped_in_a_row: how many of them were the last ones.
      rewinds: how often the run went back to a checkpoint.
      loss_scale: what the loss is multiplied with before the derivative (float16 alone).
      unscaled_steps: good steps since the scale last moved.
      loss_mean: running mean of the loss.
      loss_variance: running variance of the loss.
      losses: how many losses the two have seen.
    """

    bad_step: Array
    skipped: Array
    skipped_in_a_row: Array
    rewinds: Array
    loss_scale: Array
    unscaled_steps: Array
    loss_mean: Array
    loss_variance: Array
    losses: Array


class Verdict(NamedTuple):
    """What becomes of a step: booleans, and the guard after it.

    Attributes:
      apply: the parameters follow the gradient.
      advance: the step counts as done.
      keep_carry: the new carry is taken.
      spike: the loss is far above what it has been.
      guard: the guard after the step.
    """

    apply: Array
    advance: Array
    keep_carry: Array
    spike: Array
    guard: Guard


def initial_guard(precision: Precision = "float32") -> Guard:
    """The guard before the first step."""
    scale = _FIRST_SCALE if precision == "float16" else 1.0
    counts, figures = (jnp.int32(0) for _ in range(5)), (jnp.float32(0) for _ in range(2))
    skipped, in_a_row, rewinds, unscaled, losses = counts
    mean, variance = figures
    return Guard(
        jnp.int32(-1), skipped, in_a_row, rewinds, jnp.float32(scale), unscaled,
        mean, variance, losses,
    )  # fmt: skip


def judge(
    guard: Guard, step: Array, loss: Array, carry: Any, norm: Array, policy: OnNonFinite
) -> Verdict:
    """Decides on a step by its loss, its new carry and the norm of its gradient.

    An infinite gradient under a loss scale above 1 is no fault: the scale is halved, the step is
    passed over, and after a while without an overflow the scale is doubled (P. Micikevicius et al.,
    "Mixed Precision Training", arXiv 1710.03740).
    """
    forward = jnp.isfinite(loss) & all_finite(carry)
    good = forward & jnp.isfinite(norm)
    overflow = forward & ~good & (guard.loss_scale > 1)
    fault = ~good & ~overflow
    stopped = guard.bad_step >= 0
    halt = jnp.bool(False) if policy == "skip" else stopped | fault
    apply = good & ~halt
    spike = apply & _is_spike(guard, loss)
    after = _with_scale(_with_loss(guard, loss, spike), good, overflow)
    skipped = (fault & ~halt).astype(jnp.int32)
    after = after._replace(
        skipped=guard.skipped + skipped,
        skipped_in_a_row=jnp.where(fault, guard.skipped_in_a_row + skipped, 0),
    )
    after = choose(halt, guard, after)
    after = after._replace(bad_step=jnp.where(fault & halt & ~stopped, step, guard.bad_step))
    return Verdict(apply, ~halt, forward & ~halt, spike, after)


def choose(condition: Array, new: Any, old: Any) -> Any:
    """One of two pytrees of the same structure."""
    return jax.tree.map(lambda n, o: n if n is o else jnp.where(condition, n, o), new, old)


def all_finite(tree: Any) -> Array:
    """Whether every float of a pytree is finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves], bool))


def group_norms(gradients: Any) -> dict[str, Array]:
    """The norm of the gradient of every group of parameters: the first level of their names."""
    groups = gradients if isinstance(gradients, dict) else {}
    return {f"gradient_norm/{name}": optax.tree.norm(group) for name, group in groups.items()}


def _is_spike(guard: Guard, loss: Array) -> Array:
    # A loss that hardly moves has no deviation to speak of; a tenth of it is no spike either.
    usual = jnp.maximum(jnp.sqrt(guard.loss_variance), 0.02 * jnp.abs(guard.loss_mean))
    return (guard.losses >= _SETTLED) & (loss > guard.loss_mean + _SPIKE * usual)


def _with_loss(guard: Guard, loss: Array, spike: Array) -> Guard:
    """Moves the mean and the variance; of the first losses they are plain averages."""
    loss = jnp.where(jnp.isfinite(loss), loss, guard.loss_mean)
    # A spike moves them too, but by no more than it took to be one.
    loss = jnp.where(spike, guard.loss_mean + _SPIKE * jnp.sqrt(guard.loss_variance), loss)
    losses = guard.losses + 1
    rate = jnp.maximum(1 - _LOSS_DECAY, 1 / losses.astype(jnp.float32))
    difference = loss - guard.loss_mean
    mean = guard.loss_mean + rate * difference
    variance = (1 - rate) * (guard.loss_variance + rate * difference**2)
    return guard._replace(loss_mean=mean, loss_variance=variance, losses=losses)


def _with_scale(guard: Guard, good: Array, overflow: Array) -> Guard:
    """Halves the scale at an overflow, doubles it after many steps without one."""
    steps = jnp.where(good, guard.unscaled_steps + 1, 0)
    grow = (steps >= _GROW_AFTER) & (guard.loss_scale > 1)
    scale = jnp.where(overflow, guard.loss_scale / 2, guard.loss_scale)
    scale = jnp.where(grow, jnp.minimum(scale * 2, _LARGEST_SCALE), scale)
    return guard._replace(loss_scale=scale, unscaled_steps=jnp.where(grow, 0, steps))
