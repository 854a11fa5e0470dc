"""What tasks that classify sequences share: options of the network, figures, probabilities."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell
from lstm_jax.config import LayerCount, NonNegativeInt, PositiveInt, part_of
from lstm_jax.data.bucketing import BucketedBatches, best_bounds, longest_of
from lstm_jax.errors import ConfigError, did_you_mean
from lstm_jax.models.classifier import POOLINGS, RecurrentClassifier, apply
from lstm_jax.tasks.classification_loss import (
    Augment,
    ClassificationLoss,
    classification_loss,
    summarize,
)
from lstm_jax.tasks.sized_cell import sized_cell
from lstm_jax.tasks.task import (
    Array,
    Learner,
    Metric,
    no_carry,
)

_ACCURACY = Metric("accuracy", "accuracy", lower_is_better=False, decimals=4)
_F1 = Metric("macro_f1", "F1, mean of the classes", lower_is_better=False, decimals=4)
_LOSS = Metric("loss", "nats")
_MANY = 5000


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """The recurrent layers and what stands behind them.

    Attributes:
      cell: the recurrent cell of every layer.
      hidden_size: memory cells in each layer and direction.
      num_layers: recurrent layers.
      last_size: memory cells in the last layer; hidden_size if None.
      bidirectional: whether every layer also reads from the end.
      pooling: how outputs become one vector: last, mean, max, attention, or several of them.
      head_size: a hidden layer before the classes; 0 for none.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    hidden_size: PositiveInt = 64
    num_layers: LayerCount = 1
    last_size: PositiveInt | None = None
    bidirectional: bool = True
    pooling: tuple[str, ...] = ("max",)
    head_size: NonNegativeInt = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.pooling if name not in POOLINGS]
        if unknown or not self.pooling:
            name = unknown[0] if unknown else ""
            raise ConfigError(f"pooling: there is no {name!r}; {did_you_mean(name, POOLINGS)}")
        sized_cell(self.cell, self.hidden_size)


def classification_learner(
    network: RecurrentClassifier,
    example: Array,
    options: ClassificationLoss,
    inputs: str,
    augment: Augment | None = None,
) -> Learner:
    """The learner of a classifier.

    Args:
      network: the classifier.
      example: the inputs of one record [1, time, ...], of which the shape alone matters.
      options: what is minimised.
      inputs: the name of the sequences in a batch.
      augment: what is done to the inputs of training.
    """

    def init(key: Array) -> Any:
        return network.init(key, example, jnp.ones(1, jnp.int32))["params"]

    loss = functools.partial(classification_loss, network, options, inputs, augment)
    figures = functools.partial(summarize, count=network.classes)
    return Learner(init, no_carry, loss, figures, (_ACCURACY, _F1, _LOSS), weight="records")


def probabilities_of(
    network: RecurrentClassifier,
    params: Any,
    sequences: Sequence[np.ndarray],
    *,
    batch_size: int,
    buckets: int,
) -> np.ndarray:
    """The probability of every class for every sequence, float32 [sequences, classes].

    Args:
      network: the classifier.
      params: its parameters.
      sequences: as it was trained on.
      batch_size: how many are computed at once.
      buckets: lengths that compile, for many sequences.
    """
    named = {"inputs": sequences}
    lengths = longest_of(named)
    # Few records share lengths with those of the next call; many are worth lengths of their own.
    last = (int(lengths.max(initial=16)) - 1).bit_length()
    bounds: Sequence[int] = [1 << power for power in range(4, last + 1)]
    if len(sequences) >= _MANY:
        bounds = best_bounds(lengths, buckets)
    batches = BucketedBatches(named, {}, batch_size=batch_size, bounds=bounds)
    found = np.zeros((len(sequences), network.classes), np.float32)
    for i in range(len(batches)):
        batch = batches[i]
        rows = batch["rows"][batch["valid"]]
        logits = _apply(network, params, batch["inputs"], batch["inputs_lengths"])
        found[rows] = jax.nn.softmax(logits)[: len(rows)]
    return found


@functools.partial(jax.jit, static_argnums=0)
def _apply(network: RecurrentClassifier, params: Any, inputs: Array, lengths: Array) -> Array:
    return apply(network, params, inputs, lengths)
