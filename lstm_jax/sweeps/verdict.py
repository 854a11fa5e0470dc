"""The runs of two folders compared, and said in words."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax.errors import UserError
from lstm_jax.records import figure_text
from lstm_jax.run_status import find_runs
from lstm_jax.sweeps.comparison import Comparison, compare
from lstm_jax.sweeps.finished import FinishedRun, read_finished
from lstm_jax.sweeps.spread import Spread, spread


class Verdict(NamedTuple):
    """What the runs of two folders say.

    Attributes:
      metric: name, label, decimals and direction of the figure.
      values: the figure of every run, by folder.
      spreads: mean and deviation, by folder.
      comparison: of the two; None where a folder has one run.
      text: all of it in words.
    """

    metric: Mapping[str, Any]
    values: dict[str, tuple[float, ...]]
    spreads: dict[str, Spread]
    comparison: Comparison | None
    text: str

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        spreads = {name: spread.as_json() for name, spread in self.spreads.items()}
        told = None if self.comparison is None else self.comparison._asdict()
        return {"metric": dict(self.metric), **spreads, "comparison": told, "text": self.text}


def judge(
    folders: Sequence[Path], split: str, metric: str | None = None, *, paired: bool = False
) -> Verdict:
    """Compares the finished runs of two folders.

    Args:
      folders: two folders, each a run or with runs below it.
      split: whose figures.
      metric: which figure; the first of the task, if None.
      paired: whether runs of one name are pairs.

    Raises:
      UserError: a folder has no finished run, its runs lack the figure or diverged, the runs are
        not of one task, or pairs do not match.
    """
    found = [_finished(folder) for folder in folders]
    about = _metric(found, metric)
    values = [[run.figure(split, metric) for run in runs] for runs in found]
    for folder, of in zip(folders, values, strict=True):
        if not all(map(math.isfinite, of)):
            raise UserError(f"{folder}: {about['label']} of a run is not finite: it diverged")
    if paired and (names := [[run.folder.name for run in runs] for runs in found])[0] != names[1]:
        raise UserError(f"--paired: the runs have other names: {names[0]} and {names[1]}")
    comparison = None
    if min(map(len, values)) >= 2:
        comparison = compare(*values, paired=paired)
    named = {str(folder): tuple(of) for folder, of in zip(folders, values, strict=True)}
    spreads = {name: spread(of) for name, of in named.items()}
    lines = [_line(name, of, about, split) for name, of in spreads.items()]
    lines.append(_words(list(spreads), comparison, about))
    return Verdict(about, named, spreads, comparison, "\n".join(lines))


def _finished(folder: Path) -> list[FinishedRun]:
    found = read_finished(find_runs(folder))
    if not found:
        raise UserError(f"{folder} holds no finished run")
    return found


def _metric(found: Sequence[Sequence[FinishedRun]], metric: str | None) -> dict[str, Any]:
    """The figure's name, label, decimals and direction; a figure's own, where it is the first."""
    own = [runs[0].metric for runs in found]
    if own[0]["name"] != own[1]["name"]:
        raise UserError(
            f"the tasks are not one: the first metric of {found[0][0].folder} is "
            f"{own[0]['label']}, that of {found[1][0].folder} {own[1]['label']}"
        )
    if metric in (None, own[0]["name"]):
        return own[0]
    # Of other figures a run does not keep whether more is better.
    return {"name": metric, "label": metric, "decimals": 4, "lower_is_better": None}


def _line(name: str, of: Spread, metric: Mapping[str, Any], split: str) -> str:
    mean, deviation = (figure_text(x, metric["decimals"]) for x in (of.mean, of.deviation))
    count = len(of.values)
    if count == 1:
        return f"{name}: {split} {metric['label']} {mean}, one run"
    return f"{name}: {split} {metric['label']} {mean} ± {deviation}, {count} runs"


def _words(names: Sequence[str], comparison: Comparison | None, metric: Mapping[str, Any]) -> str:
    if comparison is None:
        return "One run says nothing of chance: lstm-jax replicate trains a config with more seeds."

    difference, low, high, p_value, test = comparison
    lower = metric["lower_is_better"]
    name = names[1]
    if comparison.is_told and lower is not None and (difference < 0) != lower:
        name, difference, low, high = names[0], -difference, -high, -low
    numbers = [
        f"{'+' if x >= 0 else ''}{figure_text(x, metric['decimals'])}"
        for x in (difference, low, high)
    ]
    how = f"95 % interval {numbers[1]} to {numbers[2]}; {test}, p = {p_value:.2g}"
    if not comparison.is_told:
        return f"No difference can be told: {numbers[0]} for {name} ({how})."
    verb = "differs from the other" if lower is None else "is better"
    return f"{name} {verb}: {numbers[0]} ({how})."
