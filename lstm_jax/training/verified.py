"""One step of a checkpoint, read and verified leaf by leaf."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json
from lstm_jax.training.digests import json_digest, leaf_digests, leaf_shapes, named_leaves
from lstm_jax.training.metadata import is_metadata
from lstm_jax.training.processes import is_key
from lstm_jax.training.storage import quiet, reason

Trees = Mapping[str, Any]


class Damaged(UserError):
    """What is on disk is not what was saved."""


def read_meta(folder: Path) -> dict[str, Any]:
    """The JSON saved in the folder of a step.

    Raises:
      Damaged: it is not there, or not what was saved.
    """
    try:
        found = read_json(folder / "meta" / "metadata")
        meta, digest = found["content"], found["digest"]
    except OSError as error:
        raise Damaged(f"{_name(folder)} is damaged: meta ({reason(error)})") from None
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{_name(folder)} is damaged: meta") from None
    if json_digest(meta) != digest or not is_metadata(meta):
        raise Damaged(f"{_name(folder)} is damaged: meta")
    return meta


def read_step(folder: Path, like: Trees) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pytrees and the JSON saved in the folder of a step.

    Args:
      folder: of the step.
      like: pytrees of arrays or `jax.ShapeDtypeStruct` to fill, by name; each leaf comes back
        with the sharding that stands there, else on the first device, wherever it was when it
        was saved; an array of numpy comes back as one.

    Raises:
      Damaged: with the names of the leaves that are not what was saved.
      UserError: what was saved has other leaves: it is of another model or optimiser.
    """
    meta = read_meta(folder)
    _require_same_leaves(folder, like, meta)
    _require_memory(folder, like)
    trees = {name: _read_tree(folder, name, tree) for name, tree in like.items()}
    saved = meta["digests"]
    wrong = [name for name, digest in leaf_digests(trees).items() if saved[name] != digest]
    if wrong:
        raise Damaged(f"{_name(folder)} is damaged: {_few(wrong)}")
    return trees, meta


def _require_same_leaves(folder: Path, like: Trees, meta: Mapping[str, Any]) -> None:
    """A checkpoint of another network is whole, and must not be set aside as damaged."""
    saved = {k: v for k, v in meta["leaves"].items() if k.partition("/")[0] in like}
    wanted = leaf_shapes(like)
    other = [
        f"{name} is {saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} here"
        for name in sorted(saved.keys() | wanted.keys())
        if saved.get(name) != wanted.get(name)
    ]
    if other:
        raise UserError(f"{_name(folder)} is of another model or optimiser: {_few(other)}")


def _require_memory(folder: Path, like: Trees) -> None:
    """A few bytes on disk can stand for any number of zeros."""
    leaves = [leaf for leaf in jax.tree.leaves(dict(like)) if not is_key(leaf)]
    needed = sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in leaves)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(
            f"{_name(folder)} needs {needed / 1e9:,.1f} GB, more than the {there / 1e9:,.1f} GB of "
            "memory here"
        )


def _read_tree(folder: Path, name: str, like: Any) -> Any:
    import orbax.checkpoint as ocp

    checkpointer = ocp.Checkpointer(
        ocp.StandardCheckpointHandler(), multiprocessing_options=only_this_process()
    )
    targets = jax.tree.map(_target, like)
    try:
        with quiet():
            found = checkpointer.restore(folder / name, args=ocp.args.StandardRestore(targets))
            return jax.tree.map(_as_wanted, found, like)
    except Exception as error:  # whatever the storage did, and Orbax made of it
        leaves = _unreadable_leaves(folder, name, targets)
        where = _few(leaves) if leaves else name
        raise Damaged(f"{_name(folder)} is damaged: {where} ({_short(error)})") from error


def _unreadable_leaves(folder: Path, name: str, targets: Any) -> list[str]:
    """The first leaves that cannot be read by themselves: enough to name, each takes a while."""
    import orbax.checkpoint as ocp

    checkpointer = ocp.Checkpointer(
        ocp.PyTreeCheckpointHandler(), multiprocessing_options=only_this_process()
    )
    leaves, structure = jax.tree.flatten(targets)
    unreadable = []
    for i, leaf_name in enumerate(named_leaves({name: targets})):
        one = [leaf if i == j else ocp.PLACEHOLDER for j, leaf in enumerate(leaves)]
        item = structure.unflatten(one)
        options = ocp.checkpoint_utils.construct_restore_args(item)
        try:
            with quiet():
                checkpointer.restore(
                    folder / name, args=ocp.args.PyTreeRestore(item=item, restore_args=options)
                )
        except Exception:
            unreadable.append(leaf_name)
            if len(unreadable) == 3:
                break
    return unreadable


def only_this_process() -> Any:
    """An option of Orbax, which else waits for the other processes of a run, who do not write."""
    import orbax.checkpoint as ocp

    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})


def _as_wanted(found: Any, like: Any) -> Any:
    """Keys are stored as their data, and by earlier versions as keys."""
    if not is_key(like) or is_key(found):
        return found
    impl = jax.random.key_impl(like) if isinstance(like, jax.Array) else None
    return jax.random.wrap_key_data(found, impl=impl)


def _target(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return leaf
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _name(folder: Path) -> str:
    return f"checkpoint {folder.name} in {folder.parent}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _short(error: Exception) -> str:
    return reason(error).partition(": ")[0][:60]
