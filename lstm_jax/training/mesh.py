"""Many devices as one: a mesh, and rules that say where every array lies on it."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lstm_jax.config import Range
from lstm_jax.errors import ConfigError

AXES = ("data", "fsdp", "model")
BATCH_AXES = ("data", "fsdp")
AxisSize = Annotated[int, Range(-1)]

# Which axes of an array may be shared out over `model`, in order of preference, by the end of its
# path. Gates and symbols stand last in the kernels, symbols first in the embedding.
MODEL_RULES: Mapping[str, Sequence[int]] = {
    r"embedding": (0, 1),
    r"recurrent_kernel": (-1,),
    r"kernel": (-1, -2),
    r"bias": (-1,),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshOptions:
    """How many devices share out what; at most one of them may be -1, all that are left.

    Attributes:
      data: devices that share out the batch, each with all parameters.
      fsdp: devices that share out the batch and the parameters too ("fully sharded").
      model: devices that share out hidden units and symbols, with the same examples.
    """

    data: AxisSize = -1
    fsdp: AxisSize = 1
    model: AxisSize = 1

    def __post_init__(self) -> None:
        sizes = dataclasses.asdict(self)
        problems = [f"{name}: must be at least 1, or -1" for name, n in sizes.items() if n == 0]
        if list(sizes.values()).count(-1) > 1:
            names = [name for name, size in sizes.items() if size == -1]
            problems.append(f"{', '.join(names)}: only one can be -1, all devices that are left")
        if problems:
            raise ConfigError(problems)


def make_mesh(options: MeshOptions, devices: Sequence[Any] | None = None) -> Mesh:
    """The mesh over the first devices, all of them if an axis is -1.

    >>> dict(make_mesh(MeshOptions(data=1)).shape)
    {'data': 1, 'fsdp': 1, 'model': 1}

    Args:
      options: the size of every axis.
      devices: the devices there are; all of them, if None.

    Raises:
      ConfigError: there are too few devices, or what is left does not divide.
    """
    devices = jax.devices() if devices is None else devices
    sizes = [getattr(options, axis) for axis in AXES]
    fixed = math.prod(size for size in sizes if size != -1)
    text = " x ".join(f"{axis} {size}" for axis, size in zip(AXES, sizes, strict=True))
    if fixed > len(devices) or (-1 in sizes and len(devices) % fixed):
        raise ConfigError(f"mesh: {text} does not fit {len(devices)} device(s)")
    sizes = [len(devices) // fixed if size == -1 else size for size in sizes]
    used = math.prod(sizes)
    if jax.process_count() > 1 and used < len(devices):
        raise ConfigError(
            f"mesh: {text} takes {used} of {len(devices)} devices; with several processes "
            "every device must have a part"
        )
    return jax.make_mesh(
        tuple(sizes), AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices[:used]
    )


class OwnRows(NamedTuple):
    """The rows of a batch that one process reads.

    Attributes:
      arrays: these rows, of the arrays that have any.
      shapes: those of the whole batch; None if that is what `arrays` are.
    """

    arrays: Any
    shapes: Any


class Placement:
    """Where arrays lie on a mesh.

    Attributes:
      mesh: the mesh.
    """

    def __init__(self, mesh: Mesh):
        self.mesh = mesh

    @property
    def batch_devices(self) -> int:
        """How many devices share out a batch."""
        return math.prod(self.mesh.shape[axis] for axis in BATCH_AXES)

    def require_batch_size(self, batch_size: int, parts: int = 1) -> None:
        """Makes sure that every device gets as many examples as any other.

        Raises:
          ConfigError: it does not divide.
        """
        if batch_size % (parts * self.batch_devices):
            each = f" and {parts} accumulation steps" if parts > 1 else ""
            raise ConfigError(
                f"a batch of {batch_size} does not divide by {self.batch_devices} device(s) "
                f"(mesh.data x mesh.fsdp){each}"
            )

    def replicated(self) -> NamedSharding:
        """Whole on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def replicate(self, tree: Any) -> Any:
        """Arrays of the host, the same in every process, whole on every device."""
        return jax.make_array_from_process_local_data(self.replicated(), tree)

    def everywhere(self, tree: Any) -> Any:
        """Every leaf whole on every device."""
        return jax.tree.map(lambda _: self.replicated(), tree)

    def params(self, tree: Any) -> Any:
        """Shardings of parameters, or of an optimiser's state, whose paths end as theirs do."""
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: NamedSharding(
                self.mesh, parameter_spec(_text(path), leaf.shape, self.mesh.shape)
            ),
            tree,
        )

    def batch(self, tree: Any, batch_size: int) -> Any:
        """Shardings of a batch or carry: the leading axis, where it is the batch's, is shared out.

        A batch that does not divide lies whole on every device.
        """
        spec = PartitionSpec(BATCH_AXES) if batch_size % self.batch_devices == 0 else None
        return jax.tree.map(
            lambda leaf: NamedSharding(
                self.mesh,
                spec if spec and leaf.ndim and leaf.shape[0] == batch_size else PartitionSpec(),
            ),
            tree,
        )

    def put(self, batch: Any, batch_size: int) -> Any:
        """A whole batch on the devices, an explicit transfer.

        Args:
          batch: arrays of the host; with several processes each has the same.
          batch_size: leading axis of what is shared out.
        """
        return self.put_rows(self.own_rows(batch, batch_size), batch_size)

    def own_rows(self, batch: Any, batch_size: int) -> "OwnRows":
        """What lies on devices of this process: all of the batch, if it is the only one."""
        if jax.process_count() == 1:
            return OwnRows(batch, None)
        rows = self._rows(batch_size)
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
        arrays = jax.tree.map(
            lambda x: x[rows] if x.ndim and x.shape[0] == batch_size else x, batch
        )
        return OwnRows(arrays, shapes)

    def put_rows(self, own: "OwnRows", batch_size: int) -> Any:
        """The batch on the devices, to which every process gives its own rows."""
        if own.shapes is None:
            return jax.device_put(own.arrays, self.batch(own.arrays, batch_size))
        return jax.tree.map(
            lambda sharding, array, whole: jax.make_array_from_process_local_data(
                sharding, array, whole.shape
            ),
            self.batch(own.shapes, batch_size), own.arrays, own.shapes,
        )  # fmt: skip

    def _rows(self, batch_size: int) -> np.ndarray:
        """The rows of a batch that lie on devices of this process, in order."""
        sharding = self.batch(jax.ShapeDtypeStruct((batch_size,), bool), batch_size)
        indices = sharding.addressable_devices_indices_map((batch_size,)).values()
        return np.unique(np.concatenate([np.arange(batch_size)[index] for index in indices]))


def parameter_spec(path: str, shape: Sequence[int], mesh: Mapping[str, int]) -> PartitionSpec:
    """Which axes of a parameter are shared out over which axes of the mesh.

    Over `model`, the first axis that the rule of its name allows and that divides; over `fsdp`,
    the largest of the others that divides. What has one axis alone is too small for `fsdp`.

    >>> mesh = {"data": 2, "fsdp": 2, "model": 4}
    >>> print(parameter_spec("layer_0/cell/recurrent_kernel", (256, 1024), mesh))
    P('fsdp', 'model')
    >>> print(parameter_spec("embedding/embedding", (97, 64), mesh))
    P(None, 'model')

    Args:
      path: names from the root, separated by slashes.
      shape: of the array.
      mesh: the size of every axis of the mesh.
    """
    spec: list[str | None] = [None] * len(shape)
    model, fsdp = mesh["model"], mesh["fsdp"]
    if model > 1:
        allowed = (axis for axis in _model_axes(path) if -len(shape) <= axis < len(shape))
        divided = (axis for axis in allowed if shape[axis] % model == 0)
        axis = next(divided, None)
        if axis is not None:
            spec[axis] = "model"
    if fsdp > 1 and len(shape) > 1:
        free = [i for i, size in enumerate(shape) if spec[i] is None and size % fsdp == 0]
        if free:
            spec[max(free, key=lambda i: shape[i])] = "fsdp"
    return PartitionSpec(*spec) if any(spec) else PartitionSpec()


def kept_whole(params: Any, mesh: Mesh) -> list[str]:
    """Paths of matrices that lie whole on every device of a mesh that shares parameters out."""
    if mesh.shape["model"] == 1 and mesh.shape["fsdp"] == 1:
        return []
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    specs = {_text(path): (leaf, parameter_spec(_text(path), leaf.shape, mesh.shape))
             for path, leaf in leaves}  # fmt: skip
    return [path for path, (leaf, spec) in specs.items() if leaf.ndim > 1 and not any(spec)]


def _model_axes(path: str) -> Sequence[int]:
    name = path.rpartition("/")[2]
    return next((axes for rule, axes in MODEL_RULES.items() if re.fullmatch(rule, name)), ())


def _text(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
