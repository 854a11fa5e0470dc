"""Tasks that measure how long a network remembers, and what it can keep track of."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax

from lstm_jax.cells import Cell
from lstm_jax.config import LayerCount, PositiveInt, Rate, Seed, part_of, register, values_of
from lstm_jax.data.memory_problem import MemoryBatches, MemoryProblem, Sizes
from lstm_jax.errors import ConfigError
from lstm_jax.models.sequence_model import SequenceModel, apply
from lstm_jax.tasks.memory_figures import draw_memory
from lstm_jax.tasks.sized_cell import sized_cell
from lstm_jax.tasks.task import (
    FLOAT32,
    Array,
    Batch,
    Compute,
    Dataset,
    Learner,
    Metric,
    Sums,
    no_carry,
)

_MSE = Metric("mse", "mean squared error", decimals=5)
_CLOSE = Metric("close", "share of errors below 0.04", lower_is_better=False, decimals=4)
_LOSS = Metric("loss", "nats a step", decimals=5)
_ACCURACY = Metric("accuracy", "accuracy", lower_is_better=False, decimals=4)
_AT_END = Metric("at_end", "accuracy of the last answer", lower_is_better=False, decimals=4)
_WHOLE = Metric("whole", "sequences without a wrong answer", lower_is_better=False, decimals=4)
_IS_CLOSE = 0.04  # what S. Hochreiter and J. Schmidhuber, 1997, take for a right sum


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryData:
    """The problem and how its examples become batches.

    Attributes:
      problem: what is asked.
      batch_size: examples in a step.
      evaluation_batch_size: examples in a batch of an evaluation.
      evaluation_examples: examples of every held-out split, where they are drawn.
      epoch_batches: batches that are called an epoch, where examples are drawn.
      lengths: numbers, each of a further split `length_N` with examples of that length alone; of
        copy_memory, that delay.
      seed: of the training examples, or of their order; held-out ones do not depend on it.
    """

    problem: MemoryProblem = part_of("memory_problem", "adding", inline=True)
    batch_size: PositiveInt = 32
    evaluation_batch_size: PositiveInt = 100
    evaluation_examples: PositiveInt = 500
    epoch_batches: PositiveInt = 100
    lengths: tuple[str, ...] = ()
    seed: Seed = 0

    def __post_init__(self) -> None:
        wrong = [text for text in self.lengths if not str(text).isdecimal() or int(text) < 1]
        if wrong or len(set(map(int, self.lengths))) < len(self.lengths):
            told = ", ".join(map(str, self.lengths))
            raise ConfigError(f"lengths: different numbers from 1 on are needed, got {told}")

    @property
    def sizes(self) -> Sizes:
        """How examples are cut into batches."""
        return Sizes(
            self.batch_size,
            self.evaluation_batch_size,
            self.epoch_batches,
            self.evaluation_examples,
            tuple(map(int, self.lengths)),
            self.seed,
        )

    @functools.cached_property
    def splits(self) -> Mapping[str, MemoryBatches]:
        """The batches of every split, which a command makes once.

        Raises:
          ConfigError: the problem has no examples of these sizes.
        """
        try:
            return self.problem.make(self.sizes)
        except ConfigError as error:
            raise ConfigError([f"data.{problem}" for problem in error.problems]) from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryModelOptions:
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      hidden_size: memory cells in each layer.
      num_layers: recurrent layers.
      dropout: share of what a layer says that is dropped in training.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    hidden_size: PositiveInt = 64
    num_layers: LayerCount = 1
    dropout: Rate = 0.0

    def __post_init__(self) -> None:
        sized_cell(self.cell, self.hidden_size)


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class memory:
    """Problems of memory and of state tracking.

    Attributes:
      data: the problem.
      model: the network.
    """

    data: MemoryData
    model: MemoryModelOptions

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Makes the batches; nothing of them is needed later."""
        del assets
        data, problem = self.data, self.data.problem
        splits = dict(data.splits)
        train = splits.pop("train")
        digest = hashlib.sha256(train.fingerprint().encode())
        for name, batches in splits.items():
            digest.update(f"{name} {batches.fingerprint()}".encode())
        dataset = Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("time_steps", float(problem.steps * data.batch_size)),
            fingerprint=digest.hexdigest(),
        )
        return self._learner(compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner."""
        del assets
        return self._learner(compute)

    def network(self, compute: Compute = FLOAT32) -> SequenceModel:
        """The Flax module."""
        problem = self.data.problem
        return SequenceModel(
            outputs=problem.classes or 1,
            symbols=problem.input_size if problem.symbols else 0,
            every_step=problem.every_step,
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """What one reaches without a memory."""
        del assets
        name, figure = self.data.problem.baseline
        splits = self.data.splits.items()
        return {name: {split: figure(batches) for split, batches in splits if split != "train"}}

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` shows where the memory is kept."""
        del assets, params, seed
        return ""

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Gates and memory of every layer over the first test example."""
        del assets
        batch = self.data.splits["test"][0]
        draw_memory(self.data.problem, self.network(), params, batch, figures)

    def commands(self) -> Mapping[str, str]:
        """None."""
        return {}

    def _learner(self, compute: Compute) -> Learner:
        problem, network = self.data.problem, self.network(compute)
        shape = (1, 1) if problem.symbols else (1, 1, problem.input_size)
        first = jnp.zeros(shape, jnp.int32 if problem.symbols else jnp.float32)

        def init(key: Array) -> Any:
            return network.init(key, first, jnp.ones(1, jnp.int32))["params"]

        def loss(
            params: Any, carry: Any, batch: Batch, key: Array | None
        ) -> tuple[Array, Any, Sums]:
            noise: dict[str, Any] = {"deterministic": key is None}
            if key is not None:
                noise["rngs"] = {"dropout": key}
            outputs = apply(network, params, batch["inputs"], batch["lengths"], **noise)
            sums = _sums(problem, outputs, batch)
            return sums["cost"] / jnp.maximum(sums["counted"], 1), carry, sums

        summarize = functools.partial(_summarize, problem)
        return Learner(init, no_carry, loss, summarize, _metrics(problem), weight="counted")


def _metrics(problem: MemoryProblem) -> tuple[Metric, ...]:
    """The figures of a problem, the one that it is judged by first."""
    if not problem.classes:
        return (_MSE, _CLOSE)
    found = (_ACCURACY, _LOSS)
    if problem.every_step:
        found = (_ACCURACY, _AT_END, _WHOLE, _LOSS)
    return tuple(sorted(found, key=lambda metric: metric.name != problem.judged_by))


def _sums(problem: MemoryProblem, outputs: Array, batch: Batch) -> Sums:
    valid, targets = batch["valid"], batch["targets"]
    if not problem.classes:
        error = outputs[..., 0] - targets
        return {
            "cost": jnp.sum(error**2, where=valid),
            "close": jnp.sum(jnp.abs(error) < _IS_CLOSE, where=valid, dtype=jnp.float32),
            "counted": jnp.sum(valid, dtype=jnp.float32),
        }
    nats = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
    right = jnp.argmax(outputs, axis=-1) == targets
    if not problem.every_step:
        counted = asked = valid
        ends = {}
    else:
        counted, asked = (batch[name] & valid[:, None] for name in ("counted", "asked"))
        ends = _of_sequences(right, asked, batch["lengths"])
    return {
        "cost": jnp.sum(nats, where=counted),
        "counted": jnp.sum(counted, dtype=jnp.float32),
        "right": jnp.sum(right, where=asked, dtype=jnp.float32),
        "asked": jnp.sum(asked, dtype=jnp.float32),
        **ends,
    }


def _of_sequences(right: Array, asked: Array, lengths: Array) -> Sums:
    """How many sequences there are, end well, and are right throughout."""
    there = jnp.any(asked, axis=1)
    last = jnp.take_along_axis(right, jnp.maximum(lengths - 1, 0)[:, None], axis=1)[:, 0]
    return {
        "sequences": jnp.sum(there, dtype=jnp.float32),
        "at_end": jnp.sum(last, where=there, dtype=jnp.float32),
        "whole": jnp.sum(jnp.all(right | ~asked, axis=1), where=there, dtype=jnp.float32),
    }


def _summarize(problem: MemoryProblem, sums: Mapping[str, float]) -> dict[str, float]:
    values = {"loss": sums["cost"] / sums["counted"]}
    if not problem.classes:
        return values | {"mse": values["loss"], "close": sums["close"] / sums["counted"]}
    values["accuracy"] = sums["right"] / sums["asked"]
    if problem.every_step:
        values |= {name: sums[name] / sums["sequences"] for name in ("at_end", "whole")}
    return values
