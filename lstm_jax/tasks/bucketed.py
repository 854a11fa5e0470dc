"""The dataset of a task whose records are sequences, in batches of like lengths."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from lstm_jax.data.bucketing import BucketedBatches, best_bounds, longest_of
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.tasks.task import Dataset


class BucketOptions(Protocol):
    """How records become batches, as the sections of such tasks have it."""

    @property
    def batch_size(self) -> int:
        """Records in a step."""
        ...

    @property
    def evaluation_batch_size(self) -> int:
        """Records in a batch of an evaluation."""
        ...

    @property
    def buckets(self) -> int:
        """Lengths to which batches are padded."""
        ...

    @property
    def seed(self) -> int:
        """Of the order of the training records."""
        ...


def bucketed_dataset(
    options: BucketOptions,
    name: str,
    sequences: Mapping[str, Sequence[np.ndarray]],
    labels: Mapping[str, np.ndarray] | None = None,
    *,
    units: str,
    notes: Callable[[BucketedBatches], Sequence[str]],
    salt: str = "",
) -> Dataset:
    """Training batches in an order of their own for every epoch, and batches of every split.

    Args:
      options: how records become batches.
      name: of the sequences in a batch.
      sequences: the records of every split.
      labels: the class of each, which a batch has as `labels`.
      units: what a training batch is counted in.
      notes: what is worth telling of the training batches.
      salt: what else tells one dataset from another.
    """

    def batches(split: str, batch_size: int, seed: int | None) -> BucketedBatches:
        named = {name: sequences[split]}
        values = {} if labels is None else {"labels": labels[split]}
        bounds = best_bounds(longest_of(named), options.buckets)
        return BucketedBatches(named, values, batch_size=batch_size, bounds=bounds, seed=seed)

    train = batches("train", options.batch_size, options.seed)
    splits = {split: batches(split, options.evaluation_batch_size, None) for split in SPLITS}
    return Dataset(
        train=train,
        splits=splits,
        batch_size=options.batch_size,
        evaluation_batch_size=options.evaluation_batch_size,
        units=(units, train.mean_tokens),
        fingerprint=joint_fingerprint((train, *splits.values()), before=salt),
        notes=notes(train),
    )
