"""Features of sound, computed on the device and differentiable: log-mel energies and MFCC.

Waveforms are float32 [batch, samples] with `lengths` [batch]; frames are whole windows: a waveform
of n samples has `1 + (n - window) // hop` of them, and none if it is shorter than a window, so that
no frame depends on what stands behind the end, and a frame needs no later samples than its own.
"""

import dataclasses
import math
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array
from lstm_jax.config import NonNegativeFloat, PositiveFloat, PositiveInt, Range
from lstm_jax.data.feature_scale import FeatureScale
from lstm_jax.errors import ConfigError

MelScale = Literal["htk", "slaney"]
Normalization = Literal["utterance", "training", "none"]
_FLOOR = 1e-10  # power below this is silence: about the noise of rounding to 20 bits
_CONSTANT = 1e-5  # a deviation below this is that of rounding


def frame_count(lengths: Any, window: int, hop: int) -> Any:
    """How many whole windows stand in waveforms of these lengths, as an int or an array of them.

    >>> [int(frame_count(n, 400, 160)) for n in (0, 399, 400, 559, 560, 16000)]
    [0, 0, 1, 1, 2, 98]
    """
    counts = (lengths - window) // hop + 1
    return counts * (counts > 0)


def frames(samples: Array, window: int, hop: int) -> Array:
    """Windows [..., frames, window] of waveforms [..., samples], one every `hop` samples."""
    count = frame_count(samples.shape[-1], window, hop)
    return samples[..., hop * np.arange(count)[:, None] + np.arange(window)]


def hann(window: int) -> np.ndarray:
    """The periodic Hann window, float64 [window]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


def stft(samples: Array, window: np.ndarray, hop: int, fft_size: int | None = None) -> Array:
    """The short-time Fourier transform of waveforms, complex [..., frames, fft_size // 2 + 1].

    Args:
      samples: waveforms [..., samples].
      window: the weight of every sample of a frame [window].
      hop: samples from one frame to the next.
      fft_size: of the transform, with zeros behind a frame; the size of the window if None.
    """
    weighted = frames(samples, len(window), hop) * jnp.asarray(window, samples.dtype)
    return jnp.fft.rfft(weighted, fft_size)


def power_spectrum(
    samples: Array, window: np.ndarray, hop: int, fft_size: int | None = None
) -> Array:
    """|STFT|², float32 [..., frames, fft_size // 2 + 1]."""
    spectrum = stft(samples, window, hop, fft_size)
    # Not abs, whose derivative at silence is none.
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def hz_to_mel(hz: Any, scale: MelScale = "htk") -> np.ndarray:
    """Frequencies in mel: 2595 log10(1 + f / 700), or linear below 1 kHz and log above.

    "htk" is the formula of the HTK book, "slaney" that of M. Slaney's Auditory Toolbox.

    >>> hz_to_mel([0, 1000], "slaney").tolist()
    [0.0, 15.0]
    """
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return 2595 * np.log10(1 + hz / 700)
    above = 15 + np.log(np.maximum(hz, 1000) / 1000) * 27 / math.log(6.4)
    return np.where(hz < 1000, hz * 3 / 200, above)


def mel_to_hz(mel: Any, scale: MelScale = "htk") -> np.ndarray:
    """The frequency of each mel; the inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = 1000 * np.exp((np.maximum(mel, 15) - 15) * math.log(6.4) / 27)
    return np.where(mel < 15, mel * 200 / 3, above)


def mel_filterbank(
    mels: int,
    fft_size: int,
    sample_rate: int,
    *,
    low_hz: float = 0.0,
    high_hz: float | None = None,
    scale: MelScale = "htk",
    equal_area: bool = False,
) -> np.ndarray:
    """Triangular filters over the bins of a spectrum, evenly spaced in mel.

    >>> mel_filterbank(2, 8, 8000).round(2).tolist()
    [[0.0, 0.0], [0.68, 0.32], [0.0, 0.91], [0.0, 0.45], [0.0, 0.0]]

    Args:
      mels: how many filters.
      fft_size: of the transform.
      sample_rate: in Hz.
      low_hz: where the first filter begins.
      high_hz: where the last one ends; half the sample rate if None.
      scale: of frequency.
      equal_area: filters of area one over frequency, in place of height one.

    Returns:
      float64 [fft_size // 2 + 1, mels].
    """
    low, high = hz_to_mel([low_hz, high_hz or sample_rate / 2], scale)
    edges = mel_to_hz(np.linspace(low, high, mels + 2), scale)
    bins = np.arange(fft_size // 2 + 1)[:, None] * sample_rate / fft_size
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    filters = np.maximum(0, np.minimum(rising, falling))
    return filters * 2 / (edges[2:] - edges[:-2]) if equal_area else filters


def log_mel(power: Array, filters: np.ndarray) -> Array:
    """The log of the energy in each filter, in nats [..., frames, mels]; 1e-10 at least."""
    energy = jnp.matmul(power, jnp.asarray(filters, power.dtype), precision="highest")
    return jnp.log(jnp.maximum(energy, _FLOOR))


def cepstrum(log_energies: Array, coefficients: int) -> Array:
    """The first coefficients of the orthonormal cosine transform (DCT-II) of log-mel energies.

    Of mel energies these are the MFCC of S. Davis and P. Mermelstein, "Comparison of parametric
    representations for monosyllabic word recognition in continuously spoken sentences", 1980.
    """
    mels = log_energies.shape[-1]
    angle = np.pi / mels * (np.arange(mels)[:, None] + 0.5) * np.arange(coefficients)
    basis = math.sqrt(2 / mels) * np.cos(angle)
    basis[:, 0] /= math.sqrt(2)
    transform = jnp.asarray(basis, log_energies.dtype)
    return jnp.matmul(log_energies, transform, precision="highest")


def deltas(features: Array, lengths: Array, reach: int = 2) -> Array:
    """The slope of every feature over time: the regression over 2 `reach` + 1 frames.

    `d_t = Σ_n n (x_{t+n} - x_{t-n}) / (2 Σ_n n²)`, n from 1 to `reach`; before the first frame and
    behind the last valid one stands that frame again.

    Args:
      features: [batch, frames, features].
      lengths: valid frames [batch].
      reach: frames to either side.
    """
    time = jnp.arange(features.shape[1])
    last = jnp.maximum(lengths - 1, 0)[:, None]
    total = jnp.zeros_like(features)
    for n in range(1, reach + 1):
        after, before = (jnp.clip(time + step, 0, last)[..., None] for step in (n, -n))
        ahead = jnp.take_along_axis(features, after, axis=1)
        behind = jnp.take_along_axis(features, before, axis=1)
        total += n * (ahead - behind)
    return total / (2 * sum(n * n for n in range(1, reach + 1)))


def normalized(features: Array, lengths: Array, scale: FeatureScale | None = None) -> Array:
    """Features with mean 0 and deviation 1 over the frames of each utterance, or as a scale says.

    Args:
      features: [batch, frames, features].
      lengths: valid frames [batch].
      scale: of the training set; None for that of each utterance.

    Returns:
      The same shape; zeros behind the valid frames.
    """
    valid = jnp.arange(features.shape[1])[:, None] < lengths[:, None, None]
    if scale is None:
        count = jnp.maximum(lengths, 1)[:, None, None]
        mean = jnp.where(valid, features, 0).sum(axis=1, keepdims=True) / count
        square = jnp.square(jnp.where(valid, features - mean, 0)).sum(axis=1, keepdims=True)
        # The floor stands inside the root: at 0 its derivative is none.
        deviation = jnp.sqrt(jnp.maximum(square / count, _CONSTANT**2))
    else:
        mean, deviation = jnp.asarray(scale.mean), jnp.asarray(scale.deviation)
    return jnp.where(valid, (features - mean) / deviation, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioFeatures:
    """What a network hears of a waveform.

    >>> features = AudioFeatures(sample_rate=8000, mels=24)
    >>> x, lengths = features(jnp.ones((2, 800)), jnp.array([800, 300]))
    >>> x.shape, lengths.tolist(), features.size
    ((2, 8, 24), [8, 2], 24)

    Attributes:
      kind: log_mel: the log of the energy in mel filters; mfcc: its cosine transform.
      sample_rate: in Hz; files of another one are resampled.
      window_ms: milliseconds of a frame.
      hop_ms: milliseconds from one frame to the next.
      mels: filters.
      mel_scale: how their places are spaced: htk or slaney.
      low_hz: where the first filter begins.
      high_hz: where the last one ends; half the sample rate if None.
      coefficients: of mfcc.
      deltas: 1 adds the slope of every feature over time, 2 also the slope of that. Each needs two
        frames ahead.
      normalization: utterance: mean 0 and deviation 1 of every feature over each utterance;
        training: as over all training utterances; or none. A stream cannot have "utterance".
    """

    kind: Literal["log_mel", "mfcc"] = "log_mel"
    sample_rate: PositiveInt = 16_000
    window_ms: PositiveFloat = 25.0
    hop_ms: PositiveFloat = 10.0
    mels: PositiveInt = 40
    mel_scale: MelScale = "htk"
    low_hz: NonNegativeFloat = 20.0
    high_hz: PositiveFloat | None = None
    coefficients: PositiveInt = 13
    deltas: Annotated[int, Range(0, 2)] = 0
    normalization: Normalization = "utterance"

    def __post_init__(self) -> None:
        high = self.high_hz or self.sample_rate / 2
        if high > self.sample_rate / 2 or self.low_hz >= high:
            raise ConfigError(
                f"low_hz, high_hz: must rise to {self.sample_rate / 2:g} Hz at most, half of "
                f"sample_rate; got {self.low_hz:g} and {high:g}"
            )
        if self.window < 2 or not 1 <= self.hop <= self.window:
            raise ConfigError(
                f"window_ms, hop_ms: a window has at least 2 samples and a hop at least 1 and no "
                f"more than a window; got {self.window} and {self.hop} at {self.sample_rate} Hz"
            )
        if self.kind == "mfcc" and self.coefficients > self.mels:
            raise ConfigError(
                f"coefficients: {self.coefficients} are more than the {self.mels} of mels"
            )
        empty = int((self.filters().max(axis=0) == 0).sum())
        if empty:
            raise ConfigError(
                f"mels: {empty} of {self.mels} filters see nothing, since they are narrower than "
                f"the {self.sample_rate / self.fft_size:g} Hz between two frequencies of a frame; "
                "fewer mels or a longer window_ms is needed"
            )

    @property
    def window(self) -> int:
        """Samples in a frame."""
        return round(self.sample_rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate * self.hop_ms / 1000)

    @property
    def fft_size(self) -> int:
        """Size of the transform: the least power of two that a window fits into."""
        return 1 << (self.window - 1).bit_length()

    @property
    def size(self) -> int:
        """Features in a frame."""
        return (self.mels if self.kind == "log_mel" else self.coefficients) * (1 + self.deltas)

    def frames(self, lengths: Any) -> Any:
        """How many frames waveforms of these lengths have, as an int or an array of them."""
        return frame_count(lengths, self.window, self.hop)

    def filters(self) -> np.ndarray:
        """The mel filters [fft_size // 2 + 1, mels]."""
        return mel_filterbank(
            self.mels,
            self.fft_size,
            self.sample_rate,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
            scale=self.mel_scale,
        )

    def unscaled(self, samples: Array, lengths: Array) -> tuple[Array, Array]:
        """Features before any normalisation [batch, frames, size], and valid frames [batch].

        Args:
          samples: waveforms between -1 and 1 [batch, samples].
          lengths: valid samples [batch].
        """
        steps = self.frames(lengths)
        power = power_spectrum(samples, hann(self.window), self.hop, self.fft_size)
        x = log_mel(power, self.filters())
        if self.kind == "mfcc":
            x = cepstrum(x, self.coefficients)
        parts = [x]
        for _ in range(self.deltas):
            parts.append(deltas(parts[-1], steps))
        x = jnp.concatenate(parts, axis=-1)
        return jnp.where(jnp.arange(x.shape[1])[:, None] < steps[:, None, None], x, 0), steps

    def __call__(
        self, samples: Array, lengths: Array, scale: FeatureScale | None = None
    ) -> tuple[Array, Array]:
        """Features [batch, frames, size], zeros behind their ends, and valid frames [batch].

        Args:
          samples: waveforms between -1 and 1 [batch, samples].
          lengths: valid samples [batch].
          scale: of the training set, for the normalization "training".
        """
        x, steps = self.unscaled(samples, lengths)
        if self.normalization == "none":
            return x, steps
        if self.normalization == "utterance":
            return normalized(x, steps), steps
        if scale is None:
            raise ValueError('the normalization "training" needs the scale of the training set')
        return normalized(x, steps, scale), steps
