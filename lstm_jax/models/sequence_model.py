"""A plain recurrent network in Flax linen: layers of any cell, and a linear map at the end."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat
from lstm_jax.models.layers import recurrent_layers


class SequenceModel(nn.Module, kw_only=True):
    """Recurrent layers over symbols or vectors, read at every step or behind the last one.

    Symbols enter as unit vectors: a row of the first layer's kernel for each. Params: `layer_0`,
    `layer_1`, ..., and `output`.

    >>> import lstm_jax as lj
    >>> model = SequenceModel(outputs=2, cell=lj.lstm, hidden_size=8, symbols=3)
    >>> symbols, lengths = jnp.zeros((4, 5), int), jnp.array([5, 2, 1, 5])
    >>> variables = model.init(jax.random.key(0), symbols, lengths)
    >>> model.apply(variables, symbols, lengths).shape
    (4, 5, 2)

    Attributes:
      outputs: numbers that are given out.
      cell: makes the cell of a layer from its hidden size.
      hidden_size: size of each recurrent layer.
      num_layers: number of recurrent layers.
      dropout: share of the elements between layers, and of what the last one says, that is dropped
        in training, at every step anew.
      symbols: how many symbols there are; 0 if inputs are vectors.
      every_step: whether there is an output for every step, or for the last valid one alone.
      dtype: type of the products; parameters and outputs are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    outputs: int
    cell: Callable[[int], Cell]
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.0
    symbols: int = 0
    every_step: bool = True
    dtype: str = "float32"
    remat: Remat = "none"

    @nn.compact
    def __call__(self, inputs: Array, lengths: Array, *, deterministic: bool = True) -> Array:
        """Outputs [batch, time, outputs], or [batch, outputs] behind the last step.

        Args:
          inputs: symbols [batch, time], or vectors [batch, time, features].
          lengths: how many steps of each example are valid [batch].
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        x_tbf = self.vectors(inputs)
        layers = recurrent_layers(self.cell, [self.hidden_size] * self.num_layers, self.dtype)
        for layer in layers[:-1]:
            x_tbf = drop(layer(x_tbf, lengths=lengths, remat=self.remat)[1])
        if self.every_step:
            _, x_tbf = layers[-1](x_tbf, lengths=lengths, remat=self.remat)
        else:
            x_tbf = _last_output(layers[-1], x_tbf, lengths, self.remat)
        x_tbf = drop(x_tbf)
        y_tbo = nn.Dense(self.outputs, name="output")(x_tbf.astype(jnp.float32))
        return jnp.swapaxes(y_tbo, 0, 1) if self.every_step else y_tbo[0]

    def vectors(self, inputs: Array) -> Array:
        """What the first layer reads [time, batch, features]."""
        by_time = jnp.swapaxes(inputs, 0, 1)
        return jax.nn.one_hot(by_time, self.symbols) if self.symbols else by_time


def _last_output(layer: RNN, x_tbf: Array, lengths: Array, remat: Remat) -> Array:
    """What a layer says at the last valid step [1, batch, hidden].

    The last step is taken by itself, from the carry that the others leave: so no output of theirs
    is kept for the gradient, and with remat memory is not linear in time.
    """
    last = jnp.maximum(lengths - 1, 0)
    carry, _ = layer(x_tbf, lengths=last, remat=remat)
    x_bf = jnp.take_along_axis(x_tbf, last[None, :, None], axis=0)
    return layer(x_bf, carry)[1]


def apply(network: SequenceModel, params: Any, *arguments: Any, **options: Any) -> Any:
    """Applies the network to parameters."""
    return network.apply({"params": params}, *arguments, **options)
