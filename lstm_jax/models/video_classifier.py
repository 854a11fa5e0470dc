"""A recurrent classifier of clips of video in Flax linen."""

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array, conv_lstm
from lstm_jax.cells.precision import computing_in
from lstm_jax.flax.linen import RNN
from lstm_jax.models.classifier import RecurrentClassifier
from lstm_jax.models.frame_convolutions import frame_convolutions, seen_through


class VideoClassifier(RecurrentClassifier, kw_only=True):
    """Sees a clip and says how likely each class is.

    Every frame goes through convolutions with rectified units, each of which halves its sides and
    has twice the filters of the one before. What they say becomes a vector for each frame, and
    `RecurrentClassifier` reads these: J. Donahue et al., "Long-term Recurrent Convolutional
    Networks for Visual Recognition and Description", arXiv 1411.4389. Or a convolutional LSTM
    reads it as it lies in the plane (X. Shi et al., arXiv 1506.04214), and the mean of its outputs
    over the plane is the vector of a frame, with further recurrent layers behind it or none.

    Params: `convolution_0`, ...; `frame`, or `plane` of the ConvLSTM; `layer_0`, ...; `pooling` of
    attention; `hidden`; `output`.

    >>> import jax, lstm_jax as lj
    >>> model = VideoClassifier(classes=2, cell=lj.lstm, filters=2, convolutions=2)
    >>> clips, lengths = jnp.zeros((3, 5, 8, 8, 1), jnp.uint8), jnp.array([5, 2, 1])
    >>> logits, _ = jax.eval_shape(
    ...     lambda: model.init_with_output(jax.random.key(0), clips, lengths)
    ... )
    >>> logits.shape
    (3, 2)

    Attributes:
      filters: of the first convolution.
      convolutions: how many there are.
      frame_size: size of a frame's vector, without a ConvLSTM.
      conv_lstm_size: memory cells of a ConvLSTM at every place; 0 for none.
    """

    filters: int = 16
    convolutions: int = 3
    frame_size: int = 128
    conv_lstm_size: int = 0

    def setup(self) -> None:  # noqa: D102
        super().setup()
        self.maps = frame_convolutions(self.filters, self.convolutions, self.dtype)
        if self.conv_lstm_size:
            cell = computing_in(conv_lstm(self.conv_lstm_size), self.dtype)
            self.plane = RNN(cell, time_major=True)
        else:
            self.frame = nn.Dense(self.frame_size, dtype=self.dtype)

    def embed(self, inputs: Array) -> Array:
        """The vectors [time, batch, ...] of clips, bytes [batch, time, height, width, channels]."""
        x_tbhwc = seen_through(self.maps, inputs, self.dtype)
        if self.conv_lstm_size:
            # It reads no later frame, so that what stands behind a clip's end changes nothing.
            _, y_tbhwc = self.plane(x_tbhwc, remat=self.remat)
            return jnp.mean(y_tbhwc, axis=(2, 3))
        return nn.relu(self.frame(x_tbhwc.reshape(*x_tbhwc.shape[:2], -1)))
