"""Linear recurrences, computed for all time steps at once."""

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array


def linear_recurrence(
    decay: Array,
    increment: Array,
    initial: Array,
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    restart: Array | None = None,
) -> tuple[Array, Array]:
    """Solves a recurrence that is linear in its state, by a parallel scan over time.

        h_t = decay_t * h_(t-1) + increment_t        for t = 0, 1, 2, ..., element by element

    G. Blelloch, "Prefix Sums and Their Applications", 1990; for recurrent networks E. Martin and
    C. Cundy, "Parallelizing Linear Recurrent Neural Nets Over Sequence Length", 2018.

    Products and sums are taken in linear space. Where decays and increments are positive nothing
    cancels, and this is more exact than a cumulative sum of logarithms: those of thousands of
    decays add up to numbers so large that their differences have lost their last digits.

    >>> ones = jnp.ones((4, 1))
    >>> last, h = linear_recurrence(0.5 * ones, ones, jnp.array([2.0]))
    >>> h[:, 0].tolist(), last.tolist()
    ([2.0, 2.0, 2.0, 2.0], [2.0])

    Args:
      decay: what is kept of the state at each step, [time, ..., size].
      increment: what is added at each step, [time, ..., size].
      initial: the state before the first step, [..., size].
      mask: which steps count, booleans [time, ...]; the others hold the state.
      resets: where the state is `restart` before the step, booleans [time, ...].
      restart: the state that a reset step begins with, [..., size]; None means zeros.

    Returns:
      The state after the last step, and those after every step, [time, ..., size].

    Raises:
      ValueError: `decay` and `increment` differ in shape, or `initial` does not fit them.
    """
    if decay.shape != increment.shape or initial.shape != decay.shape[1:]:
        raise ValueError(
            f"decay, increment [time, ..., size] and initial [..., size] must fit, "
            f"got {decay.shape}, {increment.shape} and {initial.shape}"
        )
    if mask is not None:
        decay = jnp.where(mask[..., None], decay, 1)
        increment = jnp.where(mask[..., None], increment, 0)
    if resets is not None:
        begun = increment if restart is None else increment + decay * restart
        increment = jnp.where(resets[..., None], begun, increment)
        decay = jnp.where(resets[..., None], 0, decay)
    decay = jnp.concatenate([jnp.ones_like(initial)[None], decay])
    increment = jnp.concatenate([initial[None], increment])
    _, states = jax.lax.associative_scan(_compose, (decay, increment))
    return states[-1], states[1:]


def blank_masked(xs: Array, mask: Array | None) -> Array:
    """Inputs whose masked steps are zeros, so that nothing in the padding reaches a product.

    Zero times the infinity or NaN that may stand there would not be zero, nor its gradient.
    """
    return xs if mask is None else jnp.where(mask[..., None], xs, 0)


def _compose(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
    """The affine map that applies one and then another."""
    return first[0] * then[0], then[0] * first[1] + then[1]
