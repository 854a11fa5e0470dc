"""The training loop: serves every task and knows none."""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.errors import UserError
from lstm_jax.training.console import Console
from lstm_jax.training.evaluation import make_evaluate
from lstm_jax.training.faults import Watch
from lstm_jax.training.interruption import Interrupted, Interruption
from lstm_jax.training.machine import describe_machine
from lstm_jax.training.run import Run
from lstm_jax.training.session import Session, count_parameters, go_back, open_session, save
from lstm_jax.training.writers import MetricWriter


def train(run: Run, console: Console) -> dict[str, Any]:
    """Trains a run to its end, from the beginning or from where it stopped.

    Returns:
      The content of `result.json`.

    Raises:
      Interrupted: by Ctrl-C or SIGTERM; the state is saved.
      NonFinite: the numbers went wrong, and the policy is to stop.
      UserError: the data cannot be used.
    """
    finished = run.result()
    if finished is not None:
        console.say(f"{run.folder} is finished: {finished['steps']} steps")
        return finished
    with Interruption() as interruption:
        session = open_session(run, console)
        try:
            while session.step < session.plan.total:
                if not _train(session, interruption):
                    go_back(session)
                    console.say(f"going back to step {session.step}, on with other batches")
            result = _result(session)
        finally:
            console.stop()
            session.checkpoints.close()
    run.write_result(result)
    return result


def _train(session: Session, interruption: Interruption) -> bool:
    """Trains to the end; False if the numbers went wrong and the run shall go back."""
    writer = MetricWriter(session.run.folder, session.step)
    try:
        return _steps(session, writer, interruption)
    finally:
        writer.close()


def _steps(session: Session, writer: MetricWriter, interruption: Interruption) -> bool:
    evaluate = make_evaluate(session.learner, session.place)
    plan, console = session.plan, session.console
    watch = Watch(session)
    began = time.monotonic() - session.seconds
    _first_step(session, watch)
    console.start(session.step, plan.total)
    clock = _Clock(session)
    while True:
        step = session.step
        session.seconds = time.monotonic() - began
        last = step == plan.total
        report, evaluated, saved = (
            last or step % every == 0 for every in (plan.report, plan.evaluate, plan.checkpoint)
        )
        stop = interruption.signal is not None
        if (report or evaluated or saved or stop or watch.is_due()) and not watch.is_well():
            return False
        if report:
            _report(session, writer, clock)
        if evaluated:
            values = _evaluate(session, evaluate, writer)
            save(session, values[session.learner.metrics[0].name])
        elif saved:
            save(session, None)
        if last:
            return True
        if stop and interruption.signal is not None:
            save(session, None)
            session.checkpoints.wait()
            raise Interrupted(step, interruption.signal)
        watch.advance()
        console.advance(session.step)


def _first_step(session: Session, watch: Watch) -> None:
    """The first step of this process compiles, which may take a while."""
    session.console.say("compiling the training step ...")
    began = time.monotonic()
    watch.advance()
    jax.block_until_ready(session.state)
    session.console.say(f"compiled and did the first step in {time.monotonic() - began:.1f} s")


class _Clock:
    """Speed of training between two reports, without the time of evaluations."""

    def __init__(self, session: Session):
        self._session = session
        self.restart()

    def restart(self) -> None:
        self._step, self._time = self._session.step, time.monotonic()

    def steps_per_second(self) -> float:
        return (self._session.step - self._step) / max(time.monotonic() - self._time, 1e-9)


def _report(session: Session, writer: MetricWriter, clock: _Clock) -> None:
    """Writes what was counted since the last report, and counts anew."""
    found = jax.device_get(session.state.sums)
    sums = {name: float(value) for name, value in found.items()}
    anew = jax.device_put(jax.tree.map(np.zeros_like, found), session.place.replicated())
    session.state = session.state._replace(sums=anew)
    values = _figures(session, sums, clock.steps_per_second())
    writer.write(session.step, "train", values)
    if sums["spikes"]:
        session.console.say(
            f"step {session.step}: {sums['spikes']:.0f} loss spike(s) since the last report, far "
            "above what the loss has been"
        )
    metric, (units, _) = session.learner.metrics[0], session.dataset.units
    if sums["steps"]:
        session.console.report(
            session.step,
            f"loss {values['loss']:.3f}  {values[metric.name]:.{metric.decimals}f} {metric.label}  "
            f"{values[f'{units}_per_second']:,.0f} {units}/s",
        )
    clock.restart()


def _figures(session: Session, sums: dict[str, float], speed: float) -> dict[str, float]:
    """The figures of training since the last report; those of the task if any step was good."""
    units, per_step = session.dataset.units
    values: dict[str, float] = {}
    if sums["steps"]:
        values |= session.learner.summarize(sums)
        norms = (name for name in sums if name.startswith("gradient_norm"))
        values |= {name: sums[name] / sums["steps"] for name in norms}
    if session.run.experiment.train.precision == "float16":
        values["loss_scale"] = float(session.state.guard.loss_scale)
    values |= {name: sums[name] for name in ("skipped", "spikes") if sums[name]}
    values["learning_rate"] = _learning_rate(session)
    values[f"{units}_per_second"] = speed * per_step
    values["seconds"] = session.seconds
    return values


def _evaluate(session: Session, evaluate: Any, writer: MetricWriter) -> dict[str, float]:
    dataset = session.dataset
    values = evaluate(
        session.state.params, dataset.splits["validation"], dataset.evaluation_batch_size
    )
    writer.write(session.step, "validation", values)
    metric = session.learner.metrics[0]
    session.console.say(
        f"step {session.step}: validation {values[metric.name]:.{metric.decimals}f} {metric.label}"
    )
    return values


def _learning_rate(session: Session) -> float:
    schedule = session.run.experiment.schedule(session.plan.total)
    peak = session.run.config.optimizer.get("learning_rate", math.nan)
    return float(peak * schedule(jnp.asarray(session.step - 1)))


def _result(session: Session) -> dict[str, Any]:
    """The figures of the best checkpoint on every held-out split."""
    session.checkpoints.wait()
    best = session.checkpoints.best({"params": session.state.params})
    if best is None:
        raise UserError(f"{session.run.folder}: there is no checkpoint to evaluate")
    evaluate, params = make_evaluate(session.learner, session.place), best.trees["params"]
    dataset = session.dataset
    result: dict[str, Any] = {"steps": session.step, "best_step": best.step}
    for split, batches in dataset.splits.items():
        if split != "train":
            values = evaluate(params, batches, dataset.evaluation_batch_size)
            result |= {f"{split}/{name}": value for name, value in values.items()}
    task, assets = session.run.experiment.task, session.run.assets
    return result | {
        "baselines": task.baselines(assets),
        "parameters": count_parameters(params),
        "seconds": round(session.seconds, 1),
        "sample": task.show(assets, params, session.run.experiment.seed),
        "machine": describe_machine(),
    }
