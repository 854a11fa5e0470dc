"""What a run would need, told before any step of it is run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstm_jax.tasks.task import Batch
from lstm_jax.training.experiment import Experiment
from lstm_jax.training.flops import model_flops
from lstm_jax.training.room import byte_text, placed, require_room, size_on_device
from lstm_jax.training.session import count_parameters, describe
from lstm_jax.training.setup import Setup, set_up
from lstm_jax.training.state import state_shardings
from lstm_jax.training.writers import require_writers


def dry_run(experiment: Experiment, assets: Path) -> Iterator[str]:
    """Compiles the step of a run, and says what it takes, line by line. No step is run.

    Args:
      experiment: the run's.
      assets: a folder for what preparing the data leaves, such as a vocabulary.

    Raises:
      UserError: the data or the devices cannot be used, or what is needed does not fit them.
    """
    require_writers(experiment.train.writers)
    setup = set_up(experiment, assets)
    yield from setup.dataset.notes
    yield describe(setup)
    for name, group in setup.shapes.params.items():
        yield f"  {count_parameters(group):>14,}  {name}"
    shapes, batch = _placed(setup)
    program: Any = setup.train_step
    compiled = program.lower(shapes, batch).compile()
    parts = _memory(setup, shapes, batch, compiled)
    yield f"memory of every device, {byte_text(sum(parts.values()))}:"
    for name, size in parts.items():
        yield f"  {byte_text(size):>14}  {name}"
    batch_flops = model_flops(setup.learner, setup.shapes, setup.dataset.train[0])
    yield f"{batch_flops:.3g} floating-point operations in the products of a step"
    if setup.plan.steps:
        yield f"{batch_flops * setup.plan.steps:.3g} in those of the run"
    yield f"it fits: {require_room(sum(parts.values()), setup.place, 'it')}"


def _placed(setup: Setup) -> tuple[Any, Batch]:
    """The state and a batch as shapes that say where they lie."""
    size = setup.dataset.batch_size
    batch = setup.dataset.train[0]
    shardings = (
        state_shardings(setup.shapes, setup.place.mesh, size),
        setup.place.batch(batch, size),
    )
    return placed((setup.shapes, batch), shardings)


def _memory(setup: Setup, shapes: Any, batch: Any, compiled: Any) -> dict[str, int]:
    """Bytes of one device by part; what the compiler needs besides arrays is the rest."""
    parts = {
        "parameters": size_on_device(shapes.params),
        "optimiser": size_on_device(shapes.opt_state),
        "carry": size_on_device(shapes.carry),
        "batch": size_on_device(batch),
    }
    analysis = compiled.memory_analysis()
    if analysis is not None:
        # The state is taken over, so that its outputs are its inputs.
        parts["activations and gradients"] = analysis.temp_size_in_bytes
        extra = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        parts["copies of what cannot be taken over"] = max(extra, 0)
    return parts
