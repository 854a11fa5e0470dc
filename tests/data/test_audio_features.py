"""Features of sound: the numbers of librosa, exact counts of frames, derivatives, no leaks."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.audio_features import (
    AudioFeatures,
    deltas,
    frame_count,
    frames,
    hann,
    hz_to_mel,
    mel_filterbank,
    mel_to_hz,
    normalized,
    power_spectrum,
)
from lstm_jax.data.feature_scale import FeatureScale, Scaled, load_scale, scale_of
from lstm_jax.errors import ConfigError, UserError

REFERENCE = json.loads(Path(__file__).with_name("audio_reference.json").read_text())
SAMPLES = jnp.array(REFERENCE["samples"], jnp.float32) / 32768
OPTIONS = {"sample_rate": 8000, "mels": 20, "high_hz": 3600.0, "normalization": "none"}


def test_power_is_that_of_librosa():
    power = power_spectrum(SAMPLES, hann(200), 80, 256)[:, ::8]
    np.testing.assert_allclose(power, REFERENCE["power"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("equal_area", [False, True])
def test_filters_are_those_of_librosa(scale, equal_area):
    ours = mel_filterbank(
        20, 256, 8000, low_hz=20, high_hz=3600, scale=scale, equal_area=equal_area
    )
    np.testing.assert_allclose(
        ours[::4], REFERENCE[f"filters {scale} {equal_area}"], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(
    "options", [{"kind": "log_mel"}, {"kind": "mfcc", "deltas": 2}], ids=["log_mel", "mfcc"]
)
def test_features_are_those_of_librosa_and_padding_changes_nothing(options):
    features = AudioFeatures(**OPTIONS, **options)
    padded = jnp.pad(SAMPLES, (0, 500), constant_values=0.7)[None]
    x, steps = jax.jit(features)(padded, jnp.array([len(SAMPLES)]))
    reference = np.array(REFERENCE[options["kind"]])
    assert int(steps[0]) == len(reference) == features.frames(len(SAMPLES))
    np.testing.assert_allclose(x[0, : len(reference)], reference, rtol=1e-4, atol=2e-4)
    assert not x[0, len(reference) :].any()
    assert x.shape[-1] == features.size


@given(st.integers(0, 700), st.integers(2, 90), st.integers(1, 90))
def test_frames_are_the_whole_windows(length, window, hop):
    counted = sum(1 for start in range(0, length, hop) if start + window <= length)
    assert frame_count(length, window, hop) == counted
    assert frames(np.zeros(length), window, hop).shape == (counted, window)
    assert frame_count(np.array([length]), window, hop).tolist() == [counted]


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_and_back(scale):
    hz = np.linspace(0, 8000, 50)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, atol=1e-8)


def test_every_utterance_has_mean_zero_and_deviation_one():
    x = 5 + 3 * np.random.default_rng(0).standard_normal((2, 9, 4), np.float32)
    y = np.asarray(jax.jit(normalized)(x, np.array([9, 5])))
    np.testing.assert_allclose(y[1, :5].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y[1, :5].std(axis=0), 1, atol=1e-5)
    assert not y[1, 5:].any()


def test_deltas_of_a_line_are_its_slope_inside_and_padding_is_not_seen():
    line = np.stack(2 * [np.arange(9.0, dtype=np.float32)])
    line[1, 6:] = 99
    slope = np.asarray(jax.jit(deltas)(line[..., None], np.array([9, 6])))[..., 0]
    np.testing.assert_allclose(slope[0, 2:7], 1, atol=1e-6)
    np.testing.assert_allclose(slope[1, :6], [0.5, 0.8, 1, 1, 0.8, 0.5], atol=1e-6)


def test_derivatives_are_right_and_finite_in_silence():
    features = AudioFeatures(**{**OPTIONS, "normalization": "utterance"})
    random = np.random.default_rng(0)
    weights = random.standard_normal((9, features.size), np.float32)

    @jax.jit
    @jax.value_and_grad
    def loss(samples):
        x, _ = features(samples[None], jnp.array([len(SAMPLES)]))
        return (x[0, :9] * weights).sum()

    sound = np.asarray(SAMPLES) + 0.1 * random.standard_normal(len(SAMPLES), np.float32)
    gradient = np.asarray(loss(sound)[1])
    norm = np.linalg.norm(gradient)
    step = 1e-3 * gradient / norm
    numeric = (loss(sound + step)[0] - loss(sound - step)[0]) / 2e-3
    np.testing.assert_allclose(numeric, norm, rtol=1e-2)
    assert np.isfinite(loss(np.zeros_like(sound))[1]).all()


def test_the_scale_of_a_training_set(tmp_path):
    random = np.random.default_rng(0)
    sequences = [1e3 + random.normal(size=(n, 3)).astype(np.float32) for n in (4, 0, 50, 7)]
    for sequence in sequences:
        sequence[:, 2] = 5
    scale, whole = scale_of(sequences), np.concatenate(sequences).astype(np.float64)
    np.testing.assert_allclose(scale.mean, whole.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale.deviation[:2], whole[:, :2].std(axis=0), rtol=1e-4)
    assert scale.deviation[2] == 1
    scale.save(tmp_path / "scale.json")
    again = load_scale(tmp_path / "scale.json")
    lazily = Scaled(sequences, again)[2]
    on_device = jax.jit(normalized)(sequences[2][None], np.array([50]), scale)[0]
    np.testing.assert_allclose(lazily, on_device, rtol=1e-5, atol=1e-6)
    assert lazily.dtype == np.float32


@pytest.mark.parametrize("content", ["", "[]", '{"mean": [1], "deviation": [0]}', '{"mean": [1]}'])
def test_a_file_without_a_scale_is_told(tmp_path, content):
    (tmp_path / "scale.json").write_text(content)
    with pytest.raises(UserError, match=r"scale.json holds no scale"):
        load_scale(tmp_path / "scale.json")


def test_the_scale_is_asked_for():
    features = AudioFeatures(**{**OPTIONS, "normalization": "training"})
    with pytest.raises(ValueError, match="scale of the training set"):
        features(SAMPLES[None], jnp.array([1100]))
    scale = FeatureScale(np.zeros(20, np.float32), np.ones(20, np.float32))
    x, _ = jax.jit(features)(SAMPLES[None], jnp.array([1100]), scale)
    np.testing.assert_allclose(x[0], REFERENCE["log_mel"], rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"high_hz": 5000.0}, r"low_hz, high_hz: .*4000 Hz at most.*got 20 and 5000"),
        ({"low_hz": 4000.0}, r"low_hz, high_hz"),
        ({"window_ms": 0.1}, r"window_ms, hop_ms: .*got 1 and 80 at 8000"),
        ({"hop_ms": 30.0}, r"window_ms, hop_ms"),
        ({"kind": "mfcc", "coefficients": 21, "mels": 20}, r"coefficients: 21 .* 20 of mels"),
        ({"mels": 128}, r"mels: \d+ of 128 filters see nothing"),
    ],
)
def test_what_does_not_fit_is_told(options, message):
    with pytest.raises(ConfigError, match=message):
        AudioFeatures(sample_rate=8000, **options)
