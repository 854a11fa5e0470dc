"""Places in a population, and what the host knows of the trials in them."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass
class Slot:
    """A place in the program, and the trial in it.

    Attributes:
      trial: its number in the study; None if the slot is empty.
      step: steps that the trial has done.
      numbers: those of its fields that are inputs of the program.
      seconds: its share of the time of all steps.
      history: of early stopping, as a run keeps it.
      score: of the last evaluation, the lower, the better.
      best: the step, score, values, position of the data and seconds of the best evaluation.
    """

    trial: int | None = None
    step: int = 0
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    history: dict[str, Any] = dataclasses.field(default_factory=dict)
    score: float | None = None
    best: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it: JSON has no numbers that are not finite."""
        return _as_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Slot":
        """The inverse."""
        return cls(**_from_json(found))


def _as_json(value: Any) -> Any:
    """Numbers that JSON has not as texts."""
    if isinstance(value, dict):
        return {name: _as_json(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _from_json(inner) for name, inner in value.items()}
    return float(value) if value in ("nan", "inf", "-inf") else value
