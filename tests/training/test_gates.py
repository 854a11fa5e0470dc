"""Gates over an evaluation, against gates that are known because their biases are."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.flax.linen import RNN
from lstm_jax.tasks import Learner
from lstm_jax.training.gates import make_look_at_gates

HIDDEN = 10


class Model(nn.Module):
    """Two layers, the second of which sees the first; batch before time, or behind it."""

    cells: tuple
    time_major: bool = False

    @nn.compact
    def __call__(self, xs, carry, **options):
        carries = []
        for i, cell in enumerate(self.cells):
            layer = RNN(cell, time_major=self.time_major, name=f"layer_{i}")
            new, xs = layer(xs, carry and carry[i], **options)
            carries.append(new)
        return tuple(carries), xs


def made(cells, time_major=False):
    model = Model(tuple(cells), time_major)

    def loss(params, carry, batch, key):
        options = {k: v for k, v in batch.items() if k != "xs"}
        carry, ys = model.apply({"params": params}, batch["xs"], carry, **options)
        return ys.sum(), carry, {"sum": ys.sum()}

    params = model.init(jax.random.key(0), jnp.ones((2, 4, 3)), None)["params"]
    learner = Learner(lambda key: params, lambda p, n: None, loss, dict, ())
    return learner, jax.tree.map(jnp.array, params)


def batches(number=3, **more):
    rng = np.random.default_rng(0)
    return [{"xs": jnp.asarray(rng.normal(size=(2, 6, 3)), jnp.float32), **more}] * number


def with_bias(params, layer, block, value, units=slice(None)):
    """Sets the bias of a gate so far out that nothing else counts."""
    bias = params[layer]["cell"]["bias"]
    moved = bias.reshape(*bias.shape[:-1], -1, HIDDEN).at[..., block, units].set(value)
    cell = {**params[layer]["cell"], "bias": moved.reshape(bias.shape)}
    return {**params, layer: {"cell": cell}}


def by_hand(cell, params, xs_tbd):
    """The gates of each step in a loop over `step` and `gates`."""
    carry, found = cell.initial_carry(params, xs_tbd.shape[1:2]), []
    for x in xs_tbd:
        found.append(lj.cells.gates(cell, params, carry, x))
        carry, _ = cell.step(params, carry, x)
    return {name: np.stack([gate[name] for gate in found]) for name in found[0]}


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("cell", [lj.lstm(HIDDEN), lj.gru(HIDDEN)])
def test_the_figures_are_those_of_a_loop_over_time(cell, time_major):
    learner, params = made([cell, cell], time_major)
    (batch,) = batches(1)
    params = jax.tree.map(lambda leaf: 4 * leaf, params)  # so that some are saturated
    report = make_look_at_gates(learner)(params, [batch], 2)
    xs = batch["xs"] if time_major else jnp.swapaxes(batch["xs"], 0, 1)
    found = by_hand(cell, params["layer_0"]["cell"], xs)
    assert len(report.figures) == 2 * len(found) * 3
    for name, gate in found.items():
        place = f"gates/layer_0/{name}"
        assert report.figures[f"{place}/mean"] == pytest.approx(gate.mean(), abs=1e-5)
        assert report.figures[f"{place}/shut"] == pytest.approx((gate < 0.05).mean(), abs=1e-5)
        assert report.figures[f"{place}/open"] == pytest.approx((gate > 0.95).mean(), abs=1e-5)
    assert sum(value for name, value in report.figures.items() if "layer_0" in name) > 0


def test_a_dead_gate_is_named_with_its_layer():
    learner, params = made([lj.lstm(HIDDEN), lj.lstm(HIDDEN)])
    look = make_look_at_gates(learner)
    assert look(params, batches(), 2).warnings == []
    params = with_bias(params, "layer_1", 1, -40.0)
    params = with_bias(params, "layer_0", 3, 40.0, slice(9))
    assert look(params, batches(), 2).warnings == [
        "layer_0: 90% of the units of the output gate stayed above 0.95 in the whole evaluation",
        "layer_1: 100% of the units of the forget gate stayed below 0.05 in the whole evaluation",
    ]
    params = with_bias(params, "layer_0", 3, 0.0, slice(8, 9))  # two of ten live
    (warning,) = look(params, batches(), 2).warnings
    assert warning.startswith("layer_1")


def test_a_gate_that_wakes_up_in_the_last_batch_is_not_dead():
    learner, params = made([lj.lstm(HIDDEN)])
    params = with_bias(params, "layer_0", 1, -40.0)
    kernel = params["layer_0"]["cell"]["kernel"].at[:, HIDDEN : 2 * HIDDEN].set(1.0)
    params = {"layer_0": {"cell": {**params["layer_0"]["cell"], "kernel": kernel}}}
    quiet = batches(5)
    loud = [*quiet[:4], {"xs": jnp.full((2, 6, 3), 40.0)}]
    look = make_look_at_gates(learner)
    assert len(look(params, quiet, 2).warnings) == 1
    assert look(params, loud, 2).warnings == []


class _Counted(list):
    read = 0

    def __getitem__(self, index):
        self.read += 1
        return super().__getitem__(index)


def test_one_batch_is_enough_where_no_gate_looks_dead():
    learner, params = made([lj.lstm(HIDDEN)])
    counted = _Counted(batches(50))
    make_look_at_gates(learner)(params, counted, 2)
    assert counted.read == 1
    make_look_at_gates(learner)(with_bias(params, "layer_0", 0, -40.0), counted, 2)
    assert counted.read == 51


@pytest.mark.parametrize("how", ["lengths", "mask"])
def test_padding_says_nothing(how):
    learner, params = made([lj.lstm(HIDDEN), lj.gru(HIDDEN)])
    lengths = jnp.array([4, 2])
    mask = jnp.arange(6) < lengths[:, None]
    options = {"lengths": lengths} if how == "lengths" else {"mask": mask}
    (batch,) = batches(1, **options)
    look = make_look_at_gates(learner)
    report = look(params, [batch], 2)
    wild = {**batch, "xs": jnp.where(mask[..., None], batch["xs"], 1e3)}
    assert look(params, [wild], 2) == report
    xs = jnp.swapaxes(batch["xs"], 0, 1)
    gate = by_hand(lj.lstm(HIDDEN), params["layer_0"]["cell"], xs)["forget"]
    expected = gate[np.asarray(mask.T)].mean()
    assert report.figures["gates/layer_0/forget/mean"] == pytest.approx(expected, abs=1e-6)


def test_a_reset_starts_from_the_initial_carry():
    learner, params = made([lj.lstm(HIDDEN)])
    resets = jnp.zeros((2, 6), bool).at[:, 3].set(True)
    (batch,) = batches(1, resets=resets)
    whole = make_look_at_gates(learner)(params, [batch], 2).figures
    halves = [
        make_look_at_gates(learner)(params, [{"xs": batch["xs"][:, part]}], 2).figures
        for part in (slice(3), slice(3, 6))
    ]
    for name, value in whole.items():
        assert value == pytest.approx(sum(half[name] for half in halves) / 2, abs=1e-6)


def test_layers_without_known_gates_are_left_out():
    learner, params = made([lj.rnn(HIDDEN), lj.bidirectional(lj.lstm(4)), lj.lstm(HIDDEN)])
    report = make_look_at_gates(learner)(params, batches(1), 2)
    assert {name.split("/")[1] for name in report.figures} == {"layer_2"}


def test_the_carry_goes_on_from_batch_to_batch():
    cell = lj.lstm(HIDDEN)
    seen = []
    learner, params = made([cell])
    inner = learner.loss

    def loss(params, carry, batch, key):
        found = inner(params, carry, batch, key)
        jax.debug.callback(lambda c: seen.append(np.asarray(c)), found[1][0].cell)
        return found

    zeros = (cell.initial_carry(params["layer_0"]["cell"], (2,)),)
    learner = learner._replace(loss=loss, initial_carry=lambda p, n: zeros)
    params = with_bias(params, "layer_0", 1, 40.0)  # what is remembered adds up
    make_look_at_gates(learner)(params, batches(3), 2)
    jax.effects_barrier()
    assert len(seen) == 3
    assert np.abs(seen[2]).sum() > np.abs(seen[1]).sum() > np.abs(seen[0]).sum()
