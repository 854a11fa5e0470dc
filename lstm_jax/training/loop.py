"""The training loop: serves every task and knows none."""

import time
from typing import Any

import jax

from lstm_jax.errors import UserError
from lstm_jax.training.agreement import Agreement
from lstm_jax.training.console import Console
from lstm_jax.training.evaluation import make_evaluate
from lstm_jax.training.faults import Watch
from lstm_jax.training.interruption import Interrupted, Interruption
from lstm_jax.training.machine import describe_machine
from lstm_jax.training.processes import from_first, gather
from lstm_jax.training.profiling import ProfileRange
from lstm_jax.training.reporting import Reporter
from lstm_jax.training.run import Run
from lstm_jax.training.session import Session, count_parameters, go_back, open_session, save
from lstm_jax.training.writers import require_writers


def train(run: Run, console: Console, profile: ProfileRange | None = None) -> dict[str, Any]:
    """Trains a run to its end, from the beginning or from where it stopped.

    Args:
      run: the run; its lock is taken off at the end.
      console: what a person sees of it.
      profile: steps to be profiled.

    Returns:
      The content of `result.json`.

    Raises:
      Interrupted: by Ctrl-C or SIGTERM; the state is saved.
      NonFinite: the numbers went wrong, and the policy is to stop.
      UserError: the data cannot be used.
    """
    try:
        finished = from_first(run.result)
        if finished is not None:
            _require_complete(run, profile)
            console.say(f"{run.folder} is finished: {finished['steps']} steps")
            return finished
        from_first(lambda: require_writers(run.experiment.train.writers))
        with Interruption() as interruption:
            return _to_the_end(open_session(run, console, profile), interruption)
    finally:
        run.unlock()


def _require_complete(run: Run, profile: ProfileRange | None) -> None:
    """Whether a finished run is all there, and nothing is asked of it that needs training."""
    if profile is not None:
        raise UserError(f"--profile: {run.folder} is finished, and no step is left to profile")
    if not from_first(lambda: run.checkpoints().steps()):
        raise UserError(
            f"{run.folder} is finished, and its checkpoints are gone; to train it again, delete "
            "its result.json"
        )


def _to_the_end(session: Session, interruption: Interruption) -> dict[str, Any]:
    """Trains what is left, and writes the result."""
    try:
        with session.heartbeat:
            while not session.ended:
                if not _train(session, interruption):
                    go_back(session)
                    session.console.say(f"back at step {session.step}, on with other batches")
            session.checkpoints.wait()
            interruption.release()  # all is on disk, and a result can be made again
            result = _result(session)
            session.run.write_result(result)
            return result
    finally:
        session.close()


def _train(session: Session, interruption: Interruption) -> bool:
    """Trains to the end; False if the numbers went wrong and the run shall go back."""
    reporter = Reporter(session)
    try:
        return _steps(session, reporter, interruption)
    finally:
        reporter.close()


def _steps(session: Session, reporter: Reporter, interruption: Interruption) -> bool:
    plan, watch = session.setup.plan, Watch(session)
    agreement = Agreement(session.seconds)
    before = session.progress
    _first_step(session, reporter, watch)
    session.console.start(session.step, plan.steps)
    while True:
        session.seconds, stop = agreement.ask(session.step, interruption.signal)
        report, evaluate, checkpoint = plan.due(before, session.progress)
        at_rest = report or evaluate or checkpoint or stop is not None
        if (at_rest or watch.is_due()) and not watch.is_well():
            return False
        if report:
            reporter.report()
        score = reporter.evaluate() if evaluate else None
        if evaluate or checkpoint:
            save(session, score)
        if session.ended:
            return True
        if stop is not None:
            save(session, None)
            session.checkpoints.wait()
            raise Interrupted(session.step, stop)
        if at_rest:
            session.clock.restart()
        before = session.progress
        reporter.before_step()
        watch.advance()
        session.console.advance(session.step)


def _first_step(session: Session, reporter: Reporter, watch: Watch) -> None:
    """The first step of this process compiles, which may take a while."""
    session.console.say("compiling the training step ...")
    began = time.monotonic()
    reporter.before_step()
    watch.advance()
    jax.block_until_ready(session.state)
    session.clock.restart()
    session.console.say(f"compiled and did the first step in {time.monotonic() - began:.1f} s")


def _result(session: Session) -> dict[str, Any]:
    """The figures of the best checkpoint on every held-out split."""
    setup = session.setup
    best = session.checkpoints.best({"params": session.state.params})
    if best is None:
        raise UserError(f"{session.run.folder}: there is no checkpoint to evaluate")
    evaluate, params = make_evaluate(setup.learner, setup.place), best.trees["params"]
    result: dict[str, Any] = {"steps": session.step, "best_step": best.step}
    warnings: list[str] = []
    for split, batches in setup.dataset.splits.items():
        if split != "train":
            values = evaluate(params, batches, setup.dataset.evaluation_batch_size)
            result |= {f"{split}/{name}": value for name, value in values.items()}
            warn = setup.learner.warn
            warnings += [f"{split}: {text}" for text in (warn(values) if warn else ())]
    for text in warnings:
        session.warn(text)
    result |= {"warnings": warnings} if warnings else {}
    whole = gather(params)
    return result | from_first(lambda: _told(session, whole))


def _told(session: Session, params: Any) -> dict[str, Any]:
    """What there is to say of parameters without all devices."""
    run = session.run
    task = run.experiment.task
    draw = getattr(task, "draw", None)
    if draw is not None:
        draw(run.assets, params, run.figures)
    return {
        "baselines": task.baselines(run.assets),
        "parameters": count_parameters(params),
        "seconds": round(session.seconds, 1),
        "sample": task.show(run.assets, params, run.experiment.seed),
        "machine": describe_machine(),
    }
