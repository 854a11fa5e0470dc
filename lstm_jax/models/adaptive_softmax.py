"""The adaptive softmax as a Flax module (see `lstm_jax.models.heads.adaptive_softmax`)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.models.blocked_softmax import chosen_cost


class AdaptiveSoftmax(nn.Module):
    """A softmax over frequent symbols and clusters, and one within every cluster.

    Attributes:
      shape: what it stands on, a `HeadShape`.
      cutoffs: the number of the first symbol of every cluster.
      div_value: how projections shrink from cluster to cluster, if not tied.
      with_bias: whether there are biases.
    """

    shape: Any
    cutoffs: tuple[int, ...]
    div_value: float
    with_bias: bool

    def setup(self) -> None:  # noqa: D102
        shape, clusters, first = self.shape, len(self.cutoffs), self.cutoffs[0]
        normal = nn.initializers.lecun_normal()
        own = 0 if shape.tied else first
        self.kernel = self.param("kernel", normal, (shape.features, own + clusters))
        projections, kernels = [], []
        for i, (low, high) in enumerate(() if shape.tied else self._bounds()):
            size = max(int(shape.features // self.div_value ** (i + 1)), 1)
            projections.append(self.param(f"projection_{i}", normal, (shape.features, size)))
            kernels.append(self.param(f"kernel_{i}", normal, (size, high - low)))
        self.projections, self.kernels = projections, kernels
        if self.with_bias:
            zeros = nn.initializers.zeros
            self.bias = self.param("bias", zeros, (shape.vocabulary_size,))
            self.cluster_bias = self.param("cluster_bias", zeros, (clusters,))

    def logits(self, x: Array, table: Array) -> Array:
        """Log-probabilities of all symbols, float32."""
        x = x.astype(self.shape.dtype)
        first = self._log_softmax(x, *self._first(table))
        found = [first[..., : self.cutoffs[0]]]
        for i in range(len(self.cutoffs)):
            inside = self._log_softmax(*self._cluster(i, x, table))
            found.append(first[..., self.cutoffs[0] + i, None] + inside)
        return jnp.concatenate(found, axis=-1)

    def cost(
        self, x: Array, targets: Array, mask: Array, table: Array, deterministic: bool = True
    ) -> tuple[Array, Array]:
        """Nats of the targets, and whether a greedy choice would be right.

        It takes the likeliest of the first softmax, and within a cluster the likeliest symbol: one
        need then look at no cluster but that of the target.
        """
        del deterministic
        x = x.astype(self.shape.dtype).reshape(-1, x.shape[-1])
        y, chosen, first = targets.ravel(), mask.ravel(), self.cutoffs[0]
        cluster = jnp.sum(y[:, None] >= jnp.array(self.cutoffs), axis=-1)  # 0: the first softmax
        place = jnp.where(cluster > 0, first + cluster - 1, y)
        nats, right = chosen_cost(x, *self._first(table), place, chosen)
        for i, (low, high) in enumerate(self._bounds()):
            here = chosen & (cluster == i + 1)
            inside = jnp.clip(y - low, 0, high - low - 1)
            more, right_inside = chosen_cost(*self._cluster(i, x, table), inside, here)
            nats, right = nats + more, right & (right_inside | ~here)
        return nats.reshape(mask.shape), right.reshape(mask.shape)

    def _bounds(self) -> list[tuple[int, int]]:
        """The numbers of every cluster's symbols: from, to."""
        ends = (*self.cutoffs[1:], self.shape.vocabulary_size)
        return list(zip(self.cutoffs, ends, strict=True))

    def _first(self, table: Array) -> tuple[Array, Array]:
        """Kernel and bias of the first softmax."""
        kernel, first = self.kernel, self.cutoffs[0]
        if self.shape.tied:
            kernel = jnp.concatenate([table[:first].T, kernel], axis=1)
        if self.with_bias:
            bias = jnp.concatenate([self.bias[:first], self.cluster_bias])
        else:
            bias = jnp.zeros(first + len(self.cutoffs))
        return kernel.astype(self.shape.dtype), bias

    def _cluster(self, i: int, x: Array, table: Array) -> tuple[Array, Array, Array]:
        """What a cluster reads, its kernel and its bias."""
        (low, high), dtype = self._bounds()[i], self.shape.dtype
        bias = self.bias[low:high] if self.with_bias else jnp.zeros(high - low)
        if self.shape.tied:
            return x, table[low:high].T.astype(dtype), bias
        projected = jnp.dot(x, self.projections[i].astype(dtype))
        return projected, self.kernels[i].astype(dtype), bias

    @staticmethod
    def _log_softmax(x: Array, kernel: Array, bias: Array) -> Array:
        return jax.nn.log_softmax(jnp.dot(x, kernel).astype(jnp.float32) + bias, axis=-1)
