"""What several processes do together: agree on an outcome, share what one of them found.

Every function here is to be called by all processes, in the same order; with one process each does
nothing but call what it is given.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from lstm_jax.errors import ConfigError, UserError

T = TypeVar("T")
_LEAST = 256  # bytes of a message; lengths are powers of two, each of which compiles once


class Agreed(ConfigError):
    """All processes stop for the same reason, which the first one tells."""


def is_first() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return jax.process_index() == 0


def together(function: Callable[[], T]) -> T:
    """What the function finds here, if it succeeds everywhere.

    Raises:
      Agreed: it failed on some process, with a `UserError`; all raise, and none is left waiting.
    """
    if jax.process_count() == 1:
        return function()
    found, problems = None, None
    try:
        found = function()
    except UserError as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    _require_none_failed(_gather_json(problems))
    return found  # pyright: ignore[reportReturnType]


def from_first(function: Callable[[], T]) -> T:
    """What the function finds on the first process, which alone calls it; it must be JSON.

    Raises:
      Agreed: it failed there, with a `UserError`.
    """
    if jax.process_count() == 1:
        return function()
    found, problems = None, None
    if is_first():
        try:
            found = function()
        except UserError as error:
            problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    told = _share_json({"found": found, "problems": problems})
    _require_none_failed([told["problems"]])
    return told["found"]


def require_same(what: str, value: Any) -> None:
    """Makes sure that all processes have the same.

    Args:
      what: a plural, for the message.
      value: JSON.

    Raises:
      Agreed: with the processes that differ from the first.
    """
    if jax.process_count() == 1:
        return
    values = _gather_json(value)
    others = [str(i) for i, other in enumerate(values) if other != values[0]]
    if others:
        raise Agreed(f"{what} of process {', '.join(others)} are not those of process 0")


def gather(tree: Any) -> Any:
    """The pytree in the memory of the first process, and None for every leaf elsewhere.

    Leaf by leaf, so that a device holds no more than one of them whole. With one process it is
    the pytree itself.
    """
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(_gather_leaf, tree)


def spread(tree: Any, like: Any) -> Any:
    """A pytree of the first process on the devices of all, leaf by leaf.

    Args:
      tree: arrays in the memory of the first process; looked at there alone.
      like: arrays of the same shapes and types that lie where the result shall lie.
    """
    leaves, structure = jax.tree.flatten(like)
    sources = jax.tree.leaves(tree) if is_first() else [None] * len(leaves)
    return structure.unflatten(map(_spread_leaf, sources, leaves))


def is_key(leaf: Any) -> bool:
    """Whether an array is one of typed keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _gather_leaf(leaf: Any) -> Any:
    if is_key(leaf):
        data = _gather_leaf(jax.random.key_data(leaf))
        return None if data is None else _local_key(data, leaf)
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        if not leaf.is_fully_replicated:
            leaf = _whole(leaf)
        leaf = leaf.addressable_data(0)
    return np.asarray(leaf) if is_first() else None


def _local_key(data: np.ndarray, like: Any) -> jax.Array:
    placed = jax.device_put(data, jax.local_devices()[0])
    return jax.random.wrap_key_data(placed, impl=jax.random.key_impl(like))


def _whole(leaf: jax.Array) -> jax.Array:
    """The array, whole on every device."""
    sharding = leaf.sharding
    assert isinstance(sharding, NamedSharding)
    return jax.jit(_itself, out_shardings=NamedSharding(sharding.mesh, PartitionSpec()))(leaf)


def _itself(leaf: jax.Array) -> jax.Array:
    return leaf


def _spread_leaf(source: Any, like: Any) -> jax.Array:
    if is_key(like):
        data = None if source is None else jax.random.key_data(source)
        placed = _spread_leaf(data, jax.random.key_data(like))
        return jax.random.wrap_key_data(placed, impl=jax.random.key_impl(like))
    array = np.empty(like.shape, like.dtype) if source is None else np.asarray(source)
    # As bytes: they are added up on the way, and a zero would lose its sign.
    data = _share_bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    array = data.view(like.dtype).reshape(like.shape)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: array[index])


def _share_bytes(data: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(data)) if data.size else data


def _share_json(value: Any) -> Any:
    """The JSON of the first process."""
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(_share_bytes(np.array([len(data)], np.int32))[0])
    padded = np.zeros(_padded(size), np.uint8)
    if is_first():
        padded[:size] = data
    return json.loads(_share_bytes(padded)[:size].tobytes())


def _gather_json(value: Any) -> list[Any]:
    """The JSON of every process, in order."""
    from jax.experimental import multihost_utils

    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.array([len(data)], np.int32)).ravel()
    padded = np.zeros(_padded(int(sizes.max())), np.uint8)
    padded[: len(data)] = data
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [
        json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes.tolist(), strict=True)
    ]


def _padded(size: int) -> int:
    return max(_LEAST, 1 << (size - 1).bit_length())


def _require_none_failed(problems: list[list[str] | None]) -> None:
    for process, found in enumerate(problems):
        if found is not None:
            raise Agreed([f"process {process}: {text}" for text in found] if process else found)
