"""What a text costs, symbol by symbol, under a model that may go on learning as it reads."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import NonNegativeFloat, PositiveFloat, PositiveInt
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.tasks.task import Array, Batch

_WINDOW = 512  # symbols between two looks at a model that does not learn; it changes no figure
_GROUP = 64  # segments a compiled call


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dynamic:
    """How a model learns from the text it has just predicted: a step behind every segment.

        sgd:  p <- p - rate * g + decay * (p0 - p)
        rms:  p <- p - rate * g / (r + epsilon) + min(decay * r / mean(r), 1) * (p0 - p)

    with the gradient g of a segment's mean cost, the parameters p0 after training, and the root r
    of the mean square of every element's gradient over training batches; the mean of r is that of
    all parameters. B. Krause et al., "Dynamic Evaluation of Neural Sequence Models",
    arXiv 1709.07432.

    Attributes:
      rule: "sgd" or "rms".
      rate: learning rate.
      decay: pull back to the parameters after training.
      segment: symbols between two steps.
      epsilon: of "rms".
    """

    rule: Literal["sgd", "rms"] = "rms"
    rate: NonNegativeFloat = 0.002
    decay: NonNegativeFloat = 0.02
    segment: PositiveInt = 5
    epsilon: PositiveFloat = 0.001


class Reading(NamedTuple):
    """What a model made of a text, a row for every symbol but the first.

    Attributes:
      nats: what the symbol cost [length - 1].
      features: what the head read to predict it [length - 1, features]; empty if not kept.
    """

    nats: np.ndarray
    features: np.ndarray


def read_text(
    network: LanguageModel,
    params: Any,
    ids: np.ndarray,
    *,
    dynamic: Dynamic | None = None,
    roots: Any = None,
    keep_features: bool = False,
) -> Reading:
    """Reads a text from its beginning to its end, with one carry.

    Args:
      network: the model.
      params: its parameters after training.
      ids: symbol numbers of the text [length].
      dynamic: how it learns from what it has read; not at all, if None.
      roots: from `gradient_roots`, for the rule "rms".
      keep_features: whether to keep what the head reads.
    """
    segment = _WINDOW if dynamic is None else dynamic.segment
    inputs, targets, mask = (
        _segments(values, segment) for values in (ids[:-1], ids[1:], np.ones(len(ids) - 1, bool))
    )
    learn = None if dynamic is None else _rule(dynamic, params, roots)
    # The parameters that learn are given away to each call, the caller's are not.
    state = jax.tree.map(
        lambda leaf: jnp.array(leaf, copy=True), (params, _initial_carry(network, params))
    )
    found = []
    for start in range(0, len(inputs), _GROUP):
        part = slice(start, start + _GROUP)
        state, out = _read(
            network, learn, keep_features, state, (inputs[part], targets[part], mask[part])
        )
        found.append(jax.device_get(out))
    nats, features = (np.concatenate(parts) for parts in zip(*found, strict=True))
    length = len(ids) - 1
    return Reading(nats.reshape(-1)[:length], features.reshape(nats.size, -1)[:length])


def gradient_roots(
    loss: Callable[[Any, Batch], Array], params: Any, batches: Iterable[Batch]
) -> Any:
    """The root of the mean square of every parameter's gradient over batches of training text.

    Args:
      loss: `(params, batch) -> mean cost`.
      params: the parameters after training.
      batches: of the training text.
    """
    gradient = jax.jit(lambda params, batch: jax.grad(loss)(params, batch))
    total, count = jax.tree.map(jnp.zeros_like, params), 0
    for batch in batches:
        found = gradient(params, batch)
        total = jax.tree.map(lambda t, g: t + jnp.square(g), total, found)
        count += 1
    return jax.tree.map(lambda t: jnp.sqrt(t / max(count, 1)), total)


class _Rule(NamedTuple):
    """A step `params -> params - speed * gradient + pull * (origin - params)`, as arrays."""

    speed: Any
    pull: Any
    origin: Any


def _rule(dynamic: Dynamic, params: Any, roots: Any) -> _Rule:
    if dynamic.rule == "sgd":
        speed = jax.tree.map(lambda _: jnp.float32(dynamic.rate), params)
        return _Rule(speed, jax.tree.map(lambda _: jnp.float32(dynamic.decay), params), params)
    leaves = jax.tree.leaves(roots)
    mean = sum(jnp.sum(leaf) for leaf in leaves) / sum(leaf.size for leaf in leaves)
    return _Rule(
        jax.tree.map(lambda r: dynamic.rate / (r + dynamic.epsilon), roots),
        jax.tree.map(lambda r: jnp.minimum(dynamic.decay * r / mean, 1.0), roots),
        params,
    )


def _segments(values: np.ndarray, segment: int) -> np.ndarray:
    """[segments, 1, segment], padded at the end to whole groups of segments."""
    segment = min(segment, len(values))
    group = segment * min(_GROUP, -(-len(values) // segment))
    return np.pad(values, (0, -len(values) % group)).reshape(-1, 1, segment)


def _initial_carry(network: LanguageModel, params: Any) -> Any:
    return network.apply({"params": params}, 1, method="initial_carry")


@functools.partial(jax.jit, static_argnums=(0, 2), donate_argnums=3)
def _read(
    network: LanguageModel, rule: _Rule | None, keep_features: bool, state: Any, parts: Any
) -> Any:
    def cost(params: Any, carry: Any, part: Any) -> Any:
        inputs, targets, mask = part
        carry, nats, features = cast(
            Any, network.apply({"params": params}, inputs, targets, mask, carry, method="read")
        )
        loss = jnp.sum(nats) / jnp.maximum(jnp.sum(mask), 1)
        return loss, (carry, nats, features if keep_features else features[..., :0])

    def step(state: Any, part: Any) -> Any:
        params, carry = state
        if rule is None:
            _, (carry, *out) = cost(params, carry, part)
            return (params, carry), out
        gradients, (carry, *out) = jax.grad(cost, has_aux=True)(params, carry, part)
        params = jax.tree.map(
            lambda p, g, speed, pull, origin: p - speed * g + pull * (origin - p),
            params, gradients, rule.speed, rule.pull, rule.origin,
        )  # fmt: skip
        return (params, carry), out

    return jax.lax.scan(step, state, parts)
