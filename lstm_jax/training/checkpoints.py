"""Checkpoints of a run: which are kept, which is read, and what happens to damaged ones."""

import itertools
import math
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax.errors import UserError
from lstm_jax.training.digests import json_digest, leaf_digests, leaf_shapes
from lstm_jax.training.retention import Retention
from lstm_jax.training.saver import Saver, Snapshot, snapshot
from lstm_jax.training.verified import Damaged, Trees, only_this_process, read_step

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
    """The checkpoints in a folder. Nothing on disk is touched before the first `save` or `resume`.

    They are those of one process, which writes and reads them whole; see `SharedCheckpoints`.

    Args:
      folder: where they are.
      keep_latest: how many of the last are kept.
      keep_best: how many of the best are kept, by their score.
    """

    def __init__(self, folder: Path, keep_latest: int = 2, keep_best: int = 1):
        self._folder = folder.resolve()
        self._retention = Retention(self._folder, keep_latest, keep_best)
        self._manager: Any = None
        self._saver = Saver(self._write, self._worth_memory, self._folder)

    def save(self, step: int, trees: Trees, meta: dict[str, Any], score: float | None) -> None:
        """Begins to save a step, and returns while it is written; a step that exists stays.

        If there is no room for it, it is kept in memory and tried again at the next save.

        Args:
          step: number of the step.
          trees: a pytree of arrays for each name in `TREES`.
          meta: JSON to keep beside it, such as the position of the data.
          score: the lower, the better; None if the step was not evaluated.
        """
        if self.holds(step):
            return
        self._retention.note(step, score)
        if score is not None and not math.isfinite(score):
            score = None  # JSON knows neither, and to be kept it is worth the same
        meta = {**meta, "step": step, "score": score, "leaves": leaf_shapes(trees)}
        self._saver.submit(snapshot(step, trees, meta))

    def holds(self, step: int) -> bool:
        """Whether the step is on disk, or waits for room there."""
        return step in self.steps() or step in self._saver.waiting()

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
          UserError: something could not be saved.
        """
        self._saver.finish()

    def close(self) -> None:
        """Waits for the save under way, and lets go of the folder."""
        self._saver.join()
        self._forget_manager()

    def steps(self) -> list[int]:
        """The steps there are on disk, in order, when a save under way has ended."""
        self._saver.join()
        return self._on_disk()

    def _on_disk(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return sorted(int(f.name) for f in self._folder.iterdir() if f.name.isdecimal())

    def resume(self, like: Trees) -> Restored | None:
        """The last step that is whole, to go on from; None if there is no step at all.

        Damaged steps behind it are named and set aside, so that they can be done again; what a
        killed save left is removed.

        Raises:
          UserError: there are steps, and every one is damaged; nothing is touched.
        """
        restored, damaged = self._first_whole(list(reversed(self.steps())), like)
        for step, problem in damaged.items():
            _warn(f"{problem}; set aside as {self._set_aside(step)}")
        self._remove_unfinished()
        return restored

    def latest(self, like: Trees) -> Restored | None:
        """The last step that is whole, to look at: nothing on disk is changed.

        Raises:
          UserError: there are steps, and every one is damaged.
        """
        return self._look(lambda: list(reversed(self.steps())), like)

    def best(self, like: Trees) -> Restored | None:
        """The step with the lowest score, the last one if none has any.

        Raises:
          UserError: there are steps, and every one is damaged.
        """
        return self._look(lambda: sorted(self.steps(), key=self._retention.rank), like)

    def restore(self, step: int, like: Trees) -> Restored:
        """One step.

        Args:
          step: number of the step.
          like: pytrees of arrays or `jax.ShapeDtypeStruct` with the structure to fill, by name;
            only these are read, and placed as the leaves are.

        Raises:
          UserError: there is no such step, it is damaged, or of another model.
        """
        if step not in self.steps():
            there = ", ".join(map(str, self.steps())) or "none"
            raise UserError(
                f"{self._folder}: there is no checkpoint of step {step}; there are: {there}"
            )
        return Restored(step, *read_step(self._folder / str(step), like))

    def _worth_memory(self, waiting: Collection[int]) -> Collection[int]:
        return self._retention.worth_memory(waiting, self._on_disk())

    def _write(self, taken: Snapshot) -> None:
        """Writes a step under another name, which Orbax changes when all of it is there."""
        import orbax.checkpoint as ocp

        if self._manager is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._folder,
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=self._retention,
                    create=False,
                    enable_async_checkpointing=False,
                    multiprocessing_options=only_this_process(),
                ),
                item_names=(*TREES, "meta"),
            )
        meta = {**taken.meta, "digests": leaf_digests(taken.trees)}
        items: dict[str, Any] = {
            name: ocp.args.StandardSave(tree) for name, tree in taken.trees.items()
        }
        items["meta"] = ocp.args.JsonSave({"content": meta, "digest": json_digest(meta)})
        try:
            self._manager.save(taken.step, args=ocp.args.Composite(**items), force=True)
        except BaseException:
            self._forget_manager()
            self._remove_unfinished()
            raise

    def _forget_manager(self) -> None:
        """Orbax believes that a folder changes through it alone; the next manager reads anew."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _remove_unfinished(self) -> None:
        """Removes what a killed or failed save left: it only takes room."""
        for left in self._folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(left, ignore_errors=True)

    def _look(self, order: Callable[[], list[int]], like: Trees) -> Restored | None:
        """Reads while another process may be training: a step can be deleted under our eyes."""
        while True:
            steps = order()
            try:
                restored, damaged = self._first_whole(steps, like)
            except UserError:
                if steps != order():
                    continue
                raise
            if not damaged.keys() <= set(self.steps()):
                continue
            for problem in damaged.values():
                _warn(f"{problem}; using another")
            return restored

    def _first_whole(
        self, steps: Sequence[int], like: Trees
    ) -> tuple[Restored | None, dict[int, Damaged]]:
        damaged: dict[int, Damaged] = {}
        for step in steps:
            try:
                return self.restore(step, like), damaged
            except Damaged as error:
                damaged[step] = error
        if damaged:
            listed = "; ".join(map(str, damaged.values()))
            raise UserError(f"no checkpoint is whole, and nothing was changed: {listed}")
        return None, damaged

    def _set_aside(self, step: int) -> Path:
        aside = self._folder.parent / "damaged_checkpoints"
        aside.mkdir(exist_ok=True)
        names = (str(step) if n == 0 else f"{step}.{n}" for n in itertools.count())
        target = next(aside / name for name in names if not (aside / name).exists())
        self._forget_manager()
        (self._folder / str(step)).rename(target)
        self._retention.forget(step)
        return target


def _warn(text: str) -> None:
    print(f"lstm-jax: {text}", file=sys.stderr, flush=True)
