"""From the features of speech to how likely each symbol is at each step, in Flax linen."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell, bidirectional
from lstm_jax.cells.precision import computing_in
from lstm_jax.flax.linen import RNN
from lstm_jax.kernels import Remat


class StreamCarry(NamedTuple):
    """What the network keeps between two pieces of one recording.

    Attributes:
      contexts: the last inputs of each convolution [batch, width - 1, channels].
      layers: the carry of each recurrent layer.
    """

    contexts: tuple[Array, ...]
    layers: tuple[Any, ...]


class SpeechRecognizer(nn.Module, kw_only=True):
    """Convolutions over time that take fewer and fewer steps, recurrent layers, and symbols.

    Each convolution reads `width` steps and yields one for every `stride`, normalised (J. Ba et
    al., arXiv 1607.06450) and rectified; the recurrent layers read in both directions, as in A.
    Graves and N. Jaitly, "Towards End-to-End Speech Recognition with Recurrent Neural Networks",
    2014, or in one. In one direction a convolution sees no step behind its own either, so that
    speech can be recognised while it is spoken: `stream` gives, piece by piece, what the whole
    gives.

    What stands in the padding of a batch changes nothing.

    >>> import jax, lstm_jax as lj
    >>> model = SpeechRecognizer(symbols=5, cell=lj.lstm, channels=6, hidden_size=4)
    >>> features, lengths = jnp.ones((2, 18, 3)), jnp.array([18, 7])
    >>> variables = model.init(jax.random.key(0), features, lengths)
    >>> model.apply(variables, features, lengths).shape, model.steps_of(lengths).tolist()
    ((2, 5, 5), [5, 2])

    Params: `front_0`, `norm_0`, ...; `layer_0`, ...; `output`.

    Attributes:
      symbols: how many there are; the first is the blank.
      cell: makes the cell of a layer from its hidden size.
      channels: outputs of each convolution.
      width: steps that a convolution reads.
      strides: for each convolution, how many steps it makes one of.
      hidden_size: size of each recurrent layer, in each direction.
      num_layers: number of recurrent layers.
      bidirectional: whether layers also read from the end, and convolutions see on both sides.
      dropout: share of the elements of what each layer yields that are dropped in training.
      dtype: type of the products; parameters and logits are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    symbols: int
    cell: Callable[[int], Cell]
    channels: int = 128
    width: int = 5
    strides: Sequence[int] = (2, 2)
    hidden_size: int = 128
    num_layers: int = 2
    bidirectional: bool = True
    dropout: float = 0.0
    dtype: str = "float32"
    remat: Remat = "none"

    def setup(self) -> None:  # noqa: D102
        self.front = [
            nn.Conv(
                self.channels,
                (self.width,),
                (stride,),
                padding="VALID",
                dtype=self.dtype,
                name=f"front_{i}",
            )
            for i, stride in enumerate(self.strides)
        ]
        self.norms = [nn.LayerNorm(name=f"norm_{i}") for i in range(len(self.strides))]
        cell = computing_in(self.cell(self.hidden_size), self.dtype)
        layer = bidirectional(cell) if self.bidirectional else cell
        self.layers = [
            RNN(layer, time_major=True, name=f"layer_{i}") for i in range(self.num_layers)
        ]
        self.output = nn.Dense(self.symbols)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, features: Array, lengths: Array, *, deterministic: bool = True) -> Array:
        """Logits [batch, steps, symbols], `steps_of(frames)` of them.

        Args:
          features: [batch, frames, features].
          lengths: how many frames of each are valid [batch].
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        return self.read(features, lengths, deterministic=deterministic)[1]

    def read(
        self, features: Array, lengths: Array, *, deterministic: bool = True
    ) -> tuple[Array, Array]:
        """What the last layer yields [batch, steps, size], and the logits.

        Args:
          features: [batch, frames, features].
          lengths: how many frames of each are valid [batch].
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        x, steps = features, lengths
        for i, stride in enumerate(self.strides):
            # A convolution's bias and a norm make something of nothing, which the next would see.
            x = jnp.where(jnp.arange(x.shape[1])[:, None] < steps[:, None, None], x, 0)
            x = self._convolve(i, jnp.pad(x, ((0, 0), self._padding(x.shape[1], stride), (0, 0))))
            steps = -(-steps // stride)
        x_tbf = jnp.swapaxes(self.drop(x, deterministic=deterministic), 0, 1)
        for layer in self.layers:
            _, x_tbf = layer(x_tbf, lengths=steps, remat=self.remat)
            x_tbf = self.drop(x_tbf, deterministic=deterministic)
        encoded = jnp.swapaxes(x_tbf.astype(jnp.float32), 0, 1)
        return encoded, self.output(encoded)

    @property
    def subsampling(self) -> int:
        """How many frames one step stands for."""
        return math.prod(self.strides)

    def steps_of(self, frames: Any) -> Any:
        """How many steps so many frames are."""
        return -(-frames // self.subsampling)

    def initial_stream(self, batch: int, features: int) -> StreamCarry:
        """What `stream` begins a recording with; needs the parameters, as `apply` gives them.

        Args:
          batch: recordings side by side.
          features: numbers in a frame.

        Raises:
          ValueError: the network reads in both directions.
        """
        self._require_one_direction()
        sizes = [features, *[self.channels] * (len(self.strides) - 1)]
        return StreamCarry(
            tuple(jnp.zeros((batch, self.width - 1, size)) for size in sizes),
            tuple(layer.initial_carry((batch,)) for layer in self.layers),
        )

    def stream(self, carry: StreamCarry, features: Array) -> tuple[StreamCarry, Array]:
        """Goes on through a recording: the carry, and logits [batch, steps, symbols].

        Args:
          carry: what the call before returned.
          features: the next frames [batch, steps * subsampling, features].

        Raises:
          ValueError: the frames are no whole steps, or the network reads in both directions.
        """
        self._require_one_direction()
        if features.shape[1] % self.subsampling:
            raise ValueError(
                f"frames must be a multiple of {self.subsampling}, got {features.shape[1]}"
            )
        x, contexts, carries = features, [], []
        for i in range(len(self.strides)):
            seen = jnp.concatenate([carry.contexts[i], x], axis=1)
            contexts.append(seen[:, seen.shape[1] - self.width + 1 :])
            x = self._convolve(i, seen)
        x_tbf = jnp.swapaxes(x, 0, 1)
        for layer, before in zip(self.layers, carry.layers, strict=True):
            after, x_tbf = layer(x_tbf, before)
            carries.append(after)
        logits = jnp.swapaxes(self.output(x_tbf.astype(jnp.float32)), 0, 1)
        return StreamCarry(tuple(contexts), tuple(carries)), logits

    def _convolve(self, i: int, x: Array) -> Array:
        return nn.relu(self.norms[i](self.front[i](x).astype(jnp.float32)))

    def _padding(self, time: int, stride: int) -> tuple[int, int]:
        """Zeros before and behind so many steps, for one output to each `stride` of them."""
        before = (self.width - 1) // 2 if self.bidirectional else self.width - 1
        needed = (-(-time // stride) - 1) * stride + self.width
        return before, max(needed - before - time, 0)

    def _require_one_direction(self) -> None:
        if self.bidirectional:
            raise ValueError("a network that reads in both directions needs the whole recording")


def apply(network: SpeechRecognizer, params: Any, *arguments: Any, **options: Any) -> Any:
    """Applies the network to parameters: its logits, or what the `method` of the options gives."""
    return network.apply({"params": params}, *arguments, **options)
