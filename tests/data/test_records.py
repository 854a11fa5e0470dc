"""Labelled texts and pairs: layouts, splits that do not leak, what is wrong told in a sentence."""

import csv
import os
import re
from pathlib import Path

import pytest

from lstm_jax.config import build, complete, find
from lstm_jax.data.held_out import hold_out
from lstm_jax.data.sources import SPLITS
from lstm_jax.errors import ConfigError, UserError


def source(kind, name, **options):
    factory = find(kind, name)
    return build(factory, complete(factory, options))


def read(kind, name, **options):
    return source(kind, name, **options)()


ROWS = [(f"text {i}, with a comma", "pos" if i < 10 else "neg") for i in range(20)]


def write_csv(path, rows, header=("label", "text")):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([header, *((label, text) for text, label in rows)])
    return str(path)


def test_csv_columns_by_name_and_the_values_in_quotes(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*ROWS, ('a "quoted"\ntext', "pos")])
    found = read("labelled_source", "csv_file", path=(path,))
    assert sorted(r for split in SPLITS for r in found[split]) == sorted(
        [*ROWS, ('a "quoted"\ntext', "pos")]
    )


def test_splits_take_shares_and_part_no_equal_texts(tmp_path):
    rows = [(f"t{i % 30}", "pos" if i % 2 else "neg") for i in range(90)]
    parts = hold_out(rows, {"test": 0.2, "validation": 0.1})
    texts = {split: {text for text, _ in part} for split, part in parts.items()}
    assert {split: len(t) for split, t in texts.items()} == {
        "test": 6,
        "validation": 3,
        "train": 21,
    }
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["validation"]
    # Whatever the order of the file.
    again = hold_out(rows[::-1], {"test": 0.2, "validation": 0.1})
    assert {split: set(part) for split, part in again.items()} == {
        split: set(part) for split, part in parts.items()
    }


def test_files_of_their_own_are_taken_whole(tmp_path):
    train = write_csv(tmp_path / "train.csv", ROWS)
    test = write_csv(tmp_path / "test.csv", [("only", "pos")])
    found = read(
        "labelled_source", "csv_file", path=(train,), test_path=(test,), validation_share=0.1
    )
    assert found["test"] == [("only", "pos")]
    assert (len(found["train"]), len(found["validation"])) == (18, 2)


def test_tsv_has_no_quotes_and_columns_may_be_numbers(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f'neg\t"{i} said\n' for i in range(10)))
    options = {"path": (str(path),), "text_column": "2", "label_column": "1"}
    found = read("labelled_source", "tsv_file", **options)
    assert set(found["train"]) <= {(f'"{i} said', "neg") for i in range(10)}
    assert sum(map(len, found.values())) == 10


def test_folders_by_class(tmp_path):
    for split in ("train", "test"):
        for name in ("pos", "neg", "unsup"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(5):
                (folder / f"{i}.txt").write_text(f"{split} {name} {i}", encoding="utf-8")
    found = read(
        "labelled_source", "class_folders",
        path=(str(tmp_path / "train"),), test_path=(str(tmp_path / "test"),),
        classes=("neg", "pos"), validation_share=0.2,
    )  # fmt: skip
    assert found["test"] == [
        (f"test {name} {i}", name) for name in ("neg", "pos") for i in range(5)
    ]
    assert (len(found["train"]), len(found["validation"])) == (8, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"label,txt\npos,a\n", "has no column 'text' in its first row; did you mean txt?"),
        (b"label,text\npos,a\nneg\n", "line 3: has 1 column(s), and column 'text' is number 2"),
        (b"label,text\npos,a\n\nneg, \n", "line 4: column 'text' is empty"),
        (b"label,text\n,a\n", "line 2: column 'label' is empty"),
        (b"label,text\npos,a\xff\n", "is not UTF-8: byte 16 is 0xff in line 2"),
        (b"", "holds no text"),
        (b"text,label\na, really,pos\n", "line 2: has 3 columns, and the first row has 2; a delim"),
        (b'text,label\nc,pos\n"a,pos\nb "quoted" c,neg\n', "line 3: a quotation mark opens a val"),
        (None, "No such file"),
        (b"label,text\n", "no record is left to train on, of 0 that there are"),
        (b"label,text\npos,a\npos,b\n", "no record is left to train on, of 2 that"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path, content, message):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read("labelled_source", "csv_file", path=(str(path),))


def test_what_is_wrong_with_folders_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "classes" / "pos").mkdir(parents=True)
    for name, message in {
        "none": "is no folder",
        "empty": "holds no folder; a folder for each class is needed",
        "classes": "pos holds no .txt file",
    }.items():
        with pytest.raises(UserError, match=message):
            read("labelled_source", "class_folders", path=(str(tmp_path / name),))


@pytest.mark.parametrize("name", ["csv_file", "tsv_file", "class_folders"])
def test_fields_are_checked_before_anything_is_read(name):
    with pytest.raises(ConfigError, match="path: names no file"):
        source("labelled_source", name, path=())
    with pytest.raises(ConfigError, match=r"together must be below 1, got 1\.1"):
        source("labelled_source", name, path=("a",), validation_share=0.6, test_share=0.5)
    # The share of a split with files of its own is not taken.
    source(
        "labelled_source", name, path=("a",), test_path=("b",), validation_share=0.6, test_share=0.5
    )


def test_pairs_by_number_and_by_name(tmp_path):
    lines = [f"source {i}\ttarget {i}\tmore" for i in range(20)]
    plain, named = tmp_path / "plain.tsv", tmp_path / "named.tsv"
    plain.write_text("\r\n".join(lines) + "\r\n\r\n")
    named.write_text("en\tde\tnote\n" + "\n".join(lines))
    found = read("pair_source", "tsv_pairs", path=(str(plain),))
    assert sorted(p for split in SPLITS for p in found[split]) == sorted(
        (f"source {i}", f"target {i}") for i in range(20)
    )
    turned = read(
        "pair_source", "tsv_pairs", path=(str(named),), source_column="de", target_column="en"
    )
    assert {p[0].split()[0] for split in SPLITS for p in turned[split]} == {"target"}
    columns = {"source_column": "en", "target_column": "fr"}
    with pytest.raises(UserError, match="has no column 'fr' in its first row; there are: en"):
        read("pair_source", "tsv_pairs", path=(str(named),), **columns)
    with pytest.raises(UserError, match=r"line 1: has 3 column\(s\), and column '4' is number 4"):
        read("pair_source", "tsv_pairs", path=(str(plain),), target_column="4")


# Datasets prepared by TFDS, for those who have some: a folder with imdb_reviews in it.
TFDS = Path(os.environ.get("LSTM_JAX_TFDS", Path(__file__).parents[3] / "shared" / "tfds"))
needs_imdb = pytest.mark.skipif(
    not (TFDS / "imdb_reviews").is_dir(), reason=f"imdb_reviews is not prepared in {TFDS}"
)


@needs_imdb
def test_a_tfds_set_with_classes():
    found = read(
        "labelled_source", "tfds_labelled",
        dataset="imdb_reviews", data_dir=str(TFDS), train="train[:40]", test="test[:10]",
    )  # fmt: skip
    assert [len(found[split]) for split in SPLITS] == [36, 4, 10]
    assert {label for _, label in found["train"]} == {"pos", "neg"}


@needs_imdb
def test_what_a_tfds_set_does_not_have_is_told():
    options = {"dataset": "imdb_reviews", "data_dir": str(TFDS), "train": "train[:5]"}
    with pytest.raises(UserError, match=r"data\.label_field: .*'labels'; did you mean label"):
        read("labelled_source", "tfds_labelled", label_field="labels", **options)
    with pytest.raises(UserError, match=r"data\.source_field: imdb_reviews has no feature 'en'"):
        read("pair_source", "tfds_pairs", source_field="en", target_field="de", **options)


def test_a_tfds_translation_set_without_tensorflow(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = Tiny(data_dir=str(tmp_path), file_format="array_record")
    builder.download_and_prepare()
    found = read_tiny(tfds, builder)
    assert sorted(p for split in SPLITS for p in found[split]) == sorted(
        (f"word {i}", f"Wört {i}") for i in range(30)
    )


def read_tiny(tfds, builder):
    import lstm_jax.data.tfds as reader

    before = reader.open_tfds
    reader.open_tfds = lambda dataset, split, data_dir: (
        builder.as_data_source(split),
        builder.info.features,
    )
    try:
        return read(
            "pair_source", "tfds_pairs",
            dataset="tiny", source_field="en", target_field="de", validation=None, test=None,
        )  # fmt: skip
    finally:
        reader.open_tfds = before


def _tiny():
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.Translation(languages=("en", "de"))
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(30):
                yield i, {"en": f"word {i}", "de": f"Wört {i}"}

    return Tiny


def Tiny(**options):
    return _tiny()(**options)


def test_a_dataset_whose_code_would_be_downloaded_is_refused():
    with pytest.raises(UserError, match="someone:set is a community dataset, whose code is not"):
        read("labelled_source", "tfds_labelled", dataset="someone:set")
