"""A picture of what a detector of anomalies found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_jax.data.timeseries_files import LabelledSeries

_EXAMPLES = 6


def draw_anomalies(
    scores: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    scored: Sequence[tuple[LabelledSeries, np.ndarray]],
    threshold: float,
    path: Path,
) -> None:
    """Draws how scores lie on both sides of the threshold, and series of every class with theirs.

    Args:
      scores: of the series or of their steps.
      truth: which of them are of an anomaly.
      scored: every series, and the scores of its last steps before they were smoothed or averaged.
      threshold: what scores above it is an alarm.
      path: the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    examples = _examples([series for series, _ in scored])
    figure = Figure(figsize=(11, 2.6 + 2.1 * len(examples)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + len(examples), 1)
    axes = figure.add_subplot(grid[0])
    _draw_scores(axes, np.concatenate(scores), np.concatenate(truth), threshold)
    for place, row in enumerate(examples, start=1):
        axes = figure.add_subplot(grid[place])
        _draw_series(axes, *scored[row], threshold if len(scores[row]) > 1 else None)
    axes.set_xlabel("step")
    figure.savefig(path, dpi=100)


def _examples(series: Sequence[LabelledSeries]) -> list[int]:
    """The first series of every class, of the most frequent ones if there are many."""
    labels = [str(one.label) for one in series]
    names, first, counts = np.unique(labels, return_index=True, return_counts=True)
    del names
    return [int(first[i]) for i in np.argsort(-counts, kind="stable")[:_EXAMPLES]]


def _draw_scores(axes, scores: np.ndarray, truth: np.ndarray, threshold: float) -> None:
    # Few scores are far out; they are all in the last bar.
    low, high = np.min(scores), max(np.quantile(scores, 0.98), threshold)
    bins = np.linspace(low, high, 61).tolist()
    for chosen, name, color in ((~truth, "normal", "tab:blue"), (truth, "anomalous", "tab:red")):
        clipped = np.clip(scores[chosen], low, high)
        axes.hist(clipped, bins=bins, density=True, alpha=0.5, label=name, color=color)
    axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.set(xlabel="score, nats a step", ylabel="density")
    axes.legend()


def _draw_series(axes, series: LabelledSeries, steps: np.ndarray, threshold: float | None) -> None:
    time = np.arange(1, len(series.values) + 1)  # as predictions count them
    axes.plot(time, series.values[:, 0], color="tab:blue")
    axes.set_title(str(series.label))
    axes.set_ylabel("value", color="tab:blue")
    if series.anomalous is not None:
        axes.fill_between(
            time, *axes.get_ylim(), where=series.anomalous, color="tab:red", alpha=0.2, step="mid"
        )
    beside = axes.twinx()
    beside.plot(time[len(time) - len(steps) :], steps, color="tab:orange", linewidth=0.9)
    beside.set_ylabel("score, nats", color="tab:orange")
    if threshold is not None:
        beside.axhline(threshold, color="black", linestyle="--", linewidth=0.8)
