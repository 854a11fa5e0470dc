"""Fields of TensorFlow datasets, read through `tfds.data_source`: no TensorFlow."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lstm_jax.errors import UserError, did_you_mean


def read_tfds(
    dataset: str, split: str, data_dir: str | None, fields: Mapping[str, str]
) -> list[list[str]]:
    """Texts of a split: a list for each field, with the texts of all records in order.

    A class is given as its name, a number as its digits.

    Args:
      dataset: name in the catalogue.
      split: in TFDS's own words for splits.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      fields: features to read, by the name of the config field that names each.

    Raises:
      UserError: the dataset, the split or a feature does not exist, the dataset cannot be
        prepared here, or a text is not UTF-8.
    """
    data, features = open_tfds(dataset, split, data_dir)
    require_features(dataset, features, fields.items())
    found: list[list[str]] = [[] for _ in fields]
    for number, record in enumerate(data):
        for field, texts in zip(fields.values(), found, strict=True):
            where = f"data.dataset: {dataset}, record {number} of {split}, {field}"
            texts.append(text_of(where, record[field], features[field]))
    return found


def read_tfds_arrays(
    dataset: str, split: str, data_dir: str | None, features: Sequence[str]
) -> list[np.ndarray]:
    """Numbers and images of a split: an array for each feature, with a row for every record.

    Args:
      dataset: name in the catalogue.
      split: in TFDS's own words for splits.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      features: names of features, each of one shape in all records.

    Raises:
      UserError: the dataset or the split does not exist, or cannot be prepared or decoded here.
    """
    data, _ = open_tfds(dataset, split, data_dir)
    try:
        records = [[record[name] for name in features] for record in data]
    except ImportError as error:
        raise UserError(
            f"data.dataset: {dataset} cannot be decoded: {error}; images need Pillow "
            "(pip install pillow)"
        ) from None
    return [np.stack(values) for values in zip(*records, strict=True)]


def open_tfds(dataset: str, split: str, data_dir: str | None) -> tuple[Sequence[Any], Any]:
    """The records of a split, and their features by name.

    Raises:
      UserError: the dataset or the split does not exist, or cannot be prepared here.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(f"data.source: tensorflow-datasets cannot be imported ({error})") from None
    if ":" in dataset:
        # TFDS downloads the code of such a set and runs it: a config of a stranger must not.
        raise UserError(f"data.dataset: {dataset} is a community dataset, whose code is not run")
    try:
        data: Any = tfds.data_source(dataset, split=split, data_dir=data_dir)
    except Exception as error:
        # For an unknown name the message goes on with the whole catalogue.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"data.dataset: TFDS cannot read {split} of {dataset} ({reason})") from None
    features = data.dataset_info.features
    if not hasattr(features, "keys"):
        raise UserError(f"data.dataset: {dataset} holds no records with fields")
    return data, features


def require_features(dataset: str, features: Any, fields: Iterable[tuple[str, str]]) -> None:
    """Refuses a feature that a dataset does not have.

    Args:
      dataset: its name.
      features: those that it has.
      fields: the name of the config field, and the feature that it names.
    """
    for option, field in fields:
        if field not in features:
            raise UserError(
                f"data.{option}: {dataset} has no feature {field!r}; "
                f"{did_you_mean(field, list(features))}"
            )


def text_of(where: str, value: Any, feature: Any) -> str:
    """A value as text: a class as its name, a number as its digits.

    Raises:
      UserError: it is bytes that are not UTF-8.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{where} is not UTF-8 ({error.reason})") from None
    if isinstance(value, str):
        return value
    if hasattr(feature, "int2str"):
        return feature.int2str(int(value))
    return str(value)
