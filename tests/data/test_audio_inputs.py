"""From recordings to features: in order, broken ones refused or counted, the cache never wrong."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from lstm_jax.data import recordings as reading_of_one
from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.audio_files import AudioFile, AudioSamples
from lstm_jax.data.audio_inputs import AudioReading, features_of, read_inputs
from lstm_jax.data.feature_cache import Cached, FeatureCache
from lstm_jax.data.utterances import Utterance
from lstm_jax.errors import UserError

FEATURES = AudioFeatures(sample_rate=8000, mels=8, normalization="training")


def noise(count, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(count, np.float32)


def utterance(name, samples):
    return Utterance("text", AudioSamples(name, samples, 8000), name)


GOOD = [utterance(f"{i}", noise(500 + 10 * i, i)) for i in range(9)]


def test_features_come_in_order_from_any_number_of_threads():
    one, many = (read_inputs(GOOD, FEATURES, AudioReading(workers=w)) for w in (1, 3))
    assert one.rows == many.rows == list(range(9))
    for recording, a, b in zip(GOOD, one.sequences, many.sequences, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, features_of(FEATURES, recording.audio.samples))
        assert len(a) == FEATURES.frames(len(recording.audio.samples))


def test_processes_give_the_same_and_tell_what_is_broken_in_the_same_words(tmp_path):
    recordings = [broken(tmp_path)[number] for number in (0, 2, 5)]
    threads, processes = AudioReading(broken="skip"), AudioReading(broken="skip", processes=2)
    one, other = (read_inputs(recordings, FEATURES, how) for how in (threads, processes))
    assert (one.rows, one.notes) == (other.rows, other.notes) == ([0, 2], one.notes)
    for a, b in zip(one.sequences, other.sequences, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(
        UserError, match=r"train: .*cut.wav is cut off.*; with data\.reading\.broken=skip such a"
    ):
        read_inputs(recordings, FEATURES, AudioReading(processes=2), name="train")


def test_speeds_make_longer_and_shorter_ones():
    found = read_inputs(GOOD[:2], FEATURES, AudioReading(), speeds=(80, 100))
    assert found.rows == [0, 0, 1, 1]
    assert [len(x) for x in found.sequences] == [FEATURES.frames(n) for n in (625, 500, 638, 510)]


def broken(tmp_path):
    soundfile.write(tmp_path / "cut.wav", noise(500), 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:600])
    return [
        GOOD[0],
        Utterance("text", AudioFile(tmp_path / "gone.wav"), "gone"),
        Utterance("text", AudioFile(tmp_path / "cut.wav"), "cut"),
        utterance("short", noise(150)),
        Utterance("", GOOD[2].audio, "", "metadata.csv, line 5 has no transcript"),
        GOOD[1],
    ]


def test_a_broken_recording_is_refused_by_name_and_reason(tmp_path):
    recordings = broken(tmp_path)
    for one, reason in zip(
        recordings[1:5],
        ("gone.wav cannot be read", "cut.wav is cut off", "short lasts 18.8 milliseconds, less "
         "than the 25 of a frame", "line 5 has no transcript"),
        strict=True,
    ):  # fmt: skip
        with pytest.raises(
            UserError, match=rf"train: .*{reason}.*; with data\.reading\.broken=skip such a"
        ):
            read_inputs([GOOD[0], one], FEATURES, AudioReading(), name="train")


def test_or_it_is_left_out_and_told(tmp_path):
    found = read_inputs(broken(tmp_path), FEATURES, AudioReading(broken="skip"), name="train")
    assert found.rows == [0, 5]
    (note,) = found.notes
    assert note.startswith("train: 4 of 6 recordings are left out: ")
    assert "gone.wav cannot be read" in note
    assert note.endswith("; ...")
    with pytest.raises(UserError, match=r"train: no recording can be used; the first one: .*gone"):
        read_inputs(broken(tmp_path)[1:3], FEATURES, AudioReading(broken="skip"), name="train")


def test_a_cache_saves_the_work_and_changes_nothing(tmp_path, monkeypatch):
    plain = read_inputs(GOOD, FEATURES, AudioReading())
    reading = AudioReading(cache=str(tmp_path / "cache"))
    first = read_inputs(GOOD, FEATURES, reading)
    with monkeypatch.context() as patch:
        patch.setattr(reading_of_one, "read_audio", None)  # nothing is decoded
        second = read_inputs(GOOD, FEATURES, reading)
    for x, y, z in zip(plain.sequences, first.sequences, second.sequences, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(x, z)
        assert z.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "others"),
    [
        ({"mels": 9}, {}),
        ({"mel_scale": "slaney"}, {}),
        ({"normalization": "utterance"}, {}),
        ({}, {"may_be_silent": True}),
        ({}, {"max_seconds": 9.0}),
    ],
)
def test_other_settings_are_not_taken_from_the_cache(tmp_path, options, others):
    read_inputs(GOOD[:1], FEATURES, AudioReading(cache=str(tmp_path)))
    before = len(list(tmp_path.rglob("*.features")))
    other = AudioFeatures(
        **{"sample_rate": 8000, "mels": 8, "normalization": "training", **options}
    )
    found = read_inputs(GOOD[:1], other, AudioReading(cache=str(tmp_path), **others))
    assert len(list(tmp_path.rglob("*.features"))) == before + 1
    np.testing.assert_array_equal(
        found.sequences[0], read_inputs(GOOD[:1], other, AudioReading()).sequences[0]
    )


def test_another_content_under_one_name_is_another_recording(tmp_path):
    reading = AudioReading(cache=str(tmp_path / "cache"))
    audio = AudioFile(tmp_path / "a.wav")
    for seed in (0, 1):
        soundfile.write(audio.path, noise(500, seed), 8000, subtype="FLOAT")
        found = read_inputs([Utterance("text", audio, "a")], FEATURES, reading)
        np.testing.assert_array_equal(found.sequences[0], features_of(FEATURES, noise(500, seed)))


def test_a_torn_or_changed_file_of_the_cache_is_made_anew(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.put("abcd", np.arange(50.0))
    (file,) = tmp_path.rglob("*.features")
    whole = file.read_bytes()
    for content in (b"", whole[:20], whole[:-1], whole[:-1] + b"x", b"x" + whole[1:]):
        file.write_bytes(content)
        assert cache.get("abcd") is None
    with pytest.raises(UserError, match="is gone or damaged: start again"):
        Cached(cache, ["abcd"])[0]
    cache.put("abcd", np.arange(3))
    assert cache.get("abcd").tolist() == [0, 1, 2]


def _put_many(folder):
    cache = FeatureCache(folder)
    for i in range(100):
        cache.put(f"key{i % 5}", np.full(2000, i % 5))
        found = cache.get(f"key{i % 5}")
        assert found is not None
        assert (found == i % 5).all()


def test_many_may_write_and_read_at_once(tmp_path):
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(_put_many, 4 * [tmp_path]))  # raises what a writer raised
    assert len(list(tmp_path.rglob("*.features"))) == 5
    assert not list(tmp_path.rglob("*.part"))


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data\.reading\.cache: cannot .* \(Not a directory\)"):
        read_inputs(GOOD[:1], FEATURES, AudioReading(cache=str(tmp_path / "file")))
