"""A profile of some steps of a run, by JAX's own profiler."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax.errors import UserError


class ProfileRange(NamedTuple):
    """The steps that are profiled, both ends included; the first step of a run is step 1."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "ProfileRange":
        """The range that `--profile` names, or a single step.

        >>> ProfileRange.parse("steps:10-20")
        ProfileRange(first=10, last=20)

        Raises:
          UserError: the text names no steps.
        """
        match = re.fullmatch(r"steps:(\d+)(?:-(\d+))?", text, re.ASCII)
        if match is None:
            raise UserError(f"--profile: must be steps and a range, as steps:10-20, got {text!r}")
        found = cls(int(match[1]), int(match[2] or match[1]))
        if not 1 <= found.first <= found.last:
            raise UserError(f"--profile: must go upwards from step 1 or a later one, got {text!r}")
        return found

    def require_within(self, done: int, total: int) -> None:
        """Refuses a range with steps that this process will not do.

        Args:
          done: the step that the run goes on from.
          total: the length of the run.

        Raises:
          UserError: steps of the range were done before, or will never be.
        """
        if self.last > total or self.first <= done:
            raise UserError(
                f"--profile: steps {self.first} to {self.last} must be among those still to do, "
                f"{done + 1} to {total}"
            )


class Profiler:
    """Runs the steps of a run, some of them under the profiler.

    What happens on the host between these steps (the data, reports, evaluations) is in the
    profile too. The first step of a process compiles: begin later to see what a step costs.

    Args:
      folder: where the profile is written; TensorBoard and XProf read it there.
      steps: the range; None profiles nothing and costs nothing.
      say: tells where the profile is.
    """

    def __init__(self, folder: Path, steps: ProfileRange | None, say: Callable[[str], None]):
        self._folder = folder
        self._steps = steps
        self._say = say
        self._runs = False

    def run(self, step: int, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns `function(*arguments)`, the step of this number.

        The profile begins before its first step and ends when the last one is computed.
        """
        if self._steps is None or not self._steps.first <= step <= self._steps.last:
            return function(*arguments)
        if step == self._steps.first and not self._runs:
            jax.profiler.start_trace(self._folder)
            self._runs = True
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            result = function(*arguments)
        if step == self._steps.last:
            jax.block_until_ready(result)
            self.close()
        return result

    def close(self) -> None:
        """Ends a profile that still runs, as when a run stops within the range."""
        if self._runs:
            jax.profiler.stop_trace()
            self._runs = False
            self._say(f"profile in {self._folder}; to look: tensorboard --logdir={self._folder}")
            self._steps = None  # steps done again after going back are not profiled again
