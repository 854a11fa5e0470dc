"""What an experiment comes to: its plan, its devices, its optimiser and its compiled step."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import optax

from lstm_jax.tasks import Dataset, Learner
from lstm_jax.tasks.task import Batch
from lstm_jax.training.durations import Length, Progress, Units, measure, measure_steps
from lstm_jax.training.experiment import Experiment
from lstm_jax.training.mesh import Placement, make_mesh
from lstm_jax.training.optimization import make_optimizer
from lstm_jax.training.room import placed, require_room, size_on_device
from lstm_jax.training.state import (
    StepOptions,
    TrainState,
    initial_state,
    make_train_step,
    state_shardings,
)


class Plan(NamedTuple):
    """Lengths of the run and of its intervals."""

    total: Length
    report: Length
    evaluate: Length
    checkpoint: Length

    @property
    def steps(self) -> int:
        """The length of the run in steps; 0 for one that is measured in time."""
        return self.total.steps or 0

    def reports_after(self, step: int) -> bool:
        """Whether the next step ends with a report, as far as that can be told before."""
        report = self.report.steps
        return report is not None and ((step + 1) % report == 0 or step + 1 == self.steps)

    def due(self, before: Progress, now: Progress) -> tuple[bool, bool, bool]:
        """Whether a report, an evaluation and a checkpoint are due."""
        last = self.total.reached(now)
        report, evaluate, checkpoint = (
            last or every.passed(before, now)
            for every in (self.report, self.evaluate, self.checkpoint)
        )
        return report, evaluate, checkpoint


class Setup(NamedTuple):
    """All that does not change during a run, and no array of which is made yet.

    Attributes:
      learner: what is learnt.
      dataset: from what.
      plan: how long.
      place: on which devices.
      optimizer: how parameters follow gradients.
      schedule: the share of the peak rate at every step.
      first_state: makes the state before the first step.
      train_step: the compiled step.
      shapes: the state as shapes.
    """

    learner: Learner
    dataset: Dataset
    plan: Plan
    place: Placement
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    first_state: Callable[[], TrainState]
    train_step: Callable[[TrainState, Batch], TrainState]
    shapes: TrainState


def set_up(
    experiment: Experiment,
    assets: Path,
    begin: Callable[[Learner], tuple[Learner, list[str]]] | None = None,
) -> Setup:
    """Reads the data and makes all that a run needs.

    Args:
      experiment: the run's.
      assets: what prediction will need is kept there.
      begin: the learner of a run that begins with other parameters, and lines that say so.

    Raises:
      UserError: the data cannot be used.
      ConfigError: pieces of the config do not fit each other, the data or the devices.
    """
    learner, dataset = experiment.prepare(assets)
    if begin is not None:
        learner, lines = begin(learner)
        dataset = dataset._replace(notes=[*dataset.notes, *lines])
    options = experiment.train
    units = Units(len(dataset.train), dataset.batch_size)
    plan = make_plan(experiment, units)
    place = Placement(make_mesh(experiment.mesh))
    place.require_batch_size(dataset.batch_size, options.accumulation_steps)
    optimizer = build_optimizer(
        experiment, plan, lambda text: measure_steps(text, units, plan.total)
    )

    def first_state() -> TrainState:
        return initial_state(
            learner,
            optimizer,
            dataset.train[0],
            dataset.batch_size,
            experiment.seed,
            precision=options.precision,
            mesh=place.mesh,
        )

    shapes = jax.eval_shape(first_state)
    shardings = state_shardings(shapes, place.mesh, dataset.batch_size)
    _require_room(shapes, shardings, place)
    train_step = make_train_step(
        learner,
        optimizer,
        StepOptions(
            parts=options.accumulation_steps,
            precision=options.precision,
            on_nonfinite=options.on_nonfinite,
        ),
        batch_size=dataset.batch_size,
        shardings=(
            shardings,
            place.batch(dataset.train[0], dataset.batch_size),
        ),
    )
    schedule = experiment.schedule(plan.total.schedule_steps)
    return Setup(
        learner, dataset, plan, place, optimizer, schedule, first_state, train_step, shapes
    )


def _require_room(shapes: TrainState, shardings: TrainState, place: Placement) -> None:
    """An allocation that fails ends the process, with a text that is not ours."""
    held = placed(shapes._replace(key=()), shardings._replace(key=()))
    needed = size_on_device(held) + size_on_device(held.params)  # the gradient
    require_room(needed, place, "the model with its optimizer's state and its gradient")


def build_optimizer(
    experiment: Experiment, plan: Plan, steps: Callable[[str], int]
) -> optax.GradientTransformation:
    """The optimiser of a run, with all that stands around it."""
    return make_optimizer(
        experiment.optimizer,
        experiment.schedule,
        run=plan.total,
        steps=steps,
        groups=experiment.groups,
        averaging=experiment.averaging,
        clip_norm=experiment.train.gradient_clip_norm,
        clip_value=experiment.train.gradient_clip_value,
    )


def set_up_learner(
    experiment: Experiment, assets: Path
) -> tuple[Learner, optax.GradientTransformation]:
    """The learner and optimiser of a run whose data need not be there any more."""
    # Of no consequence for what the optimiser's state looks like.
    plan = make_plan(experiment, Units(1, 1))
    learner = experiment.task.restore(assets, experiment.train.compute)
    return learner, build_optimizer(experiment, plan, lambda text: 1)


def make_plan(experiment: Experiment, units: Units) -> Plan:
    """The lengths of a run."""
    options = experiment.train
    total = measure(options.duration, units)
    intervals = (options.report_every, options.evaluate_every, options.checkpoint_every)
    return Plan(total, *(measure(text, units, total) for text in intervals))
