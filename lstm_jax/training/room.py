"""Whether what a run needs finds room in the memory of its devices."""

import math
import os
from typing import Any

import jax

from lstm_jax.errors import UserError
from lstm_jax.training.mesh import Placement

_ROOM = 0.9  # of a device's memory that a program can hope for


def placed(shapes: Any, shardings: Any) -> Any:
    """Shapes that say where they lie."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        shardings,
    )


def size_on_device(tree: Any) -> int:
    """Bytes on one device of shapes that say where they lie."""
    leaves = jax.tree.leaves(tree)
    shapes = [(leaf.sharding.shard_shape(leaf.shape), leaf.dtype.itemsize) for leaf in leaves]
    return sum(math.prod(shape) * size for shape, size in shapes)


def require_room(needed: int, place: Placement, what: str) -> str:
    """That so many bytes on each device find room, in words.

    Args:
      needed: bytes on one device.
      place: the devices; those that share the machine's memory share the room too.
      what: what needs it, for the error.

    Raises:
      UserError: they do not.
    """
    device = place.mesh.local_devices[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    where = f"one {device.device_kind}"
    if limit is None:
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        needed, where = needed * len(place.mesh.local_devices), "this machine"
    room = f"{byte_text(needed)} of the {byte_text(limit)} of {where}"
    if needed > _ROOM * limit:
        raise UserError(f"{what} does not fit: {room}")
    return room


def byte_text(count: float) -> str:
    """A number of bytes as people read it.

    >>> byte_text(3 * 2**20)
    '3.0 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
