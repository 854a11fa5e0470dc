"""Every cell, with every option that changes what it computes, keeps the public contract."""

import pytest

from lstm_jax.config import find, names
from lstm_jax.testing import check_cell

# Options of a cell besides its defaults; and the size and space of its input where it is special.
OPTIONS = {
    "gru": [{"reset_after": False}],
    "rnn": [{"activation": "relu"}],
    "conv_lstm": [{"dimensions": 1}],
    "lstm": [
        {"peepholes": True, "cell_clip": 1.0},
        {"coupled_gates": True, "learn_initial_carry": True},
        {"projection_size": 3, "layer_norm": True, "peepholes": True},
        {"layer_norm": True},
    ],
    "lstm_variant": [{"variant": "full_gate_recurrence"}],
    "qrnn": [{"pooling": "ifo", "window": 3}],
    "sru": [{"peepholes": True}],
}
SPACES = {1: (5,), 2: (4, 3), 3: (3, 2, 2)}
HIDDEN = 4
QUICK = ("lstm", "min_lstm")  # one of each kind; the others compile for minutes together


def cases():
    for name in names("cell"):
        for options in [{}, *OPTIONS.get(name, [])]:
            marks = (pytest.mark.long if options else pytest.mark.slow,)
            marks = () if name in QUICK and not options else marks
            yield pytest.param(name, options, id=f"{name} {options or ''}".strip(), marks=marks)


@pytest.mark.parametrize(("name", "options"), list(cases()))
def test_cell_keeps_the_contract(name, options):
    cell = find("cell", name)(HIDDEN, **options)
    space = SPACES[cell.input_axes - 1] if cell.input_axes > 1 else ()
    check_cell(cell, space=space)
