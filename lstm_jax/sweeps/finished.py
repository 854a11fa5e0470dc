"""The results of finished runs, as their folders hold them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax.errors import UserError, did_you_mean
from lstm_jax.records import read_heartbeat
from lstm_jax.run_status import read_status


class FinishedRun(NamedTuple):
    """A run that has a result.

    Attributes:
      folder: of the run.
      result: its `result.json`.
      metric: name, label, decimals and direction of the task's first metric.
    """

    folder: Path
    result: dict[str, Any]
    metric: dict[str, Any]

    def figure(self, split: str, metric: str | None) -> float:
        """A figure of the result; of the task's first metric if none is named.

        Raises:
          UserError: the result has no such figure.
        """
        name = f"{split}/{metric or self.metric['name']}"
        if name not in self.result:
            known = [key for key in self.result if "/" in key]
            raise UserError(f"{self.folder}: no figure {name!r}; {did_you_mean(name, known)}")
        value = self.result[name]
        return float("nan") if value is None else float(value)


def read_finished(folders: Iterable[Path]) -> list[FinishedRun]:
    """The runs among these folders that are finished, in their order."""
    found = []
    for folder in folders:
        result = read_status(folder).get("result")
        metric = (read_heartbeat(folder) or {}).get("metric")
        if result and metric:
            found.append(FinishedRun(folder, result, metric))
    return found
