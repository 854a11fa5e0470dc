"""The weights of a recurrent network, as they stand between two libraries."""

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.interop.checks import GATES, check_params, check_sizes
from lstm_jax.interop.layers import (
    Kind,
    Layers,
    Merge,
    cell_of,
    hidden_size_of,
    layers_of_network,
    network_of,
)
from lstm_jax.interop.states import fill_carry, states_of


class RecurrentWeights(NamedTuple):
    """Layers of recurrent cells, each a tuple of directions, each the params of one of our cells.

    >>> import jax, lstm_jax as lj
    >>> deep = lj.stack([lj.bidirectional(lj.lstm(3)), lj.bidirectional(lj.lstm(3))])
    >>> params = deep.init(jax.random.key(0), input_size=2)
    >>> weights = RecurrentWeights.of("lstm", params)
    >>> weights.hidden_size, weights.num_layers, weights.bidirectional
    (3, 2, True)
    >>> cell, same_params = weights.cell_and_params()
    >>> carry, ys = lj.scan(cell, same_params, None, jnp.ones((5, 4, 2)))
    >>> ys.shape
    (5, 4, 6)
    >>> h, c = weights.states(carry)
    >>> h.shape
    (4, 4, 3)

    Attributes:
      kind: "lstm", "gru" or "rnn".
      layers: `layers[layer][direction]` are params; direction 0 reads forwards, 1 backwards.
      activation: of an "rnn", "tanh" or "relu"; the other kinds have it fixed.
      merge: how two directions become one output: "concat", "sum" or "mean".
    """

    kind: Kind
    layers: Layers
    activation: str = "tanh"
    merge: Merge = "concat"

    @classmethod
    def of(
        cls,
        kind: Kind,
        params: Params | Sequence[Sequence[Params]],
        activation: str = "tanh",
        merge: Merge = "concat",
    ) -> "RecurrentWeights":
        """Checked weights.

        Args:
          kind: "lstm", "gru" or "rnn".
          params: those of a cell, of `bidirectional` cells, or of a `stack` of either without
            connections around its layers; or layers, each of one or two directions.
          activation: as of the class.
          merge: as of the class.

        Raises:
          ValueError: a kind, a name or a shape that does not fit; the message says where it is.
        """
        for name, value, allowed in (
            ("kind", kind, tuple(GATES)),
            ("activation", activation, ("tanh", "relu")),
            ("merge", merge, get_args(Merge)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        layers = layers_of_network(params)
        for layer, directions in enumerate(layers):
            for direction, one in enumerate(directions):
                check_params(kind, one, f"layer {layer}, direction {direction}")
        check_sizes(layers, merge)
        return cls(kind, layers, activation, merge)

    @property
    def hidden_size(self) -> int:
        """Number of units of the first layer, in one direction; of an LSTM, of memory cells."""
        return hidden_size_of(self.layers[0][0])

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def bidirectional(self) -> bool:
        """Whether the first layer reads in both directions."""
        return len(self.layers[0]) == 2

    @property
    def projection_size(self) -> int | None:
        """Size of the projected hidden state of an LSTM, None without a projection."""
        projection = self.layers[0][0].get("projection_kernel")
        return None if projection is None else projection.shape[-1]

    def cell(self) -> Cell:
        """The cell that runs the params of the first layer and direction, `layers[0][0]`."""
        return cell_of(self.kind, self.layers[0][0], self.activation)

    def cell_and_params(self) -> tuple[Cell | SequenceMap, Params]:
        """What runs all layers and directions in one `lstm_jax.scan`, and its params.

        It is what one would write by hand, and so are the params: of one layer the cell, in two
        directions `bidirectional(cell, cell)`, of more layers a `stack` of these. To fine-tune
        with dropout between layers, make that stack with `dropout` and give it these params.
        """
        return network_of(self.kind, self.layers, self.activation, self.merge)

    def states(self, carry: Carry) -> tuple[Array, ...]:
        """A carry of `cell_and_params` as torch and ONNX have it: (h, c), or of no LSTM (h,).

        Each is [layers * directions, ..., size]: torch's h_n and c_n; of one layer ONNX's Y_h and
        Y_c, and what a Keras layer with `return_state` gives, one state by one.

        Raises:
          ValueError: the layers have different sizes.
        """
        return states_of(self.kind, carry)

    def carry(self, *states: Any) -> Carry:
        """The carry for `scan` from h, and of an LSTM c: the inverse of `states`.

        Raises:
          ValueError: a state is missing, or has a shape that does not fit.
        """
        cell, params = self.cell_and_params()
        batch_shape = jnp.shape(states[0])[1:-1] if states else ()
        return fill_carry(self.kind, cell.initial_carry(params, batch_shape), states)
