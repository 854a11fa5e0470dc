"""Records held out of training by what they are, whatever order they come in."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lstm_jax.errors import ConfigError, UserError

SPLITS = ("train", "validation", "test")
Record = TypeVar("Record", bound=tuple[Any, ...])
Named = TypeVar("Named")


def hold_out(records: Sequence[Record], shares: Mapping[str, float]) -> dict[str, list[Record]]:
    """Parts of the records by split; what is in none of the shares is left for training.

    Decided by a hash of a record's first text, so that the order of a file (all of one class
    first, say) does not matter, and a text that occurs twice is in one split alone.

    >>> parts = hold_out([(text,) for text in "abcde"], {"test": 0.2})
    >>> {split: "".join(text for text, in part) for split, part in parts.items()}
    {'test': 'd', 'train': 'abce'}

    Args:
      records: the records.
      shares: the share of the texts for each split, together below 1.
    """
    texts = sorted({record[0] for record in records}, key=_hash)
    where = dict.fromkeys(texts, "train")
    begin = 0
    for split, share in shares.items():
        # At least one: a split of nothing helps nobody.
        end = begin + (max(1, round(len(texts) * share)) if share else 0)
        where.update(dict.fromkeys(texts[begin:end], split))
        begin = end
    parts: dict[str, list[Record]] = {split: [] for split in (*shares, "train")}
    for record in records:
        parts[where[record[0]]].append(record)
    return parts


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def require_shares(own: Mapping[str, Any], shares: Mapping[str, float]) -> dict[str, float]:
    """The shares of the splits that have no data of their own.

    Args:
      own: what the user named for each split; empty or None for nothing.
      shares: the share of every split in that case.

    Raises:
      ConfigError: they leave nothing to train on.
    """
    taken = {split: share for split, share in shares.items() if not own[split]}
    if sum(taken.values()) >= 1:
        raise ConfigError(
            f"validation_share, test_share: together must be below 1, got {sum(taken.values()):g}"
        )
    return taken


def require_paths(paths: Mapping[str, Any], shares: Mapping[str, float]) -> dict[str, float]:
    """The same for splits that are named by their paths, of which training needs one.

    Raises:
      ConfigError: no path is named, or the shares leave nothing to train on.
    """
    if not paths["train"]:
        raise ConfigError("path: names no file")
    return require_shares(paths, shares)


def path_field(split: str) -> str:
    """The field of the config that names the paths of a split."""
    return "data.path" if split == "train" else f"data.{split}_path"


def read_splits(
    named: Mapping[str, Named | None],
    shares: Mapping[str, float],
    read: Callable[[str, Named], Sequence[Record]],
) -> dict[str, list[Record]]:
    """The records of every split: its own, or its share of the training ones.

    Args:
      named: what the user named for each split; empty or None to take a share.
      shares: those of `require_shares`.
      read: `(split, name) -> records`.

    Raises:
      UserError: nothing is left for a split.
    """
    own = {split: list(read(split, name)) for split, name in named.items() if name}
    found = {**own, **hold_out(own["train"], shares)}
    if not found["train"]:
        given = len(own["train"])
        raise UserError(f"data: no record is left to train on, of {given} that there are")
    for split in SPLITS:
        if not found.get(split):
            raise UserError(f"data: the {split} split has no record: name data for it, or a share")
    return {split: found[split] for split in SPLITS}
