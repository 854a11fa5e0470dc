"""The whole config of a run: what a config file fills in."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import optax

from lstm_jax.config import (
    Duration,
    PositiveFloat,
    PositiveInt,
    Seed,
    apply_overrides,
    build,
    complete,
    load_json,
    load_python,
    part_of,
)
from lstm_jax.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How long a run trains, and when it stops to look. Durations: "2000 steps" or "8 epochs".

    Attributes:
      duration: length of the run.
      report_every: between two lines of training figures.
      evaluate_every: between two evaluations on the validation split, each with a checkpoint.
      checkpoint_every: between two further checkpoints; a kill loses no more than this.
      gradient_clip_norm: gradients whose global norm is larger are scaled down to it.
    """

    duration: Duration = "10 epochs"
    report_every: Duration = "50 steps"
    evaluate_every: Duration = "1 epoch"
    checkpoint_every: Duration = "500 steps"
    gradient_clip_norm: PositiveFloat | None = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Which checkpoints are kept.

    Attributes:
      keep_latest: the last ones; with two, a damaged one has one before it.
      keep_best: the best ones by the first metric on the validation split.
    """

    keep_latest: PositiveInt = 2
    keep_best: PositiveInt = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run does.

    Attributes:
      task: what is learnt, with the sections that describe it.
      seed: of initialisation, dropout and samples.
      optimizer: how parameters follow gradients.
      schedule: how the learning rate moves over the run.
      train: how long, and when to look.
      checkpoints: which ones are kept.
    """

    task: Task = part_of("task", "language_model", inline=True)
    seed: Seed = 0
    optimizer: Callable[[optax.Schedule], optax.GradientTransformation] = part_of(
        "optimizer", "adamw"
    )
    schedule: Callable[[int], optax.Schedule] = part_of("schedule", "warmup_cosine")
    train: TrainOptions
    checkpoints: CheckpointOptions


def experiment(**values: Any) -> ml_collections.ConfigDict:
    """A locked config with every field: the values given, nested as the config is, else defaults.

    >>> config = experiment(task="language_model", model={"hidden_size": 128})
    >>> config.model.hidden_size, config.model.cell.name, config.optimizer.name
    (128, 'lstm', 'adamw')

    Raises:
      ConfigError: with every field or part that does not exist.
    """
    return complete(Experiment, values).lock()


def load_config(spec: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """The config of a file (`path.py:mode`), or of a run's `config.json`, with overrides applied.

    Raises:
      ConfigError: with every problem found in reading it; `build_experiment` finds the rest.
    """
    if spec.endswith(".json"):
        return apply_overrides(Experiment, experiment(**load_json(Path(spec))), overrides)
    return apply_overrides(Experiment, load_python(spec), overrides)


def build_experiment(config: ml_collections.ConfigDict) -> Experiment:
    """Checks the whole config and builds what it describes.

    Raises:
      ConfigError: with every problem.
    """
    return build(Experiment, config)
