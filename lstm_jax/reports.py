"""Pictures of runs."""

from typing import Any

from lstm_jax.tasks import Metric
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
        _draw_result(axes, result, metric)
    else:
        axes.set_title(run.folder.name)
    axes.set(xlabel="step", ylabel=metric.label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(run.figures / "learning_curve.png", dpi=110)
    pyplot.close(figure)


def _draw_result(axes: Any, result: dict[str, Any], metric: Metric) -> None:
    """The baselines on the split of the curve, and the figures on the test split in words."""
    for i, (baseline, values) in enumerate(result["baselines"].items()):
        label = f"validation, {baseline}"
        axes.axhline(values["validation"], color=f"C{i + 2}", ls="--", lw=1, label=label)
    axes.axvline(result["best_step"], color="0.6", lw=0.8, label="best checkpoint")
    test = result[f"test/{metric.name}"]
    title = f"test: {test:.{metric.decimals}f} {metric.label}"
    others = [f"{k} {v['test']:.{metric.decimals}f}" for k, v in result["baselines"].items()]
    axes.set_title(title + (f"\n({'; '.join(others)})" if others else ""), fontsize="medium")
