"""A recurrent classifier of sequences of symbols in Flax linen."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.config import Fraction, Rate
from lstm_jax.models.classifier import ClassifierDropout, RecurrentClassifier
from lstm_jax.models.ngram_votes import NGramVotes


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextDropout(ClassifierDropout):
    """Shares that are dropped in training.

    Attributes:
      words: of the symbols of a text, whose vectors become zero.
      input: of the elements of a text's vectors, the same for all of its steps.
      hidden: of the elements between layers, the same for all steps.
      output: of the elements of what the pooling yields, and of the hidden layer behind it.
      parts: of the texts that one part of the network judges without the other, the recurrent
        layers or the n-grams in turn, so that each learns to (N. Neverova et al., arXiv
        1501.00102); of no consequence without n-grams.
    """

    words: Rate = 0.0
    parts: Fraction = 0.0


class TextClassifier(RecurrentClassifier, kw_only=True):
    """Reads a text and says how likely each class is: an embedding, then `RecurrentClassifier`.

    With n-grams, a linear model of them stands beside the recurrent layers, and the logits of both
    are added: networks and n-grams err on different texts (G. Mesnil et al., "Ensemble of
    Generative and Discriminative Techniques for Sentiment Analysis", arXiv 1412.5335).

    Params: `embedding`, `layer_0`, `layer_1`, ..., as in `LanguageModel`, so that with one
    direction it can start from one; `pooling` of attention; `hidden`; `output`; `ngrams` as in
    `NGramVotes`.

    >>> import jax, jax.numpy as jnp, lstm_jax as lj
    >>> model = TextClassifier(vocabulary_size=11, classes=2, cell=lj.lstm, hidden_size=8)
    >>> tokens, lengths = jnp.zeros((3, 5), int), jnp.array([5, 2, 0])
    >>> variables = model.init(jax.random.key(0), tokens, lengths)
    >>> model.apply(variables, tokens, lengths).shape
    (3, 2)

    Attributes:
      vocabulary_size: number of symbols.
      embedding_size: size of a symbol's vector.
      ngrams: number of n-grams that have a vote; 0 for none. With some, inputs are [batch, time,
        1 + order], a symbol and the n-grams that end at it (`NGramVocabulary.mark`).
      temperature: what the logits of the recurrent layers are divided by before those of the
        n-grams are added: networks are surer than they should be (C. Guo et al., arXiv 1706.04599).
      dropout: what is dropped in training.
    """

    vocabulary_size: int
    embedding_size: int = 64
    ngrams: int = 0
    temperature: float = 1.0
    dropout: TextDropout = TextDropout()  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:  # noqa: D102
        super().setup()
        self.embedding = nn.Embed(
            self.vocabulary_size,
            self.embedding_size,
            embedding_init=nn.initializers.normal(0.1),
            dtype=self.dtype,
        )
        if self.ngrams:
            self.votes = NGramVotes(size=self.ngrams, classes=self.classes, name="ngrams")

    def embed(self, inputs: Array) -> Array:
        """The vectors [time, batch, embedding] of the symbols of texts [batch, time, ...]."""
        symbols = inputs[..., 0] if self.ngrams else inputs
        return self.embedding(symbols.T)

    def classify(
        self, x_tbf: Array, lengths: Array, inputs: Array, *, deterministic: bool = True
    ) -> Array:
        """Logits [batch, classes] from the vectors of symbols [time, batch, embedding]."""
        x_tbf = self._drop(x_tbf, self.dropout.words, (*x_tbf.shape[:2], 1), deterministic)
        logits = super().classify(x_tbf, lengths, inputs, deterministic=deterministic)
        if not self.ngrams:
            return logits
        valid = jnp.arange(inputs.shape[1])[:, None] < lengths[:, None, None]
        parts = jnp.stack([logits / self.temperature, self.votes(inputs[..., 1:] * valid)])
        if not deterministic and self.dropout.parts:
            parts = parts * self._kept(len(logits))
        return jnp.sum(parts, axis=0)

    def _kept(self, batch: int) -> Array:
        """Which of two parts judge each text [2, batch, 1]: never none."""
        draw = jax.random.uniform(self.make_rng("dropout"), (batch, 1))
        half = self.dropout.parts / 2
        return jnp.stack([draw >= half, draw < 1 - half])
