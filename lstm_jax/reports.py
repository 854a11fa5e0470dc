"""Pictures of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.records import read_metrics
from lstm_jax.tasks import Metric
from lstm_jax.training.run import Run

Line = Mapping[str, Any]
# Beside the metric, from top to bottom: name of a figure, its label, the scale of its axis.
_SIDE = (
    ("loss", "loss", "linear"),
    ("learning_rate", "learning rate", "linear"),
    ("gradient_norm", "gradient norm", "log"),
)


def draw_learning_curve(run: Run) -> None:
    """Draws `figures/learning_curve.png`, if there is a line to draw.

    The first metric over the steps, beside the baselines; the loss, the learning rate and the norm
    of the gradients next to it.
    """
    lines = read_metrics(run.folder)
    if not lines:
        return
    metric = run.experiment.task.restore(run.assets).metrics[0]
    figure = learning_curve(lines, metric, run.result(), run.folder.name)
    figure.savefig(run.figures / "learning_curve.png", dpi=110)


def learning_curve(
    lines: Sequence[Line], metric: Metric, result: Mapping[str, Any] | None, name: str
) -> Any:
    """The figure, of matplotlib.

    Args:
      lines: those of `metrics.jsonl`.
      metric: the one that is drawn large.
      result: that of the finished run; None before.
      name: of the run, for the title until there is a result.
    """
    # Not through pyplot, which keeps every figure, and whose backend is the caller's.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(_SIDE), 2, width_ratios=(3, 2))
    large = figure.add_subplot(grid[:, 0])
    _draw(large, lines, metric.name)
    large.set(xlabel="step", ylabel=metric.label)
    if result is None:
        large.set_title(name)
    else:
        _draw_result(large, result, metric)
    if large.lines:
        large.legend(fontsize="small")
    for row, (figure_name, label, scale) in enumerate(_SIDE):
        axes = figure.add_subplot(grid[row, 1], sharex=large)
        _draw(axes, lines, figure_name)
        axes.set_ylabel(label)
        if scale == "log" and any(line.get(figure_name, 0) > 0 for line in lines):
            axes.set_yscale("log")
        if row < len(_SIDE) - 1:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("step")
    return figure


def _draw(axes: Any, lines: Sequence[Line], name: str) -> None:
    """A figure over the steps, in the same colour for each split wherever it is drawn."""
    for i, (split, marker) in enumerate((("train", ""), ("validation", "o"))):
        # A line may lack a figure, as where no step since the last one was good.
        found = [(at["step"], at[name]) for at in lines if at["split"] == split and name in at]
        if found:
            axes.plot(*zip(*found, strict=True), color=f"C{i}", label=split, marker=marker, ms=4)
    axes.grid(alpha=0.3)


def _draw_result(axes: Any, result: Mapping[str, Any], metric: Metric) -> None:
    """The baselines on the split of the curve, and the figures on the test split in words."""
    baselines = result.get("baselines", {})
    for i, (baseline, values) in enumerate(baselines.items()):
        if "validation" in values:
            label = f"validation, {baseline}"
            axes.axhline(values["validation"], color=f"C{i + 2}", ls="--", lw=1, label=label)
    axes.axvline(result["best_step"], color="0.6", lw=0.8, label="best checkpoint")
    test = result.get(f"test/{metric.name}")
    if test is None:
        return
    title = f"test: {metric.text(test)} {metric.label}"
    found = {name: values["test"] for name, values in baselines.items() if "test" in values}
    others = [f"{name} {metric.text(value)}" for name, value in found.items()]
    axes.set_title(title + (f"\n({'; '.join(others)})" if others else ""), fontsize="medium")
