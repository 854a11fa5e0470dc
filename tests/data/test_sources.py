"""Text sources: splits that do not leak, files that are not what they should be."""

import os
import re
from pathlib import Path

import pytest

from lstm_jax.data.sources import SPLITS, python_docs, text_file, tfds_text
from lstm_jax.errors import ConfigError, UserError


def paragraphs(documents):
    return {p.strip() for text in documents for p in re.split(r"\n[ \t]*\n", text)}


def test_python_docs_share_no_paragraph_between_splits():
    documents = python_docs()()
    found = {split: {p for p in paragraphs(documents[split]) if len(p) >= 20} for split in SPLITS}
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]


def test_python_docs_split_is_decided_by_the_topic():
    documents = python_docs()()
    topics = {split: [text.split("\n")[0] for text in documents[split]] for split in SPLITS}
    assert {"objects", "execmodel", "break"} <= set(topics["test"])
    assert sum(len(text) for text in documents["train"]) > 250_000
    assert sum(len(text) for text in documents["test"]) > 40_000


def test_a_text_file_is_cut_in_order(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(chr(97 + i // 10) for i in range(100)))
    documents = text_file(path=(str(path),), validation_share=0.2, test_share=0.1)()
    assert documents["train"] == [
        "a" * 10 + "b" * 10 + "c" * 10 + "d" * 10 + "e" * 10 + "f" * 10 + "g" * 10
    ]
    assert documents["validation"] == ["h" * 10 + "i" * 10]
    assert documents["test"] == ["j" * 10]


def test_a_folder_and_splits_of_their_own(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(f"text of {name}")
    (tmp_path / "test.md").write_text("held out")
    read = text_file(
        path=(str(tmp_path),), test_path=(str(tmp_path / "test.md"),), validation_share=0.0
    )
    assert read()["train"] == ["text of a.txt", "text of b.txt"]
    assert read()["test"] == ["held out"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert text_file(path=(str(tmp_path / "a.txt"),), validation_share=0, test_share=0)()[
        "train"
    ] == ["abc"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc\xff", "is not UTF-8: byte 3 is 0xff"),
        (b"\xef\xbb\xbfabc\xc3(", "is not UTF-8: byte 6 is 0xc3"),
        (b" \n ", "holds no text"),
        (b"", "holds no text"),
        (None, r"cannot read .*a.txt \(No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, message):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        text_file(path=(str(path),))()


def test_shares_must_leave_something_to_train_on():
    with pytest.raises(ConfigError, match=r"together must be below 1, got 1\.1"):
        text_file(path=("a.txt",), validation_share=0.6, test_share=0.5)


# Datasets prepared by TFDS, for those who have some: a folder with imdb_reviews in it.
TFDS = Path(os.environ.get("LSTM_JAX_TFDS", Path(__file__).parents[3] / "shared" / "tfds"))
needs_imdb = pytest.mark.skipif(
    not (TFDS / "imdb_reviews").is_dir(), reason=f"imdb_reviews is not prepared in {TFDS}"
)


@needs_imdb
def test_a_tfds_dataset_is_read_without_tensorflow():
    read = tfds_text(
        dataset="imdb_reviews",
        data_dir=str(TFDS),
        train="train[:20]",
        validation="train[20:30]",
        test="test[:10]",
    )
    documents = read()
    assert [len(documents[split]) for split in SPLITS] == [20, 10, 10]
    assert all(isinstance(text, str) and len(text) > 20 for text in documents["test"])
    assert documents["train"][0] != documents["validation"][0]


@needs_imdb
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "imdb_review"}, "TFDS cannot read"),
        ({"train": "training"}, "TFDS cannot read training of imdb_reviews"),
        ({"field": "texts"}, "has no feature 'texts'; did you mean text"),
    ],
)
def test_what_tfds_does_not_have_is_told_in_a_line(options, message):
    options = {"dataset": "imdb_reviews", "data_dir": str(TFDS), "train": "train[:5]", **options}
    with pytest.raises(UserError, match=re.escape(message)) as error:
        tfds_text(**options)()
    assert len(str(error.value)) < 400
