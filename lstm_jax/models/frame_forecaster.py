"""A network in Flax linen that sees frames and says which come next."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.scipy.special import logit

from lstm_jax.cells import Array, Cell
from lstm_jax.cells.precision import computing_in
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat

_EXTREMES = (0.01, 0.99)  # brightness that has logits worth adding to


class FrameForecaster(nn.Module, kw_only=True):
    """Layers of convolutional LSTMs that read frames, and tell those that follow.

    The encoder and forecaster of X. Shi et al., "Convolutional LSTM Network: A Machine Learning
    Approach for Precipitation Nowcasting", arXiv 1506.04214, section 3.2: each layer of the
    forecaster begins with the carry that the encoder's layer of its number ends with; nothing is
    fed to the first one, each other reads what the one below says.

    With `feedback` encoder and forecaster are one: behind the last frame seen it reads its own
    forecasts. So is the network that OpenSTL (arXiv 2306.11249) and others call ConvLSTM. It also
    says of every frame seen but the first what it took it to be, which is worth learning from.

    The outputs of all layers together, place by place, give the pixels of the next frame through
    one linear map and a sigmoid. A frame is cut into patches, whose pixels are the channels of a
    place: so the convolutions run on a small plane.

    Params: `encoder_0`, ..., without feedback `forecaster_0`, ..., and `output`.

    >>> import lstm_jax as lj
    >>> model = FrameForecaster(cell=lj.conv_lstm, channels=1, hidden_size=3, patch=2)
    >>> frames = jnp.zeros((4, 5, 8, 6, 1), jnp.uint8)
    >>> logits, _ = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), frames, 7))
    >>> logits.shape
    (4, 7, 8, 6, 1)

    Attributes:
      cell: makes the cell of a layer, in a plane, from its hidden size.
      channels: of a frame.
      hidden_size: memory cells of each layer at every place.
      num_layers: layers of the encoder, and of the forecaster.
      patch: side of a patch, pixels; it divides the height and the width of frames.
      feedback: whether it reads its own forecasts.
      residual: whether its outputs are added to the last frame it has read, so that it says what
        changes; it begins as a copy of that frame.
      first_logit: what it answers, about, before it has learnt anything, if not `residual`.
      dtype: type of the products; parameters and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    cell: Callable[[int], Cell]
    channels: int
    hidden_size: int = 64
    num_layers: int = 2
    patch: int = 4
    feedback: bool = False
    residual: bool = False
    first_logit: float = 0.0
    dtype: str = "float32"
    remat: Remat = "none"

    def setup(self) -> None:  # noqa: D102
        self.encoder = self._layers("encoder")
        self.forecaster = self.encoder if self.feedback else self._layers("forecaster")
        size = self.channels * self.patch**2
        if self.residual:
            self.output = nn.Dense(size, kernel_init=nn.initializers.zeros)
        else:
            self.output = nn.Dense(size, bias_init=nn.initializers.constant(self.first_logit))

    def __call__(self, frames: Array, steps: int) -> Array:
        """Logits of the pixels' brightness [batch, steps, height, width, channels].

        With feedback there are as many more in front as frames were seen, less one: those of the
        frames seen, from the second on.

        Args:
          frames: bytes [batch, time, height, width, channels].
          steps: how many frames to forecast.
        """
        x_tbhwc = jnp.swapaxes(to_patches(frames, self.patch), 0, 1) / jnp.float32(255)
        carries, said = self._run(self.encoder, x_tbhwc, [None] * self.num_layers)
        if self.feedback:
            logits = self._continue(carries, self._logits(said, x_tbhwc), steps)
        else:
            nothing = jnp.zeros((steps, *said[0].shape[1:]), said[0].dtype)
            _, said = self._run(self.forecaster, nothing, carries)
            logits = self._logits(said, x_tbhwc[-1:])
        return from_patches(jnp.swapaxes(logits, 0, 1), self.patch)

    def _continue(self, carries: Sequence[Any], logits: Array, steps: int) -> Array:
        """The logits behind these, each forecast read before the next."""

        def step(module: Any, state: Any, _: None) -> Any:
            carries, last = state
            read = brightness(last)[None]
            carries, said = module._run(module.encoder, read, carries)
            (logits,) = module._logits(said, read)
            return (carries, logits), logits

        run = nn.scan(
            step,
            variable_broadcast="params",
            split_rngs={"params": False},
            length=steps - 1,
        )
        _, further = run(self, (carries, logits[-1]), None)
        return jnp.concatenate([logits, further])

    def _run(
        self, layers: Sequence[RNN], x_tbhwc: Array, carries: Sequence[Any]
    ) -> tuple[list[Any], list[Array]]:
        """The last carry and the outputs of every layer."""
        last, said = [], []
        for layer, begin in zip(layers, carries, strict=True):
            carry, x_tbhwc = layer(x_tbhwc, begin, remat=self.remat)
            last.append(carry)
            said.append(x_tbhwc)
        return last, said

    def _logits(self, said: Sequence[Array], read: Array) -> Array:
        """What the outputs of all layers make of the frames that were read."""
        logits = self.output(jnp.concatenate(said, axis=-1).astype(jnp.float32))
        return logits + logit(jnp.clip(read, *_EXTREMES)) if self.residual else logits

    def _layers(self, name: str) -> list[RNN]:
        cell = computing_in(self.cell(self.hidden_size), self.dtype)
        return [RNN(cell, time_major=True, name=f"{name}_{i}") for i in range(self.num_layers)]


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
