"""Where text comes from: documents in a train, a validation and a test split.

A source checks its fields when it is made and reads when it is called, so that a finished run can
be used where its data are gone.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lstm_jax.config import Fraction, register
from lstm_jax.data.files import read_text
from lstm_jax.data.held_out import SPLITS, path_field, require_paths
from lstm_jax.data.tfds import read_tfds
from lstm_jax.errors import UserError

Documents = Mapping[str, Sequence[str]]  # texts of each split
Source = Callable[[], Documents]

# Chosen once, before any model was trained, so that the test split is about an eighth of the text.
_SALT = "4:"
_HELD_OUT = {"test": (0.0, 0.1), "validation": (0.1, 0.2), "train": (0.2, 1.0)}


@register("source")
def python_docs() -> Source:
    """Python's own documentation topics, which every CPython carries: no download.

    Split by topic, decided by a hash of the topic's name, so that it is the same everywhere
    (the text itself grows a little from one Python to the next). Topics quote each other: a
    paragraph that occurs in several is kept once, in the held-out topic if it is in one, so that
    no held-out paragraph is ever trained on.
    """
    return _read_topics


def _read_topics() -> Documents:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError(
            "data.source: this Python carries no pydoc_data.topics (a package such as "
            "python3-doc or libpython3-stdlib may have it); use data.source=text_file"
        ) from None
    seen: set[str] = set()
    held_out_first = {
        split: [
            f"{name}\n\n{_unseen_paragraphs(topics[name], seen)}"
            for name in sorted(topics)
            if low <= _position(name) < high
        ]
        for split, (low, high) in _HELD_OUT.items()
    }
    return {split: held_out_first[split] for split in SPLITS}


def _position(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256((_SALT + name).encode()).digest()[:8], "big") / 2**64


def _unseen_paragraphs(text: str, seen: set[str]) -> str:
    kept = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        content = paragraph.strip()
        # A heading or a short "See also" is no leak, and its absence would break the layout.
        if content in seen and len(content) >= 20:
            continue
        seen.add(content)
        kept.append(paragraph)
    return "\n\n".join(kept)


@register("source")
def text_file(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
) -> Source:
    """Text files in UTF-8.

    Without files of their own, the validation and test splits are the last parts of each
    training file, in this order: train, validation, test.

    Args:
      path: files, or folders whose `.txt` files are read in order of their names; several are
        separated by commas.
      validation_path: files of the validation split, none to take a share of `path`.
      test_path: files of the test split, none to take a share of `path`.
      validation_share: share of each file's characters for validation, without files of its own.
      test_share: share of each file's characters for the test, without files of its own.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when it is called: a file is missing, empty, or not UTF-8.
    """
    own = {"validation": validation_path, "test": test_path}
    shares = {"validation": validation_share, "test": test_share}
    require_paths({"train": path, **own}, shares)

    def read() -> Documents:
        documents: dict[str, list[str]] = {split: [] for split in SPLITS}
        for text in _read("train", path):
            test_from = len(text) - (0 if test_path else round(len(text) * test_share))
            end = test_from - (0 if validation_path else round(len(text) * validation_share))
            documents["train"].append(text[:end])
            documents["validation"].append(text[end:test_from])
            documents["test"].append(text[test_from:])
        for split, paths in own.items():
            if paths:
                documents[split] = _read(split, paths)
        return documents

    return read


def _read(split: str, paths: Sequence[str]) -> list[str]:
    files: list[Path] = []
    for path in (Path(path).expanduser() for path in paths):
        found = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path_field(split)}: the folder {path} holds no .txt file")
        files += found
    return [read_text(path_field(split), file) for file in files]


@register("source")
def tfds_text(
    *,
    dataset: str,
    data_dir: str | None = None,
    field: str = "text",
    train: str = "train[:90%]",
    validation: str = "train[90%:]",
    test: str = "test",
) -> Source:
    """A text field of any TensorFlow dataset, read through `tfds.data_source`: no TensorFlow.

    Args:
      dataset: name in the catalogue, with a config and version if need be: "imdb_reviews".
      data_dir: where datasets are prepared; None for TFDS's own folder.
      field: the feature that holds the text.
      train: split of the training text, in TFDS's own words for splits.
      validation: split of the validation text.
      test: split of the test text.

    Raises:
      UserError: when it is called: the dataset, a split or the field does not exist, or the
        dataset cannot be prepared here.
    """
    splits = {"train": train, "validation": validation, "test": test}

    def read() -> Documents:
        return {
            name: read_tfds(dataset, split, data_dir, {"field": field})[0]
            for name, split in splits.items()
        }

    return read
