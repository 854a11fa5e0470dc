"""Pictures of runs."""

from typing import Any

from lstm_jax.training.run import Run
from lstm_jax.training.writers import read_metrics


def draw_learning_curve(run: Run) -> None:
    """Draws `figures/learning_curve.png`: the first metric over the steps, beside the baselines."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    metric = run.experiment.task.restore(run.assets).metrics[0]
    lines = read_metrics(run.folder)
    if not lines:
        return
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for split, marker in (("train", ""), ("validation", "o")):
        found = [line for line in lines if line["split"] == split]
        steps, values = ([line[name] for line in found] for name in ("step", metric.name))
        axes.plot(steps, values, label=split, marker=marker, ms=4)
    result = run.result()
    if result is not None:
        _draw_result(axes, result, metric.name)
    axes.set(xlabel="step", ylabel=metric.label, title=run.folder.name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(run.figures / "learning_curve.png", dpi=110)
    pyplot.close(figure)


def _draw_result(axes: Any, result: dict[str, Any], name: str) -> None:
    axes.plot(
        result["best_step"], result[f"test/{name}"], "k*", ms=10, label="test, best checkpoint"
    )
    for i, (baseline, values) in enumerate(result["baselines"].items()):
        axes.axhline(values["test"], color=f"C{i + 2}", ls="--", lw=1, label=f"test, {baseline}")
