"""Says in words what happens in a clip: Flax linen."""

import flax.linen as nn

from lstm_jax.cells import Array
from lstm_jax.models.frame_convolutions import frame_convolutions, seen_through
from lstm_jax.models.seq2seq import Seq2Seq


class VideoCaptioner(Seq2Seq):
    """A `Seq2Seq` whose source is a clip, and whose target is a sentence that describes it.

    Every frame goes through convolutions, as in `VideoClassifier`, and becomes a vector; the
    bidirectional layers of `Seq2Seq` read these vectors, and its decoder looks at what they say of
    the frames: S. Venugopalan et al., "Sequence to Sequence - Video to Text", arXiv 1505.00487,
    with the attention over time of L. Yao et al., "Describing Videos by Exploiting Temporal
    Structure", arXiv 1502.08029. `source` is bytes [batch, time, height, width, channels], and
    `source_lengths` says how many frames there are. Nothing can be copied from a clip.

    Params: those of `Seq2Seq`; `convolution_0`, ...; `frame`.

    >>> import jax, jax.numpy as jnp, lstm_jax as lj
    >>> model = VideoCaptioner(vocabulary_size=11, cell=lj.lstm, embedding_size=4, hidden_size=8)
    >>> clips, lengths = jnp.zeros((2, 5, 16, 16, 1), jnp.uint8), jnp.array([5, 3])
    >>> (vectors, weights), _ = jax.eval_shape(
    ...     lambda: model.init_with_output(
    ...         jax.random.key(0), clips, lengths, jnp.ones((2, 7), int)
    ...     )
    ... )
    >>> vectors.shape, weights.shape
    ((2, 7, 4), (2, 7, 5))

    Attributes:
      filters: of the first convolution.
      convolutions: how many there are.
      frame_size: size of a frame's vector.
    """

    filters: int = 16
    convolutions: int = 3
    frame_size: int = 128

    def setup(self) -> None:  # noqa: D102
        super().setup()
        self.maps = frame_convolutions(self.filters, self.convolutions, self.dtype)
        self.frame = nn.Dense(self.frame_size, dtype=self.dtype)

    def vectors(self, source: Array, *, deterministic: bool) -> Array:
        """The vectors of frames [time, batch, frame_size]."""
        del deterministic
        x_tbhwc = seen_through(self.maps, source, self.dtype)
        return nn.relu(self.frame(x_tbhwc.reshape(*x_tbhwc.shape[:2], -1)))
