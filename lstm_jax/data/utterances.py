"""Where recordings of speech with their transcripts come from, by split.

A source checks its fields when it is made and reads when it is called: transcripts, not sound. A
split without data of its own takes a share of the training ones, chosen by a hash of the text, so
that no sentence is both trained on and held out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from lstm_jax.config import Fraction, PositiveInt, Range, register
from lstm_jax.data.audio_files import SUFFIXES, Audio, AudioFile, AudioSamples
from lstm_jax.data.files import read_text
from lstm_jax.data.held_out import SPLITS, path_field, read_splits, require_paths, require_shares
from lstm_jax.data.tfds_audio import read_tfds_audio
from lstm_jax.errors import ConfigError, UserError


class Utterance(NamedTuple):
    """A recording and what is said in it.

    Attributes:
      text: what is said.
      audio: the recording.
      name: a short one: the id of an LJSpeech folder, the path in a manifest.
      problem: a sentence that says why it cannot be used; empty if nothing is known.
    """

    text: str
    audio: Audio
    name: str
    problem: str = ""


Speech = Mapping[str, Sequence[Utterance]]
SpeechSource = Callable[[], Speech]


@register("speech_source")
def speech_folder(
    *,
    path: str,
    text: Literal["normalized", "raw"] = "normalized",
    validation_share: Fraction = 0.05,
    test_share: Fraction = 0.05,
) -> SpeechSource:
    """A folder in the layout of LJSpeech: `metadata.csv` and recordings under `wavs/`.

    A line is `id|text|normalized text`, or `id|text`, and the recording is `wavs/id.wav`, `.flac`
    or `.ogg`. Where there is `train.csv`, that and `validation.csv` and `test.csv` are read in
    place of `metadata.csv`; a split without a file takes a share of the training lines.

    Args:
      path: the folder.
      text: which transcript is read: normalized (numbers and abbreviations spelled out), or raw. A
        line with one transcript has only that.
      validation_share: share of the texts for validation, without a file of its own.
      test_share: share of the texts for the test, without a file of its own.

    Raises:
      ConfigError: no folder is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used; file and line are named.
    """
    if not path:
        raise ConfigError("path: names no folder")
    shares = {"validation": validation_share, "test": test_share}
    require_shares(dict.fromkeys(shares), shares)

    def read() -> Speech:
        root = Path(path).expanduser()
        if not root.is_dir():
            raise UserError(f"data.path: {root} is no folder")
        files = {split: root / f"{split}.csv" for split in SPLITS}
        own: dict[str, Path | None] = {s: f if f.exists() else None for s, f in files.items()}
        if own["train"] is None:
            own = {**dict.fromkeys(SPLITS), "train": root / "metadata.csv"}
        taken = require_shares(own, shares)
        return read_splits(own, taken, lambda _, file: _read_table(file, text))

    return read


def _read_table(file: Path, text: str) -> list[Utterance]:
    found = []
    audio = _audio_by_id(file.parent / "wavs")
    for number, line in enumerate(read_text("data.path", file).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        columns = [column.strip() for column in line.split("|")]
        if len(columns) not in (2, 3):
            raise UserError(
                f"data.path: {where}: has {len(columns)} column(s); it must be id|text|normalized"
            )
        name, said = columns[0], columns[-1] if text == "normalized" else columns[1]
        # A recording that is not there is told when it is read, like all that are broken.
        path = audio.get(name, file.parent / "wavs" / f"{name}{SUFFIXES[0]}")
        found.append(Utterance(said, AudioFile(path), name, _text_problem(where, said)))
    return found


def _audio_by_id(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"data.path: {folder} is no folder; recordings are expected there")
    return {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES}


def _text_problem(where: str, text: str) -> str:
    return "" if text.strip() else f"{where} has no transcript"


@register("speech_source")
def manifest(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.05,
    test_share: Fraction = 0.05,
) -> SpeechSource:
    """Files of JSON lines: `{"audio_filepath": "a.wav", "text": "what is said"}`.

    Other keys, such as `duration`, are not looked at. A path that is not absolute is seen from the
    folder of the manifest.

    Args:
      path: manifests, separated by commas.
      validation_path: those of the validation split, none to take a share of `path`.
      test_path: those of the test split, none to take a share of `path`.
      validation_share: share of the texts for validation, without manifests of its own.
      test_share: share of the texts for the test, without manifests of its own.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used; file and line are named.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    shares = require_paths(paths, {"validation": validation_share, "test": test_share})

    def read_one(split: str, files: tuple[str, ...]) -> list[Utterance]:
        where = path_field(split)
        return [one for file in files for one in _read_manifest(where, Path(file).expanduser())]

    return lambda: read_splits(paths, shares, read_one)


def _read_manifest(field: str, file: Path) -> list[Utterance]:
    found = []
    for number, line in enumerate(read_text(field, file).split("\n"), start=1):
        where = f"{field}: {file}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: is not JSON ({error})") from None
        path, text = _manifest_row(where, row)
        audio = AudioFile(file.parent / Path(path).expanduser())
        found.append(Utterance(text, audio, path, _text_problem(f"{file}, line {number}", text)))
    return found


def _manifest_row(where: str, row: Any) -> tuple[str, str]:
    path, text = (
        (row.get("audio_filepath"), row.get("text", "")) if isinstance(row, dict) else 2 * [0]
    )
    if not isinstance(path, str) or not path or not isinstance(text, str):
        raise UserError(f"{where}: is no object with audio_filepath and text, both of them text")
    if row.get("offset"):
        raise UserError(f"{where}: has an offset; a recording of its own is needed for each line")
    return path, text.strip()


@register("speech_source")
def tfds_speech(
    *,
    dataset: str,
    data_dir: str | None = None,
    audio_field: str = "speech",
    text_field: str = "text",
    sample_rate: PositiveInt | None = None,
    train: str = "train",
    validation: str | None = None,
    test: str | None = None,
    validation_share: Fraction = 0.05,
    test_share: Fraction = 0.05,
) -> SpeechSource:
    """Any TensorFlow dataset with sound and text. Most of those need TensorFlow to be read.

    Args:
      dataset: name in the catalogue, with a config and version if need be: "ljspeech".
      data_dir: where datasets are prepared; None for TFDS's own folder.
      audio_field: the feature that holds the samples; whole numbers are 16-bit ones.
      text_field: the feature that holds the transcript.
      sample_rate: in Hz; None for the one that the dataset tells.
      train: split of the training utterances, in TFDS's own words for splits.
      validation: split of the validation ones; None to take a share of the training ones.
      test: split of the test ones; None to take a share of the training ones.
      validation_share: share of the texts for validation, without a split of its own.
      test_share: share of the texts for the test, without a split of its own.

    Raises:
      ConfigError: the shares leave nothing to train on.
      UserError: when it is called: the dataset, a split or a field does not exist, or the
        dataset cannot be read here.
    """
    splits = {"train": train, "validation": validation, "test": test}
    shares = require_shares(splits, {"validation": validation_share, "test": test_share})
    fields = {"audio_field": audio_field, "text_field": text_field}

    def read_one(split: str, words: str) -> list[Utterance]:
        del split
        found = read_tfds_audio(dataset, words, data_dir, fields, sample_rate)
        return [
            Utterance(text.strip(), audio, audio.name, _text_problem(audio.name, text))
            for audio, text in found
        ]

    return lambda: read_splits(splits, shares, read_one)


@register("speech_source")
def generated_speech(
    *,
    size: Annotated[int, Range(20)] = 200,
    sample_rate: PositiveInt = 8000,
) -> SpeechSource:
    """Generated tones to try a config without data: a tone a letter, silence between words.

    No speech: of eight letters each has a frequency of its own and lasts 60 to 100 milliseconds.

    >>> found = generated_speech(size=20)()
    >>> found["train"][0].text, len(found["test"])
    ('ehah bfgh', 2)

    Args:
      size: how many recordings; a tenth each is for validation and test.
      sample_rate: in Hz.
    """

    def read() -> Speech:
        random = np.random.default_rng(0)
        made = [_tones(random, number, sample_rate) for number in range(size)]
        tenth = size // 10
        return {
            "train": made[2 * tenth :],
            "validation": made[:tenth],
            "test": made[tenth : 2 * tenth],
        }

    return read


_LETTERS = "abcdefgh"


def _tones(random: np.random.Generator, number: int, rate: int) -> Utterance:
    words = ["".join(random.choice(list(_LETTERS), random.integers(2, 5))) for _ in range(2)]
    text = " ".join(words)
    parts = [np.zeros(rate // 20)]
    for letter in text:
        time = np.arange(int(rate * random.uniform(0.06, 0.1)))
        swell = np.sin(np.pi * time / len(time))  # a letter that is repeated is heard twice
        hz = 300 * 1.3 ** _LETTERS.find(letter)
        parts.append((letter != " ") * 0.3 * swell * np.sin(2 * np.pi * hz / rate * time))
    samples = np.concatenate([*parts, parts[0]])
    samples += 0.003 * random.standard_normal(len(samples))
    name = f"generated {number}"
    return Utterance(text, AudioSamples(name, samples.astype(np.float32), rate), name)
