"""What the training loop asks of a task, and all that it knows of one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import jax

from lstm_jax.data.loader import RandomAccess
from lstm_jax.records import figure_text

Array = jax.Array
Batch = Mapping[str, Any]  # arrays, as the loader yields them
Sums = dict[str, Array]  # scalars that add up over batches


class Metric(NamedTuple):
    """A figure that a task reports.

    Attributes:
      name: as in `metrics.jsonl`, without the split.
      label: for tables and axes, with the unit.
      lower_is_better: its direction.
      decimals: how many digits after the point mean anything.
    """

    name: str
    label: str
    lower_is_better: bool = True
    decimals: int = 3

    def text(self, value: float) -> str:
        """A value of it, as people read it.

        >>> Metric("loss", "loss").text(1.23456)
        '1.235'
        """
        return figure_text(value, self.decimals)


class Compute(NamedTuple):
    """How a network computes, which changes its speed and memory and rounds its figures.

    Attributes:
      dtype: type of the products; parameters, carry and loss are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    remat: Literal["none", "step", "sqrt"] = "none"


FLOAT32 = Compute()


class Learner(NamedTuple):
    """The pure functions that are compiled: what is learnt, and what it costs to be wrong.

    Attributes:
      init: `key -> params`.
      initial_carry: `(params, batch_size) -> carry`; an empty tuple for a stateless task.
      loss: `(params, carry, batch, key) -> (loss, carry, sums)`; a key of None means evaluation.
        The loss is what the gradient is taken of.
      summarize: `sums -> values`, with one value for every metric that `score` does not give; the
        sums are those of any number of batches, as floats.
      metrics: the figures reported; checkpoints are judged by the first.
      weight: the name of the sum that the loss is an average over; None if every batch, and every
        part of one, counts the same.
      full_weight: the weight of a full batch, if the learning rate of a step shall be as much lower
        (or higher) as its batch weighs less (or more).
      score: `(params, batches) -> values`: figures of an evaluation that are no sums over batches,
        such as BLEU, from the batches of a split; None for none.
      warn: `values -> sentences`: what must not pass in silence of the figures of an evaluation,
        such as a forecaster worse than the naive one; None for nothing.
    """

    init: Callable[[Array], Any]
    initial_carry: Callable[[Any, int], Any]
    loss: Callable[[Any, Any, Batch, Array | None], tuple[Array, Any, Sums]]
    summarize: Callable[[Mapping[str, float]], dict[str, float]]
    metrics: Sequence[Metric]
    weight: str | None = None
    full_weight: float | None = None
    score: Callable[[Any, RandomAccess], dict[str, float]] | None = None
    warn: Callable[[Mapping[str, float]], Sequence[str]] | None = None


def no_carry(params: Any, batch_size: int) -> tuple[()]:
    """The `initial_carry` of a stateless task."""
    del params, batch_size
    return ()


class Dataset(NamedTuple):
    """Data made ready.

    Attributes:
      train: the training batches of one epoch, in order.
      splits: batches of every split for evaluation, by name; each split has its own batch size.
      batch_size: examples (or streams) in a training batch.
      evaluation_batch_size: the same for the batches of `splits`.
      units: what a training batch is counted in ("characters"), and how many it has.
      fingerprint: a digest that tells one dataset from another.
      notes: sentences worth telling, such as what was left out and how much.
    """

    train: RandomAccess
    splits: Mapping[str, RandomAccess]
    batch_size: int
    evaluation_batch_size: int
    units: tuple[str, float]
    fingerprint: str
    notes: Sequence[str] = ()


class Task(Protocol):
    """A kind of problem: data, model, loss, metrics, and what one shows of a result.

    A task may also have `draw(assets, params, figures)`, which puts pictures into the folder of
    figures when a run ends, and `predict(assets, params, lines)`, which yields a flat record for
    every line of text, in order, for `lstm-jax predict`. In its place `predict_file(assets, params,
    path)` yields records, all with the same names, of a file in the layout of the training data;
    a picture among their values is bytes [height, width, channels].

    `only_training` may name fields, or sections, that nothing but the loss of a training step
    reads: trials of a search that differ in these alone share data, and what scores them.
    """

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the data. What prediction will need of it is kept in, and taken from, `assets`."""
        ...

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner alone, from what `prepare` kept: the data need not exist any more."""
        ...

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """What simple methods reach: the first metric, by name of the method and by split."""
        ...

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """A piece of what the model does, for a person to look at; may be empty."""
        ...

    def commands(self) -> Mapping[str, str]:
        """Commands of this task's own that use a finished run, each with what it does."""
        ...


class TrainedRun(NamedTuple):
    """What another run has learnt.

    Attributes:
      task: its task.
      assets: the folder of what its task kept.
      params: the parameters of its best checkpoint.
    """

    task: Task
    assets: Path
    params: Any
