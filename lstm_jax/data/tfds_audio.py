"""Recordings in TensorFlow datasets, read one at a time."""

import importlib.util
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.data.audio_files import BrokenAudio, require_seconds
from lstm_jax.data.tfds import open_tfds, require_features, text_of
from lstm_jax.errors import UserError

_FULL = 32768.0  # whole numbers are 16-bit samples, whatever type TFDS keeps them in


class TfdsAudio(NamedTuple):
    """A recording of a dataset."""

    name: str
    records: Sequence[Any]
    number: int
    field: str
    sample_rate: int

    def content(self) -> bytes:
        """The samples in the format of NumPy."""
        stream = io.BytesIO()
        np.save(stream, np.asarray(self.records[self.number][self.field]), allow_pickle=False)
        return stream.getvalue()

    def decode(self, content: bytes, max_seconds: float | None) -> tuple[np.ndarray, int]:
        """Samples and their rate."""
        samples = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        require_seconds(self.name, len(samples), self.sample_rate, max_seconds)
        if samples.dtype.kind == "f":
            return samples, self.sample_rate
        if np.abs(samples.astype(np.int64)).max(initial=0) > _FULL:
            raise BrokenAudio(f"{self.name} has samples that are no 16-bit numbers")
        return samples / np.float32(_FULL), self.sample_rate


def read_tfds_audio(
    dataset: str,
    split: str,
    data_dir: str | None,
    fields: Mapping[str, str],
    sample_rate: int | None,
) -> Iterator[tuple[TfdsAudio, str]]:
    """The recordings of a split, each with its text or the name of its class.

    Args:
      dataset: name in the catalogue.
      split: in TFDS's own words for splits.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      fields: the features with the sound and with the text, by the names of the config fields.
      sample_rate: in Hz; None for the one that the dataset tells.

    Raises:
      UserError: the dataset, the split or a feature does not exist, its rate is not known, or it
        cannot be read here.
    """
    records, features = _open(dataset, split, data_dir)
    require_features(dataset, features, fields.items())
    sound, text = fields.values()
    rate = sample_rate or getattr(features[sound], "sample_rate", None)
    if not rate:
        raise UserError(f"data.sample_rate: {dataset} does not tell its own; it must be named")
    for number in range(len(records)):
        name = f"{dataset}, record {number} of {split}"
        audio = TfdsAudio(name, records, number, sound, int(rate))
        yield audio, text_of(f"data.dataset: {name}", records[number][text], features[text])


def _open(dataset: str, split: str, data_dir: str | None) -> tuple[Sequence[Any], Any]:
    try:
        return open_tfds(dataset, split, data_dir)
    except UserError as error:
        if "tensorflow" not in str(error) or importlib.util.find_spec("tensorflow") is not None:
            raise
        raise UserError(
            f"data.dataset: {dataset} cannot be read without TensorFlow, which TFDS needs for "
            "sound: pip install tensorflow"
        ) from None
