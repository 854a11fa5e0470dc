"""A Flax nnx module around any cell."""

from typing import Any

import jax
from flax import nnx

from lstm_jax.cells import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.flax.layout import run_layer


class RNN(nnx.Module):
    """Runs a cell over time; its parameters are those of the cell, each an `nnx.Param`.

    >>> import jax.numpy as jnp, lstm_jax as lj
    >>> layer = RNN(lj.lstm(hidden_size=8), 3, rngs=nnx.Rngs(0))
    >>> carry, ys = layer(jnp.ones((2, 5, 3)))
    >>> ys.shape, layer.params["kernel"].shape
    ((2, 5, 8), (3, 32))

    Attributes:
      cell: the cell, or a sequence map such as `lstm_jax.bidirectional` makes.
      time_major: inputs and outputs are [time, batch, ...] instead of [batch, time, ...].
      params: the parameters, named as the cell names them.
    """

    def __init__(
        self, cell: Cell | SequenceMap, input_size: int, *, time_major: bool = False, rngs: nnx.Rngs
    ):
        """Draws the parameters.

        Args:
          cell: the cell, or a sequence map.
          input_size: size of the last axis of the inputs.
          time_major: inputs and outputs are [time, batch, ...] instead of [batch, time, ...].
          rngs: where the key of the parameters comes from.
        """
        self.cell = nnx.static(cell)
        self.time_major = time_major
        self.params = nnx.data(jax.tree.map(nnx.Param, cell.init(rngs.params(), input_size)))

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """The carry at the beginning of a sequence."""
        return self.cell.initial_carry(self._arrays(), batch_shape)

    def __call__(
        self, xs: Array, carry: Carry | None = None, **options: Any
    ) -> tuple[Carry, Array]:
        """Returns the last carry and the outputs.

        Args:
          xs: inputs [batch, time, input], or [time, batch, input] if `time_major`; any number of
            batch axes, also none.
          carry: the carry to begin with; None means the initial one.
          **options: those of `lstm_jax.scan`; `mask` and `resets` have the layout of `xs`.
        """
        return run_layer(self.cell, self._arrays(), carry, xs, self.time_major, options)

    def _arrays(self) -> Params:
        return jax.tree.map(
            lambda param: param[...], self.params, is_leaf=lambda x: isinstance(x, nnx.Param)
        )
