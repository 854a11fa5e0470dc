"""Sound from files: one channel, one sample rate, float32; what is broken is told in a sentence."""

import hashlib
import io
import os
import stat
import struct
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from lstm_jax.errors import UserError

SUFFIXES = (".wav", ".flac", ".ogg")
_MOST_BYTES = _MOST_VALUES = 1 << 29  # of one recording: what its header tells may be anything
_RATES = (1_000, 768_000)  # a filter for the ratio of two rates may be as long as the greater one
_LOUDEST = 1e6  # more than any whole numbers kept as floats; beyond it their power is infinite
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what a program writes into a pipe, which it cannot go back in


class BrokenAudio(UserError):
    """A recording that cannot be used."""


class Audio(Protocol):
    """A recording, wherever it is kept."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def content(self) -> bytes:
        """What makes it another recording when it changes.

        Raises:
          BrokenAudio: it cannot be read.
        """
        ...

    def decode(self, content: bytes, max_seconds: float | None) -> tuple[np.ndarray, int]:
        """Samples [samples] or [samples, channels] and their rate in Hz, from what `content` gave.

        Raises:
          BrokenAudio: it is no sound, is cut off, or is longer than `max_seconds`.
        """
        ...


class AudioFile(NamedTuple):
    """A file of any format that libsndfile reads: WAV, FLAC, OGG and others."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def content(self) -> bytes:
        """The bytes of the file."""
        try:
            # A pipe would keep a reader waiting for ever.
            with open(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise BrokenAudio(f"{self.path} is not a file")
                if about.st_size > _MOST_BYTES:
                    raise BrokenAudio(
                        f"{self.path} has {about.st_size:,} bytes, and {_MOST_BYTES:,} are allowed"
                    )
                return file.read()
        except OSError as error:
            raise BrokenAudio(f"{self.path} cannot be read ({error.strerror})") from None

    def decode(self, content: bytes, max_seconds: float | None) -> tuple[np.ndarray, int]:
        """Samples [samples, channels] and their rate."""
        return _decode(self.name, content, max_seconds)


def sound_files(where: str, path: Path) -> list[Path]:
    """The path itself, or every file of sound in the folder and in those in it, by name.

    Args:
      where: what named the path, for messages.
      path: a file or folder.

    Raises:
      UserError: it is a folder without sound.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{where}: {path} holds no {', '.join(SUFFIXES)} file")
    return files


class AudioSamples(NamedTuple):
    """A recording in memory: float samples between -1 and 1, [samples] or [samples, channels]."""

    name: str
    samples: np.ndarray
    sample_rate: int

    def content(self) -> bytes:
        """The samples and what they are."""
        about = f"{self.samples.dtype} {self.samples.shape} {self.sample_rate}"
        return about.encode() + np.ascontiguousarray(self.samples).tobytes()

    def decode(self, content: bytes, max_seconds: float | None) -> tuple[np.ndarray, int]:
        """The samples and their rate."""
        del content
        require_seconds(self.name, len(self.samples), self.sample_rate, max_seconds)
        return self.samples, self.sample_rate


def digest(content: bytes) -> str:
    """A name for what a recording holds."""
    return hashlib.sha256(content).hexdigest()


def read_audio(
    audio: Audio,
    sample_rate: int,
    *,
    content: bytes | None = None,
    max_seconds: float | None = None,
    may_be_silent: bool = False,
) -> np.ndarray:
    """A recording as one channel at a sample rate, float32 [samples].

    Channels are averaged. Another rate is changed by a polyphase filter
    (`scipy.signal.resample_poly`), which is without delay.

    >>> stereo = AudioSamples("two channels", np.array([[0.5, 0.1], [0.3, 0.1]]), 8000)
    >>> read_audio(stereo, 8000)
    array([0.3, 0.2], dtype=float32)

    Args:
      audio: the recording.
      sample_rate: in Hz.
      content: what `audio.content()` gave, if it is known.
      max_seconds: of the longest recording that is read.
      may_be_silent: whether a recording without any sound is one to use.

    Raises:
      BrokenAudio: it cannot be read, is no sound or cut off, is empty, silent or too long, or
        has samples that are no numbers.
    """
    content = audio.content() if content is None else content
    samples, rate = audio.decode(content, max_seconds)
    if not len(samples):
        raise BrokenAudio(f"{audio.name} holds no samples")
    if not (np.abs(samples) <= _LOUDEST).all():
        raise BrokenAudio(
            f"{audio.name} has samples that are no numbers (NaN or infinite) or far from -1 to 1"
        )
    if not may_be_silent and not np.ptp(samples, axis=0).any():
        raise BrokenAudio(f"{audio.name} is silent: all its samples are alike")
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    return resample(mono, rate, sample_rate)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Samples [samples] of one rate at another, float32 [ceil(samples · new_rate / rate)]."""
    if rate == new_rate:
        return samples.astype(np.float32)
    from scipy.signal import resample_poly

    common = gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    return resample_poly(samples.astype(np.float64), up, down).astype(np.float32)


def change_speed(samples: np.ndarray, percent: int) -> np.ndarray:
    """Samples [samples] played at a share of their speed, and so at another pitch.

    Speed perturbation of T. Ko et al., "Audio augmentation for speech recognition", 2015, whose
    shares are 90, 100 and 110 percent.

    >>> change_speed(np.sin(np.arange(900.0)), 90).shape
    (1000,)
    """
    return resample(samples, percent, 100)


def require_seconds(name: str, samples: int, rate: int, max_seconds: float | None) -> None:
    """Checks a length.

    Raises:
      BrokenAudio: it is longer than allowed.
    """
    if max_seconds is not None and samples > max_seconds * rate:
        raise BrokenAudio(
            f"{name} lasts {samples / rate:.1f} seconds, and max_seconds is {max_seconds:g}"
        )


def _decode(name: str, content: bytes, max_seconds: float | None) -> tuple[np.ndarray, int]:
    if not content:
        raise BrokenAudio(f"{name} is an empty file")
    soundfile = _library()
    missing = _missing_bytes(content)
    if missing:
        raise BrokenAudio(
            f"{name} is cut off: {missing:,} bytes that its header tells of are not there"
        )
    if _is_cut_ogg(content):
        raise BrokenAudio(f"{name} is cut off: its last page is not there")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if not _RATES[0] <= file.samplerate <= _RATES[1]:
                raise BrokenAudio(
                    f"{name} has {file.samplerate:,} samples a second; {_RATES[0]:,} to "
                    f"{_RATES[1]:,} are allowed"
                )
            require_seconds(name, file.frames, file.samplerate, max_seconds)
            if file.frames * file.channels > _MOST_VALUES:
                raise BrokenAudio(
                    f"{name} has {file.frames:,} samples of {file.channels} channel(s), and "
                    f"{_MOST_VALUES:,} are allowed in all"
                )
            samples = file.read(dtype="float32", always_2d=True)
            told, rate = file.frames, file.samplerate
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise BrokenAudio(f"{name} is no sound that can be read ({reason})") from None
    if len(samples) < told:
        raise BrokenAudio(f"{name} is cut off: it has {len(samples):,} samples of {told:,}")
    return samples, rate


def _missing_bytes(content: bytes) -> int:
    """How many bytes a WAV file is too short by; libsndfile reads what there is in silence."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return 0
    place = 12
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        if name == b"data":
            unknown = size in _UNKNOWN_SIZES
            return 0 if unknown else max(0, place + 8 + size - len(content))
        place += 8 + size + size % 2
    return 0


def _is_cut_ogg(content: bytes) -> bool:
    """Whether the last page of an OGG file is not marked as such; libsndfile does not look."""
    if content[:4] != b"OggS":
        return False
    place = content.rfind(b"OggS")
    head = content[place : place + 27]  # RFC 3533, section 6
    return (
        len(head) < 27
        or not head[5] & 4
        or (place + 27 + head[26] + sum(content[place + 27 : place + 27 + head[26]]) > len(content))
    )


def _library() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # the latter where libsndfile is missing
        raise UserError(
            f"files of sound need the library soundfile ({error}): pip install 'lstm_jax[audio]'"
        ) from None
    return soundfile
