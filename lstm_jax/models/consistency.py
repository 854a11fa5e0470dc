"""How far two outputs for the same input are from one another, as a part of the loss."""

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array


def consistency(logits: Array, others: Array, valid: Array) -> Array:
    """The divergence of two outputs for each sequence, each from the other, in nats [batch].

        1/2 sum_t ( KL(stop(q_t) || p_t) + KL(stop(p_t) || q_t) ),   p, q = softmax(logits, others)

    Z. Yao et al., "CR-CTC: Consistency regularization on CTC for improved speech recognition",
    arXiv 2410.05101. The two are of one network, which saw the input through other masks and
    another dropout: each learns what the other found where it was blind itself. No gradient comes
    through `stop`, the one that is learnt from.

    >>> p = jnp.log(jnp.array([[[0.5, 0.5], [0.9, 0.1]]]))
    >>> q = jnp.log(jnp.array([[[0.5, 0.5], [0.1, 0.9]]]))
    >>> nats = consistency(p, q, jnp.array([[True, True]]))
    >>> round(float(nats[0] / jnp.log(9)), 3)  # 0.9 * log(0.9 / 0.1) + 0.1 * log(0.1 / 0.9)
    0.8

    Args:
      logits: [batch, steps, symbols].
      others: likewise.
      valid: which steps count [batch, steps].
    """
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(others)

    def learnt(log_target: Array, log_found: Array) -> Array:
        log_target = jax.lax.stop_gradient(log_target)
        return jnp.sum(jnp.exp(log_target) * (log_target - log_found), axis=-1)

    each = (learnt(log_q, log_p) + learnt(log_p, log_q)) / 2
    return jnp.sum(jnp.where(valid, each, 0), axis=-1)
