"""Where figures go while a run trains: a line of JSON, and TensorBoard."""

import json
from collections.abc import Mapping
from pathlib import Path

from lstm_jax.config import write_atomically


class MetricWriter:
    """Writes figures to `metrics.jsonl` and `tensorboard/` in a run's folder.

    A resumed run goes on behind the step of its checkpoint: lines of later steps, which the
    stopped process had written, are dropped and will be written again.

    Args:
      folder: the run's folder.
      step: the step that the run goes on from.
    """

    def __init__(self, folder: Path, step: int):
        from tensorboardX import SummaryWriter

        self._path = folder / "metrics.jsonl"
        write_atomically(self._path, "".join(_lines_until(self._path, step)))
        self._file = self._path.open("a", encoding="utf-8")
        purge = step + 1 if step else None
        self._tensorboard = SummaryWriter(
            str(folder / "tensorboard"), purge_step=purge, flush_secs=30
        )

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes the figures of a split at a step."""
        line = {"step": step, "split": split, **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._tensorboard.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Writes out what is left."""
        self._file.close()
        self._tensorboard.close()


def read_metrics(folder: Path) -> list[dict[str, float | str]]:
    """The lines of a run's `metrics.jsonl`; a torn last line is left out."""
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in _whole_lines(path)]


def _lines_until(path: Path, step: int) -> list[str]:
    return [line for line in _whole_lines(path) if json.loads(line)["step"] <= step]


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(True) if _is_json(line)]


def _is_json(line: str) -> bool:
    try:
        return line.endswith("\n") and "step" in json.loads(line)
    except json.JSONDecodeError:
        return False
