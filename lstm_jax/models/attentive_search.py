"""Texts by a decoder with attention: looked for by it alone, or found by CTC and scored by both."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.models.attention_decoder import hypotheses
from lstm_jax.models.attentive_recognizer import AttentiveRecognizer
from lstm_jax.models.beam_search import beam_search
from lstm_jax.models.ctc import BLANK
from lstm_jax.models.speech_recognizer import apply
from lstm_jax.models.text_scorers import Scorer


def spell(
    network: AttentiveRecognizer,
    params: Any,
    encoded: Array,
    lengths: Array,
    scorer: Scorer,
    *,
    beam_size: int,
    length_penalty: float,
) -> tuple[Array, Array]:
    """The text of each recording that the decoder finds likeliest, CTC not asked.

        score(y) = (log p(y | x) + scorer(y)) / ((6 + |y|) / 6)^length_penalty

    A text has no more symbols than its recording has steps.

    Args:
      network: whose decoder it is.
      params: its parameters.
      encoded: of `read` [batch, steps, size].
      lengths: how many frames of each are valid [batch].
      scorer: of texts; no symbol may gain by it.
      beam_size: how many beginnings are kept.
      length_penalty: as of `beam_search`.

    Returns:
      The scores [batch], and the symbols of each, zeros behind them [batch, steps + 1].
    """
    memory, state = apply(network, params, encoded, lengths, method="begin")

    def step(state: Any, last: Array) -> Any:
        decoder, known = state
        # What nothing has been put to yet stands at the scorer's beginning.
        after = jax.tree.map(
            lambda new, old: jnp.where(_beside(last < network.symbols, new), new, old),
            scorer.advance(known, jnp.minimum(last, network.symbols - 1)),
            known,
        )
        decoder, log_p, weights = apply(network, params, memory, decoder, last, method="step")
        return (decoder, after), log_p + scorer.ahead(after), weights

    shape = len(encoded), beam_size
    known = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*shape, *leaf.shape)), scorer.initial)
    found = beam_search(
        step,
        (hypotheses(state, beam_size), known),
        memory.mask,
        network.steps_of(lengths) + 1,
        length=encoded.shape[1] + 1,
        beam_size=beam_size,
        begin=network.symbols,
        end=BLANK,
        length_penalty=length_penalty,
    )
    return found.scores, found.tokens


def rescored(
    network: AttentiveRecognizer,
    params: Any,
    encoded: Array,
    lengths: Array,
    scores: Array,
    texts: Array,
    weight: float,
) -> Array:
    """The scores of texts that CTC has found, with what the decoder says of each [batch, texts].

        score(y) + weight * log p(y | x)

    "Attention rescoring" (B. Zhang et al., "Unified Streaming and Non-streaming Two-pass End-to-end
    Model for Speech Recognition", arXiv 2012.05481).

    Args:
      network: whose decoder it is.
      params: its parameters.
      encoded: of `read` [batch, steps, size].
      lengths: how many frames of each are valid [batch].
      scores: of the search [batch, texts].
      texts: the symbols of each, blanks among them [batch, texts, steps].
      weight: what a nat of the decoder counts.
    """
    log_likelihood = functools.partial(apply, network, params, method="log_likelihood")
    each = jax.vmap(lambda labels: log_likelihood(encoded, lengths, labels), in_axes=1, out_axes=1)
    return scores + weight * each(_packed(texts))


def _packed(texts: Array) -> Array:
    """The symbols of each text before its blanks."""
    order = jnp.argsort(texts == BLANK, axis=-1, stable=True)
    return jnp.take_along_axis(texts, order, axis=-1)


def _beside(condition: Array, leaf: Array) -> Array:
    return condition.reshape(*condition.shape, *[1] * (leaf.ndim - condition.ndim))
