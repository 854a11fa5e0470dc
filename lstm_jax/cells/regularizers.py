"""What keeps weights and outputs from fitting too well, without a change of the cell."""

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Params
from lstm_jax.cells.checks import require_rates
from lstm_jax.cells.noisy_cells import dropout_mask


def weight_drop(key: Array | None, params: Params, rate: float) -> Params:
    """Drops recurrent weights: every leaf called `recurrent_kernel`, the same for a whole sequence.

        U' = m * U / (1 - rate),  m ~ Bernoulli(1 - rate) for each weight

    S. Merity, N. S. Keskar and R. Socher, "Regularizing and Optimizing LSTM Language Models",
    arXiv 1708.02182; L. Wan et al., "Regularization of Neural Networks using DropConnect", 2013.

    >>> params = {"kernel": jnp.ones((2, 2)), "recurrent_kernel": jnp.ones((2, 2))}
    >>> weight_drop(jax.random.key(0), params, 0.5)["kernel"].tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    >>> weight_drop(None, params, 0.5) is params
    True

    Args:
      key: randomness; without it the parameters stay as they are.
      params: parameters of one cell or of a whole network.
      rate: share of the weights that are dropped.

    Raises:
      ValueError: `rate` is not in [0, 1), or no leaf is called `recurrent_kernel`.
    """
    require_rates(rate=rate)
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [jax.tree_util.keystr(path[-1:], simple=True) for path, _ in leaves]
    if "recurrent_kernel" not in names:
        raise ValueError(f"params must have a leaf recurrent_kernel, got {', '.join(names)}")
    if key is None or rate == 0:
        return params
    dropped = [
        leaf * dropout_mask(k, rate, leaf.shape, leaf.dtype) if name == "recurrent_kernel" else leaf
        for name, (_, leaf), k in zip(
            names, leaves, jax.random.split(key, len(leaves)), strict=True
        )
    ]
    return structure.unflatten(dropped)


def activation_penalty(ys: Array, weight: float, mask: Array | None = None) -> Array:
    """Keeps outputs small: `weight` times the mean square of all outputs.

    S. Merity, B. McCann and R. Socher, "Revisiting Activation Regularization for Language RNNs",
    arXiv 1708.01009.

    >>> activation_penalty(jnp.array([[[1.0, 3.0]]]), weight=2.0).item()
    10.0

    Args:
      ys: outputs [time, ..., output].
      weight: factor of the penalty.
      mask: which steps count, booleans [time, ...]; all, if None.
    """
    return weight * _mean_square(ys, mask)


def temporal_activation_penalty(ys: Array, weight: float, mask: Array | None = None) -> Array:
    """Makes outputs change slowly: `weight` times the mean square of ys[t + 1] - ys[t].

    S. Merity, B. McCann and R. Socher, "Revisiting Activation Regularization for Language RNNs",
    arXiv 1708.01009.

    >>> temporal_activation_penalty(jnp.array([[[1.0]], [[3.0]]]), weight=2.0).item()
    8.0

    Args:
      ys: outputs [time, ..., output].
      weight: factor of the penalty.
      mask: which steps count, booleans [time, ...]; a change counts if both its steps do.
    """
    return weight * _mean_square(ys[1:] - ys[:-1], None if mask is None else mask[1:] & mask[:-1])


def _mean_square(x: Array, mask: Array | None) -> Array:
    if mask is None:
        return jnp.square(x).sum() / max(x.size, 1)
    # One flag serves all units of a step, and of a convolutional cell all places too. It chooses
    # before the square, so that no infinity of the padding comes into the gradient.
    mask = jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape)
    return jnp.square(jnp.where(mask, x, 0)).sum() / jnp.maximum(mask.sum(), 1)
