"""A finished run, for a task that needs another one's network.

Tasks stand below the training and import nothing of it: they ask for this reader by its name.
"""

from pathlib import Path

from lstm_jax.config import register
from lstm_jax.tasks.task import TrainedRun
from lstm_jax.training.run import Run


@register("run_reader")
def best_of_run(*, workdir: str) -> TrainedRun:
    """The best checkpoint of a run.

    Args:
      workdir: the folder of the run.

    Raises:
      UserError: it holds no run, or no checkpoint that can be read.
    """
    run = Run.load(Path(workdir).expanduser())
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    return TrainedRun(task, run.assets, params)
