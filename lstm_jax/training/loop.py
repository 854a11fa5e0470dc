"""The training loop: serves every task and knows none."""

import dataclasses
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lstm_jax.data.loader import Loader, endless
from lstm_jax.errors import UserError
from lstm_jax.tasks import Dataset, Learner
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.console import Console
from lstm_jax.training.durations import to_steps
from lstm_jax.training.evaluation import make_evaluate
from lstm_jax.training.interruption import Interrupted, Interruption
from lstm_jax.training.machine import describe_machine
from lstm_jax.training.run import Run
from lstm_jax.training.state import TrainState, initial_state, make_train_step, zeros_like
from lstm_jax.training.writers import MetricWriter


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Lengths of the run and of its intervals, in steps."""

    total: int
    report: int
    evaluate: int
    checkpoint: int


@dataclasses.dataclass
class _Training:
    """A run on its way: what does not change, and the few things that do."""

    run: Run
    console: Console
    learner: Learner
    dataset: Dataset
    plan: _Plan
    checkpoints: Checkpoints
    state: TrainState
    data: Loader
    step: int = 0
    seconds: float = 0.0  # of training, over all processes that worked on the run


def train(run: Run, console: Console) -> dict[str, Any]:
    """Trains a run to its end, from the beginning or from where it stopped.

    Returns:
      The content of `result.json`.

    Raises:
      Interrupted: by Ctrl-C or SIGTERM; the state is saved.
      UserError: the data cannot be used.
    """
    finished = run.result()
    if finished is not None:
        console.say(f"{run.folder} is finished: {finished['steps']} steps")
        return finished
    with Interruption() as interruption:
        training, optimizer = _prepare(run, console)
        writer = MetricWriter(run.folder, training.step)
        try:
            if training.step < training.plan.total:
                _train(training, optimizer, writer, interruption)
            result = _result(training)
        finally:
            console.stop()
            writer.close()
            training.checkpoints.close()
    run.write_result(result)
    return result


def _prepare(run: Run, console: Console) -> tuple[_Training, optax.GradientTransformation]:
    options = run.experiment.train
    learner, dataset = run.experiment.task.prepare(run.assets)
    for note in dataset.notes:
        console.say(note)
    steps_per_epoch = len(dataset.train)
    plan = _Plan(
        *(
            to_steps(duration, steps_per_epoch)
            for duration in (
                options.duration,
                options.report_every,
                options.evaluate_every,
                options.checkpoint_every,
            )
        )
    )
    optimizer = run.experiment.optimizer(run.experiment.schedule(plan.total))
    if options.gradient_clip_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(options.gradient_clip_norm), optimizer)
    state = initial_state(
        learner, optimizer, dataset.train[0], dataset.batch_size, run.experiment.seed
    )
    console.say(
        f"{_count_parameters(state.params):,} parameters; {plan.total:,} steps, "
        f"{plan.total / steps_per_epoch:.1f} epochs of {steps_per_epoch:,}; "
        f"{jax.devices()[0].device_kind} x {jax.device_count()}"
    )
    training = _Training(
        run, console, learner, dataset, plan, run.checkpoints(), state, endless(dataset.train)
    )
    _resume(training)
    return training, optimizer


def _resume(training: _Training) -> None:
    """Goes on from the last whole checkpoint, if there is one."""
    restored = training.checkpoints.resume(_trees(training.state))
    if restored is None:
        return
    if restored.meta["fingerprint"] != training.dataset.fingerprint:
        raise UserError(
            f"{training.run.folder}: the data are not those that the run was trained on "
            "(a file changed, or another version of Python brings another text)"
        )
    training.state = TrainState(**restored.trees["training"], params=restored.trees["params"])
    training.step = restored.step
    training.seconds = restored.meta["seconds"]
    training.data.set_state(restored.meta["data"])
    training.console.say(f"going on from step {restored.step}")


def _train(
    training: _Training,
    optimizer: optax.GradientTransformation,
    writer: MetricWriter,
    interruption: Interruption,
) -> None:
    train_step = make_train_step(training.learner, optimizer)
    evaluate = make_evaluate(training.learner)
    plan, console = training.plan, training.console
    began = time.monotonic() - training.seconds
    _first_step(training, train_step)
    console.start(training.step, plan.total)
    clock = _Clock(training)
    while True:
        step = training.step
        training.seconds = time.monotonic() - began
        last = step == plan.total
        if step % plan.report == 0 or last:
            _report(training, writer, clock)
        if step % plan.evaluate == 0 or last:
            values = _evaluate(training, evaluate, writer)
            _save(training, values[training.learner.metrics[0].name])
        elif step % plan.checkpoint == 0:
            _save(training, None)
        if last:
            break
        if interruption.signal is not None:
            _save(training, None)
            training.checkpoints.wait()
            raise Interrupted(step, interruption.signal)
        training.state = train_step(training.state, next(training.data))
        training.step += 1
        console.advance(training.step)


def _first_step(training: _Training, train_step: Any) -> None:
    """The first step of this process compiles, which may take a while."""
    training.console.say("compiling the training step ...")
    began = time.monotonic()
    training.state = train_step(training.state, next(training.data))
    jax.block_until_ready(training.state)
    training.step += 1
    training.console.say(f"compiled and did the first step in {time.monotonic() - began:.1f} s")


class _Clock:
    """Speed of training between two reports, without the time of evaluations."""

    def __init__(self, training: _Training):
        self._training = training
        self.restart()

    def restart(self) -> None:
        self._step, self._time = self._training.step, time.monotonic()

    def steps_per_second(self) -> float:
        return (self._training.step - self._step) / max(time.monotonic() - self._time, 1e-9)


def _report(training: _Training, writer: MetricWriter, clock: _Clock) -> None:
    """Writes what was counted since the last report, and counts anew."""
    sums = {name: float(value) for name, value in jax.device_get(training.state.sums).items()}
    training.state = training.state._replace(sums=zeros_like(training.state.sums))
    speed = clock.steps_per_second()
    units, per_step = training.dataset.units
    values = training.learner.summarize(sums)
    values["gradient_norm"] = sums["gradient_norm"] / sums["steps"]
    values["learning_rate"] = _learning_rate(training)
    values[f"{units}_per_second"] = speed * per_step
    values["seconds"] = training.seconds
    writer.write(training.step, "train", values)
    metric = training.learner.metrics[0]
    training.console.report(
        training.step,
        f"loss {values['loss']:.3f}  {values[metric.name]:.{metric.decimals}f} {metric.label}  "
        f"{speed * per_step:,.0f} {units}/s",
    )
    clock.restart()


def _evaluate(training: _Training, evaluate: Any, writer: MetricWriter) -> dict[str, float]:
    dataset = training.dataset
    values = evaluate(
        training.state.params, dataset.splits["validation"], dataset.evaluation_batch_size
    )
    writer.write(training.step, "validation", values)
    metric = training.learner.metrics[0]
    training.console.say(
        f"step {training.step}: validation {values[metric.name]:.{metric.decimals}f} {metric.label}"
    )
    return values


def _save(training: _Training, figure: float | None) -> None:
    """Saves all that the run needs to go on; the figure is that of the first metric."""
    sign = 1 if training.learner.metrics[0].lower_is_better else -1
    meta = {
        "data": training.data.get_state(),
        "fingerprint": training.dataset.fingerprint,
        "seconds": training.seconds,
    }
    score = None if figure is None else sign * figure
    training.checkpoints.save(training.step, _trees(training.state), meta, score)


def _trees(state: TrainState) -> dict[str, Any]:
    rest = state._asdict()
    return {"params": rest.pop("params"), "training": rest}


def _learning_rate(training: _Training) -> float:
    schedule = training.run.experiment.schedule(training.plan.total)
    peak = training.run.config.optimizer.get("learning_rate", math.nan)
    return float(peak * schedule(jnp.asarray(training.step - 1)))


def _count_parameters(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _result(training: _Training) -> dict[str, Any]:
    """The figures of the best checkpoint on every held-out split."""
    training.checkpoints.wait()
    best = training.checkpoints.best({"params": training.state.params})
    if best is None:
        raise UserError(f"{training.run.folder}: there is no checkpoint to evaluate")
    evaluate, params = make_evaluate(training.learner), best.trees["params"]
    dataset = training.dataset
    result: dict[str, Any] = {"steps": training.step, "best_step": best.step}
    for split, batches in dataset.splits.items():
        if split != "train":
            values = evaluate(params, batches, dataset.evaluation_batch_size)
            result |= {f"{split}/{name}": value for name, value in values.items()}
    task, assets = training.run.experiment.task, training.run.assets
    return result | {
        "baselines": task.baselines(assets),
        "parameters": _count_parameters(params),
        "seconds": round(training.seconds, 1),
        "sample": task.show(assets, params, training.run.experiment.seed),
        "machine": describe_machine(),
    }
