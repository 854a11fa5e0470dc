"""Where figures go while a run trains: to one or several writers, chosen by name."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lstm_jax.errors import ConfigError, UserError, did_you_mean
from lstm_jax.records import read_metrics
from lstm_jax.training.processes import is_first
from lstm_jax.training.writer_files import JSONLines, Tables
from lstm_jax.training.writer_services import TensorBoard, WeightsAndBiases

__all__ = ["WRITERS", "MetricWriter", "Writer", "check_writers", "read_metrics", "require_writers"]


class Writer(Protocol):
    """One place where figures go.

    It is made from the run's folder and the step that the run goes on from, and drops what an
    earlier process wrote for later steps: these will be done, and written, again.
    """

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes the figures of a split at a step."""
        ...

    def close(self) -> None:
        """Writes out what is left."""
        ...


WRITERS: dict[str, Callable[..., Writer]] = {
    "jsonl": JSONLines,
    "tensorboard": TensorBoard,
    "csv": Tables,
    "wandb": WeightsAndBiases,
}
_PACKAGES = {"wandb": "wandb"}  # of what is no dependency of this library
_DEFAULT = ("tensorboard",)


def check_writers(names: Sequence[str]) -> None:
    """Whether there are writers of these names.

    Raises:
      ConfigError: with every name that is none.
    """
    wrong = [name for name in names if name not in WRITERS]
    if wrong:
        raise ConfigError([f"no writer is called {n!r}: {did_you_mean(n, WRITERS)}" for n in wrong])


def require_writers(names: Sequence[str]) -> None:
    """Whether these writers can write here, to be asked before any work begins.

    Raises:
      UserError: a package is not installed.
    """
    check_writers(names)
    for name in names:
        package = _PACKAGES.get(name)
        if package is not None and importlib.util.find_spec(package) is None:
            raise UserError(
                f"train.writers: {name!r} needs the package {package}, which is not installed: "
                f"pip install {package}"
            )


class MetricWriter:
    """Writes figures to every writer that was asked for, from the first process alone.

    `metrics.jsonl` is always among them, and first: reports, and `lstm-jax status`, read it.

    Args:
      folder: the run's folder.
      step: the step that the run goes on from; lines of later steps are dropped everywhere.
      names: of writers, as in `WRITERS`.
      config: the run's config, for services that show it.

    Raises:
      ConfigError: there is no such writer.
      UserError: a package that a writer needs is not installed.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        names: Sequence[str] = _DEFAULT,
        config: Mapping[str, Any] | None = None,
    ):
        require_writers(names)
        self._writers: list[Writer] = []
        if not is_first():
            return
        for name in dict.fromkeys(("jsonl", *names)):
            options = {"config": config} if name == "wandb" else {}
            self._writers.append(WRITERS[name](folder, step, **options))

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes the figures of a split at a step."""
        for writer in self._writers:
            writer.write(step, split, values)

    def close(self) -> None:
        """Writes out what is left."""
        for writer in self._writers:
            writer.close()
