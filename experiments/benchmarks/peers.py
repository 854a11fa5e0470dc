"""The same recurrent layer in other libraries, one small function a peer.

None is needed by lstm_jax: each is imported when it is asked for. All take the same numbers.
"""

import os
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from contestants import Contestant, Layer, Run, Size, cast, inputs, jitted, sum_of_squares


def torch_layer(kind: str) -> Contestant:
    """torch.nn.LSTM or torch.nn.GRU."""

    def make(layer: Layer) -> Run:
        import torch

        torch.manual_seed(0)
        where = {"device": torch_device(), "dtype": getattr(torch, layer.dtype)}
        net = getattr(torch.nn, kind)(layer.size.input, layer.size.hidden, **where)
        xs = torch.tensor(inputs(layer.size), requires_grad=layer.gradient, **where)

        def run():
            if layer.gradient:
                net.zero_grad()
                xs.grad = None
                (net(xs)[0] ** 2).sum().backward()
            else:
                with torch.no_grad():
                    (net(xs)[0] ** 2).sum()
            if xs.is_cuda:
                torch.cuda.synchronize()

        return run

    return make


def torch_device() -> str:
    """On the GPU, if jax is there too."""
    import torch

    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


def torch_settings() -> str:
    """Where torch runs, and how."""
    import torch

    if torch_device() == "cpu":
        return f"on cpu, {torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name()
    return f"on {name}, TF32 {'on' if torch.backends.cudnn.allow_tf32 else 'off'}"


def linen(layer: Layer) -> Run:
    """flax.linen.RNN around OptimizedLSTMCell."""
    import flax.linen as nn

    cell = nn.OptimizedLSTMCell(layer.size.hidden, **flax_options(layer))
    net = nn.RNN(cell, time_major=True)
    params = net.init(jax.random.key(0), jnp.asarray(inputs(layer.size), layer.dtype))
    return jitted(lambda p, x: sum_of_squares(net.apply(p, x)), params, layer)


def nnx(layer: Layer) -> Run:
    """flax.nnx.RNN around OptimizedLSTMCell."""
    from flax import nnx

    sizes = layer.size.input, layer.size.hidden
    cell = nnx.OptimizedLSTMCell(*sizes, rngs=nnx.Rngs(0), **flax_options(layer))
    graph, params, rest = nnx.split(nnx.RNN(cell, time_major=True), nnx.Param, ...)

    def loss(params, xs):
        return sum_of_squares(nnx.merge(graph, params, rest)(xs, rngs=nnx.Rngs(0)))

    return jitted(loss, params, layer)


def flax_options(layer: Layer) -> dict[str, Any]:
    """The dtype, and orthogonal matrices drawn in float32, since no others can be."""

    def orthogonal(key, shape, dtype):
        return jax.nn.initializers.orthogonal()(key, shape).astype(dtype)

    dtype = jnp.dtype(layer.dtype)
    return {"dtype": dtype, "param_dtype": dtype, "recurrent_kernel_init": orthogonal}


def haiku(layer: Layer) -> Run:
    """haiku.dynamic_unroll of hk.LSTM."""
    import haiku as hk

    def forward(xs):
        cell = hk.LSTM(layer.size.hidden)
        carry = cast(cell.initial_state(layer.size.batch), layer.dtype)
        return hk.dynamic_unroll(cell, xs, carry)[0]

    net = hk.without_apply_rng(hk.transform(forward))
    params = net.init(jax.random.key(0), jnp.asarray(inputs(layer.size), layer.dtype))
    return jitted(lambda p, x: sum_of_squares(net.apply(p, x)), params, layer)


def equinox(layer: Layer) -> Run:
    """jax.lax.scan over a vmapped equinox.nn.LSTMCell."""
    import equinox as eqx

    size = layer.size
    cell = cast(eqx.nn.LSTMCell(size.input, size.hidden, key=jax.random.key(0)), layer.dtype)

    def loss(cell, xs):
        def step(carry, x):
            carry = jax.vmap(cell)(x, carry)
            return carry, carry[0]

        zeros = jnp.zeros((size.batch, size.hidden), layer.dtype)
        return sum_of_squares(jax.lax.scan(step, (zeros, zeros), xs)[1])

    return jitted(loss, cell, layer)


def keras(layer: Layer) -> Run:
    """keras.layers.LSTM on jax, stateless."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    net = keras.layers.LSTM(
        layer.size.hidden,
        return_sequences=True,
        dtype=layer.dtype,
        recurrent_initializer="glorot_uniform",  # its orthogonal cannot be drawn in bfloat16
    )
    xs = inputs(layer.size).swapaxes(0, 1)  # Keras has the batch first
    net.build(xs.shape)
    params = [v.value for v in net.trainable_variables]
    rest = [v.value for v in net.non_trainable_variables]
    return jitted(lambda p, x: sum_of_squares(net.stateless_call(p, rest, x)[0]), params, layer, xs)


def floor(layer: Layer) -> Run:
    """The matrix products of an LSTM, over all time at once: one, with gradients three."""
    batch, time, width, hidden = layer.size
    xs = jnp.ones((time * batch, width + hidden), layer.dtype)
    kernel = jnp.ones((width + hidden, 4 * hidden), layer.dtype)

    def products(kernel, xs):
        gates = xs @ kernel
        return (xs.T @ gates, gates @ kernel.T) if layer.gradient else jnp.sum(gates)

    call = jax.jit(products)
    return lambda: jax.block_until_ready(call(kernel, xs))


PEERS: dict[str, Contestant] = {
    "torch": torch_layer("LSTM"),
    "linen": linen,
    "nnx": nnx,
    "haiku": haiku,
    "equinox": equinox,
    "keras": keras,
    "floor": floor,
    "torch GRU": torch_layer("GRU"),
}
LSTMS = [name for name in PEERS if name != "torch GRU"]


def installed(peers: Iterable[str]) -> dict[str, Contestant]:
    """Those of the peers that can be imported; the others are told."""
    found = {}
    for name in peers:
        try:
            PEERS[name](Layer(Size(1, 2, 2, 2), gradient=False))
            found[name] = PEERS[name]
        except ImportError as error:
            print(f"{name}: not installed ({error})")
    return found
