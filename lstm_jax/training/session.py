"""A run on its way: made ready, resumed, saved, taken back."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import optax

from lstm_jax.data.loader import Loader, endless
from lstm_jax.errors import UserError
from lstm_jax.tasks import Dataset, Learner
from lstm_jax.tasks.task import Batch
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.console import Console
from lstm_jax.training.durations import to_steps
from lstm_jax.training.experiment import Experiment
from lstm_jax.training.mesh import Placement, kept_whole, make_mesh
from lstm_jax.training.run import Run
from lstm_jax.training.state import (
    StepOptions,
    TrainState,
    from_trees,
    initial_state,
    make_train_step,
    state_shardings,
    to_trees,
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Lengths of the run and of its intervals, in steps."""

    total: int
    report: int
    evaluate: int
    checkpoint: int


@dataclasses.dataclass
class Session:
    """A run on its way: what does not change, and the few things that do."""

    run: Run
    console: Console
    learner: Learner
    dataset: Dataset
    plan: Plan
    place: Placement
    train_step: Callable[[TrainState, Batch], TrainState]
    first_state: Callable[[], TrainState]
    checkpoints: Checkpoints
    state: TrainState
    data: Loader
    step: int = 0
    seconds: float = 0.0  # of training, over all processes that worked on the run

    def advance(self) -> None:
        """One step of training; returns while it is computed."""
        batch = self.place.put(next(self.data), self.dataset.batch_size)
        self.state = self.train_step(self.state, batch)
        self.step += 1


def open_session(run: Run, console: Console) -> Session:
    """Reads the data, makes the step and the first state, and resumes if there is a checkpoint.

    Raises:
      UserError: the data, or the devices, cannot be used.
    """
    experiment = run.experiment
    learner, dataset = experiment.prepare(run.assets)
    for note in dataset.notes:
        console.say(note)
    plan = make_plan(experiment, len(dataset.train))
    place = make_placement(experiment, dataset)
    optimizer = make_optimizer(experiment, plan)

    def first_state() -> TrainState:
        return initial_state(
            learner,
            optimizer,
            dataset.train[0],
            dataset.batch_size,
            experiment.seed,
            precision=experiment.train.precision,
            mesh=place.mesh,
        )

    state = first_state()
    session = Session(
        run, console, learner, dataset, plan, place,
        build_step(experiment, learner, dataset, optimizer, place, state),
        first_state, run.checkpoints(), state, endless(dataset.train),
    )  # fmt: skip
    console.say(
        f"{count_parameters(state.params):,} parameters; {plan.total:,} steps, "
        f"{plan.total / len(dataset.train):.1f} epochs of {len(dataset.train):,}; "
        f"{describe_devices(place)}"
    )
    if whole := kept_whole(state.params, place.mesh):
        console.say(f"whole on every device, since no axis divides: {', '.join(whole)}")
    _resume(session)
    return session


def make_plan(experiment: Experiment, steps_per_epoch: int) -> Plan:
    """The lengths of a run."""
    options = experiment.train
    durations = (
        options.duration,
        options.report_every,
        options.evaluate_every,
        options.checkpoint_every,
    )
    return Plan(*(to_steps(duration, steps_per_epoch) for duration in durations))


def make_placement(experiment: Experiment, dataset: Dataset) -> Placement:
    """The mesh of a run.

    Raises:
      ConfigError: it does not fit the devices or the batch.
    """
    place = Placement(make_mesh(experiment.mesh))
    place.require_batch_size(dataset.batch_size, experiment.train.accumulation_steps)
    return place


def make_optimizer(experiment: Experiment, plan: Plan) -> optax.GradientTransformation:
    """The optimiser with its schedule, behind the clipping."""
    optimizer = experiment.optimizer(experiment.schedule(plan.total))
    clip = experiment.train.gradient_clip_norm
    if clip is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(clip), optimizer)


def build_step(
    experiment: Experiment,
    learner: Learner,
    dataset: Dataset,
    optimizer: optax.GradientTransformation,
    place: Placement,
    state: TrainState,
) -> Callable[[TrainState, Batch], TrainState]:
    """The compiled step of a run; the state is looked at for its shapes alone."""
    options = experiment.train
    batch = jax.eval_shape(lambda: dataset.train[0])
    return make_train_step(
        learner,
        optimizer,
        StepOptions(
            parts=options.accumulation_steps,
            precision=options.precision,
            on_nonfinite=options.on_nonfinite,
        ),
        batch_size=dataset.batch_size,
        shardings=(
            state_shardings(state, place.mesh, dataset.batch_size),
            place.batch(batch, dataset.batch_size),
        ),
    )


def save(session: Session, figure: float | None) -> None:
    """Saves all that the run needs to go on; the figure is that of the first metric."""
    sign = 1 if session.learner.metrics[0].lower_is_better else -1
    meta = {
        "data": session.data.get_state(),
        "fingerprint": session.dataset.fingerprint,
        "seconds": session.seconds,
    }
    score = None if figure is None else sign * figure
    session.checkpoints.save(session.step, to_trees(session.state), meta, score)


def _resume(session: Session) -> None:
    """Goes on from the last whole checkpoint, if there is one."""
    restored = session.checkpoints.resume(to_trees(session.state))
    if restored is None:
        return
    if restored.meta["fingerprint"] != session.dataset.fingerprint:
        raise UserError(
            f"{session.run.folder}: the data are not those that the run was trained on "
            "(a file changed, or another version of Python brings another text)"
        )
    session.state = from_trees(restored.trees)
    session.step = restored.step
    session.seconds = restored.meta["seconds"]
    session.data.set_state(restored.meta["data"])
    session.console.say(f"going on from step {restored.step}")


def go_back(session: Session) -> None:
    """Takes the state of the last checkpoint, or the first one; the data stay where they are.

    So what made the numbers go wrong is not seen again: other batches follow, with other random
    numbers, and streams begin anew.
    """
    rewinds = session.state.guard.rewinds + 1
    like = to_trees(session.state)
    session.checkpoints.wait()
    restored = session.checkpoints.resume(like)
    state = session.first_state() if restored is None else from_trees(restored.trees)
    first = session.learner.initial_carry(state.params, session.dataset.batch_size)
    state = state._replace(
        carry=jax.tree.map(jax.numpy.array, first),
        key=jax.random.fold_in(state.key, rewinds),
        guard=state.guard._replace(rewinds=rewinds),
    )
    shardings = state_shardings(state, session.place.mesh, session.dataset.batch_size)
    session.state = jax.device_put(state, shardings)
    session.step = 0 if restored is None else restored.step


def count_parameters(params: Any) -> int:
    """How many numbers are learnt."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def describe_devices(place: Placement) -> str:
    """The devices of a mesh in words."""
    shape = place.mesh.shape
    text = f"{place.mesh.devices.flat[0].device_kind} x {place.mesh.size}"
    parts = [f"{axis} {size}" for axis, size in shape.items() if size > 1]
    return f"{text} ({', '.join(parts)})" if parts else text
