"""The cell that the documentation writes: short, and with all that the library's own have."""

import doctest
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cli.main import main
from lstm_jax.config import find
from tests.conftest import CHAR_LM, REPOSITORY

HEADER = "import jax, jax.numpy as jnp, lstm_jax as lj\n"
OPTIONS = ["--config.model.cell=my_cells:leaky", "--config.model.cell.leak=0.8"]


def own_cell():
    """The source of the documentation's cell."""
    examples = doctest.DocTestParser().get_examples((REPOSITORY / "docs/cells.md").read_text())
    begin = next(i for i, e in enumerate(examples) if "class LeakyCarry" in e.source)
    end = next(i for i, e in enumerate(examples) if "def leaky" in e.source)
    return "".join(e.source for e in examples[begin - 1 : end + 1])


@pytest.fixture(scope="module")
def my_cells(tmp_path_factory):
    """The cell from a module `my_cells` in the current folder, as a user has it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_cells.py").write_text(HEADER + own_cell())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        yield find("cell", "my_cells:leaky")


def test_is_about_twenty_lines():
    _, _, code = own_cell().split('"""')  # what stands after the docstring
    assert len(code.strip().splitlines()) <= 20


def test_has_fast_gradients_masks_and_stacks(my_cells):
    cell, xs = my_cells(6), jax.random.normal(jax.random.key(0), (9, 3, 4))
    lengths = jnp.array([9, 4, 0])
    assert lj.explain(cell, xs).name == "deferred"
    deep = lj.stack([cell, lj.bidirectional(cell), lj.zoneout(cell, 0.1)], connection="highway")
    params = deep.init(jax.random.key(1), 4)
    carry, ys = lj.scan(deep, params, None, xs, lengths=lengths)
    for b, n in enumerate(lengths.tolist()):
        alone, expected = lj.scan(deep, params, None, xs[:n, b])
        np.testing.assert_allclose(ys[:n, b], expected, rtol=1e-5, atol=1e-5)
        assert not ys[n:, b].any()
        np.testing.assert_allclose(carry[2].hidden[b], alone[2].hidden, rtol=1e-5, atol=1e-5)


def test_its_options_are_fields_of_the_config(my_cells, capsys):
    assert main(["config", f"--config={CHAR_LM}:smoke", *OPTIONS]) == 0
    printed = capsys.readouterr().out
    assert "model.cell.leak = 0.8" in printed
    assert "share of the old state that stays" in printed
    code = main(["config", f"--config={CHAR_LM}:smoke", OPTIONS[0], "--config.model.cell.leek=1"])
    assert code == 2
    assert "did you mean leak?" in capsys.readouterr().err


@pytest.mark.slow
def test_trains_from_the_command_line(my_cells, tmp_path):
    workdir = tmp_path / "run"
    arguments = [f"--config={CHAR_LM}:smoke", f"--workdir={workdir}", *OPTIONS]
    assert main(["train", *arguments]) == 0
    assert (workdir / "result.json").exists()
