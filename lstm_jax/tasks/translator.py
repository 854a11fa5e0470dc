"""Texts translated with a trained network: sorted by length, searched in batches, put in order."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from lstm_jax.data.bucketing import BucketedBatches, longest_of
from lstm_jax.data.tokenizers import UNKNOWN, Tokenizer
from lstm_jax.models.attention_decoder import hypotheses
from lstm_jax.models.beam_search import Found, beam_search
from lstm_jax.models.seq2seq import Seq2Seq
from lstm_jax.tasks.task import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How the best translation is looked for (see `lstm_jax.models.beam_search`).

    Attributes:
      beam_size: beginnings that are kept at every step; 1 is greedy search.
      length_penalty: 0 prefers short translations, 1 hardly.
      coverage_penalty: what it costs to overlook a part of the source.
      max_ratio: symbols of the longest translation for each symbol of its source ...
      max_more: ... and this many more.
      batch_size: sources that are searched side by side.
    """

    beam_size: PositiveInt = 5
    length_penalty: NonNegativeFloat = 0.6
    coverage_penalty: NonNegativeFloat = 0.0
    max_ratio: PositiveFloat = 1.5
    max_more: NonNegativeInt = 10
    batch_size: PositiveInt = 32


class Translator:
    """Translates texts, or sequences of symbols, in any number and of any length.

    Args:
      network: the model.
      tokenizer: its symbols; BEGIN and END stand behind them.
      options: how to search.
      params: the parameters.
    """

    def __init__(self, network: Seq2Seq, tokenizer: Tokenizer, options: SearchOptions, params: Any):
        self.tokenizer = tokenizer
        self._network, self._options, self._params = network, options, params

    def translate(self, texts: Sequence[str]) -> list[str]:
        """The translation of every text, in order; that of an empty text is empty."""
        found = self.translate_ids([self.tokenizer.encode(text).ids for text in texts])
        return [self.tokenizer.decode(ids) for ids in found]

    def translate_ids(self, sources: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The same in symbols."""
        found = [np.zeros(0, np.int32)] * len(sources)
        named = {"source": sources}
        longest = int(longest_of(named).max(initial=1))
        batches = BucketedBatches(
            named, {}, batch_size=self._options.batch_size, bounds=_bounds(longest)
        )
        for i in range(len(batches)):
            batch = batches[i]
            if not batch["source_lengths"].any():
                continue
            result = self._search(batch["source"], batch["source_lengths"])
            tokens, lengths = np.asarray(result.tokens), np.asarray(result.lengths)
            for j in np.flatnonzero(batch["valid"] & (batch["source_lengths"] > 0)):
                found[batch["rows"][j]] = tokens[j, : lengths[j]]
        return found

    def attention(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Where the decoder looks before each symbol of a target, and before END [target, source].

        Args:
          source: symbols.
          target: symbols, without END.
        """
        inputs = jnp.asarray([[self._network.vocabulary_size - 2, *target]], jnp.int32)
        _, weights = _read(
            self._network,
            self._params,
            jnp.asarray(source, jnp.int32)[None],
            jnp.asarray([len(source)], jnp.int32),
            inputs,
        )
        return np.asarray(weights[0])

    def _search(self, source: np.ndarray, lengths: np.ndarray) -> Found:
        options = self._options
        limits = np.ceil(lengths * options.max_ratio).astype(np.int32) + options.max_more
        return search(
            self._network,
            options.beam_size,
            math.ceil(source.shape[1] * options.max_ratio) + options.max_more,
            self._params,
            source,
            lengths,
            np.maximum(limits, 1),
            options.length_penalty,
            options.coverage_penalty,
        )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def search(
    network: Seq2Seq,
    beam_size: int,
    length: int,
    params: Any,
    source: Array,
    lengths: Array,
    limits: Array,
    length_penalty: Array,
    coverage_penalty: Array,
) -> Found:
    """The best translation of each source, compiled once for every shape.

    Args:
      network: the model.
      beam_size: as of `beam_search`.
      length: the longest translation of all.
      params: the parameters.
      source: symbols [batch, source].
      lengths: how many of them are valid [batch].
      limits: the longest translation of each, END counted [batch].
      length_penalty: as of `beam_search`.
      coverage_penalty: as of `beam_search`.
    """
    apply = functools.partial(network.apply, {"params": params})
    read, state = apply(source, lengths, method="encode")

    def step(state: Any, last: Array) -> Any:
        return apply(read, state, last, method="step")

    return beam_search(
        step,
        hypotheses(state, beam_size),
        read.memory.mask,
        limits,
        length=max(length, 1),
        beam_size=beam_size,
        begin=network.vocabulary_size - 2,
        end=network.vocabulary_size - 1,
        never=(UNKNOWN,),
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
    )


@functools.partial(jax.jit, static_argnums=0)
def _read(network: Seq2Seq, params: Any, source: Array, lengths: Array, inputs: Array) -> Any:
    return network.apply({"params": params}, source, lengths, inputs)


def _bounds(longest: int) -> list[int]:
    """Lengths to pad sources to, the same ones every time; each is 4/3 to 3/2 of the one before."""
    bounds = [8]
    while bounds[-1] < longest:
        power = 1 << (bounds[-1].bit_length() - 1)
        bounds.append(power * 3 // 2 if bounds[-1] == power else power * 2)
    return bounds
