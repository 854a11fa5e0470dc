"""Writes audio_reference.json: features of a short generated sound as librosa computes them.

It was made once, in an environment of its own with librosa 0.11.0: python make_audio_reference.py
"""

import json
from pathlib import Path

import numpy as np

RATE, WINDOW, HOP, FFT = 8000, 200, 80, 256


def main():
    import librosa

    samples = sound()
    # librosa sets a window in the middle of a frame as long as the transform; ours begins there.
    before = (FFT - WINDOW) // 2
    padded = np.pad(samples, (before, FFT - WINDOW - before))
    spectrum = librosa.stft(
        padded, n_fft=FFT, hop_length=HOP, win_length=WINDOW, window="hann", center=False
    )
    power = np.abs(spectrum) ** 2
    found = {"samples": (samples * 32768).tolist(), "power": rounded(power.T[:, ::8])}
    for scale in ("htk", "slaney"):
        for area in (False, True):
            filters = librosa.filters.mel(
                sr=RATE, n_fft=FFT, n_mels=20, fmin=20, fmax=3600, htk=scale == "htk",
                norm="slaney" if area else None, dtype=np.float64,
            )  # fmt: skip
            found[f"filters {scale} {area}"] = rounded(filters.T[::4])
    filters = librosa.filters.mel(
        sr=RATE, n_fft=FFT, n_mels=20, fmin=20, fmax=3600, htk=True, norm=None, dtype=np.float64
    )
    log_mel = np.log(np.maximum(filters @ power, 1e-10))
    mfcc = librosa.feature.mfcc(S=log_mel, n_mfcc=13, dct_type=2, norm="ortho")
    first = librosa.feature.delta(mfcc, width=5, order=1, mode="nearest")
    second = librosa.feature.delta(first, width=5, order=1, mode="nearest")
    found |= {"log_mel": rounded(log_mel.T)}
    found |= {"mfcc": rounded(np.concatenate([mfcc, first, second]).T)}
    found["librosa"] = librosa.__version__
    Path(__file__).with_name("audio_reference.json").write_text(json.dumps(found) + "\n")


def sound():
    """A rising tone with noise and silence behind it, as 16-bit numbers."""
    time = np.arange(1100) / RATE
    tone = 0.4 * np.sin(2 * np.pi * (300 + 4000 * time) * time) * (time < 0.1)
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(time)) * (time < 0.12)
    return np.round((tone + noise) * 32768) / 32768


def rounded(values):
    return [[float(f"{value:.7g}") for value in row] for row in values]


if __name__ == "__main__":
    main()
