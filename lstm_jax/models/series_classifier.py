"""A recurrent classifier of series of measurements in Flax linen."""

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.models.classifier import RecurrentClassifier


class SeriesClassifier(RecurrentClassifier, kw_only=True):
    """Reads a series and says how likely each class is.

    A convolution over time with rectified units, if `filters` is not 0, then `RecurrentClassifier`.
    What a filter sees of a series does not depend on the padding behind it.

    Params: `convolution`; `layer_0`, `layer_1`, ...; `pooling` of attention; `hidden`; `output`.

    >>> import jax, lstm_jax as lj
    >>> model = SeriesClassifier(classes=2, cell=lj.lstm, filters=6, width=4, stride=2)
    >>> series, lengths = jnp.zeros((3, 5, 1)), jnp.array([5, 2, 0])
    >>> variables = model.init(jax.random.key(0), series, lengths)
    >>> model.apply(variables, series, lengths).shape, model.steps_of(lengths).tolist()
    ((3, 2), [3, 1, 0])

    Attributes:
      filters: of the convolution; 0 for none.
      width: steps that a filter sees.
      stride: steps from one place of a filter to the next.
    """

    filters: int = 0
    width: int = 8
    stride: int = 1

    def setup(self) -> None:  # noqa: D102
        super().setup()
        if self.filters:
            before = (self.width - 1) // 2
            self.convolution = nn.Conv(
                self.filters,
                (self.width,),
                (self.stride,),
                # As many as make ceil(time / stride) places, the first one around the first step.
                padding=[(before, self.width - 1 - before)],
                dtype=self.dtype,
            )

    def embed(self, inputs: Array) -> Array:
        """The vectors [ceil(time / stride), batch, ...] of series [batch, time, dimensions]."""
        x_btf = nn.relu(self.convolution(inputs)) if self.filters else inputs.astype(self.dtype)
        return jnp.swapaxes(x_btf, 0, 1)

    def steps_of(self, lengths: Array) -> Array:
        """How many of the vectors of each series are valid."""
        return -(-lengths // self.stride) if self.filters else lengths
