"""What a run tells while it trains: figures of training and of evaluations, and warnings."""

import math
from typing import Any

import jax
import numpy as np

from lstm_jax.training import clock
from lstm_jax.training.evaluation import make_evaluate
from lstm_jax.training.gates import make_look_at_gates
from lstm_jax.training.optimization import learning_rate_share, observe_score
from lstm_jax.training.session import Session
from lstm_jax.training.statistics import kept, parameter_figures
from lstm_jax.training.writers import MetricWriter


class Reporter:
    """Writes the figures of a session, from the step that it goes on from.

    Args:
      session: whose figures they are; its sums begin anew at every report.
    """

    def __init__(self, session: Session):
        run, setup = session.run, session.setup
        options = run.experiment.train
        self._session = session
        self._writer = MetricWriter(run.folder, session.step, options.writers, run.config.to_dict())
        self._evaluate = make_evaluate(setup.learner, setup.place)
        self._look_at_gates = None
        if options.gate_statistics:
            self._look_at_gates = make_look_at_gates(setup.learner, setup.place.put)
        self._before: Any = None
        self._not_finite: set[str] = set()
        self._rate = _peak_rate(run.config)

    def close(self) -> None:
        """Writes out what is left."""
        self._writer.close()

    def before_step(self) -> None:
        """Keeps the parameters if the step that follows ends with a report."""
        session = self._session
        if session.setup.plan.reports_after(session.step):
            self._before = kept(session.state.params)

    def report(self) -> None:
        """Writes what was counted since the last report, and counts anew."""
        session = self._session
        found = jax.device_get(session.state.sums)
        sums = {name: float(value) for name, value in found.items()}
        anew = session.setup.place.replicate(jax.tree.map(np.zeros_like, found))
        values = self._figures(sums)
        session.state = session.state._replace(sums=anew)
        self._write("train", values)
        self._warn_of(values)
        if sums["spikes"]:
            session.warn(f"{sums['spikes']:.0f} loss(es) far above what the loss has been")
        if sums["steps"]:
            self._say(values)
        if session.setup.plan.total.steps is None:
            share = session.setup.plan.total.share(session.progress)
            opt_state = clock.set_share(session.state.opt_state, share)
            session.state = session.state._replace(opt_state=opt_state)

    def _warn_of(self, values: dict[str, float]) -> None:
        """Names figures that are not finite, each once: a loss can look well for a while then."""
        new = [n for n, v in values.items() if not math.isfinite(v) and n not in self._not_finite]
        if new:
            self._not_finite.update(new)
            more = f" and {len(new) - 3} more" if len(new) > 3 else ""
            self._session.warn(f"not finite: {', '.join(new[:3])}{more}; training has diverged")

    def evaluate(self) -> float:
        """Figures of the validation split; returns its score, the lower, the better."""
        session, setup = self._session, self._session.setup
        batches, size = setup.dataset.splits["validation"], setup.dataset.evaluation_batch_size
        params = session.evaluation_params
        values = self._evaluate(params, batches, size)
        warn = setup.learner.warn
        warnings = list(warn(values)) if warn is not None else []
        if self._look_at_gates is not None:
            gates = self._look_at_gates(params, batches, size)
            values, warnings = {**values, **gates.figures}, [*warnings, *gates.warnings]
        self._write("validation", values)
        metric = setup.learner.metrics[0]
        figure = f"{metric.text(values[metric.name])} {metric.label}"
        session.console.say(f"step {session.step}: validation {figure}")
        for text in warnings:
            session.warn(text)
        score = (1 if metric.lower_is_better else -1) * values[metric.name]
        self._observe(score)
        return score

    def _observe(self, score: float) -> None:
        """Lets the learning rate, the average and the end of the run follow an evaluation."""
        session = self._session
        rule = session.run.experiment.early_stopping
        session.early_stopping = rule.observe(session.early_stopping, score)
        opt_state = observe_score(session.state.opt_state, session.setup.schedule, score)
        session.state = session.state._replace(opt_state=opt_state)

    def _write(self, split: str, values: dict[str, float]) -> None:
        session = self._session
        self._writer.write(session.step, split, values)
        session.heartbeat.beat(session.step, split, values)

    def _figures(self, sums: dict[str, float]) -> dict[str, float]:
        """The figures of training since the last report; those of the task if any step was good."""
        session, setup = self._session, self._session.setup
        values: dict[str, float] = {}
        if sums["steps"]:
            values |= setup.learner.summarize(sums)
            norms = (name for name in sums if name.startswith("gradient_norm"))
            values |= {name: sums[name] / sums["steps"] for name in norms}
        if session.run.experiment.train.precision == "float16":
            values["loss_scale"] = float(session.state.guard.loss_scale)
        values |= {name: sums[name] for name in ("skipped", "spikes") if sums[name]}
        if self._before is not None:
            values |= parameter_figures(self._before, session.state.params)
            self._before = None
        if self._rate is not None:
            share = learning_rate_share(setup.schedule, session.state.opt_state, session.step - 1)
            values["learning_rate"] = self._rate * share
        timed = session.clock.figures()
        if timed:
            units, per_step = setup.dataset.units
            values[f"{units}_per_second"] = per_step / timed["step_seconds"]
        return {**values, **timed, "seconds": session.seconds}

    def _say(self, values: dict[str, float]) -> None:
        session = self._session
        units, _ = session.setup.dataset.units
        # Figures that are scored at evaluations alone are not among those of training.
        metric = next(m for m in session.setup.learner.metrics if m.name in values)
        figures = f"loss {values['loss']:.3f}  "
        figures += f"{metric.text(values[metric.name])} {metric.label}"
        speed = values.get(f"{units}_per_second")
        if speed is not None:
            figures += f"  {speed:,.0f} {units}/s"
        session.console.report(session.step, figures)


def _peak_rate(config: Any) -> float | None:
    """The rate that the schedule takes a share of; some optimisers have none."""
    options = config.optimizer
    return options.get("learning_rate", options.get("max_learning_rate"))
