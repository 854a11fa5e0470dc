"""Runs of one problem side by side: a table by split, and a metric over the steps.

    python experiments/synthetic/compare.py runs/parity_lstm runs/parity_mlstm --metric=at_end
    python experiments/synthetic/compare.py runs/copy runs/standard --out=curves.png

The table is of the figures in each run's `result.json`, at its best checkpoint by validation, in
markdown; the picture is of those of the validation split in `metrics.jsonl`.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.records import read_metrics
from lstm_jax.tasks import Metric
from lstm_jax.training import Run


def main() -> None:
    """Prints the table, and draws the picture if there is a place for it."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("runs", type=Path, nargs="+", help="folders of runs of one problem")
    made.add_argument("--metric", help="a figure of the problem; the one it is judged by if none")
    made.add_argument("--out", type=Path, help="where the picture goes")
    options = made.parse_args()
    runs = [Run.load(folder) for folder in options.runs]
    metrics = runs[0].experiment.task.restore(runs[0].assets).metrics
    known = {metric.name: metric for metric in metrics}
    metric = known.get(options.metric or metrics[0].name)
    if metric is None:
        made.error(f"--metric: there is no {options.metric}; there are: {', '.join(known)}")
    print(table({run.folder.name: run.result() or {} for run in runs}, metric))
    if options.out:
        draw(runs, metric).savefig(options.out, dpi=110)


def table(results: Mapping[str, Mapping[str, Any]], metric: Metric) -> str:
    """A row a run, a column a split.

    >>> print(table({"a": {"steps": 9, "test/mse": 0.5}}, Metric("mse", "error")))
    | error | steps | test |
    |---|---|---|
    | a | 9 | 0.500 |
    """
    suffix = f"/{metric.name}"
    splits = list(dict.fromkeys(
        name.removesuffix(suffix) for found in results.values() for name in found
        if name.endswith(suffix)
    ))  # fmt: skip
    rows = [[metric.label, "steps", *splits]]
    for name, found in results.items():
        figures = [found.get(split + suffix) for split in splits]
        shown = ["" if value is None else metric.text(value) for value in figures]
        rows.append([name, f"{found.get('steps', '')}", *shown])
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def draw(runs: Sequence[Run], metric: Metric) -> Any:
    """The metric of the validation split over the steps, and what one reaches without a memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for run in runs:
        lines = [at for at in read_metrics(run.folder) if at["split"] == "validation"]
        axes.plot(
            [at["step"] for at in lines], [at[metric.name] for at in lines], "o-", ms=3,
            label=run.folder.name,
        )  # fmt: skip
    first = runs[0].experiment.task.restore(runs[0].assets).metrics[0]
    if metric.name == first.name:
        for name, of in runs[0].experiment.task.baselines(runs[0].assets).items():
            axes.axhline(of["validation"], color="0.5", ls="--", lw=1, label=name)
    if metric.lower_is_better:
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel=f"{metric.label}, validation")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
