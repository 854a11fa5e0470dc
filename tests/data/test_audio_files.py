"""Files of sound: every format read alike, and a sentence for each way in which one is broken."""

import io
import os

import numpy as np
import pytest
import soundfile

from lstm_jax.data.audio_files import (
    AudioFile,
    AudioSamples,
    BrokenAudio,
    change_speed,
    read_audio,
    resample,
)

RATE = 8000
TONE = (0.5 * np.sin(2 * np.pi * 440 / RATE * np.arange(4000))).astype(np.float32)


def written(path, samples=TONE, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)
    return AudioFile(path)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_U8", 1 / 120),
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-6),
        ("a.wav", "FLOAT", 1e-7),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.flac", "PCM_S8", 1 / 120),
        ("a.flac", "PCM_16", 1e-4),
        ("a.flac", "PCM_24", 1e-6),
        ("a.ogg", "VORBIS", 0.05),
    ],
)
def test_formats(tmp_path, name, subtype, error):
    found = read_audio(written(tmp_path / name, subtype=subtype), RATE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TONE, atol=error)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    found = read_audio(written(tmp_path / "a.wav", stereo, subtype="FLOAT"), RATE)
    np.testing.assert_allclose(found, TONE / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [11_025, 16_000, 22_050, 44_100, 48_000])
def test_any_rate_is_resampled_to_the_same_sound(tmp_path, rate):
    count = rate // 2
    tone = 0.5 * np.sin(2 * np.pi * 440 / rate * np.arange(count))
    found = read_audio(written(tmp_path / "a.wav", tone, rate, subtype="FLOAT"), RATE)
    assert len(found) == -(-count * RATE // rate)
    inside = slice(200, -200)  # a filter sees silence behind the ends
    np.testing.assert_allclose(found[inside], TONE[: len(found)][inside], atol=2e-3)


def test_what_is_above_the_new_rate_is_gone():
    high = np.sin(2 * np.pi * 6000 / 16_000 * np.arange(8000))
    assert np.abs(resample(high, 16_000, 8000)[200:-200]).max() < 0.01


@pytest.mark.parametrize("percent", [90, 110])
def test_speed_changes_length_and_pitch(percent):
    fast = change_speed(TONE, percent)
    assert len(fast) == -(-len(TONE) * 100 // percent)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast)), 80_000))
    assert abs(spectrum.argmax() * RATE / 80_000 - 440 * percent / 100) < 1


def test_a_wav_that_was_written_into_a_pipe_is_whole(tmp_path):
    stream = io.BytesIO()
    soundfile.write(stream, TONE, RATE, format="WAV", subtype="PCM_16")
    content = bytearray(stream.getvalue())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(AudioFile(tmp_path / "a.wav"), RATE)) == len(TONE)


@pytest.mark.parametrize(
    ("name", "keep"),
    [(f"a.{format}", keep) for format in ("wav", "flac", "ogg") for keep in (0.5, 0.99, 0.9999)],
)
def test_what_is_cut_off_is_told(tmp_path, name, keep):
    audio = written(tmp_path / name, 0.1 * np.random.default_rng(0).standard_normal(40_000))
    assert len(read_audio(audio, RATE)) == 40_000
    content = audio.path.read_bytes()
    audio.path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(BrokenAudio, match=rf"{name} is (cut off|no sound)"):
        read_audio(audio, RATE)


@pytest.mark.parametrize("keep", [0, 3, 11, 30, 43, 50])
def test_a_header_that_is_cut_off_is_told(tmp_path, keep):
    audio = written(tmp_path / "a.wav")
    audio.path.write_bytes(audio.path.read_bytes()[:keep])
    with pytest.raises(BrokenAudio, match=r"a\.wav (is|holds) "):
        read_audio(audio, RATE)


def test_what_cannot_be_used_is_told(tmp_path):
    def told(audio, **options):
        with pytest.raises(BrokenAudio) as error:
            read_audio(audio, RATE, **options)
        return str(error.value).removeprefix(f"{tmp_path}/")

    assert told(AudioFile(tmp_path / "no.wav")).startswith("no.wav cannot be read (No such file")
    assert told(AudioFile(tmp_path)).endswith("cannot be read (Is a directory)")
    os.mkfifo(tmp_path / "pipe.wav")
    assert told(AudioFile(tmp_path / "pipe.wav")) == "pipe.wav is not a file"
    (tmp_path / "text.wav").write_text("this is no sound at all")
    assert told(AudioFile(tmp_path / "text.wav")).startswith("text.wav is no sound that can be")
    (tmp_path / "empty.wav").touch()
    assert told(AudioFile(tmp_path / "empty.wav")) == "empty.wav is an empty file"
    assert told(written(tmp_path / "a.wav", TONE[:0])) == "a.wav holds no samples"
    silent = written(tmp_path / "a.wav", 0 * TONE)
    assert told(silent) == "a.wav is silent: all its samples are alike"
    assert not read_audio(silent, RATE, may_be_silent=True).any()
    assert told(written(tmp_path / "b.wav", rate=2_000_000)).endswith(
        "has 2,000,000 samples a second; 1,000 to 768,000 are allowed"
    )
    for bad in (np.nan, np.inf, 3e38):
        samples = np.where(np.arange(4000) == 7, bad, TONE)
        audio = written(tmp_path / "a.wav", samples, subtype="FLOAT")
        assert told(audio) == (
            "a.wav has samples that are no numbers (NaN or infinite) or far from -1 to 1"
        )
    long = written(tmp_path / "a.wav", np.tile(TONE, 4))
    assert told(long, max_seconds=1.5) == "a.wav lasts 2.0 seconds, and max_seconds is 1.5"
    assert told(AudioSamples("x", np.tile(TONE, 4), RATE), max_seconds=1) == (
        "x lasts 2.0 seconds, and max_seconds is 1"
    )
