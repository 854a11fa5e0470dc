"""Recurrent networks without gates: the simple one, and the one of independent units."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.checks import require_choices, require_sizes
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import (
    KERNEL_INITIALIZERS,
    gate_kernels,
    glorot_uniform,
    torch_uniform,
)
from lstm_jax.config import register

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": jnp.tanh, "relu": jax.nn.relu}


class RNNCarry(NamedTuple):
    """The memory of a network without gates.

    Attributes:
      hidden: the state, which is also the output, [..., hidden].
    """

    hidden: Array


@register("cell")
def rnn(
    hidden_size: int,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
    initializer: Literal[
        "glorot_orthogonal", "lecun_orthogonal", "torch_uniform", "glorot_identity"
    ] = "glorot_orthogonal",
) -> Cell:
    """Simple recurrent network.

        h' = activation(W x + U h + b)

    J. L. Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990. With relu and a
    recurrent kernel that starts as the identity it is the IRNN: Q. V. Le, N. Jaitly and
    G. E. Hinton, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
    arXiv 1504.00941.

    Params: `kernel` [input, hidden], `recurrent_kernel` [hidden, hidden], `bias` [hidden].

    >>> cell = rnn(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of units.
      activation: what is applied to the sum, tanh or relu.
      initializer: of the kernel and of the recurrent kernel; torch_uniform serves the bias too.

    Raises:
      ValueError: `hidden_size` is not positive, or a name is not a choice.
    """
    require_choices(KERNEL_INITIALIZERS, initializer=initializer)

    def init(key: Array, input_size: int) -> Params:
        *kernel_keys, bias_key = jax.random.split(key, 3)
        bias = jnp.zeros(hidden_size)
        if initializer == "torch_uniform":  # torch has two biases, and one is their sum
            bias = torch_uniform(hidden_size)(bias_key, (2, hidden_size)).sum(axis=0)
        kernels = gate_kernels(kernel_keys, input_size, hidden_size, 1, initializer=initializer)
        return kernels | {"bias": bias}

    def recur(params: Params, carry: RNNCarry) -> Array:
        return carry.hidden @ params["recurrent_kernel"]

    return _without_gates(hidden_size, activation, init, recur)


@register("cell")
def ind_rnn(hidden_size: int, *, activation: Literal["tanh", "relu"] = "relu") -> Cell:
    """Independently recurrent network: each unit sees of the past its own state alone.

        h' = activation(W x + u * h + b)

    S. Li, W. Li, C. Cook, C. Zhu and Y. Gao, "Independently Recurrent Neural Network (IndRNN):
    Building a Longer and Deeper RNN", 2018 (arXiv:1803.04831). Units meet only through the next
    layer. Recurrent weights start uniform between 0 and 1. In training over T steps the paper
    keeps them below a bound gamma^(1 / T); the cell does not clip them.

    Params: `kernel` [input, hidden], `recurrent_kernel` [hidden], `bias` [hidden].

    >>> cell = ind_rnn(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> params["recurrent_kernel"].shape
    (3,)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of units.
      activation: what is applied to the sum, tanh or relu.

    Raises:
      ValueError: `hidden_size` is not positive, or there is no such activation.
    """

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key = jax.random.split(key)
        return {
            "kernel": glorot_uniform(kernel_key, (input_size, hidden_size)),
            "recurrent_kernel": jax.random.uniform(recurrent_key, (hidden_size,)),
            "bias": jnp.zeros(hidden_size),
        }

    def recur(params: Params, carry: RNNCarry) -> Array:
        return carry.hidden * params["recurrent_kernel"]

    return _without_gates(hidden_size, activation, init, recur)


def _without_gates(
    hidden_size: int,
    activation: str,
    init: Callable[[Array, int], Params],
    recur: Callable[[Params, RNNCarry], Array],
) -> Cell:
    require_sizes(hidden_size=hidden_size)
    require_choices(_ACTIVATIONS, activation=activation)
    activate = _ACTIVATIONS[activation]

    def update(params: Params, carry: RNNCarry, z: Array, r: Array) -> tuple[RNNCarry, Array]:
        del params, carry
        hidden = activate(z + r)
        return RNNCarry(hidden), hidden

    return gated_cell(
        init=init,
        initial_carry=zero_carry(RNNCarry, hidden_size),
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=recur,
        update=update,
        output_size=hidden_size,
    )
