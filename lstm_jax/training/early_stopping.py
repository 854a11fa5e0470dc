"""The end of a run that no longer improves."""

import dataclasses
import math
from typing import Any

from lstm_jax.config import NonNegativeFloat, PositiveInt


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When a run ends before its time, by its first metric on the validation split.

    What it remembers is a mapping that JSON can hold, so that it is kept with a checkpoint.

    >>> rule = EarlyStopping(patience=2)
    >>> history = rule.begin()
    >>> for score in (3.0, 2.0, 2.5, 2.0):
    ...     history = rule.observe(history, score)
    >>> history, rule.ends(history)
    ({'best': 2.0, 'evaluations': 2}, True)

    Attributes:
      patience: evaluations without an improvement after which the run ends; never, if None.
      min_delta: what an evaluation must be better by, in the unit of the metric, to count.
      target: value of the metric that is good enough, so that the run ends; none, if None.
    """

    patience: PositiveInt | None = None
    min_delta: NonNegativeFloat = 0.0
    target: float | None = None

    def begin(self) -> dict[str, Any]:
        """What is known before the first evaluation."""
        return {"best": None, "evaluations": 0}

    def observe(self, history: dict[str, Any], score: float) -> dict[str, Any]:
        """What is known after an evaluation.

        Args:
          history: what was known before.
          score: the lower, the better: the metric, negated if higher is better. Never an
            improvement if it is not finite.
        """
        best = history["best"]
        if math.isfinite(score) and (best is None or score < best - self.min_delta):
            return {"best": score, "evaluations": 0}
        return {"best": best, "evaluations": history["evaluations"] + 1}

    def ends(self, history: dict[str, Any], *, lower_is_better: bool = True) -> bool:
        """Whether the run is over.

        Args:
          history: what is known.
          lower_is_better: the direction of the metric, which tells what the target means.
        """
        if self.patience is not None and history["evaluations"] >= self.patience:
            return True
        if self.target is None or history["best"] is None:
            return False
        return history["best"] <= (self.target if lower_is_better else -self.target)
