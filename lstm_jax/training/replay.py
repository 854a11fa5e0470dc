"""A step that was kept because its numbers went wrong, done again with checks on."""

import traceback
from collections.abc import Iterator
from typing import Any

import jax

from lstm_jax.training.accumulation import loss_and_gradients
from lstm_jax.training.diagnosis import diagnose, load_batch, load_step
from lstm_jax.training.mesh import MeshOptions, Placement, make_mesh
from lstm_jax.training.run import Run
from lstm_jax.training.setup import set_up_learner
from lstm_jax.training.state import initial_state


def replay(run: Run, step: int) -> Iterator[str]:
    """Does the step again, on one device, and says what is wrong, line by line.

    Args:
      run: the run.
      step: one of `saved_steps`.

    Raises:
      UserError: what was kept is damaged.
    """
    experiment = run.experiment
    batch = load_batch(run.folder, step)
    learner, optimizer = set_up_learner(experiment, run.assets)
    batch_size = max(leaf.shape[0] for leaf in batch.values() if leaf.ndim)
    mesh = make_mesh(MeshOptions(data=1))
    precision = experiment.train.precision
    like = initial_state(
        learner, optimizer, batch, batch_size, experiment.seed, precision=precision, mesh=mesh
    )
    state, batch = load_step(run.folder, step, like)
    batch = Placement(mesh).put(batch, batch_size)
    found = diagnose(
        learner,
        state,
        batch,
        parts=experiment.train.accumulation_steps,
        batch_size=batch_size,
    )
    yield f"step {step}: {found.in_words()}"
    for name, norm in found.norms.items():
        yield f"  gradient norm of {name}: {norm:g}"
    if found.is_finite:
        yield "it is not so again: the step is finite here, on one device"
        return
    yield "it is so again; with checks on:"
    yield from _where(learner, state, batch)


def _where(learner: Any, state: Any, batch: Any) -> Iterator[str]:
    """The first operation that makes a number that is none, and the line it was called from."""
    key = jax.random.fold_in(state.key, state.step)

    def step(params: Any) -> Any:
        scale = state.guard.loss_scale
        return loss_and_gradients(learner, params, state.carry, batch, key, scale)

    for what in ("nans", "infs"):
        before = getattr(jax.config, f"jax_debug_{what}")
        jax.config.update(f"jax_debug_{what}", True)
        try:
            jax.block_until_ready(step(state.params))
        except FloatingPointError as error:
            yield f"  {str(error).splitlines()[0]}"
            frames = traceback.extract_tb(error.__traceback__)
            ours = [f for f in frames if "site-packages" not in f.filename]
            yield from (f"    {f.filename}:{f.lineno} {f.name}: {f.line}" for f in ours[-3:])
            return
        finally:
            jax.config.update(f"jax_debug_{what}", before)
    yield "  no single operation makes one: it is there before the step, or from a fused program"
