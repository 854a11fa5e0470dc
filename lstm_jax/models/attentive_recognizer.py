"""Speech spelled by a decoder with attention, on one encoder with CTC, in Flax linen."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.cells.precision import computing_in
from lstm_jax.models.attention import Memory
from lstm_jax.models.attention_decoder import AttentionDecoder, AttentionKind, DecoderState
from lstm_jax.models.ctc import BLANK
from lstm_jax.models.speech_recognizer import SpeechRecognizer


class AttentiveRecognizer(SpeechRecognizer, kw_only=True):
    """A `SpeechRecognizer` whose last layer is also what a decoder with attention looks at.

        log p(y | x) = sum over the symbols of log softmax(E a_t + b),  a_t of `AttentionDecoder`

    The decoder spells: W. Chan et al., "Listen, Attend and Spell", arXiv 1508.01211. That both
    learn from one encoder keeps attention from losing its place: S. Kim, T. Hori and S. Watanabe,
    "Joint CTC-Attention based End-to-End Speech Recognition", arXiv 1609.06773. Symbol 0 ends a
    text here, since no text has a blank; one matrix E embeds symbols and is the softmax's.

    >>> import lstm_jax as lj
    >>> model = AttentiveRecognizer(symbols=5, cell=lj.lstm, hidden_size=4, embedding_size=3)
    >>> features, lengths = jnp.ones((2, 18, 3)), jnp.array([18, 7])
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), features, lengths)
    >>> shapes["params"]["embedding"].shape, shapes["params"]["spelling_bias"].shape
    ((6, 3), (5,))

    Params: those of `SpeechRecognizer`; `decoder`; `embedding` [symbols + 1, size], whose last row
    stands before the first symbol; `spelling_bias` [symbols].

    Attributes:
      decoder_size: memory cells of each layer of the decoder.
      decoder_layers: its layers.
      embedding_size: size of a symbol's vector, and of the attentional vector.
      attention: the score, or "bahdanau".
      input_feeding: whether the attentional vector is read by the next step.
    """

    decoder_size: int = 128
    decoder_layers: int = 1
    embedding_size: int = 64
    attention: AttentionKind = "general"
    input_feeding: bool = False

    def setup(self) -> None:  # noqa: D102
        super().setup()
        size, decoder_cell = self.embedding_size, self.cell(self.decoder_size)
        self._decoder = AttentionDecoder(
            [computing_in(decoder_cell, self.dtype)] * self.decoder_layers,
            self.attention,
            self.input_feeding,
            size,
            self.dropout,
            self.dtype,
        )
        memory_size = self.layers[-1].cell.output_size
        self.decoder = self.param("decoder", self._decoder.init, size, memory_size)
        shape = (self.symbols + 1, size)
        self.embedding = self.param("embedding", nn.initializers.normal(size**-0.5), shape)
        self.spelling_bias = self.param("spelling_bias", nn.initializers.zeros, (self.symbols,))

    def begin(self, encoded: Array, lengths: Array) -> tuple[Memory, DecoderState]:
        """What the decoder looks at, and its state before the first symbol.

        Args:
          encoded: of `read` [batch, steps, size].
          lengths: how many frames of each are valid [batch].
        """
        mask = jnp.arange(encoded.shape[1]) < self.steps_of(lengths)[:, None]
        return self._decoder.begin(self.decoder, encoded, mask)

    def log_likelihood(
        self, encoded: Array, lengths: Array, labels: Array, key: Array | None = None
    ) -> Array:
        """Log-probabilities of whole texts, their ends counted [batch].

        Args:
          encoded: of `read` [batch, steps, size].
          lengths: how many frames of each are valid [batch].
          labels: the symbols of each text, and zeros behind them [batch, labels].
          key: of the decoder's dropout; without it nothing is dropped.
        """
        memory, state = self.begin(encoded, lengths)
        inputs = jnp.pad(labels, ((0, 0), (1, 0)), constant_values=self.symbols)
        targets = jnp.pad(labels, ((0, 0), (0, 1)), constant_values=BLANK)
        vectors, _ = self._decoder.run(
            self.decoder, memory, state, self.embedding[inputs], key=key, remat=self.remat
        )
        log_p = jnp.take_along_axis(self._log_p(vectors), targets[:, :, None], axis=-1)[:, :, 0]
        counted = jnp.arange(targets.shape[1]) <= jnp.sum(labels != BLANK, axis=1)[:, None]
        return jnp.sum(jnp.where(counted, log_p, 0), axis=1)

    def step(
        self, memory: Memory, state: DecoderState, last: Array
    ) -> tuple[DecoderState, Array, Array]:
        """One symbol on, for some hypotheses of each recording.

        Args:
          memory: of `begin`.
          state: the decoder's, arrays [batch, hypotheses, ...].
          last: the symbol before, `symbols` at the beginning [batch, hypotheses].

        Returns:
          The state, log-probabilities [batch, hypotheses, symbols], 0 the end's, and weights
          [batch, hypotheses, steps].
        """
        x = self.embedding[last]
        state, vectors, weights = self._decoder.step(self.decoder, memory, state, x)
        return state, self._log_p(vectors), weights

    def _log_p(self, vectors: Array) -> Array:
        low: Any = vectors.astype(self.dtype) @ self.embedding[:-1].astype(self.dtype).T
        return jax.nn.log_softmax(low.astype(jnp.float32) + self.spelling_bias)
