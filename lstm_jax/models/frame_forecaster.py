"""A network in Flax linen that sees frames and says which come next."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell
from lstm_jax.cells.precision import computing_in
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat


class FrameForecaster(nn.Module, kw_only=True):
    """Frames are read by an encoder, and those that follow are told by a forecaster.

    X. Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation
    Nowcasting", arXiv 1506.04214, section 3.2. The layers of the encoder read the frames; each
    layer of the forecaster begins with the carry that the encoder's layer of its number ends with.
    Nothing is fed to the first one; each other reads what the one below says. The outputs of all
    layers of the forecaster together, place by place, give the pixels of the next frame through
    one linear map and a sigmoid.

    A frame is cut into patches, whose pixels are the channels of a place: so the convolutions run
    on a small plane.

    Params: `encoder_0`, `forecaster_0`, ..., and `output`.

    >>> import lstm_jax as lj
    >>> model = FrameForecaster(cell=lj.conv_lstm, hidden_size=3, num_layers=2, patch=2)
    >>> frames = jnp.zeros((4, 5, 8, 6, 1), jnp.uint8)
    >>> logits, _ = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), frames, 7))
    >>> logits.shape
    (4, 7, 8, 6, 1)

    Attributes:
      cell: makes the cell of a layer, in a plane, from its hidden size.
      hidden_size: memory cells of each layer at every place.
      num_layers: layers of the encoder, and of the forecaster.
      patch: side of a patch, pixels; it divides the height and the width of frames.
      dtype: type of the products; parameters and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    cell: Callable[[int], Cell]
    hidden_size: int = 64
    num_layers: int = 2
    patch: int = 4
    dtype: str = "float32"
    remat: Remat = "none"

    @nn.compact
    def __call__(self, frames: Array, steps: int) -> Array:
        """Logits of the pixels' brightness [batch, steps, height, width, channels].

        Args:
          frames: bytes [batch, time, height, width, channels].
          steps: how many frames to forecast.
        """
        x_tbhwc = jnp.swapaxes(to_patches(frames, self.patch), 0, 1) / jnp.float32(255)
        carries = []
        for i in range(self.num_layers):
            carry, x_tbhwc = self._layer(f"encoder_{i}")(x_tbhwc, remat=self.remat)
            carries.append(carry)
        y_tbhwc = jnp.zeros((steps, *x_tbhwc.shape[1:]), x_tbhwc.dtype)
        said = []
        for i, carry in enumerate(carries):
            _, y_tbhwc = self._layer(f"forecaster_{i}")(y_tbhwc, carry, remat=self.remat)
            said.append(y_tbhwc)
        channels = frames.shape[-1] * self.patch**2
        together = jnp.concatenate(said, axis=-1).astype(jnp.float32)
        logits = nn.Dense(channels, name="output")(together)
        return from_patches(jnp.swapaxes(logits, 0, 1), self.patch)

    def _layer(self, name: str) -> RNN:
        cell = computing_in(self.cell(self.hidden_size), self.dtype)
        return RNN(cell, time_major=True, name=name)


def to_patches(frames: Array, patch: int) -> Array:
    """Frames [..., height, width, channels] as [..., height / p, width / p, p p channels].

    >>> to_patches(jnp.arange(8).reshape(2, 4, 1), 2).tolist()
    [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    """
    *leading, height, width, channels = frames.shape
    cut = frames.reshape(*leading, height // patch, patch, width // patch, patch, channels)
    return jnp.swapaxes(cut, -4, -3).reshape(*leading, height // patch, width // patch, -1)


def from_patches(patches: Array, patch: int) -> Array:
    """What `to_patches` was made of.

    >>> frames = jnp.arange(24).reshape(2, 2, 6)[..., None]
    >>> bool((from_patches(to_patches(frames, 2), 2) == frames).all())
    True
    """
    *leading, rows, columns, features = patches.shape
    cut = patches.reshape(*leading, rows, columns, patch, patch, features // patch**2)
    return jnp.swapaxes(cut, -4, -3).reshape(*leading, rows * patch, columns * patch, -1)


def apply(network: FrameForecaster, params: Any, frames: Array, steps: int) -> Array:
    """The logits of a network with these parameters."""
    logits: Any = network.apply({"params": params}, frames, steps)
    return logits


def brightness(logits: Array) -> Array:
    """The pixels of logits, in [0, 1]."""
    return jax.nn.sigmoid(logits)
