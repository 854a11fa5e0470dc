"""Where pairs of texts come from: (source, target) by split.

A source checks its fields when it is made and reads when it is called. A split without data of its
own takes a share of the training pairs, chosen by a hash of the source text.
"""

from collections.abc import Callable, Mapping, Sequence

from lstm_jax.config import Fraction, register
from lstm_jax.data.generated_pairs import generated_pairs
from lstm_jax.data.held_out import path_field, read_splits, require_paths, require_shares
from lstm_jax.data.tables import read_columns
from lstm_jax.data.tfds import read_tfds

__all__ = ["PairSource", "Pairs", "generated_pairs", "tfds_pairs", "tsv_pairs"]

Pairs = Mapping[str, Sequence[tuple[str, str]]]
PairSource = Callable[[], Pairs]


@register("pair_source")
def tsv_pairs(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.05,
    test_share: Fraction = 0.05,
    source_column: str = "1",
    target_column: str = "2",
) -> PairSource:
    """Files with a pair a line and a tab between its texts; quotation marks are text.

    Args:
      path: files in UTF-8, separated by commas.
      validation_path: files of the validation split, none to take a share of `path`.
      test_path: files of the test split, none to take a share of `path`.
      validation_share: share of the pairs for validation, without files of its own.
      test_share: share of the pairs for the test, without files of its own.
      source_column: number of the column with the source, from 1; or both columns as names, which
        the first line of each file then holds.
      target_column: number, or name, of the column with the target.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when it is called: a file cannot be used, or a column does not exist.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    taken = require_paths(paths, {"validation": validation_share, "test": test_share})
    columns = (source_column, target_column)

    def read_one(split: str, files: tuple[str, ...]) -> list[tuple[str, str]]:
        rows = read_columns(path_field(split), files, columns, delimiter="\t", quoted=False)
        return [(source, target) for source, target in rows]

    return lambda: read_splits(paths, taken, read_one)


@register("pair_source")
def tfds_pairs(
    *,
    dataset: str,
    source_field: str,
    target_field: str,
    data_dir: str | None = None,
    train: str = "train",
    validation: str | None = "validation",
    test: str | None = "test",
    validation_share: Fraction = 0.05,
    test_share: Fraction = 0.05,
) -> PairSource:
    """A translation set of TFDS, read through `tfds.data_source`: no TensorFlow.

    Args:
      dataset: name in the catalogue, with its config: "ted_hrlr_translate/pt_to_en".
      source_field: the language, or other feature, to translate from: "pt".
      target_field: the language, or other feature, to translate into: "en".
      data_dir: where datasets are prepared; None for TFDS's own folder.
      train: split of the training pairs, in TFDS's own words for splits.
      validation: split of the validation pairs; None to take a share of the training ones.
      test: split of the test pairs; None to take a share of the training ones.
      validation_share: share of the pairs for validation, without a split of its own.
      test_share: share of the pairs for the test, without a split of its own.

    Raises:
      ConfigError: the shares leave nothing to train on.
      UserError: when it is called: the dataset, a split or a language does not exist, or the
        dataset cannot be prepared here.
    """
    splits = {"train": train, "validation": validation, "test": test}
    taken = require_shares(splits, {"validation": validation_share, "test": test_share})
    languages = {"source_field": source_field, "target_field": target_field}

    def read_one(split: str, words: str) -> list[tuple[str, str]]:
        del split
        return list(zip(*read_tfds(dataset, words, data_dir, languages), strict=True))

    return lambda: read_splits(splits, taken, read_one)
