"""A convolution that keeps the size of the space, whose derivatives are fast on CPUs too.

On a CPU XLA's convolutions are near the core's peak, but not the derivatives that JAX has of them:
inside a loop, one whose window is turned around takes several times as long, and so does a kernel's
gradient written as a convolution. So the derivatives are written out here,

    y = x * K        dx = dy * (K turned around, its channels swapped)        dK = x^T dy

where the last, a sum over examples and space, is a product on CPUs. Both maps are linear in each of
their two arguments, and their derivatives are these maps again, so derivatives of any order exist.
"""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax.cells.cell import Array
from lstm_jax.cells.varying import vary_like

_MOST = 1 << 20  # bytes of what is made at a time


def convolve(x: Array, kernel: Array) -> Array:
    """Convolves [batch, *space, in] with [*window, in, out], zeros beyond the border.

    The two have one type. Before the first place of an axis stand (width - 1) // 2 zeros.
    """
    return _convolve.bind(vary_like(x, kernel), vary_like(kernel, x), turned=False)


_convolve = Primitive("lstm_jax_convolve")  # (x, kernel) -> y
_correlate = Primitive("lstm_jax_convolution_gradient")  # (x, dy) -> d_kernel


def _turn(kernel: Array) -> Array:
    return jnp.swapaxes(jax.lax.rev(kernel, range(kernel.ndim - 2)), -1, -2)


def _borders(window: tuple[int, ...], turned: bool) -> list[tuple[int, int]]:
    borders = [((width - 1) // 2, width // 2) for width in window]
    return [(after, before) for before, after in borders] if turned else borders


def _convolution(x: Array, kernel: Array, *, turned: bool) -> Array:
    axes = "DHW"[: kernel.ndim - 2]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1,) * len(axes),
        padding=_borders(kernel.shape[:-2], turned),
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )


def _correlation(x: Array, dy: Array, *, window: tuple[int, ...], turned: bool) -> Array:
    like = jnp.zeros((*window, x.shape[-1], dy.shape[-1]), x.dtype)
    x, dy, like = vary_like((x, dy, like), x, dy)
    (d_kernel,) = jax.vjp(lambda kernel: _convolution(x, kernel, turned=turned), like)[1](dy)
    return d_kernel


def _correlation_as_products(
    x: Array, dy: Array, *, window: tuple[int, ...], turned: bool
) -> Array:
    """The same, a few examples at a time: what is laid out for them stays in the caches."""
    size = math.prod(dy.shape[1:]) * dy.dtype.itemsize
    some = _divisor(len(x), max(1, _MOST // max(1, size)))
    if some == len(x):
        return _products(x, dy, window, turned)

    def add(total: Array, part: tuple[Array, Array]) -> tuple[Array, None]:
        return total + _products(*part, window, turned), None

    parts = tuple(a.reshape(-1, some, *a.shape[1:]) for a in (x, dy))
    first = _products(parts[0][0], parts[1][0], window, turned)
    return jax.lax.scan(add, first, (parts[0][1:], parts[1][1:]))[0]


def _divisor(n: int, most: int) -> int:
    return max((d for d in range(1, min(n, most) + 1) if n % d == 0), default=n)


def _products(x: Array, dy: Array, window: tuple[int, ...], turned: bool) -> Array:
    """The window's last axis is laid out in memory, each of its others' places is a product."""
    *others, width = window
    padded = jnp.pad(x, ((0, 0), *_borders(window, turned), (0, 0)))
    *sides, columns = x.shape[1:-1]
    laid_out = jnp.concatenate([padded[..., i : i + columns, :] for i in range(width)], axis=-1)
    # Merged into one axis, examples and space are summed over three times as fast.
    flat = dy.reshape(-1, dy.shape[-1])
    products = [
        laid_out[:, *(slice(i, i + n) for i, n in zip(place, sides, strict=True))]
        .reshape(-1, laid_out.shape[-1])
        .T
        @ flat
        for place in itertools.product(*map(range, others))
    ]
    return jnp.stack(products).reshape(*window, x.shape[-1], dy.shape[-1])


def _define(primitive: Primitive, plain: Any, on_cpu: Any, by_first: Any, by_second: Any) -> None:
    """What JAX is to know of a map that is linear in each of its two arguments."""

    def call(*arguments: Array, **options: Any) -> Array:
        bind = jax.jit(primitive.bind, static_argnames=tuple(options))
        return bind(*arguments, **options)

    def shape(*arguments: Any, **options: Any) -> Any:
        # Types are taken from a trace: they also say over which mesh axes a value varies.
        return jax.make_jaxpr(functools.partial(plain, **options))(*arguments).out_avals[0]

    def batch(arguments: Any, axes: Any, **options: Any) -> tuple[Array, int]:
        return jax.vmap(functools.partial(plain, **options), axes)(*arguments), 0

    primitive.def_impl(call)
    primitive.def_abstract_eval(shape)
    for platform, function in ((None, plain), ("cpu", on_cpu)):
        lowering = mlir.lower_fun(function, multiple_results=False)
        mlir.register_lowering(primitive, lowering, platform=platform)
    ad.defbilinear(primitive, by_first, by_second)
    batching.primitive_batchers[primitive] = batch


def _define_both() -> None:
    def by_x(dy: Array, x: Any, kernel: Array, *, turned: bool) -> Array:
        del x
        return _convolve.bind(dy, _turn(kernel), turned=not turned)

    def by_kernel(dy: Array, x: Array, kernel: Any, *, turned: bool) -> Array:
        return _correlate.bind(x, dy, window=kernel.aval.shape[:-2], turned=turned)

    def by_x_again(d_kernel: Array, x: Any, dy: Array, *, window: Any, turned: bool) -> Array:
        del x, window
        return _convolve.bind(dy, _turn(d_kernel), turned=not turned)

    def by_dy(d_kernel: Array, x: Array, dy: Any, *, window: Any, turned: bool) -> Array:
        del dy, window
        return _convolve.bind(x, d_kernel, turned=turned)

    _define(_convolve, _convolution, _convolution, by_x, by_kernel)
    _define(_correlate, _correlation, _correlation_as_products, by_x_again, by_dy)


_define_both()
