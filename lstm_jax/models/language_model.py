"""A stacked recurrent language model in Flax linen."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import (
    Array,
    Carry,
    Cell,
    activation_penalty,
    temporal_activation_penalty,
    weight_drop,
)
from lstm_jax.cells.noisy_cells import dropout_mask
from lstm_jax.cells.precision import computing_in
from lstm_jax.config import NonNegativeFloat, Rate
from lstm_jax.flax.layout import run_layer
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat
from lstm_jax.models.heads import HeadFactory, HeadShape, softmax


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regularization:
    """What keeps the network from fitting too well, in training alone.

    All masks are drawn anew for every window and last for all of it; those of activations differ
    from stream to stream. Y. Gal and Z. Ghahramani, arXiv 1512.05287; S. Merity, N. S. Keskar and
    R. Socher, "Regularizing and Optimizing LSTM Language Models", arXiv 1708.02182.

    Attributes:
      words: share of the vocabulary whose vectors are dropped, wherever they are read.
      input: share of the elements that the first layer reads.
      hidden: share of the elements that go from layer to layer.
      output: share of the elements that the head reads.
      weights: share of the recurrent weights that are dropped in every layer.
      activation: penalty of the mean square of what the head reads.
      temporal_activation: penalty of the mean square of its change from step to step, before
        dropout.
    """

    words: Rate = 0.0
    input: Rate = 0.0
    hidden: Rate = 0.0
    output: Rate = 0.0
    weights: Rate = 0.0
    activation: NonNegativeFloat = 0.0
    temporal_activation: NonNegativeFloat = 0.0


class Scores(NamedTuple):
    """What a window costs.

    Attributes:
      nats: of every target [batch, time]; 0 where masked.
      right: whether the target was the likeliest symbol [batch, time]; False where masked.
      penalty: of the activations, to be added to the mean of the nats.
    """

    nats: Array
    right: Array
    penalty: Array


class _Layer(RNN):
    """An `RNN` that can drop recurrent weights, the same for all steps."""

    def run_dropped(
        self, xs: Array, carry: Carry | None, rate: float, **options: Any
    ) -> tuple[Carry, Array]:
        """`__call__` with some weights dropped, by the key "dropout"."""
        params = weight_drop(self.make_rng("dropout"), self.get_variable("params", "cell"), rate)
        return run_layer(self.cell, params, carry, xs, self.time_major, options)


class LanguageModel(nn.Module):
    """Predicts every next symbol of a text from a carry that remembers all symbols before it.

    Embedding, `num_layers` recurrent layers, and a head. With `dropout`, activations are dropped
    between them at every step: W. Zaremba, I. Sutskever and O. Vinyals, "Recurrent Neural Network
    Regularization", arXiv 1409.2329; `regularization` is that of the AWD-LSTM. The embedding is the
    head's matrix too if it is tied: O. Press and L. Wolf, "Using the Output Embedding",
    arXiv 1608.05859.

    Params: `embedding`, `layer_0`, `layer_1`, ..., and `softmax`, those of the head.

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
      last_size: size of the last recurrent layer; `hidden_size`, if None.
      dropout: share of activations that are dropped between layers in training, at every step.
      regularization: what else keeps it from fitting too well.
      head: makes the head from its shape (`lstm_jax.models.heads`).
      tie_embedding: whether the head uses the embedding's matrix.
      dtype: type of the products; parameters, carries and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    vocabulary_size: int
    cell: Callable[[int], Cell]
    embedding_size: int
    hidden_size: int
    num_layers: int = 1
    last_size: int | None = None
    dropout: float = 0.0
    regularization: Regularization = Regularization()
    head: HeadFactory = softmax
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
            _Layer(self._make_cell(i), time_major=True, name=f"layer_{i}")
            for i in range(self.num_layers)
        ]
        self.drop = nn.Dropout(self.dropout)
        shape = HeadShape(
            self.vocabulary_size,
            self.layers[-1].cell.output_size,
            self.embedding_size,
            self.tie_embedding,
            self.dtype,
        )
        self.softmax = self.head(shape)

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
        carries, _, x_tbf = self.features(tokens_bt, carry, lengths, deterministic)
        logits_tbv = self.softmax.logits(x_tbf, self.embedding.embedding)
        return carries, jnp.swapaxes(logits_tbv, 0, 1)

    def score(
        self,
        tokens_bt: Array,
        targets_bt: Array,
        mask_bt: Array,
        carry: tuple[Any, ...] | None = None,
        *,
        lengths: Array | None = None,
        deterministic: bool = True,
    ) -> tuple[tuple[Any, ...], Scores]:
        """The carries behind the last symbol, and what the targets cost.

        Args:
          tokens_bt: symbol numbers [batch, time].
          targets_bt: the symbols to predict [batch, time].
          mask_bt: which of them count, booleans [batch, time].
          carry: the carries before the first symbol; None at the beginning of a text.
          lengths: how many symbols of each row are valid [batch]; all, if None.
          deterministic: no dropout and no penalty; otherwise the key "dropout" is needed.
        """
        carries, raw_tbf, x_tbf = self.features(tokens_bt, carry, lengths, deterministic)
        nats, right = self.softmax.cost(
            x_tbf, targets_bt.T, mask_bt.T, self.embedding.embedding, deterministic
        )
        penalty = jnp.zeros(())
        rule = self.regularization
        if not deterministic and rule.activation:
            penalty += activation_penalty(x_tbf, rule.activation, mask_bt.T)
        if not deterministic and rule.temporal_activation:
            penalty += temporal_activation_penalty(raw_tbf, rule.temporal_activation, mask_bt.T)
        return carries, Scores(nats.T, right.T, penalty)

    def read(
        self, tokens_bt: Array, targets_bt: Array, mask_bt: Array, carry: tuple[Any, ...] | None
    ) -> tuple[tuple[Any, ...], Array, Array]:
        """The carries, the nats of every target [batch, time], and what the head read of each."""
        carries, _, x_tbf = self.features(tokens_bt, carry, None, deterministic=True)
        table = self.embedding.embedding
        nats, _ = self.softmax.cost(x_tbf, targets_bt.T, mask_bt.T, table, True)
        return carries, nats.T, jnp.swapaxes(x_tbf, 0, 1)

    def features(
        self,
        tokens_bt: Array,
        carry: tuple[Any, ...] | None,
        lengths: Array | None,
        deterministic: bool,
    ) -> tuple[tuple[Any, ...], Array, Array]:
        """The carries behind the last symbol, the last layer's outputs, and what the head reads.

        Both are [time, batch, features]; they differ by dropout.
        """
        rule = self.regularization
        x_tbe = self.embedding(tokens_bt.T)
        if not deterministic and rule.words:
            key, shape = self.make_rng("dropout"), (self.vocabulary_size, 1)
            x_tbe = x_tbe * dropout_mask(key, rule.words, shape, x_tbe.dtype)[tokens_bt.T]
        x_tbe = self._drop(x_tbe, rule.input, deterministic)
        carries, raw_tbf, last = [], x_tbe, self.num_layers - 1
        for i, layer in enumerate(self.layers):
            layer_carry = None if carry is None else carry[i]
            options: dict[str, Any] = {"lengths": lengths, "remat": self.remat}
            if not deterministic and rule.weights:
                found = layer.run_dropped(x_tbe, layer_carry, rule.weights, **options)
            else:
                found = layer(x_tbe, layer_carry, **options)
            layer_carry, raw_tbf = found
            x_tbe = self._drop(raw_tbf, rule.output if i == last else rule.hidden, deterministic)
            carries.append(layer_carry)
        return tuple(carries), raw_tbf, x_tbe

    def initial_carry(self, batch_size: int) -> tuple[Any, ...]:
        """The carries at the beginning of a text; needs the parameters, as `apply` gives them."""
        return tuple(layer.initial_carry((batch_size,)) for layer in self.layers)

    def _drop(self, x_tbf: Array, locked_rate: float, deterministic: bool) -> Array:
        x_tbf = self.drop(x_tbf, deterministic=deterministic)
        if deterministic or not locked_rate:
            return x_tbf
        mask = dropout_mask(self.make_rng("dropout"), locked_rate, x_tbf.shape[1:], x_tbf.dtype)
        return x_tbf * mask

    def _make_cell(self, i: int) -> Cell:
        size = self.hidden_size
        if self.last_size is not None and i == self.num_layers - 1:
            size = self.last_size
        return computing_in(self.cell(size), self.dtype)


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


def score(
    network: LanguageModel,
    params: Any,
    tokens_bt: Array,
    targets_bt: Array,
    mask_bt: Array,
    carry: tuple[Any, ...] | None = None,
    **options: Any,
) -> tuple[tuple[Any, ...], Scores]:
    """Applies the network to parameters: its carries and what targets cost (see its `score`)."""
    rngs = options.pop("rngs", None)
    parts = (tokens_bt, targets_bt, mask_bt, carry)
    return cast(
        Any, network.apply({"params": params}, *parts, rngs=rngs, method="score", **options)
    )
