"""A stacked recurrent language model in Flax linen."""

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell
from lstm_jax.cells.precision import mixed_precision
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat


class LanguageModel(nn.Module):
    """Predicts every next symbol of a text from a carry that remembers all symbols before it.

    Embedding, dropout, `num_layers` recurrent layers with dropout behind each, softmax. W. Zaremba,
    I. Sutskever and O. Vinyals, "Recurrent Neural Network Regularization", arXiv 1409.2329: dropout
    on the connections between layers, not on those in time. The embedding is the softmax's matrix
    too if it is tied: O. Press and L. Wolf, "Using the Output Embedding", arXiv 1608.05859.

    >>> import jax, lstm_jax as lj
    >>> model = LanguageModel(vocabulary_size=11, cell=lj.lstm, embedding_size=4, hidden_size=8)
    >>> tokens = jnp.zeros((2, 5), int)
    >>> variables = model.init(jax.random.key(0), tokens)
    >>> carry, logits = model.apply(variables, tokens)
    >>> logits.shape, len(carry)
    ((2, 5, 11), 1)

    Attributes:
      vocabulary_size: number of symbols.
      cell: makes the cell of a layer from its hidden size.
      embedding_size: size of a symbol's vector.
      hidden_size: size of each recurrent layer.
      num_layers: number of recurrent layers.
      dropout: share of activations that are dropped between layers in training.
      tie_embedding: whether the softmax uses the embedding's matrix; the sizes must agree.
      dtype: type of the products; parameters, carries and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    vocabulary_size: int
    cell: Callable[[int], Cell]
    embedding_size: int
    hidden_size: int
    num_layers: int = 1
    dropout: float = 0.0
    tie_embedding: bool = False
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
            RNN(self._make_cell(), time_major=True, name=f"layer_{i}")
            for i in range(self.num_layers)
        ]
        self.drop = nn.Dropout(self.dropout)
        if self.tie_embedding:
            self.bias = self.param("bias", nn.initializers.zeros, (self.vocabulary_size,))
        else:
            self.softmax = nn.Dense(
                self.vocabulary_size,
                kernel_init=nn.initializers.normal(0.05),
                dtype=self.dtype,
            )

    def __call__(
        self,
        tokens_bt: Array,
        carry: tuple[Any, ...] | None = None,
        *,
        lengths: Array | None = None,
        deterministic: bool = True,
    ) -> tuple[tuple[Any, ...], Array]:
        """The carries behind the last symbol, a tuple by layer, and the logits.

        Args:
          tokens_bt: symbol numbers [batch, time].
          carry: the carries before the first symbol; None at the beginning of a text.
          lengths: how many symbols of each row are valid [batch]; all, if None.
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        x_tbe = self.drop(self.embedding(tokens_bt.T), deterministic=deterministic)
        carries = []
        for i, layer in enumerate(self.layers):
            layer_carry = None if carry is None else carry[i]
            layer_carry, x_tbe = layer(x_tbe, layer_carry, lengths=lengths, remat=self.remat)
            x_tbe = self.drop(x_tbe, deterministic=deterministic)
            carries.append(layer_carry)
        logits_tbv = self._logits(x_tbe)
        return tuple(carries), jnp.swapaxes(logits_tbv, 0, 1)

    def initial_carry(self, batch_size: int) -> tuple[Any, ...]:
        """The carries at the beginning of a text; needs the parameters, as `apply` gives them."""
        return tuple(layer.initial_carry((batch_size,)) for layer in self.layers)

    def _logits(self, x: Array) -> Array:
        if self.tie_embedding:
            return self.embedding.attend(x).astype(jnp.float32) + self.bias
        return self.softmax(x).astype(jnp.float32)

    def _make_cell(self) -> Cell:
        cell = self.cell(self.hidden_size)
        return cell if self.dtype == "float32" else mixed_precision(cell, jnp.dtype(self.dtype))


def run(
    network: LanguageModel,
    params: Any,
    tokens_bt: Array,
    carry: tuple[Any, ...] | None = None,
    **options: Any,
) -> tuple[tuple[Any, ...], Array]:
    """Applies the network to parameters: its carries and logits (see its `__call__`)."""
    rngs = options.pop("rngs", None)
    return cast(Any, network.apply({"params": params}, tokens_bt, carry, rngs=rngs, **options))
