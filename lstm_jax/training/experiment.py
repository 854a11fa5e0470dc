"""The whole config of a run: what a config file fills in."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import ml_collections
import optax

from lstm_jax.config import (
    Duration,
    Interval,
    PositiveFloat,
    PositiveInt,
    Seed,
    apply_overrides,
    build,
    complete,
    describe,
    load_json,
    load_python,
    part_of,
    without_imports,
)
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.tasks import Compute, Dataset, Learner, Task
from lstm_jax.training.contained import require_contained
from lstm_jax.training.early_stopping import EarlyStopping
from lstm_jax.training.init_from import InitFrom
from lstm_jax.training.mesh import MeshOptions
from lstm_jax.training.parameter_groups import ParameterGroups
from lstm_jax.training.writers import check_writers


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How long a run trains, how a step is computed, and when it stops to look.

    Durations are steps, epochs, examples or a time: "2000 steps", "8 epochs", "90 minutes".

    Attributes:
      duration: length of the run.
      report_every: between two lines of training figures.
      evaluate_every: between two evaluations on the validation split, each with a checkpoint.
      checkpoint_every: between two further checkpoints; a kill loses no more than this.
      writers: where figures go besides metrics.jsonl: tensorboard, csv, wandb.
      gate_statistics: whether an evaluation looks at the gates of lstm and gru layers.
      gradient_clip_norm: gradients whose global norm is larger are scaled down to it.
      gradient_clip_value: elements of a gradient beyond it are cut to it.
      precision: type of the products; parameters, carry and loss are float32, and float16 scales
        the loss.
      accumulation_steps: parts of the batch that are computed one after another, in the memory of
        one; the result is that of the whole batch.
      remat: what the backward pass computes again instead of keeping it: nothing, the inside of
        every time step, or all but some carries ("sqrt", memory as the root of the window).
      on_nonfinite: what follows when loss or gradient are not finite: stop, skip the step, or
        rewind to the last checkpoint and go on with other batches.
    """

    duration: Duration = "10 epochs"
    report_every: Interval = "50 steps"
    evaluate_every: Interval = "1 epoch"
    checkpoint_every: Interval = "500 steps"
    gradient_clip_norm: PositiveFloat | None = 1.0
    gradient_clip_value: PositiveFloat | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulation_steps: PositiveInt = 1
    remat: Literal["none", "step", "sqrt"] = "none"
    on_nonfinite: Literal["stop", "skip", "rewind"] = "stop"
    writers: tuple[str, ...] = ("tensorboard",)
    gate_statistics: bool = True

    def __post_init__(self) -> None:
        try:
            check_writers(self.writers)
        except ConfigError as error:
            raise ConfigError([f"writers: {problem}" for problem in error.problems]) from None

    @property
    def compute(self) -> Compute:
        """How the network computes."""
        return Compute(self.precision, self.remat)


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
      mesh: how devices share out the work.
      groups: what is done to some parameters only: rates, decay, clipping, freezing.
      averaging: the average of parameters that is evaluated in their place.
      early_stopping: when the run ends before its time.
      init_from: another run whose parameters this one starts from.
    """

    task: Task = part_of("task", "language_model", inline=True)
    seed: Seed = 0
    optimizer: Callable[[optax.Schedule], optax.GradientTransformation] = part_of(
        "optimizer", "adamw"
    )
    schedule: Callable[[int], optax.Schedule] = part_of("schedule", "warmup_cosine")
    train: TrainOptions
    checkpoints: CheckpointOptions
    mesh: MeshOptions
    groups: ParameterGroups
    averaging: Callable[[Any], optax.GradientTransformation | None] = part_of("averaging", "none")
    early_stopping: EarlyStopping
    init_from: InitFrom

    def prepare(self, assets: Path) -> tuple[Learner, Dataset]:
        """The task made ready, to compute as the run does."""
        return self.task.prepare(assets, self.train.compute)


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
        return apply_overrides(Experiment, stored_config(Path(spec)), overrides)
    return apply_overrides(Experiment, load_python(spec), overrides)


def stored_config(path: Path) -> ml_collections.ConfigDict:
    """The config that a run keeps, `config.json`: it is data, and nothing is imported for it.

    Raises:
      UserError: there is none, it is not the config of a run, or something in the run's folder
        leads out of it.
    """
    require_contained(path.parent)
    values = load_json(path)
    try:
        with without_imports():
            return experiment(**values)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is not the config of a run ({error})") from None


def own_modules(config: ml_collections.ConfigDict) -> list[str]:
    """The modules outside the library that hold parts which the config names."""
    found = []
    for line in describe(Experiment, config):
        for name in line.value if isinstance(line.value, tuple) else (line.value,):
            # Of a part, the type lists the names there are; another text may hold a colon too.
            if isinstance(name, str) and ":" in name and f" {name}" in line.type:
                found.append(name.partition(":")[0])
    return list(dict.fromkeys(found))


def build_experiment(config: ml_collections.ConfigDict) -> Experiment:
    """Checks the whole config and builds what it describes.

    Raises:
      ConfigError: with every problem.
    """
    return build(Experiment, config)
