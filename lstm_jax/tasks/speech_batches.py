"""Batches of recordings and their transcripts, and what they cost."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.data.bucketing import BucketedBatches
from lstm_jax.data.tokenizers import Tokenizer
from lstm_jax.models.attentive_recognizer import AttentiveRecognizer
from lstm_jax.models.audio_augmentation import SpecAugment
from lstm_jax.models.consistency import consistency
from lstm_jax.models.ctc import BLANK, ctc_loss
from lstm_jax.models.speech_recognizer import apply
from lstm_jax.tasks.speech_recognizer import Recognizer
from lstm_jax.tasks.task import Array, Batch, Sums


class SpeechBatches(BucketedBatches):
    """Batches that know what is said: error rates compare texts.

    Attributes:
      features: of every record [frames, features].
      texts: what is said in each.
      frames: of all records.
    """

    features: Sequence[np.ndarray]
    texts: Sequence[str]
    frames: int


def symbols_of(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The symbols of a text that CTC can yield: those that the tokenizer knows."""
    ids = tokenizer.encode(text).ids
    return ids[ids != BLANK]


def known_symbols(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The symbols of a text, one space for what stood between those that the tokenizer knows.

    >>> from lstm_jax.data.vocabulary import Vocabulary
    >>> known_symbols(Vocabulary("characters", list(" ab")), "a, B (b)").tolist()
    [2, 1, 3]
    """
    if tokenizer.units != "characters":
        return symbols_of(tokenizer, text)
    ids = tokenizer.encode(text).ids
    known = "".join(c if number else " " for c, number in zip(text, ids, strict=True))
    return symbols_of(tokenizer, " ".join(known.split()))


def join_records(
    batches: SpeechBatches, tokenizer: Tokenizer, rows: Sequence[int]
) -> dict[str, np.ndarray]:
    """Recordings one behind another: their features, and the symbols of their texts.

    Args:
      batches: whose records they are.
      tokenizer: what a symbol is.
      rows: the numbers of the records, in order.
    """
    return {
        "features": np.concatenate([batches.features[row] for row in rows]),
        "labels": symbols_of(tokenizer, " ".join(batches.texts[row] for row in rows)),
    }


def speech_loss(
    recognizer: Recognizer,
    augment: SpecAugment,
    ctc_weight: float,
    consistency_weight: float,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array | None,
) -> tuple[Array, Any, Sums]:
    """The loss of a batch, as a `Learner` has it, and the sums of its figures.

    A decoder with attention shares the encoder, and the loss: `ctc_weight` of it is CTC's, the rest
    is what the decoder finds the transcript unlikely. A transcript that has too many symbols for
    the steps of its recording is impossible for CTC, and is left out of the sums.

    With a `consistency_weight` every recording is in the batch twice, masked and dropped otherwise,
    and how far its two outputs are from one another is a part of what is minimised
    (`lstm_jax.models.consistency`).

    Args:
      recognizer: the network, and the scale of its features.
      augment: what is done to the features in training.
      ctc_weight: share of CTC, for a network that also has a decoder.
      consistency_weight: what a nat between two outputs counts; 0 hears every recording once.
      params: the parameters.
      carry: handed through.
      batch: as `SpeechBatches` has it.
      key: randomness; None for an evaluation.
    """
    twice = key is not None and bool(consistency_weight)
    if twice:
        batch = {name: jnp.concatenate([array, array]) for name, array in batch.items()}
    network, lengths = recognizer.network, batch["features_lengths"]
    x = recognizer.scaled(batch["features"], lengths)
    noise: dict[str, Any] = {}
    decoder_key: Array | None = None
    if key is not None:
        augment_key, dropout_key = jax.random.split(key)
        decoder_key = jax.random.fold_in(dropout_key, 1)
        x = augment(augment_key, x, lengths)
        noise = {"deterministic": False, "rngs": {"dropout": dropout_key}}
    encoded, logits = apply(network, params, x, lengths, method="read", **noise)
    steps, count = network.steps_of(lengths), batch["labels_lengths"]
    # No possible transcript has more symbols than there are steps: what is behind is padding.
    labels = batch["labels"][:, : logits.shape[1]]
    again = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] != BLANK)
    possible = batch["valid"] & (count + jnp.sum(again, axis=1) <= steps)
    nats = ctc_loss(logits, steps, labels, jnp.minimum(count, labels.shape[1]))
    if isinstance(network, AttentiveRecognizer):
        asked = (encoded, lengths, labels, decoder_key)
        spelled = -apply(network, params, *asked, method="log_likelihood")
        nats = ctc_weight * nats + (1 - ctc_weight) * spelled
    sums = {
        "nats": jnp.sum(jnp.where(possible, nats, 0)),
        "symbols": jnp.sum(jnp.where(possible, count, 0), dtype=jnp.float32),
    }
    cost = sums["nats"]
    if twice:
        valid = possible[:, None] & (jnp.arange(logits.shape[1]) < steps[:, None])
        one, other = jnp.split(logits, 2)
        apart = consistency(one, other, valid[: len(one)])
        cost += 2 * consistency_weight * jnp.sum(apart)  # as many nats as both views have
    return cost / jnp.maximum(sums["symbols"], 1), carry, sums
