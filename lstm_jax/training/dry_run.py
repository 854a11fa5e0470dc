"""What a run would need, told before any step of it is run."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from lstm_jax.errors import UserError
from lstm_jax.tasks.task import Batch
from lstm_jax.training.experiment import Experiment
from lstm_jax.training.flops import model_flops
from lstm_jax.training.session import count_parameters, describe
from lstm_jax.training.setup import Setup, set_up
from lstm_jax.training.state import state_shardings
from lstm_jax.training.writers import require_writers

_ROOM = 0.9  # of a device's memory that a program can hope for


def dry_run(experiment: Experiment, assets: Path) -> Iterator[str]:
    """Compiles the step of a run, and says what it takes, line by line. No step is run.

    Args:
      experiment: the run's.
      assets: a folder for what preparing the data leaves, such as a vocabulary.

    Raises:
      UserError: the data or the devices cannot be used, or what is needed does not fit them.
    """
    require_writers(experiment.train.writers)
    setup = set_up(experiment, assets)
    yield from setup.dataset.notes
    yield describe(setup)
    for name, group in setup.shapes.params.items():
        yield f"  {count_parameters(group):>14,}  {name}"
    shapes, batch = _placed(setup)
    program: Any = setup.train_step
    compiled = program.lower(shapes, batch).compile()
    parts = _memory(setup, shapes, batch, compiled)
    yield f"memory of every device, {_bytes(sum(parts.values()))}:"
    for name, size in parts.items():
        yield f"  {_bytes(size):>14}  {name}"
    batch_flops = model_flops(setup.learner, setup.shapes, setup.dataset.train[0])
    yield f"{batch_flops:.3g} floating-point operations in the products of a step"
    if setup.plan.steps:
        yield f"{batch_flops * setup.plan.steps:.3g} in those of the run"
    yield _fits(sum(parts.values()), setup)


def _placed(setup: Setup) -> tuple[Any, Batch]:
    """The state and a batch as shapes that say where they lie."""
    size = setup.dataset.batch_size
    batch = setup.dataset.train[0]
    shardings = (
        state_shardings(setup.shapes, setup.place.mesh, size),
        setup.place.batch(batch, size),
    )
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        (setup.shapes, batch),
        shardings,
    )


def _memory(setup: Setup, shapes: Any, batch: Any, compiled: Any) -> dict[str, int]:
    """Bytes of one device by part; what the compiler needs besides arrays is the rest."""
    parts = {
        "parameters": _size(shapes.params),
        "optimiser": _size(shapes.opt_state),
        "carry": _size(shapes.carry),
        "batch": _size(batch),
    }
    analysis = compiled.memory_analysis()
    if analysis is not None:
        # The state is taken over, so that its outputs are its inputs.
        parts["activations and gradients"] = analysis.temp_size_in_bytes
        extra = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        parts["copies of what cannot be taken over"] = max(extra, 0)
    return parts


def _size(tree: Any) -> int:
    """Bytes on one device."""
    leaves = jax.tree.leaves(tree)
    shapes = [(leaf.sharding.shard_shape(leaf.shape), leaf.dtype.itemsize) for leaf in leaves]
    return sum(math.prod(shape) * size for shape, size in shapes)


def _fits(needed: int, setup: Setup) -> str:
    """That it fits the device, or the machine's memory where that is the device's."""
    device = setup.place.mesh.devices.flat[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    where = f"one {device.device_kind}"
    if limit is None:
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        needed, where = needed * setup.place.mesh.size, "this machine"
    room = f"{_bytes(needed)} of the {_bytes(limit)} of {where}"
    if needed > _ROOM * limit:
        raise UserError(f"it does not fit: {room}")
    return f"it fits: {room}"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
