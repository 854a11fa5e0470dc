"""Members of a population against the same trainings alone."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.sweeps.members import Members, member, prepare
from lstm_jax.sweeps.traced import Divides, ShapesProgram, TracedNumber, substitute
from lstm_jax.training import build_experiment, experiment
from lstm_jax.training.evaluation import make_evaluate
from lstm_jax.training.state import StepOptions, make_train_step
from tests.conftest import REPOSITORY
from tests.training.small import small

_STEPS = 6
_WARMUP, _DROPOUT, _RATE = "schedule.warmup", "model.dropout", "optimizer.learning_rate"
# The last one diverges: its rate throws the parameters out of what float32 can hold.
_NUMBERS = [
    {_RATE: 1e-2, _WARMUP: 0.5, _DROPOUT: 0.1},
    {_RATE: 3e-2, _WARMUP: 0.25, _DROPOUT: 0.4},
    {_RATE: 1e38, _WARMUP: 0.25, _DROPOUT: 0.1},
]
_SEEDS, _FORGET = (3, 2**32 - 1, 5), (1.0, 0.0, 1.0)


def _experiment(folder, i, steps=_STEPS):
    numbers = _NUMBERS[i % 3]
    values = small(
        folder,
        seed=_SEEDS[i % 3] + i // 3,
        model={"num_layers": 1, "dropout": numbers[_DROPOUT], "cell": {"name": "lstm"}},
        optimizer={"learning_rate": numbers[_RATE]},
        schedule={"name": "warmup_cosine", "warmup": numbers[_WARMUP]},
        train={"duration": f"{steps} steps"},
    )
    values["model"]["cell"]["forget_bias"] = _FORGET[i % 3]
    return build_experiment(experiment(**values))


def train_members(folder, size, steps=_STEPS):
    """A population after some steps: the members' functions, their numbers and their state."""
    experiments = [_experiment(folder, i) for i in range(size)]
    common = prepare(experiments[0], folder)
    corners = {_RATE: (1e-2, 1e38), _WARMUP: (0.25, 0.5), _DROPOUT: (0.1, 0.4)}
    members = Members(common, corners, size)
    numbers = members.numbers([_NUMBERS[i % 3] for i in range(size)])
    state = members.stack([common.first_state(e) for e in experiments])
    for i in range(steps):
        state = members.step(numbers, [True] * size, state, common.dataset.train[i])
    return members, numbers, state


def _alone(common, own):
    options = StepOptions(on_nonfinite=own.train.on_nonfinite)
    learner = own.task.restore(common.assets)
    step = make_train_step(learner, common.optimizer(own), options)
    state = jax.tree.map(jnp.copy, common.first_state(own))
    for i in range(_STEPS):
        state = step(state, common.dataset.train[i])
    return learner, state


@pytest.mark.slow
def test_each_member_is_what_it_is_alone_and_none_is_harmed_by_one_that_diverges(tmp_path):
    members, numbers, state = train_members(tmp_path, 3)
    common = members.common
    batches = common.dataset.splits["validation"]
    found = members.evaluate(numbers, members.evaluation_params(state), batches)
    learner, alone = _alone(common, _experiment(tmp_path, 1))
    own = member(state, 1)
    assert jax.tree.structure(own) == jax.tree.structure(alone)
    assert jnp.array_equal(jax.random.key_data(own.key), jax.random.key_data(alone.key))
    # The compiler folds a plain number into others, and rounds in another order.
    both = (jax.tree.leaves(each._replace(key=())) for each in (own, alone))
    for a, b in zip(*both, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)
    values = make_evaluate(learner)(alone.params, batches, 1)
    assert found[1] == pytest.approx(values, rel=1e-5)
    assert np.asarray(state.guard.bad_step).tolist()[:2] == [-1, -1]
    assert 0 < state.guard.bad_step[2] < _STEPS
    # What is told to stand still does.
    before = jax.tree.map(np.array, state.params)
    state = members.step(numbers, [False, True, True], state, common.dataset.train[0])
    changes = jax.tree.map(lambda new, old: np.any(new != old, tuple(range(1, old.ndim))),
                           jax.tree.map(np.array, state.params), before)  # fmt: skip
    moved = np.any(jax.tree.leaves(changes), axis=0).tolist()
    assert moved == [False, True, False]
    assert state.step.tolist()[:2] == [_STEPS, _STEPS + 1]


@pytest.mark.long
def test_devices_share_out_the_members(tmp_path):
    found = {}
    for devices in (1, 2):
        ran = subprocess.run(
            [sys.executable, "-m", "tests.sweeps.on_devices", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
            cwd=REPOSITORY,
            env=os.environ
            | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
            | {"JAX_PLATFORMS": "cpu"},
        )
        found[devices] = json.loads(ran.stdout.splitlines()[-1])
    assert (found[1]["devices"], found[2]["devices"]) == (1, 2)
    assert found[2]["held"] == [2, 2]
    np.testing.assert_allclose(found[1]["params"], found[2]["params"], rtol=1e-5, atol=1e-6)


def test_a_number_answers_alike_for_all_that_may_stand_there():
    rate = TracedNumber((0.1, 0.5), jnp.float32(0.25))
    assert rate > 0
    assert rate != 0
    assert not rate >= 1
    assert bool(rate)
    steps = round(rate * 10)
    assert (int(steps.value), steps.corners) == (2, (1, 5))
    assert max(10 - steps, 1).corners == (9, 5)
    assert float(2**rate.value) == pytest.approx(2**0.25)
    assert (jnp.ones(3) * rate).tolist() == [0.25] * 3 == (rate * jnp.ones(3)).tolist()
    with pytest.raises(Divides):
        steps == 1  # noqa: B015
    for needs_it in (range, float, lambda n: [0] * n):
        with pytest.raises((ShapesProgram, TypeError)):
            needs_it(steps)
    with pytest.raises(ShapesProgram):
        1 / TracedNumber((0, 1), jnp.float32(1))


def test_a_number_is_put_where_the_config_keeps_it(tmp_path):
    own = _experiment(tmp_path, 0)
    changed = substitute(own, {_RATE: 7.0, "model.cell.forget_bias": 8.0, "train.report_every": 9})
    assert changed.optimizer.keywords["learning_rate"] == 7.0
    assert changed.task.model.cell.keywords["forget_bias"] == 8.0
    assert changed.train.report_every == 9
    assert own.optimizer.keywords["learning_rate"] == 1e-2
    assert own.train.report_every == "4 steps"
    with pytest.raises(ShapesProgram):
        substitute(own, {"model.cell.nothing": 1})
