"""Which checkpoints are kept: the latest and the best."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.training.verified import Damaged, read_meta


class Retention:
    """Chooses among steps by their number and their score, of which the lower is the better.

    It is a preservation policy of Orbax, whose own forget scores when the process ends, or take
    NaN for the best.

    Args:
      folder: of the checkpoints, where scores of earlier processes are read.
      latest: how many of the last are kept.
      best: how many of the best are kept.
    """

    def __init__(self, folder: Path, latest: int, best: int):
        self._folder = folder
        self._latest = latest
        self._best = best
        self._scores: dict[int, float] = {}

    def note(self, step: int, score: float | None) -> None:
        """The score of a step that is being saved; None if it was not evaluated."""
        self._scores[step] = math.inf if score is None or math.isnan(score) else score

    def forget(self, step: int) -> None:
        """The step is gone; one of the same number may come again."""
        self._scores.pop(step, None)

    def rank(self, step: int) -> tuple[float, int]:
        """Best first; of equals, the latest."""
        return self._score(step), -step

    def worth_memory(self, waiting: Collection[int], on_disk: Collection[int]) -> set[int]:
        """Of steps that wait for room: the last one, and those that are among the best of all."""
        return {*sorted(waiting)[-1:], *self._best_of({*waiting, *on_disk})} & {*waiting}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Orbax asks which checkpoints to keep."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*sorted(steps)[-self._latest :], *self._best_of(steps)}
        return [step in kept for step in steps]

    def _best_of(self, steps: Collection[int]) -> list[int]:
        scored = [step for step in steps if self._score(step) < math.inf]
        return sorted(scored, key=self.rank)[: self._best]

    def _score(self, step: int) -> float:
        if step not in self._scores:
            self.note(step, self._read_score(step))
        return self._scores[step]

    def _read_score(self, step: int) -> float | None:
        try:
            return read_meta(self._folder / str(step))["score"]
        except Damaged:
            return None  # reading it will say so
