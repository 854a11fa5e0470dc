"""Heads of a language model by name: from features to the probabilities of the next symbol."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lstm_jax.cells import Array
from lstm_jax.config import PositiveFloat, PositiveInt, Range, Rate, register
from lstm_jax.models.adaptive_softmax import AdaptiveSoftmax
from lstm_jax.models.blocked_softmax import chosen_cost

_MANY = 4096  # symbols from which on their logits are no longer kept for the gradient


class HeadShape(NamedTuple):
    """What a head stands on.

    Attributes:
      vocabulary_size: number of symbols.
      features: size of what it reads.
      embedding_size: size of a symbol's vector.
      tied: whether it uses the embedding's matrix.
      dtype: type of the products.
    """

    vocabulary_size: int
    features: int
    embedding_size: int
    tied: bool
    dtype: str = "float32"


class Head(Protocol):
    """A Flax module from features [..., features] to symbols.

    `table` is the embedding's matrix [vocabulary, embedding], which a tied head uses.
    """

    def logits(self, x: Array, table: Array) -> Array:
        """Logits [..., vocabulary], float32; those of a head of several parts are normalised."""
        ...

    def cost(
        self, x: Array, targets: Array, mask: Array, table: Array, deterministic: bool
    ) -> tuple[Array, Array]:
        """Nats of the targets, and whether the head would have chosen them; masked, 0 and False.

        Args:
          x: features [..., features].
          targets: symbol numbers [...].
          mask: which count, booleans [...].
          table: the embedding's matrix.
          deterministic: no dropout.
        """
        ...


HeadFactory = Callable[[HeadShape], Any]


class Softmax(nn.Module):
    """`softmax(x W + b)`."""

    shape: HeadShape

    def setup(self) -> None:  # noqa: D102
        shape = self.shape
        if not shape.tied:
            size = (shape.features, shape.vocabulary_size)
            self.kernel = self.param("kernel", nn.initializers.normal(0.05), size)
        self.bias = self.param("bias", nn.initializers.zeros, (shape.vocabulary_size,))

    def logits(self, x: Array, table: Array) -> Array:  # noqa: D102
        x, kernel = self._cast(x, table)
        return jnp.dot(x, kernel).astype(jnp.float32) + self.bias

    def cost(  # noqa: D102
        self, x: Array, targets: Array, mask: Array, table: Array, deterministic: bool = True
    ) -> tuple[Array, Array]:
        del deterministic
        if self.shape.vocabulary_size >= _MANY:
            x, kernel = self._cast(x, table)
            parts = (x.reshape(-1, x.shape[-1]), kernel, self.bias, targets.ravel(), mask.ravel())
            nats, right = chosen_cost(*parts)
            return nats.reshape(mask.shape), right.reshape(mask.shape)
        logits = self.logits(x, table)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return nats * mask, _is_likeliest(logits, targets) & mask

    def _cast(self, x: Array, table: Array) -> tuple[Array, Array]:
        kernel = table.T if self.shape.tied else self.kernel
        return x.astype(self.shape.dtype), kernel.astype(self.shape.dtype)


class MixtureOfSoftmaxes(nn.Module):
    """`sum_k pi_k softmax(h_k W + b)` (see `mixture_of_softmaxes`)."""

    shape: HeadShape
    components: int
    dropout: float

    def setup(self) -> None:  # noqa: D102
        features, size = self.shape.features, self.shape.embedding_size
        normal = nn.initializers.lecun_normal()
        self.prior_kernel = self.param("prior_kernel", normal, (features, self.components))
        self.latent_kernel = self.param("latent_kernel", normal, (features, self.components * size))
        self.latent_bias = self.param(
            "latent_bias", nn.initializers.zeros, (self.components * size,)
        )
        self.softmax = Softmax(self.shape._replace(features=size), name="component")
        self.drop = nn.Dropout(self.dropout)

    def logits(self, x: Array, table: Array) -> Array:  # noqa: D102
        prior, latent = self._components(x, deterministic=True)
        parts = jax.nn.log_softmax(self.softmax.logits(latent, table), axis=-1)
        return jax.nn.logsumexp(prior[..., None] + parts, axis=-2)

    def cost(  # noqa: D102
        self, x: Array, targets: Array, mask: Array, table: Array, deterministic: bool = True
    ) -> tuple[Array, Array]:
        prior, latent = self._components(x, deterministic)

        @jax.checkpoint  # the probabilities of all components would fill the memory
        def component(total: Array, parts: tuple[Array, Array]) -> tuple[Array, None]:
            log_prior, h = parts
            log_probability = jax.nn.log_softmax(self.softmax.logits(h, table), axis=-1)
            return jnp.logaddexp(total, log_prior[..., None] + log_probability), None

        total = jnp.full((*mask.shape, self.shape.vocabulary_size), -jnp.inf)
        for k in range(self.components):
            total, _ = component(total, (prior[..., k], latent[..., k, :]))
        nats = -jnp.take_along_axis(total, targets[..., None], axis=-1)[..., 0]
        return jnp.where(mask, nats, 0), _is_likeliest(total, targets) & mask

    def _components(self, x: Array, deterministic: bool) -> tuple[Array, Array]:
        """The logarithms of the priors [..., component], and the latents [..., component, size]."""
        x = x.astype(self.shape.dtype)
        kernels = [k.astype(x.dtype) for k in (self.prior_kernel, self.latent_kernel)]
        prior = jax.nn.log_softmax(jnp.dot(x, kernels[0]).astype(jnp.float32), axis=-1)
        latent = jnp.tanh(jnp.dot(x, kernels[1]) + self.latent_bias.astype(x.dtype))
        latent = self.drop(latent, deterministic=deterministic)
        return prior, latent.reshape(*x.shape[:-1], self.components, -1)


def _is_likeliest(logits: Array, targets: Array) -> Array:
    """Whether no logit is above that of the target; an argmax takes several times as long."""
    at_target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return at_target >= jnp.max(logits, axis=-1)


@register("head")
def softmax(shape: HeadShape) -> Softmax:
    """A softmax over all symbols, with a bias.

    Params: `kernel` [features, vocabulary] unless tied, `bias` [vocabulary].

    Args:
      shape: what it stands on.

    Raises:
      ValueError: it is tied, and features and embedding have different sizes.
    """
    _require_fit(shape)
    return Softmax(shape)


@register("head")
def mixture_of_softmaxes(
    shape: HeadShape, *, components: PositiveInt = 10, dropout: Rate = 0.0
) -> MixtureOfSoftmaxes:
    """Several softmaxes with one matrix, mixed with weights that depend on the text.

        p = sum_k pi_k softmax(h_k W + b),  pi = softmax(V x),  h_k = tanh(U_k x + c_k)

    Z. Yang et al., "Breaking the Softmax Bottleneck", arXiv 1711.03953. The latent vectors h have
    the size of the embedding, so that it can be tied whatever the size of the features.

    Params: `prior_kernel` V, `latent_kernel` U, `latent_bias` c, and `component`, a `softmax`.

    Args:
      shape: what it stands on.
      components: how many softmaxes.
      dropout: share of the latent vectors' elements that is dropped in training.
    """
    return MixtureOfSoftmaxes(shape, components, dropout)


@register("head")
def adaptive_softmax(
    shape: HeadShape,
    *,
    cutoffs: tuple[str, ...] = ("2000", "10000"),
    div_value: Annotated[PositiveFloat, Range(1)] = 4.0,
    bias: bool = False,
) -> AdaptiveSoftmax:
    """A softmax over the frequent symbols and over clusters of rarer ones, each with its own.

    E. Grave et al., "Efficient softmax approximation for GPUs", arXiv 1609.04309. It equals
    `torch.nn.AdaptiveLogSoftmaxWithLoss`. A cluster is computed where its symbols are the targets.
    Symbols must be numbered by falling frequency, as the tokenizer `words` does.

    Params: `kernel` [features, shortlist + clusters]; for each cluster `projection_0` [features,
    features / div_value^1], ..., `kernel_0` [projected, symbols], ...; with `bias`, `bias`
    [vocabulary] and `cluster_bias` [clusters]. Tied, the matrix of the embedding stands for the
    kernels of symbols, nothing is projected, and `kernel` [features, clusters] is that of the
    clusters alone.

    Args:
      shape: what it stands on.
      cutoffs: the number of the first symbol of every cluster, rising.
      div_value: how much smaller the projection of a cluster is than that of the one before it;
        of no consequence if tied.
      bias: whether symbols and clusters have a bias; that of torch is for the first softmax alone.

    Raises:
      ValueError: the cutoffs are no rising numbers, or reach the vocabulary's size; or it is tied,
        and features and embedding have different sizes.
    """
    _require_fit(shape)
    numbers = [int(text) if str(text).strip().isdecimal() else 0 for text in cutoffs]
    if not numbers or numbers != sorted(set(numbers)) or numbers[0] < 1:
        raise ValueError(f"cutoffs must be rising numbers from 1 on, got {cutoffs}")
    if numbers[-1] >= shape.vocabulary_size:
        raise ValueError(
            f"cutoffs must stay below the {shape.vocabulary_size:,} symbols, got {cutoffs}"
        )
    return AdaptiveSoftmax(shape, tuple(numbers), div_value, bias)


def _require_fit(shape: HeadShape) -> None:
    if shape.tied and shape.features != shape.embedding_size:
        raise ValueError(
            "tied to the embedding it needs features of its size, got an embedding of "
            f"{shape.embedding_size} and features of {shape.features}"
        )
