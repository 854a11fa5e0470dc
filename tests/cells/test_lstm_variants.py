"""The variants of the search space odyssey against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.lstm_variants import FullGateCarry, lstm_variant
from tests.cells.naive import assert_follows, noisy, sigmoid

HIDDEN, INPUT = 4, 3


def reference(variant):
    """One step in the paper's own form: a matrix, a bias and a peephole for each gate by name."""
    missing = {"no_input_gate": "i", "no_forget_gate": "f", "no_output_gate": "o"}
    gates = "ifgo".replace("i" if variant == "coupled_gates" else missing.get(variant, "-"), "")

    def step(params, carry, x):
        c, h = carry[:2]
        z = x @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"]
        block = dict(zip(gates, np.split(z, len(gates)), strict=True))
        seeing = gates.replace("g", "")
        peephole = dict.fromkeys("ifo", 0)
        if variant != "no_peepholes":
            parts = np.split(params["peephole_kernel"], len(seeing))
            peephole |= dict(zip(seeing, parts, strict=True))
        if variant == "full_gate_recurrence":
            before = np.split(carry.gates, 3)
            rows = np.split(params["gate_recurrent_kernel"], 3)
            for column, gate in enumerate("ifo"):
                for row, was in zip(rows, before, strict=True):
                    block[gate] = block[gate] + was @ np.split(row, 3, axis=1)[column]

        f = sigmoid(block["f"] + peephole["f"] * c) if "f" in block else np.ones_like(c)
        i = sigmoid(block["i"] + peephole["i"] * c) if "i" in block else np.ones_like(c)
        i = 1 - f if variant == "coupled_gates" else i
        g = block["g"] if variant == "no_input_activation" else np.tanh(block["g"])
        c = i * g + f * c
        o = sigmoid(block["o"] + peephole["o"] * c) if "o" in block else np.ones_like(c)
        h = o * (c if variant == "no_output_activation" else np.tanh(c))
        if variant == "full_gate_recurrence":
            return FullGateCarry(c, h, np.concatenate([i, f, o])), h
        return lj.LSTMCarry(c, h), h

    return step


@pytest.mark.parametrize(
    "variant",
    [
        "vanilla",
        "no_input_gate",
        "no_forget_gate",
        "no_output_gate",
        "no_input_activation",
        "no_output_activation",
        "coupled_gates",
        "no_peepholes",
        "full_gate_recurrence",
    ],
)
def test_each_follows_its_equation_in_value_and_derivative(variant):
    assert_follows(lstm_variant(HIDDEN, variant=variant), reference(variant), input_size=INPUT)


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("vanilla", {"peepholes": True}),
        ("coupled_gates", {"peepholes": True, "coupled_gates": True}),
        ("no_peepholes", {}),
    ],
)
def test_three_are_options_of_the_lstm(variant, options):
    ours, theirs = lstm_variant(HIDDEN, variant=variant), lj.lstm(HIDDEN, **options)
    params = ours.init(jax.random.key(0), INPUT)
    jax.tree.map(np.testing.assert_array_equal, params, theirs.init(jax.random.key(0), INPUT))
    params = noisy(params, seed=1)
    xs = jax.random.normal(jax.random.key(1), (6, 2, INPUT))
    np.testing.assert_allclose(
        lj.scan(ours, params, None, xs)[1], lj.scan(theirs, params, None, xs)[1], atol=1e-6
    )


def test_gates_that_do_not_see_each_other_are_a_vanilla_lstm():
    full, vanilla = (lstm_variant(HIDDEN, variant=v) for v in ("full_gate_recurrence", "vanilla"))
    params = noisy(full.init(jax.random.key(0), INPUT), seed=1)
    params["gate_recurrent_kernel"] = jnp.zeros((3 * HIDDEN, 3 * HIDDEN))
    xs = jax.random.normal(jax.random.key(1), (6, 2, INPUT))
    np.testing.assert_allclose(
        lj.scan(full, params, None, xs)[1], lj.scan(vanilla, params, None, xs)[1], atol=1e-6
    )


def test_a_memory_without_a_forget_gate_keeps_all_it_was_given():
    cell = lstm_variant(HIDDEN, variant="no_forget_gate")
    params = cell.init(jax.random.key(0), INPUT)
    params["bias"] = jnp.zeros(3 * HIDDEN).at[:HIDDEN].set(-100.0)  # the input gate is shut
    memory = lj.LSTMCarry(jnp.arange(4.0), jnp.zeros(4))
    carry, _ = lj.scan(cell, params, memory, jnp.zeros((50, INPUT)))
    np.testing.assert_array_equal(carry.cell, memory.cell)


def test_the_forget_bias_stands_on_the_forget_gate_alone():
    params = lstm_variant(HIDDEN, variant="no_input_gate", forget_bias=2.0).init(
        jax.random.key(0), INPUT
    )
    np.testing.assert_array_equal(params["bias"].reshape(3, HIDDEN)[0], 2.0)
    assert not params["bias"].reshape(3, HIDDEN)[1:].any()
    assert not lstm_variant(2, variant="no_forget_gate").init(jax.random.key(0), 1)["bias"].any()


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match=r"variant must be one of 'vanilla'.*, got 'peepholes'"):
        lstm_variant(3, variant="peepholes")
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        lstm_variant(0)
