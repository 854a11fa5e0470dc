"""What a search found: lines, rows and a picture."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.records import figure_text, time_text
from lstm_jax.sweeps.study import Objective, optuna

_LEAST = 4  # finished trials before a picture says anything
_WIDTH = 3  # pictures beside one another


def trial_line(trial: Any, objectives: Sequence[Objective]) -> str:
    """One line for a trial."""
    found = f"trial {trial.number}: "
    if trial.state.name == "COMPLETE":
        pairs = zip(objectives, trial.values, strict=True)
        found += ", ".join(f"{o.name} {figure_text(v, o.decimals)}" for o, v in pairs)
        found += f", {time_text(trial.user_attrs.get('seconds', 0))}"
    elif trial.state.name == "FAIL":
        found += f"failed ({trial.user_attrs.get('error', 'no reason is known')})"
    else:
        words = {"PRUNED": "ended early", "RUNNING": "under way", "WAITING": "not begun"}
        found += words[trial.state.name]
        if trial.intermediate_values:
            step = max(trial.intermediate_values)
            value = figure_text(trial.intermediate_values[step], objectives[0].decimals)
            found += f", {objectives[0].name} {value} at step {step}"
    chosen = ", ".join(f"{name} {_value_text(value)}" for name, value in trial.params.items())
    return f"{found}; {chosen}" if chosen else found


def row_of(trial: Any, objectives: Sequence[Objective]) -> dict[str, Any]:
    """A trial as a row of a table."""
    row: dict[str, Any] = {"trial": trial.number, "state": trial.state.name.lower()}
    if trial.state.name == "COMPLETE":
        row |= {o.name: value for o, value in zip(objectives, trial.values, strict=True)}
    row |= trial.params
    row |= {k: v for k, v in trial.user_attrs.items() if k != "overrides"}
    return row | {"folder": f"trial_{trial.number:04d}"}


def rows_of(study: Any, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    """All trials as rows."""
    return [row_of(trial, objectives) for trial in study.get_trials(deepcopy=False)]


def draw_report(study: Any, objectives: Sequence[Objective], folder: Path) -> None:
    """Draws `sweep.png`: best so far, learning curves, importance, a slice for every field.

    Nothing is drawn before a few trials have a result.
    """
    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(done) < _LEAST:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    objective, fields = objectives[0], sorted({name for t in done for name in t.params})
    count = 4 + len(fields)
    rows = math.ceil(count / _WIDTH)
    figure = Figure(figsize=(5 * _WIDTH, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, _WIDTH, i + 1) for i in range(count)]
    _draw_best(axes[0], done, objective)
    _draw_curves(axes[1], study, objective)
    _draw_importance(axes[2], study, done, objective)
    _draw_parallel(axes[3], done, fields, objective)
    for place, field in zip(axes[4:], fields, strict=True):
        _draw_slice(place, done, field, objective)
    figure.savefig(folder / "sweep.png", dpi=100)


def _draw_best(axes: Any, done: Sequence[Any], objective: Objective) -> None:
    numbers, values = [t.number for t in done], [t.values[0] for t in done]
    best = (np.minimum if objective.lower_is_better else np.maximum).accumulate(values)
    axes.plot(numbers, values, "o", color="tab:blue", alpha=0.5, markersize=4)
    axes.step(numbers, best, where="post", color="black")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="trial", ylabel=objective.name, title="trials, and the best so far")


def _draw_curves(axes: Any, study: Any, objective: Objective) -> None:
    for trial in study.get_trials(deepcopy=False):
        points = sorted(trial.intermediate_values.items())
        color = {"COMPLETE": "tab:blue", "PRUNED": "tab:orange"}.get(trial.state.name, "tab:red")
        if points:
            axes.plot(*zip(*points, strict=True), color=color, alpha=0.4, marker=".", linewidth=1)
    axes.set(xlabel="step", ylabel=objective.name, title="learning curves (orange: ended early)")


def _draw_importance(axes: Any, study: Any, done: Sequence[Any], of: Objective) -> None:
    importance = optuna().importance
    axes.set_title("importance (PED-ANOVA)")
    try:
        evaluator = importance.PedAnovaImportanceEvaluator()
        sign = 1 if of.lower_is_better else -1  # it asks what makes a small target
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # which says just that
            found = importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: sign * trial.values[0]
            )
    except (ValueError, RuntimeError):  # too few trials, or all alike
        axes.text(
            0.5, 0.5, f"not told by {len(done)} trials", ha="center", transform=axes.transAxes
        )
        return
    names = list(found)[::-1]
    axes.barh(range(len(names)), [found[name] for name in names], color="tab:blue")
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names, parse_math=False)


def _draw_parallel(axes: Any, done: Sequence[Any], fields: Sequence[str], of: Objective) -> None:
    """Each trial a line across the fields, darker the better it is."""
    columns = [_ranks([t.params.get(field) for t in done]) for field in fields]
    values = np.array([t.values[0] for t in done])
    order = np.argsort(-values if of.lower_is_better else values)
    for rank, i in enumerate(order):
        axes.plot(
            range(len(fields)),
            [column[i] for column in columns],
            marker=".",
            color="tab:blue",
            alpha=0.1 + 0.9 * (rank / max(len(done) - 1, 1)) ** 2,
        )
    axes.set(yticks=[], title="parallel coordinates (dark: good)")
    axes.set_xticks(range(len(fields)))
    axes.set_xticklabels(fields, rotation=20, fontsize="small", parse_math=False)


def _draw_slice(axes: Any, done: Sequence[Any], field: str, objective: Objective) -> None:
    there = [t for t in done if field in t.params]
    given = [t.params[field] for t in there]
    values = [t.values[0] for t in there]
    if any(isinstance(value, str) for value in given):
        labels = sorted(set(map(str, given)))
        places = [labels.index(str(value)) for value in given]
        axes.set_xticks(range(len(labels)))
        axes.set_xticklabels(labels, fontsize="small", parse_math=False)
    else:
        places = given
        if _is_log(there[0].distributions[field]):
            _scale_by_decades(axes, places)
    axes.scatter(places, values, c=[t.number for t in there], cmap="Blues", edgecolors="gray")
    axes.set_title(f"{field} (dark: late)", parse_math=False)
    axes.set_ylabel(objective.name)


def _scale_by_decades(axes: Any, places: Sequence[float]) -> None:
    """A logarithmic axis whose labels have room in a small picture."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    within = max(places) < 100 * min(places)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if within else (1,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _is_log(distribution: Any) -> bool:
    return bool(getattr(distribution, "log", False))


def _ranks(values: Sequence[Any]) -> list[float]:
    """From 0 to 1 by rank; NaN where a trial has no such field."""
    known = sorted({v for v in values if v is not None}, key=lambda v: (isinstance(v, str), v))
    top = max(len(known) - 1, 1)
    return [math.nan if v is None else known.index(v) / top for v in values]


def _value_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
