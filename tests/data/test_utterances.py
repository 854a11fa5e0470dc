"""Sources of speech and of sounds with a class: layouts of the field, splits, what is missing."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lstm_jax.config import find
from lstm_jax.data.audio_files import read_audio
from lstm_jax.errors import ConfigError, UserError

SPEECH = Path(__file__).parents[3] / "shared/data/asterisk_en"
SPEECH = Path(os.environ.get("LSTM_JAX_SPEECH", SPEECH))


def speech(name, **options):
    return find("speech_source", name)(**options)()


def classes(name, **options):
    return find("labelled_audio_source", name)(**options)()


def sound(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.sin(np.arange(400.0)), 8000)


@pytest.fixture
def folder(tmp_path):
    lines = [f"LJ{i:03}|Sentence {i}|sentence number {i}" for i in range(40)]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    for i in range(40):
        sound(tmp_path / "wavs" / f"LJ{i:03}.{'flac' if i % 2 else 'wav'}")
    return tmp_path


def test_a_folder_of_ljspeech(folder):
    found = speech("speech_folder", path=str(folder), validation_share=0.1, test_share=0.2)
    assert {split: len(found[split]) for split in found} == {
        "train": 28, "validation": 4, "test": 8
    }  # fmt: skip
    every = sorted((one for split in found.values() for one in split), key=lambda one: one.name)
    assert [one.text for one in every] == [f"sentence number {i}" for i in range(40)]
    assert [one.audio.path.name for one in every[:2]] == ["LJ000.wav", "LJ001.flac"]
    raw = speech("speech_folder", path=str(folder), text="raw")
    assert {one.text for one in raw["test"]} <= {f"Sentence {i}" for i in range(40)}


def test_what_is_said_twice_is_in_one_split(folder):
    lines = [f"LJ{i:03}|sentence {i % 10}" for i in range(40)]
    (folder / "metadata.csv").write_text("\n".join(lines))
    found = speech("speech_folder", path=str(folder), validation_share=0.2, test_share=0.2)
    texts = [{one.text for one in found[split]} for split in ("train", "validation", "test")]
    assert [len(split) for split in texts] == [6, 2, 2]
    assert len(set.union(*texts)) == 10


def test_files_of_splits_come_before_the_whole(folder):
    (folder / "train.csv").write_text("".join(f"LJ{i:03}|word {i}\n" for i in range(10)))
    (folder / "test.csv").write_text("LJ020|other\n")
    found = speech("speech_folder", path=str(folder), validation_share=0.1)
    assert [len(found[split]) for split in ("train", "validation", "test")] == [9, 1, 1]


def test_a_folder_that_lacks_something_is_told(folder):
    with pytest.raises(UserError, match=r"data.path: .*nowhere is no folder"):
        speech("speech_folder", path=str(folder / "nowhere"))
    (folder / "metadata.csv").write_text("LJ000|one\n\nLJ001|two|three|four\n")
    with pytest.raises(UserError, match=r"metadata.csv, line 3: has 4 column\(s\); it must be id"):
        speech("speech_folder", path=str(folder))
    (folder / "metadata.csv").unlink()
    with pytest.raises(UserError, match=r"data.path: cannot read .*metadata.csv \(No such file"):
        speech("speech_folder", path=str(folder))
    with pytest.raises(ConfigError, match="validation_share, test_share"):
        speech("speech_folder", path=str(folder), validation_share=0.5, test_share=0.5)


def test_a_line_without_a_transcript_or_a_recording_is_a_problem_of_that_line(folder):
    lines = [f"LJ{i:03}|sentence {i}" for i in range(40)]
    lines[6] = "LJ006|"
    lines[7] = "LJ999|sentence 7"
    (folder / "metadata.csv").write_text("\n".join(lines))
    found = speech("speech_folder", path=str(folder))
    every = {one.name: one for split in found.values() for one in split}
    assert every["LJ006"].problem.endswith("metadata.csv, line 7 has no transcript")
    assert sum(bool(one.problem) for one in every.values()) == 1
    with pytest.raises(UserError, match=r"wavs/LJ999.wav cannot be read \(No such file"):
        read_audio(every["LJ999"].audio, 8000)


def test_manifests(tmp_path):
    sound(tmp_path / "clips/a.wav")
    sound(tmp_path / "b.flac")
    rows = [
        {"audio_filepath": "clips/a.wav", "text": " one ", "duration": 0.05},
        {"audio_filepath": str(tmp_path / "b.flac"), "text": "two", "speaker": 3},
        {"audio_filepath": "c.wav", "text": ""},
        {"audio_filepath": "d.wav"},
    ]
    file = tmp_path / "train.json"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = speech("manifest", path=(str(file),), validation_path=(str(file),),
                   test_path=(str(file),))["test"]  # fmt: skip
    assert [one.text for one in found] == ["one", "two", "", ""]
    assert [len(read_audio(one.audio, 8000)) for one in found[:2]] == [400, 400]
    assert [one.problem.removeprefix(f"{file}, ") for one in found] == [
        "", "", "line 3 has no transcript", "line 4 has no transcript"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'a': 1}", "line 2: is not JSON"),
        ("[1]", "line 2: is no object with audio_filepath and text"),
        ('{"text": "a"}', "line 2: is no object with audio_filepath"),
        ('{"audio_filepath": "", "text": "a"}', "line 2: is no object"),
        ('{"audio_filepath": "a.wav", "text": 5}', "line 2: is no object"),
        ('{"audio_filepath": "a.wav", "text": "a", "offset": 2.5}', "line 2: has an offset"),
        ("[" * 100_000, "line 2: is not JSON"),
    ],
)
def test_a_manifest_with_another_line_is_told(tmp_path, line, message):
    file = tmp_path / "train.json"
    file.write_text('{"audio_filepath": "a.wav", "text": "a"}\n' + line)
    with pytest.raises(UserError, match=rf"data.path: .*train.json, {message}"):
        speech("manifest", path=(str(file),))


@pytest.mark.skipif(not SPEECH.exists(), reason="the recordings of asterisk_en are not here")
def test_a_real_folder():
    found = speech("speech_folder", path=str(SPEECH))
    assert [len(found[split]) for split in ("train", "validation", "test")] == [408, 46, 38]
    assert found["train"][0].text == "activated"
    assert len(read_audio(found["train"][0].audio, 8000)) > 4000


def tfds_set(folder, monkeypatch):
    """A dataset of plain arrays, which TFDS can write and read without TensorFlow."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class Beeps(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "speech": tfds.features.Tensor(shape=(None,), dtype=np.int16),
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=["low", "high"]),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(12):
                samples = np.full(400, 1 << (i + 3), np.int16)
                samples[0] = -(1 << 15)
                yield i, {"speech": samples, "text": f"beep {i}", "label": i % 2}

    builder = Beeps(data_dir=str(folder), file_format="array_record")
    builder.download_and_prepare()
    from lstm_jax.data import tfds_audio

    data = builder.as_data_source(split="train")
    monkeypatch.setattr(tfds_audio, "open_tfds", lambda *_: (data, data.dataset_info.features))


def test_a_tfds_set_without_tensorflow(tmp_path, monkeypatch):
    tfds_set(tmp_path, monkeypatch)
    found = speech("tfds_speech", dataset="beeps", sample_rate=8000, test_share=0.2)
    every = [one for split in found.values() for one in split]
    assert {one.text for one in every} == {f"beep {i}" for i in range(12)}
    samples = read_audio(next(one for one in every if one.text == "beep 4").audio, 8000)
    assert samples[:2].tolist() == [-1.0, (1 << 7) / 32768]
    labelled = classes("tfds_labelled_audio", dataset="beeps", sample_rate=8000,
                       audio_field="speech")  # fmt: skip
    assert {one.label for one in labelled["train"]} == {"low", "high"}
    with pytest.raises(UserError, match=r"data.sample_rate: beeps does not tell its own"):
        speech("tfds_speech", dataset="beeps")
    with pytest.raises(UserError, match=r"data.audio_field: beeps has no feature 'sound'"):
        speech("tfds_speech", dataset="beeps", audio_field="sound")


def test_a_tfds_set_that_needs_tensorflow_says_so(tmp_path):
    with pytest.raises(UserError) as error:
        classes("tfds_labelled_audio", dataset="speech_commands", data_dir=str(tmp_path))
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        assert "speech_commands cannot be read without TensorFlow" in str(error.value)


def test_folders_of_classes(tmp_path):
    for name in ("no/a.wav", "no/b.WAV", "yes/a.flac", "yes/b.ogg", "_background_noise_/x.wav"):
        sound(tmp_path / name)
    (tmp_path / "yes/readme.txt").touch()
    found = classes("audio_folders", path=(str(tmp_path),), validation_share=0.25, test_share=0.25)
    assert [len(found[split]) for split in ("train", "validation", "test")] == [2, 1, 1]
    every = sorted((one.label, one.source) for split in found.values() for one in split)
    assert every == [
        ("no", "no/a.wav"), ("no", "no/b.WAV"), ("yes", "yes/a.flac"), ("yes", "yes/b.ogg")
    ]  # fmt: skip
    for number in range(18):  # twenty of "no" beside two of "yes" and one of "owl"
        sound(tmp_path / f"no/{number}.wav")
    sound(tmp_path / "owl/a.wav")
    found = classes("audio_folders", path=(str(tmp_path),), validation_share=0.1, test_share=0.2)
    held_out = [one.label for split in ("validation", "test") for one in found[split]]
    assert [held_out.count(name) for name in ("no", "owl", "yes")] == [6, 0, 1]
    assert {one.label for one in found["train"]} == {"no", "owl", "yes"}
    with pytest.raises(UserError, match=r"data.path: .*maybe is no folder"):
        classes("audio_folders", path=(str(tmp_path),), classes=("no", "maybe"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no .wav, .flac, .ogg file"):
        classes("audio_folders", path=(str(tmp_path),))


def test_the_lists_of_speech_commands_and_else_the_speaker_decide(tmp_path):
    for word in ("no", "yes"):
        for speaker in range(6):
            sound(tmp_path / word / f"{speaker}abc_nohash_0.wav")
            sound(tmp_path / word / f"{speaker}abc_nohash_1.wav")
    found = classes("audio_folders", path=(str(tmp_path),), validation_share=0.2, test_share=0.2)
    speakers = [{one.source for one in split} for split in found.values()]
    assert sum(map(len, speakers)) == 6
    (tmp_path / "validation_list.txt").write_text("no/0abc_nohash_0.wav\nyes/0abc_nohash_1.wav\n")
    (tmp_path / "testing_list.txt").write_text("no/1abc_nohash_0.wav\n")
    found = classes("audio_folders", path=(str(tmp_path),))
    assert [len(found[split]) for split in ("train", "validation", "test")] == [21, 2, 1]
