"""Where texts with a class come from: (text, name of its class) by split.

A source checks its fields when it is made and reads when it is called, so that a finished run can
be used where its data are gone. A split without data of its own takes a share of the training
ones, chosen by a hash of the text.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from lstm_jax.config import Fraction, Range, register
from lstm_jax.data.class_folders import class_files
from lstm_jax.data.files import read_text
from lstm_jax.data.held_out import path_field, read_splits, require_paths, require_shares
from lstm_jax.data.tables import read_columns
from lstm_jax.data.tfds import read_tfds

Labelled = Mapping[str, Sequence[tuple[str, str]]]
LabelledSource = Callable[[], Labelled]


@register("labelled_source")
def csv_file(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
    text_column: str = "text",
    label_column: str = "label",
) -> LabelledSource:
    """CSV files, with values in quotation marks where need be.

    Args:
      path: files in UTF-8, separated by commas.
      validation_path: files of the validation split, none to take a share of `path`.
      test_path: files of the test split, none to take a share of `path`.
      validation_share: share of the texts for validation, without files of its own.
      test_share: share of the texts for the test, without files of its own.
      text_column: name of the column with the text, in the first row; or both columns as numbers
        from 1, for files without such a row.
      label_column: name, or number, of the column with the class.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used, or a column does not exist.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    shares = {"validation": validation_share, "test": test_share}
    return _table(paths, shares, (text_column, label_column), delimiter=",", quoted=True)


@register("labelled_source")
def tsv_file(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
    text_column: str = "text",
    label_column: str = "label",
) -> LabelledSource:
    """Files with a record a line and tabs between columns; quotation marks are text.

    Args:
      path: files in UTF-8, separated by commas.
      validation_path: files of the validation split, none to take a share of `path`.
      test_path: files of the test split, none to take a share of `path`.
      validation_share: share of the texts for validation, without files of its own.
      test_share: share of the texts for the test, without files of its own.
      text_column: name of the column with the text, in the first line; or both columns as numbers
        from 1, for files without such a line.
      label_column: name, or number, of the column with the class.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used, or a column does not exist.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    shares = {"validation": validation_share, "test": test_share}
    return _table(paths, shares, (text_column, label_column), delimiter="\t", quoted=False)


def _table(
    paths: Mapping[str, tuple[str, ...]],
    shares: Mapping[str, float],
    columns: tuple[str, str],
    *,
    delimiter: str,
    quoted: bool,
) -> LabelledSource:
    taken = require_paths(paths, shares)

    def read_one(split: str, files: tuple[str, ...]) -> list[tuple[str, str]]:
        rows = read_columns(path_field(split), files, columns, delimiter=delimiter, quoted=quoted)
        return [(text, label.strip()) for text, label in rows]

    return lambda: read_splits(paths, taken, read_one)


@register("labelled_source")
def class_folders(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
    classes: tuple[str, ...] = (),
) -> LabelledSource:
    """A folder with a folder for each class, and in it a `.txt` file for each text.

    Args:
      path: folders of class folders, separated by commas.
      validation_path: those of the validation split, none to take a share of `path`.
      test_path: those of the test split, none to take a share of `path`.
      validation_share: share of the texts for validation, without folders of its own.
      test_share: share of the texts for the test, without folders of its own.
      classes: the class folders to read; all, if none is named.

    Raises:
      ConfigError: no folder is named, or the shares leave nothing to train on.
      UserError: when it is called: a folder or file cannot be used.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    taken = require_paths(paths, {"validation": validation_share, "test": test_share})

    def read_one(split: str, folders: tuple[str, ...]) -> list[tuple[str, str]]:
        roots = [Path(folder).expanduser() for folder in folders]
        return [record for root in roots for record in _folders(path_field(split), root, classes)]

    return lambda: read_splits(paths, taken, read_one)


def _folders(where: str, root: Path, classes: Sequence[str]) -> list[tuple[str, str]]:
    def texts(folder: Path) -> list[Path]:
        return sorted(folder.glob("*.txt"))

    files = class_files(where, root, texts, ".txt file", classes=classes)
    return [(read_text(where, file), label) for file, label in files]


@register("labelled_source")
def tfds_labelled(
    *,
    dataset: str,
    data_dir: str | None = None,
    text_field: str = "text",
    label_field: str = "label",
    train: str = "train",
    validation: str | None = None,
    test: str | None = "test",
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
) -> LabelledSource:
    """Any TensorFlow dataset with a text and a class, read through `tfds.data_source`.

    Args:
      dataset: name in the catalogue, with a config and version if need be: "imdb_reviews".
      data_dir: where datasets are prepared; None for TFDS's own folder.
      text_field: the feature that holds the text.
      label_field: the feature that holds the class.
      train: split of the training texts, in TFDS's own words for splits.
      validation: split of the validation texts; None to take a share of the training ones.
      test: split of the test texts; None to take a share of the training ones.
      validation_share: share of the texts for validation, without a split of its own.
      test_share: share of the texts for the test, without a split of its own.

    Raises:
      ConfigError: the shares leave nothing to train on.
      UserError: when it is called: the dataset, a split or a field does not exist, or the
        dataset cannot be prepared here.
    """
    splits = {"train": train, "validation": validation, "test": test}
    taken = require_shares(splits, {"validation": validation_share, "test": test_share})
    fields = {"text_field": text_field, "label_field": label_field}

    def read_one(split: str, words: str) -> list[tuple[str, str]]:
        del split
        return list(zip(*read_tfds(dataset, words, data_dir, fields), strict=True))

    return lambda: read_splits(splits, taken, read_one)


@register("labelled_source")
def generated_opinions(*, size: Annotated[int, Range(20)] = 600) -> LabelledSource:
    """Generated sentences of praise and blame, to try a config without data; no real language.

    An opinion is a few judgements, some of them turned by "not"; its class is that of most.

    >>> text, label = generated_opinions(size=20)()["train"][0]
    >>> text[:45], label
    ('the script was moving . the script was awful ', 'positive')

    Args:
      size: how many sentences; a tenth each is for validation and test.
    """

    def read() -> Labelled:
        random = np.random.default_rng(0)
        records = [_opinion(random) for _ in range(size)]
        tenth = size // 10
        return {
            "train": records[2 * tenth :],
            "validation": records[:tenth],
            "test": records[tenth : 2 * tenth],
        }

    return read


_JUDGEMENTS = {"positive": ("good", "superb", "moving"), "negative": ("bad", "dull", "awful")}


def _opinion(random: np.random.Generator) -> tuple[str, str]:
    parts, balance = [], 0
    for _ in range(2 * int(random.integers(1, 4)) - 1):  # an odd number has a majority
        subject = random.choice(["plot", "cast", "music", "script"])
        label = random.choice(list(_JUDGEMENTS))
        turned = random.random() < 0.3
        word = f"{'not ' if turned else ''}{random.choice(_JUDGEMENTS[label])}"
        parts.append(f"the {subject} was {word} .")
        balance += 1 if (label == "positive") != turned else -1
    return " ".join(parts), "positive" if balance > 0 else "negative"
