"""Checkpoints of a run: kept, found, and verified when they are read."""

import gc
import json
import math
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax.errors import UserError
from lstm_jax.training.digests import json_digest, leaf_digests

Trees = Mapping[str, Any]
# What a checkpoint is made of; parameters stand alone, so that they can be read alone.
TREES = ("params", "training")


class Restored(NamedTuple):
    """What a checkpoint held.

    Attributes:
      step: its step.
      trees: the pytrees that were asked for, by name.
      meta: the JSON saved beside them.
    """

    step: int
    trees: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The checkpoints in a folder.

    Args:
      folder: where they are.
      keep_latest: how many of the last are kept.
      keep_best: how many of the best are kept, by their score.
    """

    def __init__(self, folder: Path, keep_latest: int = 2, keep_best: int = 1):
        import orbax.checkpoint as ocp

        self._ocp = ocp
        self._folder = folder.resolve()
        self._keep = (keep_latest, keep_best)
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(preservation_policy=self, create=True),
            item_names=(*TREES, "meta"),
        )
        self._scores = {step: self._read_score(step) for step in self.steps()}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Orbax asks which checkpoints to keep: the latest and the best.

        Its own policies forget scores when the process ends, or take NaN for the best.
        """
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        scored = [step for step in steps if self._score(step) < math.inf]
        latest, best = self._keep
        kept = {*steps[-latest:], *sorted(scored, key=self._rank)[:best]}
        return [step in kept for step in steps]

    def save(self, step: int, trees: Trees, meta: dict[str, Any], score: float | None) -> None:
        """Begins to save a step, and returns while it is written; a step that exists stays.

        Args:
          step: number of the step.
          trees: a pytree of arrays for each name in `TREES`.
          meta: JSON to keep beside it, such as the position of the data.
          score: the lower, the better; None if the step was not evaluated.
        """
        if step in self._manager.all_steps():
            return
        meta = {**meta, "step": step, "score": score, "digests": leaf_digests(trees)}
        self._scores[step] = math.inf if score is None or math.isnan(score) else score
        self._manager.save(
            step,
            args=self._ocp.args.Composite(
                meta=self._ocp.args.JsonSave({"content": meta, "digest": json_digest(meta)}),
                **{name: self._ocp.args.StandardSave(tree) for name, tree in trees.items()},
            ),
            force=True,
        )

    def wait(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and lets go of the folder."""
        self._manager.close()

    def steps(self) -> list[int]:
        """The steps there are, in order."""
        return sorted(self._manager.all_steps())

    def resume(self, like: Trees) -> Restored | None:
        """The last step that is whole, to go on from; None if there is no step at all.

        Damaged steps behind it are named and set aside, so that they can be done again.

        Raises:
          UserError: there are steps, and every one is damaged.
        """
        restored, damaged = self._first_whole(list(reversed(self.steps())), like)
        for step, problem in damaged.items():
            _warn(f"{problem}; set aside as {self._set_aside(step)}")
        return restored

    def latest(self, like: Trees) -> Restored | None:
        """The last step that is whole, to look at: nothing on disk is changed.

        Raises:
          UserError: there are steps, and every one is damaged.
        """
        return self._look(list(reversed(self.steps())), like)

    def best(self, like: Trees) -> Restored | None:
        """The step with the lowest score, the last one if none has any.

        Raises:
          UserError: there are steps, and every one is damaged.
        """
        return self._look(sorted(self.steps(), key=self._rank), like)

    def restore(self, step: int, like: Trees) -> Restored:
        """One step.

        Args:
          step: number of the step.
          like: pytrees of arrays or `jax.ShapeDtypeStruct` with the structure to fill, by name;
            only these are read.

        Raises:
          UserError: there is no such step, or it is damaged.
        """
        if step not in self.steps():
            there = ", ".join(map(str, self.steps())) or "none"
            raise UserError(
                f"{self._folder}: there is no checkpoint of step {step}; there are: {there}"
            )
        try:
            found = self._manager.restore(
                step,
                args=self._ocp.args.Composite(
                    meta=self._ocp.args.JsonRestore(),
                    **{
                        name: self._ocp.args.StandardRestore(jax.tree.map(_shape, tree))
                        for name, tree in like.items()
                    },
                ),
            )
        except Exception as error:
            _drop_unread(error)
            # Orbax raises whatever its storage did, with kilobytes of text for a torn file.
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise UserError(
                f"checkpoint {step} in {self._folder} cannot be read ({reason})"
            ) from error
        meta, trees = found["meta"]["content"], {name: found[name] for name in like}
        saved = meta.get("digests", {})
        wrong = [name for name, digest in leaf_digests(trees).items() if saved.get(name) != digest]
        if json_digest(meta) != found["meta"]["digest"]:
            wrong.append("meta")
        if wrong:
            raise UserError(
                f"checkpoint {step} in {self._folder} is damaged: {', '.join(wrong[:3])}"
            )
        return Restored(step, trees, meta)

    def _look(self, steps: Sequence[int], like: Trees) -> Restored | None:
        restored, damaged = self._first_whole(steps, like)
        for problem in damaged.values():
            _warn(f"{problem}; using another")
        return restored

    def _first_whole(
        self, steps: Sequence[int], like: Trees
    ) -> tuple[Restored | None, dict[int, UserError]]:
        damaged: dict[int, UserError] = {}
        for step in steps:
            try:
                return self.restore(step, like), damaged
            except UserError as error:
                damaged[step] = error
        if damaged:
            raise UserError("; ".join(map(str, damaged.values())))
        return None, damaged

    def _set_aside(self, step: int) -> Path:
        folder = self._folder / str(step)
        aside = self._folder.parent / "damaged_checkpoints" / str(step)
        aside.parent.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        self._manager.reload()
        return aside

    def _score(self, step: int) -> float:
        return self._scores.get(step, math.inf)

    def _rank(self, step: int) -> tuple[float, int]:
        """Best first; of equals, the latest."""
        return self._score(step), -step

    def _read_score(self, step: int) -> float:
        try:
            text = (self._folder / str(step) / "meta" / "metadata").read_text()
            score = json.loads(text)["content"]["score"]
            return math.inf if score is None or math.isnan(score) else score
        except (OSError, ValueError, KeyError, TypeError):
            return math.inf  # damaged; `restore` will say so


def _drop_unread(error: Exception) -> None:
    """Ends the reads that a failed one left behind, which would print pages of their own."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        traceback.clear_frames(error.__traceback__)
        gc.collect()
    finally:
        sys.unraisablehook = hook


def _warn(text: str) -> None:
    print(f"lstm-jax: {text}", file=sys.stderr)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None))
