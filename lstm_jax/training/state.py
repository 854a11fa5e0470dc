"""The state of training and the pure step that advances it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Array, Batch, Sums


class TrainState(NamedTuple):
    """All that training needs to go on, in one pytree.

    Attributes:
      step: how many steps were done, int32.
      params: the parameters.
      opt_state: the optimiser's state.
      carry: the recurrent carry after the last batch, for stateful training.
      key: the run's key; each step's is folded from it and from the step.
      sums: what the task counted since the last report.
    """

    step: Array
    params: Any
    opt_state: Any
    carry: Any
    key: Array
    sums: Sums


def initial_state(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    batch: Batch,
    batch_size: int,
    seed: int,
) -> TrainState:
    """The state before the first step. The batch is looked at for its shapes alone."""
    init_key, key = jax.random.split(jax.random.key(seed))
    params = learner.init(init_key)
    carry = learner.initial_carry(params, batch_size)
    _, _, sums = jax.eval_shape(learner.loss, params, carry, batch, key)
    # Two leaves may not share a buffer, since the state is donated.
    carry = jax.tree.map(jnp.array, carry)
    return TrainState(
        jnp.int32(0), params, optimizer.init(params), carry, key, zeros_like({**sums, **_EXTRA})
    )


_EXTRA = {
    "steps": jax.ShapeDtypeStruct((), jnp.float32),
    "gradient_norm": jax.ShapeDtypeStruct((), jnp.float32),
}


def zeros_like(sums: Any) -> Any:
    """Sums that begin anew."""
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sums)


def make_train_step(
    learner: Learner, optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Batch], TrainState]:
    """The compiled step; it takes its state over, so that memory holds one."""

    def train_step(state: TrainState, batch: Batch) -> TrainState:
        def loss_fn(params: Any) -> tuple[Array, tuple[Any, Sums]]:
            key = jax.random.fold_in(state.key, state.step)
            loss, carry, sums = learner.loss(params, state.carry, batch, key)
            return loss, (carry, sums)

        gradients, (carry, sums) = jax.grad(loss_fn, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        sums = {**sums, "steps": jnp.float32(1), "gradient_norm": optax.tree.norm(gradients)}
        return TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            carry=carry,
            key=state.key,
            sums=jax.tree.map(jnp.add, state.sums, sums),
        )

    return jax.jit(train_step, donate_argnums=0)
