"""At every step of a series, what its value will be some steps later, in Flax linen."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell
from lstm_jax.kernels import Remat
from lstm_jax.models.layers import recurrent_layers

_LEAST = 1e-2  # deviation, in units of the inputs: a constant stretch would become certain


class StepForecaster(nn.Module):
    """A normal distribution of the value `horizon` steps ahead, at every step of a series.

        h[t] = LSTM(x[t], known[t + horizon], h[t - 1])
        x[t + horizon] ~ N(x[t] + W h[t] + b, (0.01 + softplus(V h[t] + c))^2)

    What comes behind a step changes nothing at it, apart from what is known ahead.

    Params: `layer_0`, `layer_1`, ...; `output`.

    >>> import lstm_jax as lj
    >>> model = StepForecaster(cell=lj.lstm, hidden_size=8, targets=1, horizon=2)
    >>> series = jnp.zeros((3, 7, 2))  # the second dimension is known ahead
    >>> variables = model.init(jax.random.key(0), series)
    >>> [part.shape for part in model.apply(variables, series)]
    [(3, 5, 1), (3, 5, 1)]

    Attributes:
      cell: makes the cell of a layer from its hidden size.
      hidden_size: size of each recurrent layer.
      num_layers: number of recurrent layers.
      targets: how many dimensions are forecast, the first ones; the others are known ahead.
      horizon: how many steps ahead.
      dropout: share of the outputs that is dropped in training.
      dtype: type of the products.
      remat: what the backward pass computes again, as in `lstm_jax.scan`.
    """

    cell: Callable[[int], Cell]
    hidden_size: int
    targets: int
    horizon: int = 1
    num_layers: int = 1
    dropout: float = 0.0
    dtype: str = "float32"
    remat: Remat = "none"

    @nn.compact
    def __call__(self, series: Array, *, deterministic: bool = True) -> tuple[Array, Array]:
        """Means and deviations [batch, time - horizon, targets] of the values from `horizon` on.

        Args:
          series: [batch, time, dimensions].
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        now = series[:, : -self.horizon, : self.targets]
        known = series[:, self.horizon :, self.targets :]
        y_tbf = jnp.swapaxes(jnp.concatenate([now, known], axis=-1), 0, 1).astype(self.dtype)
        for layer in recurrent_layers(self.cell, [self.hidden_size] * self.num_layers, self.dtype):
            _, y_tbf = layer(y_tbf, remat=self.remat)
        y_btf = jnp.swapaxes(y_tbf, 0, 1).astype(jnp.float32)
        y_btf = nn.Dropout(self.dropout)(y_btf, deterministic=deterministic)
        change, spread = jnp.split(nn.Dense(2 * self.targets, name="output")(y_btf), 2, axis=-1)
        return now + change, _LEAST + jax.nn.softplus(spread)


def negative_log_likelihood(values: Array, mean: Array, deviation: Array) -> Array:
    """That of a normal distribution, in nats, of the sum over the last axis' values."""
    scaled = (values - mean) / deviation
    nats = 0.5 * jnp.square(scaled) + jnp.log(deviation) + 0.5 * jnp.log(2 * jnp.pi)
    return jnp.sum(nats, axis=-1)
