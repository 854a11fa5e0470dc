"""One recording read: its samples, and the name under which a cache has its features.

This imports no JAX, since processes of their own do it.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from lstm_jax.data.audio_files import Audio, BrokenAudio, change_speed, read_audio
from lstm_jax.data.feature_cache import FeatureCache


class Recording(Protocol):
    """What is read: a recording, and what is known to be wrong with it."""

    @property
    def audio(self) -> Audio:
        """The sound."""
        ...

    @property
    def problem(self) -> str:
        """A sentence that says why it cannot be used; empty if nothing is known."""
        ...


class Wanted(NamedTuple):
    """What is read of every recording.

    Attributes:
      sample_rate: in Hz.
      window: samples of a frame, the least that a recording may have.
      speeds: in percent.
      max_seconds: of the longest recording that can be used; None for no limit.
      may_be_silent: whether one without any sound can be used.
      cache: of features; None for none.
      keys: for every speed all that features depend on beside the content.
    """

    sample_rate: int
    window: int
    speeds: Sequence[int]
    max_seconds: float | None
    may_be_silent: bool
    cache: FeatureCache | None
    keys: Sequence[str]


class Read(NamedTuple):
    """A recording at a speed: its key, and its samples if its features are not cached."""

    key: str
    samples: np.ndarray | None


def read_recording(wanted: Wanted, recording: Recording) -> list[Read] | BrokenAudio:
    """A recording at every speed, or what is wrong with it."""
    try:
        if recording.problem:
            raise BrokenAudio(recording.problem)
        content = recording.audio.content()
        keys = [_key(settings, content) for settings in wanted.keys]
        cache = wanted.cache
        if cache and all(cache.get(key) is not None for key in keys):
            return [Read(key, None) for key in keys]
        samples = read_audio(
            recording.audio,
            wanted.sample_rate,
            content=content,
            max_seconds=wanted.max_seconds,
            may_be_silent=wanted.may_be_silent,
        )
        made = [
            samples if speed == 100 else change_speed(samples, speed) for speed in wanted.speeds
        ]
        for one in made:
            _require_frame(recording.audio.name, one, wanted)
    except BrokenAudio as error:
        return error
    return [Read(key, one) for key, one in zip(keys, made, strict=True)]


def _key(settings: str, content: bytes) -> str:
    whole = hashlib.sha256(settings.encode())
    whole.update(content)
    return whole.hexdigest()


def _require_frame(name: str, samples: np.ndarray, wanted: Wanted) -> None:
    if len(samples) < wanted.window:
        lasts, window = (1000 * n / wanted.sample_rate for n in (len(samples), wanted.window))
        raise BrokenAudio(
            f"{name} lasts {lasts:.1f} milliseconds, less than the {window:g} of a frame"
        )
