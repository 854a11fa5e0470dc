"""Where a network keeps what it was shown: memory cells that differ between examples, over time.

    python experiments/synthetic/differences.py runs/copy --out=differences.png

A memory cell that counts the time holds the same in every example, however large it grows; one that
holds what was shown does not. The picture has, for examples of the test split of one length, the
means of the gates and the standard deviation of tanh(c), which is what the output gate lets out, at
the first steps, throughout, and at the last ones. Units are sorted by that deviation in the middle
of the sequence.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.models.sequence_model import SequenceModel
from lstm_jax.tasks.memory_figures import trace_layers
from lstm_jax.training import Run

_GATES = ("input", "forget")


def main() -> None:
    """Draws the picture."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("run", type=Path, help="folder of a run")
    made.add_argument("--out", type=Path, required=True, help="where the picture goes")
    made.add_argument("--examples", type=int, default=32, help="of the first test batch")
    made.add_argument("--zoom", type=int, default=30, help="steps at the beginning and at the end")
    options = made.parse_args()
    run = Run.load(options.run)
    task: Any = run.experiment.task
    learner, dataset = run.experiment.prepare(run.assets)
    params = run.restore_params(learner, "best").trees["params"]
    batch: Any = dataset.splits["test"][0]
    lengths = set(batch["lengths"][: options.examples].tolist())
    if len(lengths) > 1:
        made.error(f"{run.folder}: examples must be of one length")
    inputs = batch["inputs"][: options.examples, : lengths.pop()]
    found = differences(task.network(), params, inputs)
    draw(found, options.zoom).savefig(options.out, dpi=110)
    middle = found["differs"][len(found["differs"]) // 2]
    print(f"{(middle > 0.1).sum()} of {len(middle)} memory cells differ by more than 0.1 half-way")


def differences(network: SequenceModel, params: Any, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Means of gates and `differs`, the deviation of tanh(c) [time, units], of the last layer.

    Args:
      network: of LSTM layers.
      params: its parameters.
      inputs: examples of one length.
    """
    traces = [trace_layers(network, params, example)[-1] for example in inputs]
    found = {name: np.mean([trace.gates[name] for trace in traces], axis=0) for name in _GATES}
    found["differs"] = np.std([np.tanh(trace.memory["cell"]) for trace in traces], axis=0)
    order = np.argsort(-found["differs"][len(found["differs"]) // 2], kind="stable")
    return {name: values[:, order] for name, values in found.items()}


def draw(found: dict[str, np.ndarray], zoom: int) -> Any:
    """A row a quantity, a column a stretch of time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    time = len(found["differs"])
    stretches = ((0, min(zoom, time)), (0, time), (max(time - zoom, 0), time))
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(found), len(stretches), sharey=True)
    for row, (name, values) in zip(axes, found.items(), strict=True):
        color = "magma" if name == "differs" else "viridis"
        images = [
            ax.imshow(
                values[first:end].T, aspect="auto", interpolation="nearest",
                extent=(first - 0.5, end - 0.5, values.shape[1] - 0.5, -0.5),
                cmap=color, vmin=0, vmax=1,
            )
            for ax, (first, end) in zip(row, stretches, strict=True)
        ]  # fmt: skip
        row[0].set_ylabel(f"{name} gate" if name in _GATES else "deviation of tanh(c)")
        figure.colorbar(images[0], ax=row[-1])
    for ax, title in zip(axes[0], ("the first steps", "throughout", "the last steps"), strict=True):
        ax.set_title(title)
    for ax in axes[-1]:
        ax.set_xlabel("step")
    return figure


if __name__ == "__main__":
    main()
