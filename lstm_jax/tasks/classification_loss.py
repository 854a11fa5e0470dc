"""The loss of a classifier of sequences, and the figures that come of it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lstm_jax.config import Fraction, NonNegativeFloat
from lstm_jax.models.classifier import RecurrentClassifier, apply
from lstm_jax.models.pooling import valid_steps
from lstm_jax.tasks.task import Array, Batch, Sums

# (key, inputs [batch, time, ...], lengths [batch]) -> inputs
Augment = Callable[[Array, Array, Array], Array]
# (vectors [time, batch, features], params) -> nats in all, logits
Cost = Callable[[Array, Any], tuple[Array, Array]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationLoss:
    """What is minimised.

    Attributes:
      label_smoothing: share of the target that is spread over all classes.
      adversarial: weight of the loss on vectors moved a little in the direction that harms most
        (T. Miyato, A. Dai and I. Goodfellow, arXiv 1605.07725); 0 for none. It costs a second
        pass, forward and backward.
      adversarial_norm: how far the vectors of a record are moved, all together, as a share of their
        norm; that of the paper is about 0.02 for texts of 240 words.
    """

    label_smoothing: Fraction = 0.0
    adversarial: NonNegativeFloat = 0.0
    adversarial_norm: NonNegativeFloat = 0.02


def classification_loss(
    network: RecurrentClassifier,
    options: ClassificationLoss,
    inputs: str,
    augment: Augment | None,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array | None,
) -> tuple[Array, Any, Sums]:
    """The mean loss of a batch's valid records, the carry as it came, and sums for the figures.

    Args:
      network: the classifier.
      options: what is minimised; at evaluation the plain cross-entropy is.
      inputs: the name of the sequences in a batch.
      augment: what is done to the inputs of training; None for nothing.
      params: its parameters.
      carry: of no consequence.
      batch: the sequences and their lengths, `labels` and `valid`, as `BucketedBatches` gives them.
      key: of dropout and augmentation; None at evaluation.
    """
    noise: dict[str, Any] = {"deterministic": key is None}
    if key is not None:
        noise["rngs"] = {"dropout": key}
    sequences, lengths = batch[inputs], batch[f"{inputs}_lengths"]
    if key is not None and augment is not None:
        sequences = augment(jax.random.fold_in(key, 1), sequences, lengths)
    x_tbf = apply(network, params, sequences, method="embed")
    steps = network.steps_of(lengths)

    def cost(x_tbf: Array, params: Any) -> tuple[Array, Array]:
        logits = apply(network, params, x_tbf, steps, sequences, method="classify", **noise)
        targets = jax.nn.one_hot(batch["labels"], logits.shape[-1])
        if key is not None:
            targets = optax.smooth_labels(targets, options.label_smoothing)
        nats = optax.softmax_cross_entropy(logits, targets)
        return jnp.sum(jnp.where(batch["valid"], nats, 0)), logits

    if key is None or not options.adversarial:
        nats, logits = cost(x_tbf, params)
        total = nats
    else:
        found: Any = _with_harm(cost, x_tbf, params)
        nats, logits, harm = found
        # Nothing is differentiated twice: where the vectors are moved to counts as given.
        still, harm = jax.lax.stop_gradient((x_tbf, harm))
        valid = valid_steps(steps, len(x_tbf))
        moved = x_tbf + _step(harm, still * valid, options.adversarial_norm)
        total = (nats + options.adversarial * cost(moved, params)[0]) / (1 + options.adversarial)
    sums = _count(jax.lax.stop_gradient(logits), batch) | {"nats": nats}
    return total / jnp.maximum(sums["records"], 1), carry, sums


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _with_harm(cost: Cost, x_tbf: Array, params: Any) -> tuple[Array, Array, Array]:
    """The cost and its logits, and its gradient in the vectors.

    One backward pass yields that gradient and the one of the parameters, which the outer
    differentiation then takes as it is: `jax.grad` inside a loss would make the pass twice.
    Of the three results only the cost has a gradient.
    """
    return _with_harm_forward(cost, x_tbf, params)[0]


def _with_harm_forward(cost: Cost, x_tbf: Array, params: Any) -> tuple[Any, Any]:
    differentiated = jax.value_and_grad(cost, argnums=(0, 1), has_aux=True)
    (nats, logits), slopes = differentiated(x_tbf, params)
    return (nats, logits, slopes[0]), slopes


def _with_harm_backward(_: Cost, slopes: Any, cotangents: tuple[Array, ...]) -> Any:
    return jax.tree.map(lambda slope: cotangents[0] * slope, slopes)


_with_harm.defvjp(_with_harm_forward, _with_harm_backward)


def _step(harm_tbf: Array, x_tbf: Array, norm: float) -> Array:
    """Along the gradient, each record as far as `norm` times the norm of its vectors."""
    own, length = (jnp.linalg.norm(x, axis=(0, 2), keepdims=True) for x in (x_tbf, harm_tbf))
    return norm * own * harm_tbf / jnp.maximum(length, 1e-12)


def _count(logits: Array, batch: Batch) -> Sums:
    """Sums for the figures: how many records, and by class how many of it, chosen, and right."""
    valid, classes = batch["valid"], logits.shape[-1]
    of = jax.nn.one_hot(batch["labels"], classes) * valid[:, None]
    chosen = jax.nn.one_hot(jnp.argmax(logits, -1), classes) * valid[:, None]
    found = {"of": of, "chosen": chosen, "right": of * chosen}
    sums = {"records": jnp.sum(valid, dtype=jnp.float32)}
    for name, values in found.items():
        sums |= {f"{name}_{i}": total for i, total in enumerate(jnp.sum(values, axis=0))}
    return sums


def summarize(sums: Mapping[str, float], count: int) -> dict[str, float]:
    """Loss, accuracy and the mean F1 of the classes, from the sums of any number of batches."""
    right = [sums[f"right_{i}"] for i in range(count)]
    both = [sums[f"of_{i}"] + sums[f"chosen_{i}"] for i in range(count)]
    # A class that is neither there nor chosen has no F1.
    f1 = [2 * r / b for r, b in zip(right, both, strict=True) if b > 0]
    return {
        "loss": sums["nats"] / sums["records"],
        "accuracy": sum(right) / sums["records"],
        "macro_f1": sum(f1) / len(f1),
    }
