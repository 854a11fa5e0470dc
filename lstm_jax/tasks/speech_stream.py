"""Speech recognised while it is heard, in pieces of any size."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array
from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.errors import UserError
from lstm_jax.models.ctc import BLANK
from lstm_jax.models.ctc_search import Trail, advance, begin, finish, follow
from lstm_jax.models.speech_recognizer import apply
from lstm_jax.tasks.speech_recognizer import Recognizer

_BLOCK = 8  # steps that are computed at once: a third of a second for frames of 10 ms, 4 a step


class SpeechStream:
    """One recording that comes piece by piece; its text is that of the whole recording.

    What is kept from piece to piece: the samples that fill no block yet, the last inputs of every
    convolution, the carries of the layers, and the beam of the search. Samples are gathered into
    blocks of one size, so that the result does not depend on the pieces to the last bit.

    Attributes:
      heard: the text of the best path so far, no language model asked.
    """

    def __init__(self, recognizer: Recognizer, features: AudioFeatures, params: Any):
        """Begins a recording.

        Args:
          recognizer: whose network reads in one direction.
          features: what it hears.
          params: the parameters.

        Raises:
          UserError: the network reads in both directions, or its decoder is asked.
        """
        network = recognizer.network
        if recognizer.options.needs_decoder:
            raise UserError(
                "a decoder with attention needs the whole recording; for streams there is "
                "search.by=ctc with search.attention_weight=0"
            )
        if network.bidirectional:
            raise UserError(
                "a network that reads in both directions needs the whole recording; for streams "
                "one is trained with model.bidirectional=False"
            )
        self._recognizer, self._features, self._params = recognizer, features, params
        self._frames = _BLOCK * network.subsampling
        self._waiting = np.zeros(0, np.float32)
        self._carry = apply(network, params, 1, features.size, method="initial_stream")
        self._beam = begin(recognizer.scorer, 1, recognizer.options.beam_size)
        self._trails: list[Trail] = []
        self._path: list[int] = []
        self._ended = False

    @property
    def heard(self) -> str:
        """The text of the best path so far."""
        path = np.array(self._path, np.int64)
        before = np.concatenate([[BLANK], path[:-1]])[: len(path)]
        return self._recognizer.text_of(path[path != before])

    def feed(self, samples: np.ndarray) -> str:
        """Takes the next samples [samples], between -1 and 1, and returns what is `heard` by now.

        Raises:
          ValueError: the recording has ended, or these are no samples of one channel.
        """
        samples = np.asarray(samples, np.float32)
        if self._ended or samples.ndim != 1:
            raise ValueError("a stream takes samples of one channel, and none when it has ended")
        self._waiting = np.concatenate([self._waiting, samples])
        needed, taken = self._block_samples, self._frames * self._features.hop
        done = 0
        while len(self._waiting) - done >= needed:
            self._compute(self._waiting[done : done + needed], _BLOCK)
            done += taken
        self._waiting = self._waiting[done:]
        return self.heard

    def end(self) -> str:
        """Ends the recording: its text, by the search."""
        if not self._ended:
            self._ended = True
            frames = int(self._features.frames(len(self._waiting)))
            if frames:
                rest = np.zeros(self._block_samples, np.float32)
                rest[: len(self._waiting)] = self._waiting
                self._compute(rest, int(self._recognizer.network.steps_of(frames)))
        found = finish(self._beam)
        if not self._trails:
            return ""
        trail = Trail(*(jnp.concatenate(parts) for parts in zip(*self._trails, strict=True)))
        return self._recognizer.text_of(follow(trail, found.places)[0, 0])

    @property
    def _block_samples(self) -> int:
        """Samples of a block; those of its last window reach into the next one."""
        return (self._frames - 1) * self._features.hop + self._features.window

    def _compute(self, samples: np.ndarray, steps: int) -> None:
        self._carry, self._beam, path, trail = _block(self._recognizer, self._features)(
            self._params, self._carry, self._beam, samples[None], steps
        )
        self._path += np.asarray(path)[:steps].tolist()
        self._trails.append(Trail(trail.places[:steps], trail.symbols[:steps]))


@functools.lru_cache(maxsize=8)
def _block(recognizer: Recognizer, features: AudioFeatures) -> Any:
    """The compiled function of a block, for all streams of a recognizer."""
    network = recognizer.network

    @jax.jit
    def run(params: Any, carry: Any, beam: Any, samples: Array, steps: Array) -> Any:
        x, frames = features.unscaled(samples, jnp.array([samples.shape[1]]))
        x = recognizer.scaled(x, frames)
        carry, logits = apply(network, params, carry, x, method="stream")
        log_p = jax.nn.log_softmax(logits)
        valid = jnp.arange(log_p.shape[1])[None] < steps
        beam, trail = advance(recognizer.scorer, beam, log_p, valid)
        return carry, beam, jnp.argmax(log_p[0], axis=-1), trail

    return run
