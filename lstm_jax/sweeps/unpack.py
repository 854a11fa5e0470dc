"""From a member of a population to the folder of an ordinary run."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import rich.console

from lstm_jax.sweeps.members import Common
from lstm_jax.training.averaging import evaluation_params
from lstm_jax.training.console import Console
from lstm_jax.training.loop import train
from lstm_jax.training.position import get_position
from lstm_jax.training.run import Run
from lstm_jax.training.state import TrainState, to_trees


class Moment(NamedTuple):
    """A step of a member that is worth a checkpoint.

    Attributes:
      step: of the member.
      state: its state.
      position: of the data, as the loader has it.
      seconds: of training so far.
      history: of early stopping.
      score: of the evaluation at that step, the lower, the better; None if there was none.
    """

    step: int
    state: TrainState
    position: dict[str, Any]
    seconds: float
    history: Mapping[str, Any]
    score: float | None


def open_run(folder: Path, config: Any) -> None:
    """Makes the folder of a run with its config, and nothing else."""
    Run.open(folder, config).unlock()


def unpack(run: Run, common: Common, loader: Any, moments: Sequence[Moment]) -> None:
    """Puts checkpoints into the folder of a run, and what prediction needs.

    Args:
      run: of the folder that `open_run` made.
      common: of the population.
      loader: of the population.
      moments: in order; those that are there already stay as they are.
    """
    shutil.copytree(common.assets, run.assets, dirs_exist_ok=True)
    position = get_position(loader, common.dataset, run.config)
    checkpoints = run.checkpoints()
    for moment in moments:
        state = moment.state
        meta = {
            "data": {**position, "state": moment.position},
            "fingerprint": common.dataset.fingerprint,
            "seconds": moment.seconds,
            "early_stopping": dict(moment.history),
        }
        trees = to_trees(state, evaluation_params(state.opt_state, state.params))
        checkpoints.save(moment.step, trees, meta, moment.score)
    checkpoints.wait()
    checkpoints.close()


def write_result(folder: Path) -> None:
    """What `lstm-jax train` does with a run whose last step is there: its result and pictures."""
    train(Run.open(folder, Run.load(folder).config), Console(rich.console.Console(quiet=True)))
