"""A text under a language model that goes on learning, remembers, or is mixed with counts."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.config import Fraction, PositiveInt
from lstm_jax.errors import UserError
from lstm_jax.models.ngram import probabilities
from lstm_jax.tasks.dynamic_evaluation import Dynamic, gradient_roots, read_text
from lstm_jax.tasks.language_model import language_model
from lstm_jax.tasks.neural_cache import Cache, cache_probabilities
from lstm_jax.tasks.perplexity import perplexity

_BATCHES = 100  # of the training text, for the mean square of gradients


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """An interpolated Kneser-Ney model of the training text, beside the network.

    Attributes:
      order: length of the longest n-gram.
      weight: its share in the mixture.
    """

    order: PositiveInt = 3
    weight: Fraction = 0.2


def evaluate_text(
    task: language_model,
    assets: Path,
    params: Any,
    split: str,
    *,
    dynamic: Dynamic | None = None,
    cache: Cache | None = None,
    counts: Counts | None = None,
) -> dict[str, float]:
    """Figures of a split that is read from its beginning to its end with one carry.

    What is asked for is mixed: `(1 - c - n) * network + c * cache + n * counts`.

    Args:
      task: the task of a run.
      assets: what the run kept.
      params: its parameters.
      split: which text.
      dynamic: how the network learns from what it has read.
      cache: the memory of states beside it.
      counts: the n-gram beside it.

    Raises:
      UserError: the weights leave nothing for the network.
    """
    weights = [part.weight for part in (cache, counts) if part is not None]
    if sum(weights) >= 1:
        raise UserError(
            "--cache_weight, --ngram_weight: together must be below 1, so that something is left "
            f"for the network; got {sum(weights):g}"
        )
    texts = task.encoded(assets)
    text, vocabulary = texts[split], task.vocabulary(assets)
    network = task.network(vocabulary)
    roots = None
    if dynamic is not None and dynamic.rule == "rms":
        roots = training_roots(task, assets, params)
    reading = read_text(
        network, params, text.ids, dynamic=dynamic, roots=roots, keep_features=cache is not None
    )
    probability = (1 - sum(weights)) * np.exp(-reading.nats.astype(np.float64))
    if cache is not None:
        probability += cache.weight * cache_probabilities(
            reading.features, text.ids[1:], size=cache.size, flatness=cache.flatness
        )
    if counts is not None:
        found = probabilities(texts["train"].ids, text.ids, len(vocabulary), counts.order)
        probability += counts.weight * found[1:]
    nats = -float(np.log(probability).sum())
    mean = nats / len(probability)
    values = {"loss": mean, "perplexity": perplexity(mean)}
    if vocabulary.units != "words":
        characters = int(text.characters[1:].sum())
        values["bits_per_character"] = nats / math.log(2) / max(characters, 1)
    return values


def training_roots(task: language_model, assets: Path, params: Any) -> Any:
    """The `gradient_roots` of a run's training text, from batches spread evenly over it."""
    learner, dataset = task.prepare(assets)
    train, size = dataset.train, dataset.batch_size
    count = min(len(train), _BATCHES)
    batches = (train[i * len(train) // count] for i in range(count))
    return gradient_roots(
        lambda params, batch: learner.loss(
            params, learner.initial_carry(params, size), batch, None
        )[0],
        params,
        batches,
    )
