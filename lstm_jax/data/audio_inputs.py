"""From recordings to what a network reads: decoded by threads, broken ones told, kept on disk."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array
from lstm_jax.config import NonNegativeInt, PositiveFloat, PositiveInt, Range
from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.audio_files import BrokenAudio
from lstm_jax.data.feature_cache import Cached, FeatureCache
from lstm_jax.data.processes import in_order, pool
from lstm_jax.data.recordings import Read, Recording, Wanted, read_recording
from lstm_jax.errors import UserError

_VERSION = 1  # of how features are computed; another one makes all that is cached anew
_TOLD = 3  # sentences about recordings that are left out
Speed = Annotated[int, Range(10, 1000)]  # percent
Found = TypeVar("Found")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioReading:
    """How recordings are read.

    Attributes:
      broken: refuse: a recording that cannot be used is an error; skip: it is left out and told.
      max_seconds: a recording that lasts longer is one that cannot be used; None for no limit. It
        bounds the memory that reading takes.
      may_be_silent: whether a recording without any sound can be used.
      workers: threads that read and decode.
      processes: processes of their own that do it in place of threads; 0 for none.
      cache: a folder that keeps features by content and settings, so that a second run need not
        compute them, and so that they are not held in memory; None for none.
    """

    broken: Literal["refuse", "skip"] = "refuse"
    max_seconds: PositiveFloat | None = None
    may_be_silent: bool = False
    workers: PositiveInt = 4
    processes: NonNegativeInt = 0
    cache: str | None = None


class AudioInputs(NamedTuple):
    """The features of recordings.

    Attributes:
      sequences: float32 [frames, features], one for every recording and speed.
      rows: the number of the recording of each.
      notes: sentences on what was left out.
    """

    sequences: Sequence[np.ndarray]
    rows: list[int]
    notes: list[str]


def read_inputs(
    recordings: Sequence[Recording],
    features: AudioFeatures,
    reading: AudioReading,
    *,
    name: str = "data",
    speeds: Sequence[int] = (100,),
) -> AudioInputs:
    """The features of recordings, in their order, on no scale of a training set.

    Memory: a few waveforms for each thread or process, and the features, unless there is a cache.

    >>> from lstm_jax.data.utterances import generated_speech
    >>> speech = generated_speech(size=20)()["test"]
    >>> found = read_inputs(speech, AudioFeatures(sample_rate=8000, mels=20), AudioReading())
    >>> [x.shape[1] for x in found.sequences], found.rows
    ([20, 20], [0, 1])

    Args:
      recordings: what is read.
      features: what is computed.
      reading: how it is read.
      name: of the recordings in messages.
      speeds: in percent; every recording comes once at each.

    Raises:
      UserError: a recording cannot be used and is not to be skipped, or none is left.
    """
    cache = FeatureCache(Path(reading.cache).expanduser()) if reading.cache else None
    read = functools.partial(read_recording, _wanted(features, reading, cache, speeds))
    kept, rows, problems = [], [], []
    for row, found in enumerate(_in_parallel(read, recordings, reading)):
        if isinstance(found, BrokenAudio):
            if reading.broken == "refuse":
                raise UserError(f"{name}: {found}{_way_out(name)}")
            problems.append(str(found))
            continue
        for one in found:
            kept.append(_computed(features, one, cache))
            rows.append(row)
    if recordings and not kept:
        raise UserError(f"{name}: no recording can be used; the first one: {problems[0]}")
    return AudioInputs(
        Cached(cache, kept) if cache else kept, rows, _notes(name, recordings, problems)
    )


def _in_parallel(
    read: Callable[[Recording], Found], recordings: Sequence[Recording], reading: AudioReading
) -> Iterator[Found]:
    """The results in order; no more than two recordings a worker are begun and not yet taken."""
    if reading.processes:
        yield from in_order(read, recordings, pool(reading.processes), 2 * reading.processes)
        return
    with ThreadPoolExecutor(reading.workers) as threads:
        yield from in_order(read, recordings, threads, 2 * reading.workers)


def _way_out(name: str) -> str:
    # Of `predict` no field of a config can be set.
    if name.startswith("--"):
        return ""
    return "; with data.reading.broken=skip such a recording is left out"


def _notes(name: str, recordings: Sequence[Recording], problems: Sequence[str]) -> list[str]:
    if not problems:
        return []
    told = "; ".join(problems[:_TOLD]) + ("; ..." if len(problems) > _TOLD else "")
    return [f"{name}: {len(problems):,} of {len(recordings):,} recordings are left out: {told}"]


def _wanted(
    features: AudioFeatures,
    reading: AudioReading,
    cache: FeatureCache | None,
    speeds: Sequence[int],
) -> Wanted:
    settings = dataclasses.asdict(features)
    if features.normalization != "utterance":
        settings["normalization"] = "none"  # the scale of a training set comes behind
    # What makes a recording one that cannot be used is part of the key: it is not looked at again.
    settings |= {"version": _VERSION, "max_seconds": reading.max_seconds}
    settings |= {"may_be_silent": reading.may_be_silent}
    return Wanted(
        sample_rate=features.sample_rate,
        window=features.window,
        speeds=speeds,
        max_seconds=reading.max_seconds,
        may_be_silent=reading.may_be_silent,
        cache=cache,
        keys=[json.dumps({**settings, "speed": speed}, sort_keys=True) for speed in speeds],
    )


def _computed(features: AudioFeatures, one: Read, cache: FeatureCache | None) -> Any:
    """The features of a recording, or its key, under which the cache has them."""
    if one.samples is None:
        return one.key
    found = features_of(features, one.samples)
    if cache is None:
        return found
    cache.put(one.key, found)
    return one.key


def features_of(features: AudioFeatures, samples: np.ndarray) -> np.ndarray:
    """The features of one waveform [samples] on no scale of a training set, float32 [frames, size].

    >>> features_of(AudioFeatures(), np.ones(1000, np.float32)).shape
    (4, 40)
    """
    # Lengths are rounded up to powers of two, each of which compiles once.
    padded = np.zeros((1, 1 << (max(len(samples), features.window) - 1).bit_length()), np.float32)
    padded[0, : len(samples)] = samples
    x, steps = _extract(features, jnp.asarray(padded), jnp.array([len(samples)]))
    return np.asarray(x[0])[: int(steps[0])]


@functools.partial(jax.jit, static_argnums=0)
def _extract(features: AudioFeatures, samples: Array, lengths: Array) -> tuple[Array, Array]:
    if features.normalization == "training":
        return features.unscaled(samples, lengths)
    return features(samples, lengths)
