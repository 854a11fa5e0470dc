"""Optimisers of Optax by name, each driven by a schedule of its peak learning rate."""

import optax

from lstm_jax.config import NonNegativeFloat, PositiveFloat, Rate, register


def _rate(schedule: optax.Schedule, peak: float) -> optax.Schedule:
    return lambda step: peak * schedule(step)


@register("optimizer")
def adamw(
    schedule: optax.Schedule,
    *,
    learning_rate: PositiveFloat = 1e-3,
    b1: Rate = 0.9,
    b2: Rate = 0.999,
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (I. Loshchilov and F. Hutter, arXiv 1711.05101).

    Args:
      schedule: share of the peak rate at each step.
      learning_rate: peak rate.
      b1: decay of the mean of gradients.
      b2: decay of the mean of squared gradients.
      eps: added to the root of the latter.
      weight_decay: pull of every parameter to zero, times the rate.
    """
    return optax.adamw(
        _rate(schedule, learning_rate), b1=b1, b2=b2, eps=eps, weight_decay=weight_decay
    )


@register("optimizer")
def sgd(
    schedule: optax.Schedule,
    *,
    learning_rate: PositiveFloat = 1.0,
    momentum: Rate = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Stochastic gradient descent.

    Args:
      schedule: share of the peak rate at each step.
      learning_rate: peak rate.
      momentum: decay of the running sum of gradients.
      nesterov: look ahead along the momentum.
    """
    return optax.sgd(_rate(schedule, learning_rate), momentum=momentum or None, nesterov=nesterov)


@register("optimizer")
def rmsprop(
    schedule: optax.Schedule,
    *,
    learning_rate: PositiveFloat = 1e-3,
    decay: Rate = 0.9,
    eps: PositiveFloat = 1e-8,
    momentum: Rate = 0.0,
) -> optax.GradientTransformation:
    """Gradients divided by the root of their mean square (T. Tieleman and G. Hinton, 2012).

    Args:
      schedule: share of the peak rate at each step.
      learning_rate: peak rate.
      decay: decay of the mean of squared gradients.
      eps: added to it under the root.
      momentum: decay of the running sum of updates.
    """
    return optax.rmsprop(
        _rate(schedule, learning_rate), decay=decay, eps=eps, momentum=momentum or None
    )
