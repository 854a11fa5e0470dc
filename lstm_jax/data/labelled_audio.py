"""Where recordings with a class come from, by split.

A source checks its fields when it is made and reads when it is called: names, not sound. A split
without data of its own takes a share of the training recordings.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from lstm_jax.config import Fraction, PositiveInt, Range, register
from lstm_jax.data.audio_files import SUFFIXES, Audio, AudioFile, AudioSamples
from lstm_jax.data.class_folders import class_files
from lstm_jax.data.files import read_text
from lstm_jax.data.held_out import SPLITS, path_field, read_splits, require_paths, require_shares
from lstm_jax.data.labelled_series import hold_out_of_every_class
from lstm_jax.data.tfds_audio import read_tfds_audio
from lstm_jax.errors import UserError


class LabelledRecording(NamedTuple):
    """A recording and the name of its class.

    Attributes:
      source: what recordings share that must not be in two splits: the speaker, if one is known.
      label: the class.
      audio: the recording.
      problem: a sentence that says why it cannot be used; empty if nothing is known.
    """

    source: str
    label: str
    audio: Audio
    problem: str = ""


LabelledAudio = Mapping[str, Sequence[LabelledRecording]]
LabelledAudioSource = Callable[[], LabelledAudio]
# Files of the set Speech Commands that name what is held out of a folder.
_MARK = "_nohash_"  # behind the speaker in its names
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


@register("labelled_audio_source")
def audio_folders(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
    classes: tuple[str, ...] = (),
) -> LabelledAudioSource:
    """A folder with a folder for each class, and in it `.wav`, `.flac` or `.ogg` files.

    Folders whose names begin with "_" or "." are left out, such as the noise of Speech Commands
    (P. Warden, arXiv 1804.03209). Files of one speaker, whom that set names before "_nohash_", come
    into one split; its `validation_list.txt` and `testing_list.txt`, where they are, say which.
    Where no name tells a speaker, shares are of every class alike, and one file of each is trained
    on at least.

    Args:
      path: folders of class folders, separated by commas.
      validation_path: those of the validation split, none to take a share of `path`.
      test_path: those of the test split, none to take a share of `path`.
      validation_share: share of the recordings for validation, without folders of its own.
      test_share: share of the recordings for the test, without folders of its own.
      classes: the class folders to read; all, if none is named.

    Raises:
      ConfigError: no folder is named, or the shares leave nothing to train on.
      UserError: when it is called: a folder or list cannot be used.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    shares = require_paths(paths, {"validation": validation_share, "test": test_share})

    def read_one(split: str, folders: tuple[str, ...]) -> list[LabelledRecording]:
        roots = [Path(folder).expanduser() for folder in folders]
        return [one for root in roots for one in _folders(path_field(split), root, classes)]

    def read() -> LabelledAudio:
        listed = _listed(path[0]) if len(path) == 1 and not (validation_path or test_path) else {}
        if not listed:
            own = {split: read_one(split, names) for split, names in paths.items() if names}
            if not any(_MARK in Path(one.audio.name).stem for one in own["train"]):
                own |= _of_every_class(own["train"], shares)
                return read_splits(own, {}, lambda _, recordings: recordings)
            return read_splits(own, shares, lambda _, recordings: recordings)
        found: dict[str, list[LabelledRecording]] = {split: [] for split in SPLITS}
        for one in read_one("train", path):
            file = Path(one.audio.name)
            found[listed.get(f"{file.parent.name}/{file.name}", "train")].append(one)
        return read_splits(found, {}, lambda _, recordings: recordings)

    return read


def _folders(where: str, root: Path, classes: Sequence[str]) -> list[LabelledRecording]:
    def sounds(folder: Path) -> list[Path]:
        if not folder.is_dir():
            raise UserError(f"{where}: {folder} is no folder")
        return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)

    kind = f"{', '.join(SUFFIXES)} file"
    files = class_files(where, root, sounds, kind, classes=classes, hidden="_.")
    return [LabelledRecording(_speaker(file), label, AudioFile(file)) for file, label in files]


def _of_every_class(
    train: Sequence[LabelledRecording], shares: Mapping[str, float]
) -> dict[str, list[LabelledRecording]]:
    rows = hold_out_of_every_class([one.label for one in train], shares, seed=0)
    return {split: [train[row] for row in chosen] for split, chosen in rows.items()}


def _speaker(file: Path) -> str:
    speaker, marked, _ = file.stem.partition(_MARK)
    return speaker if marked else f"{file.parent.name}/{file.name}"


def _listed(path: str) -> dict[str, str]:
    """The split of every file that the lists of Speech Commands name; nothing without lists."""
    root = Path(path).expanduser()
    files = {split: root / name for split, name in _LISTS.items()}
    if not all(file.exists() for file in files.values()):
        return {}
    return {
        line.strip(): split
        for split, file in files.items()
        for line in read_text("data.path", file).splitlines()
    }


@register("labelled_audio_source")
def tfds_labelled_audio(
    *,
    dataset: str,
    data_dir: str | None = None,
    audio_field: str = "audio",
    label_field: str = "label",
    sample_rate: PositiveInt | None = None,
    train: str = "train",
    validation: str | None = None,
    test: str | None = None,
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
) -> LabelledAudioSource:
    """Any TensorFlow dataset with sound and a class. Most of those need TensorFlow to be read.

    Args:
      dataset: name in the catalogue, with a config and version if need be: "speech_commands".
      data_dir: where datasets are prepared; None for TFDS's own folder.
      audio_field: the feature that holds the samples; whole numbers are 16-bit ones.
      label_field: the feature that holds the class.
      sample_rate: in Hz; None for the one that the dataset tells.
      train: split of the training recordings, in TFDS's own words for splits.
      validation: split of the validation ones; None to take a share of the training ones.
      test: split of the test ones; None to take a share of the training ones.
      validation_share: share of the recordings for validation, without a split of its own.
      test_share: share of the recordings for the test, without a split of its own.

    Raises:
      ConfigError: the shares leave nothing to train on.
      UserError: when it is called: the dataset, a split or a field does not exist, or the
        dataset cannot be read here.
    """
    splits = {"train": train, "validation": validation, "test": test}
    shares = require_shares(splits, {"validation": validation_share, "test": test_share})
    fields = {"audio_field": audio_field, "label_field": label_field}

    def read_one(split: str, words: str) -> list[LabelledRecording]:
        del split
        found = read_tfds_audio(dataset, words, data_dir, fields, sample_rate)
        return [LabelledRecording(audio.name, label, audio) for audio, label in found]

    return lambda: read_splits(splits, shares, read_one)


@register("labelled_audio_source")
def generated_tones(
    *, size: Annotated[int, Range(20)] = 200, sample_rate: PositiveInt = 8000
) -> LabelledAudioSource:
    """Generated tones to try a config without data; no real sound: rising, falling and steady ones.

    Each has a pitch, a length of 0.3 to 0.5 seconds and noise of its own.

    >>> found = generated_tones(size=20)()
    >>> [one.label for one in found["test"]]
    ['rising', 'rising']

    Args:
      size: how many recordings; a tenth each is for validation and test.
      sample_rate: in Hz.
    """

    def read() -> LabelledAudio:
        random = np.random.default_rng(0)
        made = [_tone(random, number, sample_rate) for number in range(size)]
        tenth = size // 10
        return {
            "train": made[2 * tenth :],
            "validation": made[:tenth],
            "test": made[tenth : 2 * tenth],
        }

    return read


_SLOPES = {"rising": 1.0, "falling": -1.0, "steady": 0.0}  # octaves from start to end


def _tone(random: np.random.Generator, number: int, rate: int) -> LabelledRecording:
    label = str(random.choice(list(_SLOPES)))
    place = np.linspace(-0.5, 0.5, int(rate * random.uniform(0.3, 0.5)))
    hz = random.uniform(500, 1500) * 2 ** (_SLOPES[label] * place)
    samples = 0.3 * np.sin(2 * np.pi * np.cumsum(hz) / rate)
    samples += 0.03 * random.standard_normal(len(samples))
    name = f"generated {number}"
    return LabelledRecording(name, label, AudioSamples(name, samples.astype(np.float32), rate))
