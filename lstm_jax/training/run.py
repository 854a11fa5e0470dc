"""The folder of a run: where everything is, and whether it fits the config."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import ml_collections

from lstm_jax.config import difference, load_json, to_json, write_atomically
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.tasks import Learner
from lstm_jax.training.checkpoints import Checkpoints, Restored
from lstm_jax.training.contained import require_contained
from lstm_jax.training.experiment import Experiment, build_experiment, stored_config
from lstm_jax.training.lock import Lock
from lstm_jax.training.processes import from_first, require_same, together
from lstm_jax.training.shared_checkpoints import SharedCheckpoints
from lstm_jax.training.storage import reason

RunCheckpoints = Checkpoints | SharedCheckpoints


class Run:
    """A run's folder.

    Attributes:
      folder: the folder.
      config: the whole config.
      experiment: what the config describes.
    """

    def __init__(self, folder: Path, config: ml_collections.ConfigDict):
        self.folder = folder
        self.config: Any = config  # its fields depend on what it names
        self.experiment: Experiment = build_experiment(config)
        self._lock: Lock | None = None

    @classmethod
    def load(cls, folder: Path) -> "Run":
        """The run in a folder.

        Raises:
          UserError: the folder holds no run.
        """
        return cls(folder, stored_config(folder / "config.json"))

    @classmethod
    def open(cls, folder: Path, config: ml_collections.ConfigDict) -> "Run":
        """The run in a folder, which is made, with this config, if there is none.

        Raises:
          ConfigError: the config is wrong; nothing was written.
          UserError: the folder holds a run with another config, or cannot be made.
        """
        run = together(lambda: cls(folder, config))
        require_same("the config or its overrides", json.loads(to_json(config)))
        from_first(run._take)
        # The others may have a disk of their own, where they keep what preparing the data leaves.
        together(run._make_folders)
        return run

    def _take(self) -> None:
        """Makes the folder this run's."""
        require_contained(self.folder)
        path = self.folder / "config.json"
        if path.exists():
            self._require_same(path)
        self._make_folders()
        self._lock = Lock(self.folder)
        if not path.exists():
            self._write(path, to_json(self.config))

    def _make_folders(self) -> None:
        try:
            self.assets.mkdir(parents=True, exist_ok=True)
            self.figures.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"--workdir: cannot make {self.folder} ({error.strerror})") from None

    def _require_same(self, path: Path) -> None:
        """Refuses another config, unless the run in the folder never got to train."""
        try:
            stored = stored_config(path)
        except ConfigError as error:
            raise UserError(
                f"--workdir: {path} is not the config of a run ({error.problems[0]})"
            ) from None
        changes = difference(json.loads(to_json(stored)), json.loads(to_json(self.config)))
        if not changes:
            return
        if any((self.folder / name).exists() for name in ("metrics.jsonl", "result.json")):
            listed = "\n  ".join(changes)
            raise UserError(
                f"{self.folder} holds a run with another config (run -> command):\n  {listed}\n"
                "Use another --workdir, or the run's own config."
            )
        # A start that failed, for want of its data say, binds nobody.
        shutil.rmtree(self.assets, ignore_errors=True)
        path.unlink()

    def unlock(self) -> None:
        """Lets other processes train here; else they may when this one ends."""
        self._lock = None

    @property
    def assets(self) -> Path:
        """What prediction needs besides parameters."""
        return self.folder / "assets"

    @property
    def figures(self) -> Path:
        """Pictures."""
        return self.folder / "figures"

    def checkpoints(self) -> Checkpoints:
        """The run's checkpoints."""
        options = self.experiment.checkpoints
        return Checkpoints(self.folder / "checkpoints", options.keep_latest, options.keep_best)

    def shared_checkpoints(self) -> RunCheckpoints:
        """The same for all processes that work on the run."""
        own = self.checkpoints()
        return own if jax.process_count() == 1 else SharedCheckpoints(own)

    def restore_params(self, learner: Learner, which: str) -> Restored:
        """The parameters of a checkpoint: "best", "latest" or the number of a step.

        Raises:
          UserError: there is no such checkpoint, or it is damaged.
        """
        if which not in ("best", "latest") and not which.isdecimal():
            raise UserError(f"--checkpoint: must be best, latest or a step, got {which!r}")
        if not (self.folder / "checkpoints").is_dir():
            raise UserError(f"{self.folder} holds no checkpoint yet")
        like = {"params": jax.eval_shape(learner.init, jax.random.key(0))}
        checkpoints = self.checkpoints()
        if which.isdecimal():
            restored = checkpoints.restore(int(which), like)
        else:
            restored = checkpoints.best(like) if which == "best" else checkpoints.latest(like)
        checkpoints.close()
        if restored is None:
            raise UserError(f"{self.folder} holds no checkpoint yet")
        return restored

    def result(self) -> dict[str, Any] | None:
        """What the finished run reported; None before it is finished.

        Raises:
          UserError: it cannot be read.
        """
        path = self.folder / "result.json"
        if not path.exists():
            return None
        try:
            return load_json(path)
        except UserError:
            raise UserError(
                f"{path} is damaged; delete it, and `lstm-jax train` on this folder makes it again"
            ) from None

    def write_result(self, result: dict[str, Any]) -> None:
        """Keeps the final figures; the first process does.

        Raises:
          UserError: there is no room for them; the checkpoints are there, and the same command
            writes them once there is.
        """
        text = json.dumps(result, indent=2) + "\n"
        from_first(lambda: self._write(self.folder / "result.json", text))

    def _write(self, path: Path, text: str) -> None:
        try:
            write_atomically(path, text)
        except OSError as error:
            for left in self.folder.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)
            raise UserError(f"{path} cannot be written: {reason(error)}") from None
