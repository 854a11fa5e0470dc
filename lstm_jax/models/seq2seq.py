"""Sequence to sequence: a bidirectional encoder and a decoder with attention, in Flax linen."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell, bidirectional
from lstm_jax.cells.precision import computing_in
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat
from lstm_jax.models.attention import Memory
from lstm_jax.models.attention_decoder import AttentionDecoder, AttentionKind, DecoderState
from lstm_jax.models.cross_entropy import log_likelihood

_LEAST = 1e-30  # a probability whose logarithm and derivative are finite


class Source(NamedTuple):
    """A source that was read.

    Attributes:
      memory: what the decoder may look at.
      tokens: the symbols, which the decoder may copy [batch, source].
    """

    memory: Memory
    tokens: Array


class Seq2Seq(nn.Module):
    """Translates one sequence of symbols into another of the same vocabulary.

    The encoder is bidirectional layers; the decoder is `AttentionDecoder`; the softmax reads its
    attentional vectors. One embedding serves both sides, and the softmax too if it is tied
    (O. Press and L. Wolf, arXiv 1608.05859). With `copying` a symbol may be taken from where the
    decoder looks, with weights a of attention and a gate g = sigmoid(w . vector + b) (A. See,
    P. Liu and C. Manning, "Get To The Point", arXiv 1704.04368):

        p(y) = g * softmax(y) + (1 - g) * sum of a over the places of y in the source

    Dropout is the same for all steps of a sequence (Y. Gal and Z. Ghahramani, arXiv 1512.05287);
    `token_dropout` takes whole symbols out of both inputs, as in that paper.

    >>> import lstm_jax as lj
    >>> model = Seq2Seq(vocabulary_size=11, cell=lj.lstm, embedding_size=4, hidden_size=8)
    >>> source, lengths = jnp.ones((2, 5), int), jnp.array([5, 3])
    >>> variables = model.init(jax.random.key(0), source, lengths, jnp.ones((2, 7), int))
    >>> vectors, weights = model.apply(variables, source, lengths, jnp.ones((2, 7), int))
    >>> vectors.shape, weights.shape
    ((2, 7, 4), (2, 7, 5))

    Attributes:
      vocabulary_size: number of symbols, those that begin and end a target among them.
      cell: makes the cell of a layer from its hidden size.
      embedding_size: size of a symbol's vector, and of the attentional vector.
      hidden_size: size of the decoder's layers; each direction of the encoder has half of it.
      encoder_layers: bidirectional layers.
      decoder_layers: layers of the decoder.
      attention: the score, or "bahdanau".
      input_feeding: whether the attentional vector is read by the next step.
      copying: whether symbols may be copied from the source.
      tie_embedding: whether the softmax uses the embedding's matrix.
      dropout: share of activations that are dropped in training.
      token_dropout: share of the symbols of both inputs that are dropped in training.
      dtype: type of the products; parameters, carries and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    vocabulary_size: int
    cell: Callable[[int], Cell]
    embedding_size: int
    hidden_size: int
    encoder_layers: int = 1
    decoder_layers: int = 1
    attention: AttentionKind = "general"
    input_feeding: bool = False
    copying: bool = False
    tie_embedding: bool = True
    dropout: float = 0.0
    token_dropout: float = 0.0
    dtype: str = "float32"
    remat: Remat = "none"

    def setup(self) -> None:  # noqa: D102
        size = self.embedding_size
        self.embedding = nn.Embed(
            self.vocabulary_size,
            size,
            embedding_init=nn.initializers.normal(size**-0.5),
            dtype=self.dtype,
        )
        self.encoder = [
            RNN(bidirectional(self._make_cell(self.hidden_size // 2)), name=f"encoder_{i}",
                time_major=True)
            for i in range(self.encoder_layers)
        ]  # fmt: skip
        self._decoder = AttentionDecoder(
            [self._make_cell(self.hidden_size) for _ in range(self.decoder_layers)],
            self.attention,
            self.input_feeding,
            size,
            self.dropout,
            self.dtype,
        )
        memory_size = self.encoder[-1].cell.output_size
        self.decoder = self.param("decoder", self._decoder.init, size, memory_size)
        if not self.tie_embedding:
            shape = (self.vocabulary_size, size)
            self.softmax_table = self.param("softmax_table", nn.initializers.normal(0.05), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.vocabulary_size,))
        if self.copying:
            self.gate_kernel = self.param("gate_kernel", nn.initializers.zeros, (size,))
            self.gate_bias = self.param("gate_bias", nn.initializers.ones, (1,))
        self.drop = nn.Dropout(self.dropout, broadcast_dims=(0,))
        self.drop_tokens = nn.Dropout(self.token_dropout, broadcast_dims=(2,))

    def __call__(
        self,
        source: Array,
        source_lengths: Array,
        inputs: Array,
        *,
        deterministic: bool = True,
        sampled_share: Array | None = None,
    ) -> tuple[Array, Array]:
        """Attentional vectors [batch, time, size] and weights [batch, time, source] of all steps.

        Args:
          source: symbols [batch, source].
          source_lengths: how many of them are valid [batch].
          inputs: the symbols before each step, BEGIN and those of the target [batch, time].
          deterministic: no dropout; otherwise the key "dropout" is needed.
          sampled_share: share of the inputs that are what the model finds likeliest in their place
            instead; none, if None. Needs the key "sampling".
        """
        read, state = self.encode(source, source_lengths, deterministic=deterministic)
        if sampled_share is not None:
            inputs = self._sampled(read, state, inputs, deterministic, sampled_share)
        return self._decode(read, state, inputs, deterministic)

    def encode(
        self, source: Array, source_lengths: Array, *, deterministic: bool = True
    ) -> tuple[Source, DecoderState]:
        """The source as the decoder sees it, and the decoder's state before the first symbol."""
        x_tbe = self.vectors(source, deterministic=deterministic)
        for layer in self.encoder:
            x_tbe = self.drop(x_tbe, deterministic=deterministic)
            _, x_tbe = layer(x_tbe, lengths=source_lengths, remat=self.remat)
        values = jnp.swapaxes(self.drop(x_tbe, deterministic=deterministic), 0, 1)
        mask = jnp.arange(source.shape[1]) < source_lengths[:, None]
        memory, state = self._decoder.begin(self.decoder, values, mask)
        return Source(memory, source), state

    def vectors(self, source: Array, *, deterministic: bool) -> Array:
        """What the first layer of the encoder reads [source, batch, ...]."""
        return self._embed(source.T, deterministic)

    def step(
        self, source: Source, state: DecoderState, tokens: Array
    ) -> tuple[DecoderState, Array, Array]:
        """One step for some hypotheses of each source.

        Args:
          source: what `encode` made of the sources.
          state: the decoder's, arrays [batch, hypotheses, ...].
          tokens: the last symbols [batch, hypotheses].

        Returns:
          The state, log-probabilities [batch, hypotheses, vocabulary] and weights
          [batch, hypotheses, source].
        """
        x = self.embedding(tokens).astype(jnp.float32)
        state, vectors, weights = self._decoder.step(self.decoder, source.memory, state, x)
        return state, self.log_probabilities(source, vectors, weights), weights

    def log_probabilities(self, source: Source, vectors: Array, weights: Array) -> Array:
        """Log-probabilities of all symbols [batch, time, vocabulary]."""
        log_p = jax.nn.log_softmax(self._logits(vectors))
        if not self.copying:
            return log_p
        gate = (vectors @ self.gate_kernel + self.gate_bias)[..., None]
        batch, time, _ = weights.shape
        at = jnp.arange(batch)[:, None, None], jnp.arange(time)[:, None], source.tokens[:, None]
        copied = jnp.zeros_like(log_p).at[at].add(weights)
        return _mixed(gate, log_p, copied)

    def log_likelihood(
        self, source: Array, vectors: Array, weights: Array, targets: Array, counted: Array
    ) -> tuple[Array, Array]:
        """Log-probabilities of the targets, and the mean of those of all symbols in the softmax.

        Args:
          source: symbols [batch, source].
          vectors: of the decoder [batch, time, size].
          weights: of its attention [batch, time, source].
          targets: symbols [batch, time].
          counted: which of them count, booleans [batch, time]; others yield zeros.
        """
        right, mean = log_likelihood(
            vectors.astype(self.dtype).reshape(-1, vectors.shape[-1]),
            self._table().astype(self.dtype),
            self.bias,
            targets.reshape(-1),
            counted.reshape(-1),
        )
        right, mean = right.reshape(targets.shape), mean.reshape(targets.shape)
        if not self.copying:
            return right, mean
        gate = vectors @ self.gate_kernel + self.gate_bias
        copied = jnp.sum(weights * (targets[:, :, None] == source[:, None]), axis=-1)
        return jnp.where(counted, _mixed(gate, right, copied), 0), mean

    def _decode(
        self, source: Source, state: DecoderState, inputs: Array, deterministic: bool
    ) -> tuple[Array, Array]:
        key = None if deterministic or not self.dropout else self.make_rng("dropout")
        x = self._embed(inputs, deterministic)
        return self._decoder.run(self.decoder, source.memory, state, x, key=key, remat=self.remat)

    def _sampled(
        self,
        source: Source,
        state: DecoderState,
        inputs: Array,
        deterministic: bool,
        share: Array,
    ) -> Array:
        """Inputs, some of them what the model finds likeliest after the true ones before them."""
        vectors, weights = self._decode(source, state, inputs, deterministic)
        likeliest = jnp.argmax(self.log_probabilities(source, vectors, weights), axis=-1)
        found = jnp.concatenate([inputs[:, :1], likeliest[:, :-1].astype(inputs.dtype)], axis=1)
        taken = jax.random.bernoulli(self.make_rng("sampling"), share, inputs.shape)
        return jax.lax.stop_gradient(jnp.where(taken, found, inputs))

    def _embed(self, tokens: Array, deterministic: bool) -> Array:
        embedded = self.embedding(tokens).astype(jnp.float32)
        return self.drop_tokens(embedded, deterministic=deterministic)

    def _logits(self, vectors: Array) -> Array:
        low = vectors.astype(self.dtype) @ self._table().astype(self.dtype).T
        return low.astype(jnp.float32) + self.bias

    def _table(self) -> Array:
        """The matrix of the softmax [vocabulary, size]."""
        return self.embedding.embedding if self.tie_embedding else self.softmax_table

    def _make_cell(self, hidden_size: int) -> Cell:
        return computing_in(self.cell(hidden_size), self.dtype)


def _mixed(gate: Array, log_p: Array, copied: Array) -> Array:
    """The logarithm of sigmoid(gate) * p + (1 - sigmoid(gate)) * copied."""
    own, other = jax.nn.log_sigmoid(gate), jax.nn.log_sigmoid(-gate)
    return jnp.logaddexp(own + log_p, other + jnp.log(copied + _LEAST))
