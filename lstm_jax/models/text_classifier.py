"""A recurrent classifier of sequences of symbols in Flax linen."""

import dataclasses

import flax.linen as nn

from lstm_jax.cells import Array
from lstm_jax.config import Rate
from lstm_jax.models.classifier import ClassifierDropout, RecurrentClassifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextDropout(ClassifierDropout):
    """Shares that are dropped in training.

    Attributes:
      words: of the symbols of a text, whose vectors become zero.
      input: of the elements of a text's vectors, the same for all of its steps.
      hidden: of the elements between layers, the same for all steps.
      output: of the elements of what the pooling yields, and of the hidden layer behind it.
    """

    words: Rate = 0.0


class TextClassifier(RecurrentClassifier, kw_only=True):
    """Reads a text and says how likely each class is: an embedding, then `RecurrentClassifier`.

    Params: `embedding`, `layer_0`, `layer_1`, ..., as in `LanguageModel`, so that with one
    direction it can start from one; `pooling` of attention; `hidden`; `output`.

    >>> import jax, jax.numpy as jnp, lstm_jax as lj
    >>> model = TextClassifier(vocabulary_size=11, classes=2, cell=lj.lstm, hidden_size=8)
    >>> tokens, lengths = jnp.zeros((3, 5), int), jnp.array([5, 2, 0])
    >>> variables = model.init(jax.random.key(0), tokens, lengths)
    >>> model.apply(variables, tokens, lengths).shape
    (3, 2)

    Attributes:
      vocabulary_size: number of symbols.
      embedding_size: size of a symbol's vector.
      dropout: what is dropped in training.
    """

    vocabulary_size: int
    embedding_size: int = 64
    dropout: TextDropout = TextDropout()  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:  # noqa: D102
        super().setup()
        self.embedding = nn.Embed(
            self.vocabulary_size,
            self.embedding_size,
            embedding_init=nn.initializers.normal(0.1),
            dtype=self.dtype,
        )

    def embed(self, inputs: Array) -> Array:
        """The vectors [time, batch, embedding] of symbol numbers [batch, time]."""
        return self.embedding(inputs.T)

    def classify(self, x_tbf: Array, lengths: Array, *, deterministic: bool = True) -> Array:
        """Logits [batch, classes] from the vectors of symbols [time, batch, embedding]."""
        x_tbf = self._drop(x_tbf, self.dropout.words, (*x_tbf.shape[:2], 1), deterministic)
        return super().classify(x_tbf, lengths, deterministic=deterministic)
