"""What all recurrent classifiers of sequences are behind their first vectors, in Flax linen."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell
from lstm_jax.cells.noisy_cells import dropout_mask
from lstm_jax.config import Rate
from lstm_jax.kernels import Remat
from lstm_jax.models.layers import recurrent_layers
from lstm_jax.models.pooling import AttentionPooling, last_output, max_output, mean_output

Pooling = Literal["last", "mean", "max", "attention"]
POOLINGS: tuple[Pooling, ...] = ("last", "mean", "max", "attention")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierDropout:
    """Shares that are dropped in training.

    Attributes:
      input: of the elements of a sequence's vectors, the same for all of its steps.
      hidden: of the elements between layers, the same for all steps.
      output: of the elements of what the pooling yields, and of the hidden layer behind it.
    """

    input: Rate = 0.0
    hidden: Rate = 0.0
    output: Rate = 0.5


class RecurrentClassifier(nn.Module, kw_only=True):
    """From vectors over time to how likely each class is; what makes the vectors is a subclass's.

    `num_layers` recurrent layers, in both directions or one; the outputs of the last one pooled
    over time in one way or several side by side; a hidden layer if there is one; classes. Several
    poolings at once are those of J. Howard and S. Ruder, "Universal Language Model Fine-tuning for
    Text Classification", arXiv 1801.06146, section 3.3.

    A subclass has `embed(inputs) -> vectors [time, batch, features]`, and `steps_of` where there
    are fewer vectors than inputs.

    Params: `layer_0`, `layer_1`, ...; `pooling` of attention; `hidden`; `output`.

    Attributes:
      classes: number of classes.
      cell: makes the cell of a layer from its hidden size.
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

    classes: int
    cell: Callable[[int], Cell]
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
        sizes = [self.hidden_size] * self.num_layers
        if sizes and self.last_size is not None:
            sizes[-1] = self.last_size
        self.layers = recurrent_layers(self.cell, sizes, self.dtype, both_ways=self.bidirectional)
        if "attention" in self.pooling:
            self.attention = AttentionPooling(name="pooling")
        if self.head_size:
            self.hidden = nn.Dense(self.head_size)
        self.output = nn.Dense(self.classes)
        self.drop = nn.Dropout(self.dropout.output)

    def __call__(self, inputs: Array, lengths: Array, *, deterministic: bool = True) -> Array:
        """Logits [batch, classes].

        Args:
          inputs: sequences [batch, time, ...].
          lengths: how many steps of each are valid [batch].
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        x_tbf, steps = self.embed(inputs), self.steps_of(lengths)
        return self.classify(x_tbf, steps, inputs, deterministic=deterministic)

    def embed(self, inputs: Array) -> Array:
        """Vectors [time, batch, features] from sequences [batch, time, ...]."""
        raise NotImplementedError

    def steps_of(self, lengths: Array) -> Array:
        """How many vectors `embed` makes of sequences of these lengths."""
        return lengths

    def classify(
        self, x_tbf: Array, lengths: Array, inputs: Array, *, deterministic: bool = True
    ) -> Array:
        """Logits [batch, classes] from vectors [time, batch, features].

        Args:
          x_tbf: what `embed` makes of the inputs, or what is near it.
          lengths: how many of the vectors are valid [batch].
          inputs: the sequences, for a subclass that reads more of them than their vectors.
          deterministic: no dropout.
        """
        del inputs
        for i, layer in enumerate(self.layers):
            rate = self.dropout.hidden if i else self.dropout.input
            x_tbf = self._drop(x_tbf, rate, x_tbf.shape[1:], deterministic)
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

    def _drop(self, x: Array, rate: float, shape: Sequence[int], deterministic: bool) -> Array:
        """Drops by a mask of a shape that broadcasts to that of x."""
        if deterministic or not rate:
            return x
        return x * dropout_mask(self.make_rng("dropout"), rate, tuple(shape), x.dtype)


def apply(network: RecurrentClassifier, params: Any, *arguments: Any, **options: Any) -> Any:
    """Applies the network to parameters: its logits, or what the `method` of the options gives."""
    return network.apply({"params": params}, *arguments, **options)
