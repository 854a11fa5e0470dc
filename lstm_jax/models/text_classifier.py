"""A recurrent classifier of sequences of symbols in Flax linen."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell, SequenceMap, bidirectional
from lstm_jax.cells.noisy_cells import dropout_mask
from lstm_jax.cells.precision import computing_in
from lstm_jax.config import Rate
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat
from lstm_jax.models.pooling import AttentionPooling, last_output, max_output, mean_output

Pooling = Literal["last", "mean", "max", "attention"]
POOLINGS: tuple[Pooling, ...] = ("last", "mean", "max", "attention")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierDropout:
    """Shares that are dropped in training.

    Attributes:
      words: of the symbols of a text, whose vectors become zero.
      input: of the elements of a text's vectors, the same for all of its steps.
      hidden: of the elements between layers, the same for all steps.
      output: of the elements of what the pooling yields, and of the hidden layer behind it.
    """

    words: Rate = 0.0
    input: Rate = 0.0
    hidden: Rate = 0.0
    output: Rate = 0.5


class TextClassifier(nn.Module):
    """Reads a text and says how likely each class is.

    Embedding, `num_layers` recurrent layers, in both directions or one; the outputs of the last one
    pooled over time in one way or several side by side; a hidden layer if there is one; classes.
    Several poolings at once are those of J. Howard and S. Ruder, "Universal Language Model
    Fine-tuning for Text Classification", arXiv 1801.06146, section 3.3.

    Params: `embedding`, `layer_0`, `layer_1`, ..., as in `LanguageModel`, so that with one
    direction it can start from one; `pooling` of attention; `hidden`; `output`.

    >>> import jax, lstm_jax as lj
    >>> model = TextClassifier(vocabulary_size=11, classes=2, cell=lj.lstm, hidden_size=8)
    >>> tokens, lengths = jnp.zeros((3, 5), int), jnp.array([5, 2, 0])
    >>> variables = model.init(jax.random.key(0), tokens, lengths)
    >>> model.apply(variables, tokens, lengths).shape
    (3, 2)

    Attributes:
      vocabulary_size: number of symbols.
      classes: number of classes.
      cell: makes the cell of a layer from its hidden size.
      embedding_size: size of a symbol's vector.
      hidden_size: size of each recurrent layer, in each direction.
      num_layers: number of recurrent layers.
      last_size: size of the last recurrent layer; `hidden_size`, if None.
      bidirectional: whether every layer also reads from the end.
      pooling: how outputs become one vector: "last", "mean", "max", "attention", or several.
      head_size: size of a hidden layer of rectified units before the classes; 0 for none.
      dropout: what is dropped in training.
      dtype: type of the products; parameters and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    vocabulary_size: int
    classes: int
    cell: Callable[[int], Cell]
    embedding_size: int = 64
    hidden_size: int = 64
    num_layers: int = 1
    last_size: int | None = None
    bidirectional: bool = True
    pooling: Sequence[Pooling] = ("max",)
    head_size: int = 0
    dropout: ClassifierDropout = ClassifierDropout()
    dtype: str = "float32"
    remat: Remat = "none"

    def setup(self) -> None:  # noqa: D102
        self.embedding = nn.Embed(
            self.vocabulary_size,
            self.embedding_size,
            embedding_init=nn.initializers.normal(0.1),
            dtype=self.dtype,
        )
        self.layers = [
            RNN(self._make_layer(i), time_major=True, name=f"layer_{i}")
            for i in range(self.num_layers)
        ]
        if "attention" in self.pooling:
            self.attention = AttentionPooling(name="pooling")
        if self.head_size:
            self.hidden = nn.Dense(self.head_size)
        self.output = nn.Dense(self.classes)
        self.drop = nn.Dropout(self.dropout.output)

    def __call__(self, tokens_bt: Array, lengths: Array, *, deterministic: bool = True) -> Array:
        """Logits [batch, classes].

        Args:
          tokens_bt: symbol numbers [batch, time].
          lengths: how many symbols of each row are valid [batch].
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        x_tbe = self.embed(tokens_bt)
        return self.classify(x_tbe, lengths, deterministic=deterministic)

    def embed(self, tokens_bt: Array) -> Array:
        """The vectors of symbols [time, batch, embedding]."""
        return self.embedding(tokens_bt.T)

    def classify(self, x_tbe: Array, lengths: Array, *, deterministic: bool = True) -> Array:
        """Logits [batch, classes] from the vectors of symbols [time, batch, embedding]."""
        x_tbf = self._drop_words(x_tbe, deterministic)
        for i, layer in enumerate(self.layers):
            rate = self.dropout.hidden if i else self.dropout.input
            x_tbf = self._drop_locked(x_tbf, rate, deterministic)
            _, x_tbf = layer(x_tbf, lengths=lengths, remat=self.remat)
        pooled = [self._pool(name, x_tbf, lengths) for name in self.pooling]
        y = jnp.concatenate(pooled, axis=-1).astype(jnp.float32)
        y = self.drop(y, deterministic=deterministic)
        if self.head_size:
            y = self.drop(nn.relu(self.hidden(y)), deterministic=deterministic)
        return self.output(y)

    def _pool(self, name: Pooling, ys: Array, lengths: Array) -> Array:
        if name == "last":
            return last_output(ys, lengths, both_ends=self.bidirectional)
        if name == "mean":
            return mean_output(ys, lengths)
        return max_output(ys, lengths) if name == "max" else self.attention(ys, lengths)

    def _drop_words(self, x_tbe: Array, deterministic: bool) -> Array:
        if deterministic or not self.dropout.words:
            return x_tbe
        shape = (*x_tbe.shape[:2], 1)
        return x_tbe * dropout_mask(
            self.make_rng("dropout"), self.dropout.words, shape, x_tbe.dtype
        )

    def _drop_locked(self, x_tbf: Array, rate: float, deterministic: bool) -> Array:
        if deterministic or not rate:
            return x_tbf
        return x_tbf * dropout_mask(self.make_rng("dropout"), rate, x_tbf.shape[1:], x_tbf.dtype)

    def _make_layer(self, i: int) -> Cell | SequenceMap:
        size = self.hidden_size
        if self.last_size is not None and i == self.num_layers - 1:
            size = self.last_size
        cell = computing_in(self.cell(size), self.dtype)
        return bidirectional(cell) if self.bidirectional else cell


def apply(network: TextClassifier, params: Any, *arguments: Any, **options: Any) -> Any:
    """Applies the network to parameters: its logits, or what the `method` of the options gives."""
    return network.apply({"params": params}, *arguments, **options)
