"""A run on its way: made ready, resumed, saved, taken back."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from lstm_jax.data.loader import Loader, endless
from lstm_jax.tasks import Learner
from lstm_jax.training.averaging import evaluation_params, is_averaging
from lstm_jax.training.console import Console
from lstm_jax.training.durations import Progress
from lstm_jax.training.flops import model_flops
from lstm_jax.training.heartbeat import Heartbeat
from lstm_jax.training.init_from import start_from
from lstm_jax.training.mesh import Placement, kept_whole
from lstm_jax.training.metadata import require_progress
from lstm_jax.training.position import get_position, set_position
from lstm_jax.training.processes import is_first, require_same, together
from lstm_jax.training.profiling import Profiler, ProfileRange
from lstm_jax.training.run import Run, RunCheckpoints
from lstm_jax.training.setup import Setup, set_up
from lstm_jax.training.state import TrainState, from_trees, state_shardings, to_trees
from lstm_jax.training.statistics import StepClock


@dataclasses.dataclass
class Session:
    """A run on its way: what does not change, and the few things that do."""

    run: Run
    setup: Setup
    console: Console
    checkpoints: RunCheckpoints
    heartbeat: Heartbeat
    profiler: Profiler
    clock: StepClock
    state: TrainState
    data: Loader
    early_stopping: dict[str, Any]
    step: int = 0
    seconds: float = 0.0  # of training, over all processes that worked on the run

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress(self.step, self.seconds)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        stopping = self.run.experiment.early_stopping
        if self.setup.plan.total.reached(self.progress):
            return True
        metric = self.setup.learner.metrics[0]
        return stopping.ends(self.early_stopping, lower_is_better=metric.lower_is_better)

    @property
    def evaluation_params(self) -> Any:
        """The parameters that are evaluated and kept: their average, if there is one."""
        if not is_averaging(self.state.opt_state):
            return self.state.params
        return _evaluation_params(self.state.opt_state, self.state.params)

    def advance(self) -> None:
        """One step of training; returns while it is computed."""
        setup = self.setup
        with self.clock.waiting():
            batch = setup.place.put_rows(next(self.data), setup.dataset.batch_size)
        self.state = self.profiler.run(self.step + 1, setup.train_step, self.state, batch)
        self.step += 1
        self.clock.tick(self.state.step)

    def warn(self, text: str) -> None:
        """Says what should not be overlooked, here and to `lstm-jax status`."""
        self.console.say(f"step {self.step}: {text}")
        self.heartbeat.warn(text)

    def close(self) -> None:
        """Lets go of the terminal, the profiler and the folder."""
        self.console.stop()
        self.profiler.close()
        self.checkpoints.close()


_evaluation_params = jax.jit(evaluation_params)


def open_session(run: Run, console: Console, profile: ProfileRange | None = None) -> Session:
    """Reads the data, makes the step and the first state, and resumes if there is a checkpoint.

    Raises:
      UserError: the data, the devices or the checkpoints cannot be used.
    """
    setup = together(lambda: set_up(run.experiment, run.assets, _beginning(run)))
    require_same("the data", [setup.dataset.fingerprint, setup.dataset.batch_size])
    for note in setup.dataset.notes:
        console.say(note)
    console.say(describe(setup))
    if whole := kept_whole(setup.shapes.params, setup.place.mesh):
        console.say(f"whole on every device, since no axis divides: {', '.join(whole)}")
    state = setup.first_state()
    data = endless(
        setup.dataset.train,
        functools.partial(setup.place.own_rows, batch_size=setup.dataset.batch_size),
    )
    history = run.experiment.early_stopping.begin()
    checkpoints = run.shared_checkpoints()
    restored = checkpoints.resume(to_trees(state))
    step, seconds = 0, 0.0
    if restored is not None:
        require_progress(restored.meta, run.folder)
        saved = restored.meta["data"]
        together(lambda: set_position(data, setup.dataset, run.config, saved, run.folder))
        state = from_trees(restored.trees)
        step, seconds = restored.step, restored.meta["seconds"]
        history = restored.meta["early_stopping"]
        console.say(f"going on from step {step}")
    if profile is not None:
        profile.require_within(step, setup.plan.steps or profile.last)
    return Session(
        run,
        setup,
        console,
        checkpoints,
        Heartbeat(run.folder, setup.learner.metrics[0], step, setup.plan.steps),
        Profiler(run.folder / "profile", profile if is_first() else None, console.say),
        StepClock(model_flops(setup.learner, setup.shapes, setup.dataset.train[0])),
        state,
        data,
        history,
        step,
        seconds,
    )


def _beginning(run: Run) -> Callable[[Learner], tuple[Learner, list[str]]] | None:
    """Another run's parameters for one that begins; none is needed of it to go on."""
    options = run.experiment.init_from
    if options.workdir is None or any(run.folder.glob("checkpoints/[0-9]*")):
        return None
    other = Run.load(Path(options.workdir).expanduser())

    def load() -> Any:
        learner = other.experiment.task.restore(other.assets)
        return other.restore_params(learner, options.checkpoint).trees["params"]

    return functools.partial(start_from, options=options, load=load)


def save(session: Session, score: float | None) -> None:
    """Saves all that the run needs to go on; the score of an evaluation, the lower, the better."""
    dataset = session.setup.dataset
    meta = {
        "data": get_position(session.data, dataset, session.run.config),
        "fingerprint": dataset.fingerprint,
        "seconds": session.seconds,
        "early_stopping": session.early_stopping,
    }
    trees = to_trees(session.state, session.evaluation_params)
    session.checkpoints.save(session.step, trees, meta, score)


def go_back(session: Session) -> None:
    """Takes the state of the last checkpoint, or the first one; the data stay where they are.

    So what made the numbers go wrong is not seen again: other batches follow, with other random
    numbers, and streams begin anew. A run that is killed behind it and goes on from the same
    checkpoint meets the same batch, and goes back as it did.
    """
    setup, rewinds = session.setup, session.state.guard.rewinds + 1
    like = to_trees(session.state)
    session.checkpoints.wait()
    restored = session.checkpoints.resume(like)
    if restored is None:
        state, session.step = setup.first_state(), 0
        session.early_stopping = session.run.experiment.early_stopping.begin()
    else:
        state, session.step = from_trees(restored.trees), restored.step
        session.early_stopping = restored.meta["early_stopping"]
    shardings = state_shardings(state, setup.place.mesh, setup.dataset.batch_size)
    begin_anew = jax.jit(
        functools.partial(_begin_anew, session.setup), out_shardings=shardings, donate_argnums=0
    )
    session.state = begin_anew(state, rewinds)
    session.heartbeat.went_back(session.step)


def _begin_anew(setup: Setup, state: TrainState, rewinds: jax.Array) -> TrainState:
    """The state with other random numbers, in which every stream begins."""
    return state._replace(
        carry=setup.learner.initial_carry(state.params, setup.dataset.batch_size),
        key=jax.random.fold_in(state.key, rewinds),
        guard=state.guard._replace(rewinds=rewinds),
    )


def count_parameters(params: Any) -> int:
    """How many numbers are learnt."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def describe(setup: Setup) -> str:
    """Parameters, length and devices in a line."""
    plan, epoch = setup.plan, len(setup.dataset.train)
    epochs = f"{plan.steps / epoch:.2g} epochs" if plan.steps else "epochs"
    parameters = f"{count_parameters(setup.shapes.params):,} parameters"
    length = f"{plan.total}, {epochs} of {epoch:,}"
    return f"{parameters}; {length}; {describe_devices(setup.place)}"


def describe_devices(place: Placement) -> str:
    """The devices of a mesh in words."""
    text = f"{place.mesh.devices.flat[0].device_kind} x {place.mesh.size}"
    if jax.process_count() > 1:
        text += f" of {jax.process_count()} processes"
    parts = [f"{axis} {size}" for axis, size in place.mesh.shape.items() if size > 1]
    return f"{text} ({', '.join(parts)})" if parts else text
