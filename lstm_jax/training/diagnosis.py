"""A step whose numbers went wrong: what was not finite, and all that reproduces it."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.data.arrays import read_arrays
from lstm_jax.errors import UserError
from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Batch
from lstm_jax.training.accumulation import accumulated
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.guard import group_norms
from lstm_jax.training.state import TrainState, from_trees, to_trees

_FOLDER = "debug"


class Diagnosis(NamedTuple):
    """What was not finite in a step.

    Attributes:
      loss: the loss.
      before: paths of arrays that were not finite before the step: parameters, carry, batch.
      carry: paths of the new carry that are not finite.
      gradients: paths of parameters whose gradient is not finite.
      norms: the norm of the gradient of every group of parameters.
    """

    loss: float
    before: list[str]
    carry: list[str]
    gradients: list[str]
    norms: dict[str, float]

    @property
    def is_finite(self) -> bool:
        """Whether nothing was wrong."""
        return bool(np.isfinite([self.loss, *self.norms.values()]).all()) and not self.carry

    def in_words(self) -> str:
        """A sentence: the loss, and the groups of parameters."""
        text = f"the loss is {self.loss:g}"
        if self.before:
            text += f", not finite before the step: {', '.join(self.before[:5])}"
        groups = [group for group, norm in self.norms.items() if not np.isfinite(norm)]
        if self.gradients or groups:
            text += f", no finite gradient in {', '.join(groups or self.gradients[:5])}"
        return text


def diagnose(
    learner: Learner, state: TrainState, batch: Batch, *, parts: int, batch_size: int
) -> Diagnosis:
    """Computes the loss and gradient of a step again, and looks at all that is in them."""

    @jax.jit
    def look(state: TrainState, batch: Batch) -> Any:
        loss, carry, _, gradients = accumulated(
            learner, state.params, state.carry, batch, jax.random.fold_in(state.key, state.step),
            state.guard.loss_scale, parts=parts, batch_size=batch_size,
        )  # fmt: skip
        before = {"params": state.params, "carry": state.carry, "batch": dict(batch)}
        return loss, _bad(before), _bad(carry), _bad(gradients), group_norms(gradients)

    loss, before, carry, gradients, norms = jax.device_get(look(state, batch))
    return Diagnosis(
        float(loss), _paths(before), _paths(carry), _paths(gradients),
        {name.rpartition("/")[2]: float(norm) for name, norm in norms.items()},
    )  # fmt: skip


def save_step(
    workdir: Path, state: TrainState, batch: Batch, found: Diagnosis, meta: dict[str, Any]
) -> Path:
    """Keeps the state before a step and its batch in `debug/` of a run's folder; tells where.

    Arrays are kept as checkpoints are and as NumPy's own files, without pickles.
    """
    step = int(state.step)
    folder = workdir / _FOLDER / f"step_{step}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkpoints = Checkpoints(folder / "state")
    checkpoints.save(step, to_trees(state), meta, None)
    checkpoints.close()
    arrays: Any = {name: np.asarray(x) for name, x in batch.items()}
    np.savez(folder / "batch.npz", **arrays)
    report = {"step": step, "words": found.in_words(), **found._asdict(), **meta}
    write_atomically(folder / "report.json", json.dumps(report, indent=2) + "\n")
    return folder


def saved_steps(workdir: Path) -> list[int]:
    """The steps that were kept, the last one kept at the end.

    Raises:
      UserError: there is none.
    """
    reports = sorted(
        (
            path
            for path in (workdir / _FOLDER).glob("step_*/report.json")
            if path.parent.name.removeprefix("step_").isdecimal()
        ),
        key=lambda path: path.stat().st_mtime,
    )
    if not reports:
        raise UserError(f"{workdir / _FOLDER} holds no step: none went wrong, or it was skipped")
    return [int(path.parent.name.removeprefix("step_")) for path in reports]


def load_step(workdir: Path, step: int, like: TrainState) -> tuple[TrainState, Batch]:
    """The state before a step that was kept, and its batch.

    Args:
      workdir: the run's folder.
      step: the step.
      like: a state of the same structure, or of its shapes.

    Raises:
      UserError: it was not kept, or is damaged.
    """
    folder = workdir / _FOLDER / f"step_{step}"
    batch = load_batch(workdir, step)
    checkpoints = Checkpoints(folder / "state")
    restored = checkpoints.restore(step, to_trees(like))
    checkpoints.close()
    return from_trees(restored.trees), batch


def load_batch(workdir: Path, step: int) -> Batch:
    """The batch of a step that was kept.

    Raises:
      UserError: it was not kept, or is damaged.
    """
    path = workdir / _FOLDER / f"step_{step}" / "batch.npz"
    try:
        return read_arrays(path)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error})") from None


def _bad(tree: Any) -> Any:
    return jax.tree.map(
        lambda x: ~jnp.all(jnp.isfinite(x)) if jnp.issubdtype(x.dtype, jnp.floating) else False,
        tree,
    )


def _paths(flags: Any) -> list[str]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(flags)
    return [jax.tree_util.keystr(p, simple=True, separator="/") for p, flag in leaves if flag]
