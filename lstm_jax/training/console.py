"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Mapping, Sequence

import rich.console
import rich.progress
import rich.table

from lstm_jax.records import time_text
from lstm_jax.tasks import Metric


class _Output(rich.console.Console):
    """A console whose reader may go away, as `head` does: the run goes on, and says no more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Console:
    """Prints the progress of a run.

    Args:
      console: where to; a terminal gets a bar, anything else a line a report.
    """

    def __init__(self, console: rich.console.Console | None = None):
        # A log keeps its lines whole: without a terminal, nothing is wrapped at 80 columns.
        self._console = console or _Output(highlight=False, soft_wrap=True)
        self._bar: rich.progress.Progress | None = None
        self._task = rich.progress.TaskID(0)
        self._total = 0
        self._first = (0, 0.0)

    def say(self, text: str) -> None:
        """A line of text, as it is."""
        self._console.print(text, markup=False)

    def start(self, step: int, total: int) -> None:
        """Begins to show progress from a step on; a total of 0 is one that is not known."""
        self._total = total
        self._first = (step, time.monotonic())
        if self._console.is_terminal:
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("step {task.completed}/{task.total}"),
                rich.progress.BarColumn(),
                rich.progress.TextColumn("{task.fields[figures]}"),
                rich.progress.TimeRemainingColumn(compact=True),
                rich.progress.TextColumn("left"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total or None, completed=step, figures="")
            self._bar.start()

    def advance(self, step: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def report(self, step: int, figures: str) -> None:
        """Figures of the training so far."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, figures=figures)
        else:
            left = f"  {self._time_left(step)} left" if self._total else ""
            self.say(f"step {step}{f'/{self._total}' if self._total else ''}  {figures}{left}")

    def stop(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def table(
        self,
        title: str,
        metric: Metric,
        rows: Mapping[str, Mapping[str, float]],
        splits: Sequence[str],
    ) -> None:
        """One metric of several methods, a column a split."""
        table = rich.table.Table(title=title, title_justify="left", title_style="bold")
        table.add_column(metric.label)
        for split in splits:
            table.add_column(split, justify="right")
        for name, values in rows.items():
            found = (values.get(split) for split in splits)
            cells = ("" if v is None else metric.text(v) for v in found)
            table.add_row(name, *cells)
        self._console.print(table)

    def _time_left(self, step: int) -> str:
        first_step, began = self._first
        passed = time.monotonic() - began
        return time_text(passed / max(step - first_step, 1) * (self._total - step))
