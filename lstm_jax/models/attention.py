"""Attention of a decoder to the outputs of an encoder: scores, weights and contexts."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Params, glorot_uniform

Score = Literal["dot", "general", "concat"]
_NEVER = -1e30  # a score of minus infinity would make a NaN of the gradient of an empty sentence


class Memory(NamedTuple):
    """What a decoder may look at, made once for each source.

    Attributes:
      values: what contexts are made of, the outputs of the encoder [batch, source, memory].
      keys: what queries are compared with [batch, source, size].
      mask: where the source is, booleans [batch, source]; the rest is padding.
    """

    values: Array
    keys: Array
    mask: Array


def init_attention(
    key: Array, score: Score, query_size: int, memory_size: int, size: int
) -> Params:
    """The parameters of a score.

    Params: of "general" `memory_kernel` [memory, query]; of "concat" `memory_kernel`
    [memory, size], `query_kernel` [query, size] and `score_kernel` [size]; of "dot" none.

    Raises:
      ValueError: "dot" with a query of another size than the memory's.
    """
    first, second, third = jax.random.split(key, 3)
    if score == "general":
        return {"memory_kernel": glorot_uniform(first, (memory_size, query_size))}
    if score == "concat":
        return {
            "memory_kernel": glorot_uniform(first, (memory_size, size)),
            "query_kernel": glorot_uniform(second, (query_size, size)),
            "score_kernel": glorot_uniform(third, (size, 1))[:, 0],
        }
    if query_size != memory_size:
        raise ValueError(
            "the dot score needs decoder and encoder outputs of one size, got "
            f"{query_size} and {memory_size}"
        )
    return {}


def remember(params: Params, values: Array, mask: Array) -> Memory:
    """The memory of encoder outputs [batch, source, memory], with what needs no query done once."""
    keys = values @ params["memory_kernel"] if "memory_kernel" in params else values
    return Memory(values, keys, mask)


def attend(params: Params, query: Array, memory: Memory) -> tuple[Array, Array]:
    """Contexts and weights for queries, any number of them for each source.

        a = softmax over the source of score(h, m),    c = sum of a * m

        dot       h . m
        general   h . W m
        concat    v . tanh(W_h h + W_m m)

    M. Luong, H. Pham and C. Manning, "Effective Approaches to Attention-based Neural Machine
    Translation", arXiv 1508.04025; the last, with the decoder's state before its step for a query,
    is that of D. Bahdanau, K. Cho and Y. Bengio, arXiv 1409.0473. Padding gets no weight.

    >>> params = init_attention(jax.random.key(0), "general", query_size=3, memory_size=4, size=3)
    >>> memory = remember(params, jnp.ones((2, 5, 4)), jnp.arange(5) < jnp.array([[5], [2]]))
    >>> context, weights = attend(params, jnp.ones((2, 7, 3)), memory)
    >>> context.shape, [round(float(w), 2) for w in weights[1, 0]]
    ((2, 7, 4), [0.5, 0.5, 0.0, 0.0, 0.0])

    Args:
      params: those of the score, which also tell which one it is.
      query: states of the decoder [batch, queries, query].
      memory: the sources.

    Returns:
      Contexts [batch, queries, memory], weights [batch, queries, source].
    """
    if "score_kernel" in params:
        projected = query @ params["query_kernel"]
        mixed = jnp.tanh(projected[:, :, None] + memory.keys[:, None])
        scores = mixed @ params["score_kernel"]
    else:
        scores = jnp.einsum("bqh,bsh->bqs", query, memory.keys)
    scores = jnp.where(memory.mask[:, None], scores.astype(jnp.float32), _NEVER)
    weights = jax.nn.softmax(scores, axis=-1) * memory.mask[:, None]
    context = jnp.einsum("bqs,bsm->bqm", weights.astype(memory.values.dtype), memory.values)
    return context, weights
