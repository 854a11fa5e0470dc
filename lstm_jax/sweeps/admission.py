"""Which searches one program can serve: found by tracing, before anything is compiled."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.config import describe, to_json
from lstm_jax.errors import ConfigError
from lstm_jax.sweeps.members import Common, prepare
from lstm_jax.sweeps.space import Space, corners, first_point
from lstm_jax.sweeps.traced import Divides, Number, ShapesProgram, TracedNumber, substitute
from lstm_jax.tasks import Task
from lstm_jax.training.averaging import TriggeredState
from lstm_jax.training.experiment import Experiment, build_experiment
from lstm_jax.training.optimizer_state import find_states
from lstm_jax.training.plateau import PlateauSchedule

_ELSE = "leave it to --engine=process"
# Sections of the config that are none of the task's: no data are made of them, and nothing scored.
OF_TRAINING = ("seed", "optimizer", "schedule", "train", "groups", "averaging")
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def only_training(task: Task, field: str) -> bool:
    """Whether neither the data nor the scores of a run depend on a field of its config."""
    sections = (*OF_TRAINING, *getattr(task, "only_training", ()))
    return any(f"{field}.".startswith(f"{section}.") for section in sections)


class Admitted(NamedTuple):
    """A search that one program can serve.

    Attributes:
      common: what all trials have in common; its numbers are those of one corner of the space.
      corners: the numbers that are inputs of the program, by field, at the corners of the space.
      varied: all fields that vary; those that are no inputs change the first state alone.
    """

    common: Common
    corners: dict[str, tuple[Number, ...]]
    varied: tuple[str, ...]


def admit(load: Callable[[Sequence[str]], Any], space: Space, assets: Path) -> Admitted:
    """Reads the data, and finds out which numbers the program can take as inputs.

    Args:
      load: the config of overrides.
      space: what is searched.
      assets: what the learner is made of is kept there.

    Raises:
      ConfigError: with every field that trials of one program cannot differ in, or that one
        program cannot have.
    """
    first = first_point(space)
    base = load(first)
    experiment = build_experiment(base)
    found = _varied(_flat(base), [_flat(load([*first, *corner])) for corner in corners(space)])
    whole = {line.path for line in describe(Experiment, base) if line.type.startswith("int")}
    found = {f: v if f in whole else tuple(map(float, v)) for f, v in found.items()}
    _refuse(_unfit(experiment))
    common = prepare(experiment, assets)
    _refuse(_unfit_learner(common))
    _require_same_data(common, load, first, found)
    inputs = _inputs(common, load, first, found)
    return Admitted(common, {field: found[field] for field in inputs}, tuple(found))


def number_at(config: Any, field: str) -> Number:
    """The number of a field of a config."""
    for name in field.split("."):
        config = config[name]
    return config


def _refuse(problems: Iterable[str]) -> None:
    problems = [f"--engine=population: {problem}" for problem in problems]
    if problems:
        raise ConfigError(problems)


def _unfit(experiment: Experiment) -> list[str]:
    """What one program cannot do, or does for all trials alike."""
    train, stopping, mesh = experiment.train, experiment.early_stopping, experiment.mesh
    times = ("duration", "report_every", "evaluate_every", "checkpoint_every")
    problems = [
        f"train.{name}: trials of one program count steps, not time; say steps or epochs"
        for name in times
        if re.search(r"second|minute|hour|day", getattr(train, name))
    ]
    if train.on_nonfinite == "rewind":
        problems.append("train.on_nonfinite: no trial goes back alone; use stop or skip")
    if stopping.patience is not None or stopping.target is not None:
        problems.append(f"early_stopping: a --pruner ends trials early here, or {_ELSE}")
    if mesh.data not in (-1, 1) or mesh.fsdp != 1 or mesh.model != 1:
        problems.append(f"mesh: devices share out the trials here, not a trial; {_ELSE}")
    if experiment.init_from.workdir is not None:
        problems.append(f"init_from: every trial begins anew here; {_ELSE}")
    if isinstance(experiment.schedule(100), PlateauSchedule):
        problems.append(f"schedule: reduce_on_plateau follows each run's evaluations; {_ELSE}")
    if jax.process_count() > 1:
        problems.append("a program of one process serves the trials")
    return problems


def _unfit_learner(common: Common) -> list[str]:
    problems = []
    state = jax.eval_shape(lambda: common.first_state(common.experiment))
    if find_states(state.opt_state, TriggeredState):
        problems.append(f"averaging: nt_asgd follows each run's evaluations; {_ELSE}")
    return problems


def _varied(
    base: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[Number, ...]]:
    """All numbers there are for every field that varies.

    Raises:
      ConfigError: something varies that is no number.
    """
    found: dict[str, list[Number]] = {}
    problems: dict[str, str] = {}
    for other in others:
        for field in dict.fromkeys([*base, *other]):
            values: list[Any] = [base.get(field), other.get(field)]
            if values[0] == values[1]:
                continue
            if field.startswith("data."):
                problems[field] = f"{field}: trials of one program share their data; {_ELSE}"
            elif all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
                found.setdefault(field, [values[0]]).append(values[1])
            else:
                problems[field] = f"{field}: it is no number, and shapes the program; {_ELSE}"
    _refuse(_outermost(problems))
    return {field: tuple(dict.fromkeys(values)) for field, values in found.items()}


def _outermost(problems: Mapping[str, str]) -> list[str]:
    """Another part has other fields, which need no word of their own."""
    parts = [field.removesuffix("name") for field in problems if field.endswith(".name")]
    return [
        text
        for field, text in problems.items()
        if field.endswith(".name") or not any(field.startswith(part) for part in parts)
    ]


def _require_same_data(
    common: Common, load: Any, first: Sequence[str], found: Mapping[str, Sequence[Number]]
) -> None:
    """Some fields of a task say what its data are."""
    problems = []
    for field, values in found.items():
        if only_training(common.experiment.task, field):
            continue
        other = build_experiment(load([*first, f"{field}={values[-1]!r}"]))
        _, dataset = other.prepare(common.assets)
        if dataset.fingerprint != common.dataset.fingerprint:
            problems.append(f"{field}: trials of one program share their data; {_ELSE}")
    _refuse(problems)


def _inputs(
    common: Common, load: Any, first: Sequence[str], found: Mapping[str, tuple[Number, ...]]
) -> list[str]:
    """The fields that the program reads; the others must change the first state, and not its form.

    Raises:
      ConfigError: with the fields that shape the program, and those that change nothing.
    """
    inputs, problems = [], []
    for field, values in found.items():
        other = build_experiment(load([*first, f"{field}={values[-1]!r}"]))
        here, there = (_first_state(common, e) for e in (common.experiment, other))
        try:
            if here[0] != there[0]:
                raise ShapesProgram("other arrays")
            if field != "seed" and _is_read(common, field, values):
                inputs.append(field)
            elif here == there:
                problems.append(f"{field}: nothing that is compiled depends on it; {_ELSE}")
        except Divides:
            narrow = "narrow it, say to above 0" if min(values) == 0 else "narrow it"
            problems.append(f"{field}: not all its values are one program; {narrow}, or {_ELSE}")
        except Exception:  # whatever a tracer led to in the code of a task or of Optax
            problems.append(f"{field}: it shapes the program; {_ELSE}")
    _refuse(problems)
    return inputs


def _first_state(common: Common, experiment: Experiment) -> tuple[Any, str]:
    """The form of the first state, and how it is computed, as a text."""
    made = jax.make_jaxpr(lambda: common.first_state(experiment))()
    constants = " ".join(str(jnp.asarray(c).tolist()) for c in made.consts if _is_small(c))
    return made.out_avals, _ADDRESS.sub("", f"{made} {constants}")


def _is_small(constant: Any) -> bool:
    return not jax.dtypes.issubdtype(constant.dtype, jax.dtypes.prng_key) and constant.size < 10_000


def _is_read(common: Common, field: str, values: Sequence[Number]) -> bool:
    """Whether a step or an evaluation reads the number, which is an input of both."""
    dataset = common.dataset
    held_out = next(batches for split, batches in dataset.splits.items() if split != "train")

    def both(number: Any, state: Any, batch: Any, other: Any) -> Any:
        experiment = substitute(common.experiment, {field: TracedNumber(values, number)})
        new = common.step(experiment, state, batch)
        size = dataset.evaluation_batch_size
        carry = common.learner.initial_carry(new.params, size)
        return new, common.evaluated(experiment, new.params, carry, other)

    is_float = any(isinstance(value, float) for value in values)
    number = jax.ShapeDtypeStruct((), jnp.float32 if is_float else jnp.int32)
    state = jax.eval_shape(lambda: common.first_state(common.experiment))
    made = jax.make_jaxpr(both)(number, state, dataset.train[0], held_out[0])
    new = made.out_avals[: len(jax.tree.leaves(state))]
    if [a.dtype for a in new] != [leaf.dtype for leaf in jax.tree.leaves(state)]:
        raise ShapesProgram("other types")
    (first, *_), equations = made.jaxpr.invars, made.jaxpr.eqns
    return any(variable is first for equation in equations for variable in equation.invars)


def _flat(config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(values: Mapping[str, Any], path: str) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping):
                walk(value, f"{path}{name}.")
            else:
                found[f"{path}{name}"] = value

    walk(json.loads(to_json(config)), "")
    return found
