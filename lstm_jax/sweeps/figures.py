"""Pictures of many runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.sweeps.spread import spread


def draw_replicates(
    values: Mapping[str, Sequence[float]], metric: Mapping[str, Any], split: str, path: Path
) -> None:
    """A dot for every run, the mean and its 95 % confidence interval, a row for every config.

    Args:
      values: a figure of every run, by config.
      metric: label and direction of the figure.
      split: whose figures they are.
      path: the PNG file.
    """
    # Not through pyplot, which keeps every figure, and whose backend is the caller's.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.4 + 0.7 * len(values)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, of in enumerate(values.values()):
        found = spread(of)
        axes.plot(of, [row] * len(of), "o", color="tab:blue", alpha=0.5)
        axes.plot(found.mean, row, "|", color="black", markersize=18, markeredgewidth=2)
        axes.plot([found.low, found.high], [row, row], color="black", linewidth=1)
    axes.set(yticks=range(len(values)), ylim=(len(values) - 0.5, -0.5))
    axes.set_yticklabels(list(values), parse_math=False)
    lower = metric["lower_is_better"]
    better = "" if lower is None else f", {'lower' if lower else 'higher'} is better"
    axes.set_xlabel(f"{split} {metric['label']}{better}")
    axes.set_title("runs (dots), mean and its 95 % interval (black)", fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
