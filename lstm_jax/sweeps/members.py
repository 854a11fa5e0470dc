"""Many trainings of one network as one program: every array has a leading axis, the member's.

The step, the evaluation and the optimiser are those of an ordinary run, under `vmap`. The numbers
by which members differ are inputs of the program (`traced`), the batches are the same for all, and
the members are shared out over the devices, each of which works on its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lstm_jax.data.loader import RandomAccess
from lstm_jax.sweeps.traced import Number, TracedNumber, substitute
from lstm_jax.tasks import Dataset, Learner
from lstm_jax.tasks.task import Batch
from lstm_jax.training.averaging import evaluation_params, is_averaging
from lstm_jax.training.durations import Units, measure_steps
from lstm_jax.training.experiment import Experiment
from lstm_jax.training.guard import choose
from lstm_jax.training.setup import Plan, build_optimizer, make_plan
from lstm_jax.training.state import StepOptions, TrainState, initial_state, make_train_step

Numbers = Mapping[str, jax.Array]  # by field [members]
_AXIS = "population"


class Common(NamedTuple):
    """What all members have in common.

    Attributes:
      experiment: of one of them.
      assets: what the learner is made of again and again.
      learner: of the experiment.
      dataset: what all of them are trained on.
      plan: how long.
    """

    experiment: Experiment
    assets: Path
    learner: Learner
    dataset: Dataset
    plan: Plan

    def optimizer(self, experiment: Experiment) -> optax.GradientTransformation:
        """The optimiser of a member."""
        units = Units(len(self.dataset.train), self.dataset.batch_size)
        total = self.plan.total
        return build_optimizer(
            experiment, self.plan, lambda text: measure_steps(text, units, total)
        )

    def first_state(self, experiment: Experiment) -> TrainState:
        """The state of a member before its first step: bit for bit that of the run alone."""
        return initial_state(
            experiment.task.restore(self.assets, experiment.train.compute),
            self.optimizer(experiment),
            self.dataset.train[0],
            self.dataset.batch_size,
            experiment.seed,
            precision=experiment.train.precision,
        )

    def step(self, experiment: Experiment, state: TrainState, batch: Batch) -> TrainState:
        """A step of a member, to be traced; its experiment may hold traced numbers."""
        options = experiment.train
        train_step = make_train_step(
            experiment.task.restore(self.assets, options.compute),
            self.optimizer(experiment),
            StepOptions(
                parts=options.accumulation_steps,
                precision=options.precision,
                on_nonfinite=options.on_nonfinite,
            ),
            batch_size=self.dataset.batch_size,
        )
        return train_step(state, batch)

    def evaluated(
        self, experiment: Experiment, params: Any, carry: Any, batch: Batch
    ) -> tuple[Any, Any]:
        """The carry and the sums of a batch of an evaluation, to be traced."""
        learner = experiment.task.restore(self.assets, experiment.train.compute)
        _, carry, sums = learner.loss(params, carry, batch, None)
        return carry, sums


def prepare(experiment: Experiment, assets: Path) -> Common:
    """Reads the data.

    Raises:
      UserError: they cannot be used.
    """
    learner, dataset = experiment.prepare(assets)
    plan = make_plan(experiment, Units(len(dataset.train), dataset.batch_size))
    return Common(experiment, assets, learner, dataset, plan)


class Members:
    """The compiled functions of a population.

    Args:
      common: what all members have in common.
      corners: the numbers that are inputs, by field, with all that must be decided alike.
      size: how many members there are.
    """

    def __init__(self, common: Common, corners: Mapping[str, Sequence[Number]], size: int):
        self.common = common
        self.size = size
        self.corners = corners
        devices = jax.local_devices()
        count = max(n for n in range(1, len(devices) + 1) if size % n == 0)
        mesh = jax.make_mesh(
            (count,), (_AXIS,), axis_types=(AxisType.Auto,), devices=devices[:count]
        )
        self.devices = count
        self._stacked = NamedSharding(mesh, PartitionSpec(_AXIS))
        self._whole = NamedSharding(mesh, PartitionSpec())

        def each(function: Any, *shared: int, donate: tuple[int, ...] = ()) -> Any:
            """The function for every member; arguments numbered in `shared` are one for all."""

            def mapped(*arguments: Any) -> Any:
                axes = tuple(None if i in shared else 0 for i in range(len(arguments)))
                specs = tuple(PartitionSpec(*[_AXIS][: axis == 0]) for axis in axes)
                return jax.shard_map(
                    jax.vmap(function, in_axes=axes),
                    mesh=mesh,
                    in_specs=specs,
                    out_specs=PartitionSpec(_AXIS),
                    check_vma=False,
                )(*arguments)

            return jax.jit(mapped, donate_argnums=donate)

        self._step = each(self._member_step, 3, donate=(2,))
        self._evaluated = each(self._member_evaluated, 3)
        self._first_carry = each(
            lambda params: common.learner.initial_carry(
                params, common.dataset.evaluation_batch_size
            )
        )
        self._choose = each(choose, donate=(2,))
        self._evaluation_params = each(lambda s: evaluation_params(s.opt_state, s.params))
        self._anew = each(lambda due, sums: choose(due, jax.tree.map(jnp.zeros_like, sums), sums))

    @property
    def fields(self) -> list[str]:
        """Those whose numbers are inputs."""
        return list(self.corners)

    def placed(self, state: TrainState) -> TrainState:
        """A stacked state where it belongs."""
        return jax.device_put(state, self._stacked)

    def stack(self, states: Sequence[TrainState]) -> TrainState:
        """The state of all members of the state of each."""
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        return self.placed(stacked)

    def shapes(self, state: TrainState) -> TrainState:
        """Shapes of the stacked state, placed, of one member's."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (self.size, *leaf.shape), leaf.dtype, sharding=self._stacked
            ),
            state,
        )

    def put(self, state: TrainState, slots: Sequence[int], news: Sequence[TrainState]) -> Any:
        """Other states in some slots."""
        if not slots:
            return state
        places = jnp.asarray(slots)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *news)
        found = jax.tree.map(lambda old, new: old.at[places].set(new), state, stacked)
        return self.placed(found)

    def copied(self, state: TrainState, parents: Sequence[int]) -> TrainState:
        """The state of a parent for every slot; each keeps its own key."""
        places = jnp.asarray(parents)
        found = jax.tree.map(lambda leaf: leaf[places], state._replace(key=()))
        return jax.device_put(found, self._stacked)._replace(key=state.key)

    def numbers(self, members: Sequence[Mapping[str, Number]]) -> Numbers:
        """Numbers of every member as inputs."""
        return {
            field: jax.device_put(
                np.array([m[field] for m in members], _dtype(corners)), self._stacked
            )
            for field, corners in self.corners.items()
        }

    def step(
        self, numbers: Numbers, active: Sequence[bool], state: TrainState, batch: Batch
    ) -> TrainState:
        """One step of all members that are active; it takes the state over."""
        batch = jax.device_put(batch, self._whole)
        return self._step(numbers, self._flags(active), state, batch)

    def evaluation_params(self, state: TrainState) -> Any:
        """The parameters of every member that are evaluated: averages, if there are any."""
        return self._evaluation_params(state) if is_averaging(state.opt_state) else state.params

    def evaluate(
        self, numbers: Numbers, params: Any, batches: RandomAccess
    ) -> list[dict[str, float]]:
        """The figures of every member on a split."""
        carry, found = self._first_carry(params), []
        for i in range(len(batches)):
            batch = jax.device_put(batches[i], self._whole)
            carry, sums = self._evaluated(numbers, params, carry, batch)
            found.append(sums)
        # In double precision, as the evaluation of a run.
        total = jax.tree.map(lambda *s: np.sum(s, axis=0, dtype=np.float64), *found)
        return [self.common.learner.summarize(_of(total, i)) for i in range(self.size)]

    def chosen(self, which: Sequence[bool], new: TrainState, old: TrainState) -> TrainState:
        """The new state of some members, the old one of the others; it takes the old one over."""
        return self._choose(self._flags(which), new, old)

    def count_anew(self, which: Sequence[bool], state: TrainState) -> TrainState:
        """The state with empty sums in some members."""
        return state._replace(sums=self._anew(self._flags(which), state.sums))

    def _flags(self, which: Sequence[bool]) -> jax.Array:
        return jax.device_put(np.array(which, bool), self._stacked)

    def _experiment(self, numbers: Numbers) -> Experiment:
        traced = {f: TracedNumber(self.corners[f], value) for f, value in numbers.items()}
        return substitute(self.common.experiment, traced)

    def _member_step(self, numbers: Numbers, active: Any, state: TrainState, batch: Batch) -> Any:
        new = self.common.step(self._experiment(numbers), state, batch)
        return choose(active, new._replace(key=state.key), state)

    def _member_evaluated(self, numbers: Numbers, params: Any, carry: Any, batch: Batch) -> Any:
        return self.common.evaluated(self._experiment(numbers), params, carry, batch)


def member(state: Any, slot: int) -> Any:
    """The state of one member, on the first device."""
    found = jax.tree.map(lambda leaf: leaf[slot], state)
    return jax.device_put(found, jax.local_devices()[0])


def _of(total: Mapping[str, np.ndarray], slot: int) -> dict[str, float]:
    return {name: float(values[slot]) for name, values in total.items()}


def _dtype(corners: Sequence[Number]) -> Any:
    return np.float32 if any(isinstance(corner, float) for corner in corners) else np.int32
