"""A backend, one way to run a cell over time: what it says of itself, and what it is asked."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax

from lstm_jax.cells import Carry, Cell


class Request(NamedTuple):
    """What a run asks for beside its cell: all that a backend may depend on.

    Attributes:
      platform: where the run will be, "cpu", "cuda", "rocm" or "tpu".
      dtypes: names of the types in the inputs, the parameters and the carry.
      float_carry: the carry is of floats alone, which have a derivative.
      carry_size: how many numbers the carry of one example holds.
      time: steps.
      batch: examples in all batch axes together; those that `jax.vmap` adds are not seen.
      input_size: size of the last axis of the inputs.
      mask: whether steps are masked, and if so by lengths or by any mask.
      resets: the carry starts anew at some steps.
      reverse: from the last step to the first.
      carries: the carries of all steps are wanted.
      random: a key was given.
    """

    platform: str = "cpu"
    dtypes: frozenset[str] = frozenset({"float32"})
    float_carry: bool = True
    carry_size: int = 1
    time: int = 1
    batch: int = 1
    input_size: int = 1
    mask: Literal["none", "lengths", "any"] = "none"
    resets: bool = False
    reverse: bool = False
    carries: bool = False
    random: bool = False


def nothing(cell: Cell, request: Request) -> None:
    """No objection, whatever is asked."""
    del cell, request


class Backend(NamedTuple):
    """One way to run a cell over time.

    Attributes:
      name: what it is called in `lstm_jax.scan(..., backend=name)`.
      run: the run, with the signature of `lstm_jax.kernels.reference.run`.
      reason: what it does, for `lstm_jax.explain`.
      lacking: `(cell, request) -> what keeps it from serving`, None if nothing does.
      avoided: `(cell, request) -> why "auto" leaves it out although it can serve`, None if not.
      remat: whether `run` takes `remat`, which computes each step again in the backward pass.
      random: whether `run` hands a stochastic cell its keys.
    """

    name: str
    run: Callable[..., tuple[Carry, Any]]
    reason: str
    lacking: Callable[[Cell, Request], str | None] = nothing
    avoided: Callable[[Cell, Request], str | None] = nothing
    remat: bool = False
    random: bool = False


def dtypes_of(*trees: Any) -> frozenset[str]:
    """Names of the types of all leaves.

    >>> import jax.numpy as jnp
    >>> sorted(dtypes_of(jnp.ones(2), {"seed": jnp.zeros(2, jnp.uint32)}))
    ['float32', 'uint32']
    """
    return frozenset(str(leaf.dtype) for leaf in jax.tree.leaves(trees))


def current_platform() -> str:
    """The platform that new programs run on: "cpu", "cuda", "rocm" or "tpu"."""
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if device is None or isinstance(device, str):
        device = jax.devices(device)[0]
    if device.platform != "gpu":
        return device.platform
    return "rocm" if "rocm" in device.client.platform_version else "cuda"
