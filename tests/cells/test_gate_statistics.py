"""Gates against the step that they are of: its slopes and its output are what they make of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells import gates
from lstm_jax.cells.lstm_equations import LSTMCarry

HIDDEN, INPUT = 5, 3


def made(cell, batch=(4,)):
    """Parameters far from their beginning, a carry and an input."""
    leaves, structure = jax.tree.flatten(cell.init(jax.random.key(0), INPUT))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    params = structure.unflatten(
        [
            leaf + 0.5 * jax.random.normal(k, leaf.shape)
            for k, leaf in zip(keys, leaves, strict=True)
        ]
    )
    carry = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(2), leaf.shape),
        cell.initial_carry(params, batch),
    )
    return params, carry, jax.random.normal(jax.random.key(3), (*batch, INPUT))


LSTMS = {
    "plain": lj.lstm(HIDDEN),
    "peepholes": lj.lstm(HIDDEN, peepholes=True),
    "layer_norm": lj.lstm(HIDDEN, layer_norm=True),
    "hard": lj.lstm(HIDDEN, gate_activation="hard_sigmoid"),
    "coupled": lj.lstm(HIDDEN, coupled_gates=True),
    "no_input_gate": lj.lstm_variant(HIDDEN, variant="no_input_gate"),
    "no_forget_gate": lj.lstm_variant(HIDDEN, variant="no_forget_gate"),
    "no_output_gate": lj.lstm_variant(HIDDEN, variant="no_output_gate"),
    "learned_carry": lj.lstm(HIDDEN, learn_initial_carry=True),
}


@pytest.mark.parametrize("name", LSTMS)
def test_the_step_is_linear_in_the_memory_with_the_forget_gate_as_its_slope(name):
    cell = LSTMS[name]
    params, carry, x = made(cell)
    if "peephole_kernel" in params:
        # Only in a gate that does not see the memory is the slope the gate.
        params = {**params, "peephole_kernel": jnp.zeros_like(params["peephole_kernel"])}

    def new_cell(memory):
        return cell.step(params, carry._replace(cell=memory), x)[0].cell

    _, slope = jax.jvp(new_cell, (carry.cell,), (jnp.ones_like(carry.cell),))
    gate = gates(cell, params, carry, x).get("forget", jnp.ones_like(slope))
    np.testing.assert_allclose(slope, gate, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LSTMS)
def test_the_output_gate_is_what_is_shown_of_the_memory(name):
    cell = LSTMS[name]
    params, carry, x = made(cell)
    new, y = cell.step(params, carry, x)
    shown = new.cell
    if name == "layer_norm":
        centred = shown - shown.mean(-1, keepdims=True)
        norm = centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)
        shown = norm * params["cell_norm"]["gamma"] + params["cell_norm"]["beta"]
    expected = y / jnp.tanh(shown)
    gate = gates(cell, params, carry, x).get("output", jnp.ones_like(y))
    np.testing.assert_allclose(gate, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("plain", {"input", "forget", "output"}),
        ("coupled", {"forget", "output"}),
        ("no_input_gate", {"forget", "output"}),
        ("no_forget_gate", {"input", "output"}),
        ("no_output_gate", {"input", "forget"}),
    ],
)
def test_only_gates_that_are_there_are_told(name, names):
    cell = LSTMS[name]
    assert set(gates(cell, *made(cell))) == names


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_update_gate_of_a_gru_mixes_the_old_with_a_candidate(reset_after):
    cell = lj.gru(HIDDEN, reset_after=reset_after)
    params, carry, x = made(cell)
    found = gates(cell, params, carry, x)
    assert set(found) == {"update", "reset"}
    kernel, recurrent = params["kernel"], params["recurrent_kernel"]
    h, r = carry.hidden, found["reset"]
    last = slice(2 * HIDDEN, None)
    if reset_after:
        candidate = jnp.tanh(
            (x @ kernel + params["bias"][0])[:, last]
            + r * (h @ recurrent + params["bias"][1])[:, last]
        )
    else:
        candidate = jnp.tanh((x @ kernel + params["bias"])[:, last] + (r * h) @ recurrent[:, last])
    _, y = cell.step(params, carry, x)
    mixed = found["update"] * h + (1 - found["update"]) * candidate
    np.testing.assert_allclose(y, mixed, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "cell", [lj.lstm(HIDDEN), lj.gru(HIDDEN), lj.gru(HIDDEN, reset_after=False)]
)
def test_all_steps_at_once_are_each_step_alone(cell):
    params, carry, x = made(cell, batch=(6, 4))
    together = gates(cell, params, carry, x)
    for t in range(6):
        alone = gates(cell, params, jax.tree.map(lambda leaf, t=t: leaf[t], carry), x[t])
        for name, gate in alone.items():
            np.testing.assert_allclose(together[name][t], gate, rtol=1e-5)


def test_what_is_around_a_cell_leaves_its_gates():
    plain = lj.lstm(HIDDEN)
    params, carry, x = made(plain)
    expected = gates(plain, params, carry, x)
    for cell in (lj.recurrent_dropout(plain, 0.5), lj.mixed_precision(plain)):
        found = gates(cell, params, carry, x)
        assert set(found) == set(expected)
        for name, gate in found.items():
            np.testing.assert_allclose(gate, expected[name], atol=0.02)  # products in bfloat16


@pytest.mark.parametrize(
    "cell",
    [
        lj.rnn(HIDDEN),
        lj.mgu(HIDDEN),
        lj.janet(HIDDEN),
        lj.multiplicative_lstm(HIDDEN),
        lj.lstm(HIDDEN, projection_size=2),
        lj.stack([lj.lstm(HIDDEN)]),
        lj.bidirectional(lj.lstm(HIDDEN)),
        lj.zoneout(lj.lstm(HIDDEN), 0.1),
        lj.zoneout(lj.gru(HIDDEN), 0.1),
    ],
)
def test_of_other_cells_nothing_is_said(cell):
    params = cell.init(jax.random.key(0), INPUT)
    assert gates(cell, params, cell.initial_carry(params, ()), jnp.ones(INPUT)) == {}


def test_a_gate_far_out_is_saturated():
    cell = lj.lstm(HIDDEN)
    params, carry, x = made(cell)
    bias = params["bias"].reshape(4, HIDDEN).at[1].set(50.0).reshape(-1)
    found = gates(cell, {**params, "bias": bias}, LSTMCarry(*carry), x)
    assert float(found["forget"].min()) > 0.99
