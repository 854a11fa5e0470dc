"""A Flax linen module around any cell."""

from typing import Any

import flax.linen as nn

from lstm_jax.cells import Array, Carry, Cell, SequenceMap
from lstm_jax.flax.layout import run_layer


class RNN(nn.Module):
    """Runs a cell over time; its parameters are those of the cell, under the name `cell`.

    >>> import jax, jax.numpy as jnp, lstm_jax as lj
    >>> layer = RNN(lj.lstm(hidden_size=8))
    >>> xs = jnp.ones((2, 5, 3))
    >>> variables = layer.init(jax.random.key(0), xs)
    >>> carry, ys = layer.apply(variables, xs)
    >>> ys.shape
    (2, 5, 8)

    Attributes:
      cell: the cell, or a sequence map such as `lstm_jax.bidirectional` makes.
      time_major: inputs and outputs are [time, batch, ...] instead of [batch, time, ...].
    """

    cell: Cell | SequenceMap
    time_major: bool = False

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """The carry at the beginning of a sequence; needs the parameters, as `apply` gives them."""
        return self.cell.initial_carry(self.get_variable("params", "cell"), batch_shape)

    @nn.compact
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
        params = self.param("cell", self.cell.init, xs.shape[-1])
        return run_layer(self.cell, params, carry, xs, self.time_major, options)
