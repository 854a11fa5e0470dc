"""Initial values of recurrent parameters."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from lstm_jax.cells.checks import require_sizes

Array = jax.Array
Initializer = Callable[..., Array]  # (key, shape, dtype) -> array

glorot_uniform: Initializer = jax.nn.initializers.glorot_uniform()
orthogonal: Initializer = jax.nn.initializers.orthogonal()
lecun_normal: Initializer = jax.nn.initializers.lecun_normal()


def per_gate(initializer: Initializer, gates: int) -> Initializer:
    """Draws each gate's block of columns by itself, so that its scale is that of one gate.

    Glorot and orthogonal initialisation depend on the shape; over all gates at once they would
    see a matrix `gates` times as wide as the map each gate computes.

    >>> kernel = per_gate(orthogonal, 4)(jax.random.key(0), (8, 32))
    >>> bool(jnp.allclose(kernel[:, :8].T @ kernel[:, :8], jnp.eye(8), atol=1e-5))
    True

    Raises:
      ValueError: the last axis does not divide into that many gates.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        if shape[-1] % gates:
            raise ValueError(f"shape {shape}: the last axis does not divide into {gates} gates")
        block = (*shape[:-1], shape[-1] // gates)
        keys = jax.random.split(key, gates)
        return jnp.concatenate([initializer(k, block, dtype) for k in keys], axis=-1)

    return init


def torch_uniform(hidden_size: int) -> Initializer:
    """Uniform between -1 / sqrt(hidden) and 1 / sqrt(hidden): what torch draws its cells from.

    >>> kernel = torch_uniform(16)(jax.random.key(0), (5, 64))
    >>> bool((abs(kernel) <= 0.25).all())
    True

    Args:
      hidden_size: size of the hidden state, whatever the shape of the parameter.

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    require_sizes(hidden_size=hidden_size)
    bound = hidden_size**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def identity(scale: float = 1.0) -> Initializer:
    """The identity times `scale`: a rectified network that starts by remembering everything.

    Q. V. Le, N. Jaitly and G. E. Hinton, "A Simple Way to Initialize Recurrent Networks of
    Rectified Linear Units", arXiv 1504.00941: scale 1 for long memories, 0.01 for short ones.

    >>> identity(0.5)(jax.random.key(0), (2, 2)).tolist()
    [[0.5, 0.0], [0.0, 0.5]]

    Raises:
      ValueError: the shape is not that of a square matrix.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        del key
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"shape must be that of a square matrix, got {shape}")
        return scale * jnp.eye(shape[0], dtype=dtype)

    return init


def chrono_bias(chrono_max: int) -> Initializer:
    """Forget biases that spread the memory's time scales between 2 and `chrono_max` steps.

        b_f = log(u),  u uniform in [1, chrono_max - 1];  the input gate starts with b_i = -b_f

    A gate of bias log(T - 1) forgets 1 / T a step. C. Tallec and Y. Ollivier, "Can recurrent
    neural networks warp time?", arXiv 1804.11188.

    >>> bias = chrono_bias(100)(jax.random.key(0), (8,))
    >>> bool((bias >= 0).all() and (bias <= jnp.log(99)).all())
    True

    Args:
      chrono_max: the longest time over which the task depends on its input, in steps.

    Raises:
      ValueError: `chrono_max` is less than 2.
    """
    require_sizes(2, chrono_max=chrono_max)

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jnp.log(jax.random.uniform(key, shape, dtype, 1.0, chrono_max - 1.0))

    return init


# By name, from the hidden size to the initialisers of the kernel and of the recurrent kernel.
KERNEL_INITIALIZERS: dict[str, Callable[[int], tuple[Initializer, Initializer]]] = {
    "glorot_orthogonal": lambda hidden_size: (glorot_uniform, orthogonal),
    "lecun_orthogonal": lambda hidden_size: (lecun_normal, orthogonal),
    "torch_uniform": lambda hidden_size: (torch_uniform(hidden_size), torch_uniform(hidden_size)),
    "glorot_identity": lambda hidden_size: (glorot_uniform, identity()),
}


def gate_kernels(
    keys: Sequence[Array] | Array,
    input_size: int,
    hidden_size: int,
    gates: int,
    *,
    initializer: str = "glorot_orthogonal",
    output_size: int | None = None,
    window: tuple[int, ...] = (),
) -> dict[str, Array]:
    """The kernels of a cell with gates, each gate's block drawn by itself.

    >>> kernels = gate_kernels(jax.random.split(jax.random.key(0)), 3, 8, gates=4)
    >>> {name: kernel.shape for name, kernel in kernels.items()}
    {'kernel': (3, 32), 'recurrent_kernel': (8, 32)}

    Args:
      keys: two, one for each kernel.
      input_size: rows of the kernel.
      hidden_size: columns of a gate's block.
      gates: how many gates there are.
      initializer: which of `KERNEL_INITIALIZERS`.
      output_size: rows of the recurrent kernel, if not `hidden_size`.
      window: axes before the rows, for kernels of a convolution.
    """
    kernel_key, recurrent_key = keys
    of_kernel, of_recurrent = KERNEL_INITIALIZERS[initializer](hidden_size)
    rows = hidden_size if output_size is None else output_size
    columns = gates * hidden_size
    return {
        "kernel": per_gate(of_kernel, gates)(kernel_key, (*window, input_size, columns)),
        "recurrent_kernel": per_gate(of_recurrent, gates)(recurrent_key, (*window, rows, columns)),
    }
