"""The state of training and the pure step that advances it."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Array, Batch, Sums
from lstm_jax.training.accumulation import accumulated
from lstm_jax.training.averaging import is_averaging
from lstm_jax.training.guard import (
    Guard,
    OnNonFinite,
    Precision,
    choose,
    group_norms,
    initial_guard,
    judge,
)
from lstm_jax.training.mesh import Placement


class TrainState(NamedTuple):
    """All that training needs to go on, in one pytree.

    Attributes:
      step: how many steps were done, int32.
      params: the parameters.
      opt_state: the optimiser's state.
      carry: the recurrent carry after the last batch, for stateful training.
      key: the run's key; each step's is folded from it and from the step.
      sums: what the task counted since the last report.
      guard: what the step remembers of its own health.
    """

    step: Array
    params: Any
    opt_state: Any
    carry: Any
    key: Array
    sums: Sums
    guard: Guard


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is computed.

    Attributes:
      parts: parts of the batch whose gradients are computed one after another.
      precision: type of the products; float16 scales the loss.
      on_nonfinite: what follows when loss or gradient are not finite.
    """

    parts: int = 1
    precision: Precision = "float32"
    on_nonfinite: OnNonFinite = "stop"


def initial_state(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    batch: Batch,
    batch_size: int,
    seed: int,
    *,
    precision: Precision = "float32",
    mesh: Mesh | None = None,
) -> TrainState:
    """The state before the first step. The batch is looked at for its shapes alone.

    Args:
      learner: what is learnt.
      optimizer: whose state it holds.
      batch: a batch of `batch_size`.
      batch_size: examples or streams in a batch, of all processes together.
      seed: of initialisation and of the run's key.
      precision: type of the products.
      mesh: where it lies, by `state_shardings`; on JAX's default device, if None.
    """

    def make() -> TrainState:
        init_key, key = jax.random.split(jax.random.key(seed))
        params = learner.init(init_key)
        carry = learner.initial_carry(params, batch_size)
        _, _, sums = jax.eval_shape(learner.loss, params, carry, batch, key)
        sums = {**sums, **jax.eval_shape(_own_sums, params)}
        # Two leaves may not share a buffer, since the state is donated.
        carry = jax.tree.map(jnp.array, carry)
        opt_state = optimizer.init(params)
        guard = initial_guard(precision)
        return TrainState(jnp.int32(0), params, opt_state, carry, key, zeros_like(sums), guard)

    if mesh is None:
        return make()
    shardings = state_shardings(jax.eval_shape(make), mesh, batch_size)
    if mesh.size == 1:
        # Op by op, as it has always been: compiled, the last bits would be others.
        return jax.device_put(make(), shardings)
    # Made where it will lie: it may be too big for one device.
    return jax.jit(make, out_shardings=shardings)()


def state_shardings(state: Any, mesh: Mesh, batch_size: int) -> TrainState:
    """Where every leaf of a state lies; the state may be one of shapes."""
    place = Placement(mesh)
    shardings = {
        "params": place.params(state.params),
        "opt_state": place.params(state.opt_state),
        "carry": place.batch(state.carry, batch_size),
    }
    rest = {name: value for name, value in state._asdict().items() if name not in shardings}
    return TrainState(**shardings, **place.everywhere(rest))


def to_trees(state: TrainState, evaluation_params: Any = None) -> dict[str, Any]:
    """The state as checkpoints hold it.

    Args:
      state: the state, or one of shapes.
      evaluation_params: what stands as parameters in a checkpoint, if that is their average; the
        parameters themselves then stand beside the rest.
    """
    rest = state._asdict()
    params = rest.pop("params")
    if is_averaging(state.opt_state):
        rest["raw_params"] = params
    return {"params": params if evaluation_params is None else evaluation_params, "training": rest}


def from_trees(found: dict[str, Any]) -> TrainState:
    """The inverse of `to_trees`."""
    rest = dict(found["training"])
    params = rest.pop("raw_params", found["params"])
    return TrainState(**rest, params=params)


def zeros_like(sums: Any) -> Any:
    """Sums that begin anew."""
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sums)


def make_train_step(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    options: StepOptions = StepOptions(),
    *,
    batch_size: int = 0,
    shardings: tuple[TrainState, Any] | None = None,
) -> Callable[[TrainState, Batch], TrainState]:
    """The compiled step; it takes its state over, so that memory holds one.

    Args:
      learner: what is learnt.
      optimizer: how parameters follow gradients.
      options: how a step is computed.
      batch_size: examples or streams in a batch; needed for parts.
      shardings: where the state and the batch lie; wherever they are, if None.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def train_step(state: TrainState, batch: Batch) -> TrainState:
        loss, carry, sums, gradients = accumulated(
            learner,
            state.params,
            state.carry,
            batch,
            jax.random.fold_in(state.key, state.step),
            state.guard.loss_scale if options.precision == "float16" else None,
            parts=options.parts,
            batch_size=batch_size,
        )
        own = _own_sums(gradients)
        verdict = judge(
            state.guard, state.step, loss, carry, own["gradient_norm"], options.on_nonfinite
        )
        extra = {}
        if learner.full_weight is not None and learner.weight is not None:
            extra["rate_scale"] = sums[learner.weight] / learner.full_weight
        updates, opt_state = optimizer.update(
            gradients, state.opt_state, state.params, value=loss, **extra
        )
        params = optax.apply_updates(state.params, updates)
        # Of a step that is passed over, nothing is counted but that it was.
        counted = choose(verdict.apply, {**sums, **own}, zeros_like({**sums, **own}))
        counted["skipped"] = (verdict.advance & ~verdict.apply).astype(jnp.float32)
        counted["spikes"] = verdict.spike.astype(jnp.float32)
        return TrainState(
            step=state.step + verdict.advance,
            params=choose(verdict.apply, params, state.params),
            opt_state=choose(verdict.apply, opt_state, state.opt_state),
            carry=choose(verdict.keep_carry, carry, state.carry),
            key=state.key,
            sums=jax.tree.map(jnp.add, state.sums, counted),
            guard=verdict.guard,
        )

    placed = {}
    if shardings is not None:
        placed = {"in_shardings": shardings, "out_shardings": shardings[0]}
    return jax.jit(train_step, donate_argnums=0, **placed)


def _own_sums(gradients: Any) -> Sums:
    """What the loop itself counts of a step."""
    return {
        "steps": jnp.float32(1),
        "skipped": jnp.float32(0),
        "spikes": jnp.float32(0),
        "gradient_norm": optax.tree.norm(gradients),
        **group_norms(gradients),
    }
