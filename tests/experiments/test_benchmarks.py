"""The benchmarks run, and measure what they say."""

import argparse
import importlib
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import lstm_jax as lj

BENCHMARKS = Path(__file__).resolve().parents[2] / "experiments/benchmarks"
TINY = "3x5x4x6"
LSTMS = ("linen", "nnx", "haiku", "equinox", "keras")


@pytest.fixture
def module(monkeypatch):
    """Imports a file of the benchmarks as the scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def tiny(module):
    """A tiny layer, with gradients."""
    contestants = module("contestants")
    return contestants.Layer(contestants.Size(3, 5, 4, 6), gradient=True)


def run(script: str, out: Path, *arguments: str) -> str:
    """The Markdown that a script leaves; its picture is there too."""
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.values["jax_compilation_cache_dir"] or ""}
    subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments, f"--out={out}"],
        env={**os.environ, **cache},
        check=True,
        capture_output=True,
    )
    (text,), (picture,) = out.glob("*.md"), out.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    return text.read_text()


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the last table that has a row of this name."""
    lines = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return {name: cells for name, *cells in lines}


@pytest.mark.slow
def test_layer_speed_runs_with_all_that_is_installed(tmp_path):
    text = run(
        "layer_speed.py",
        tmp_path,
        f"--sizes={TINY},2x3x2x4",
        "--rounds=1",
        "--cells=gru",
        "--unroll=2",
    )
    found = rows(text)
    assert {"auto", "reference", "deferred", "floor", "gru", "linen", "nnx"} <= found.keys()
    assert "auto, unroll 2" in found
    base = re.search(r"ratio to (\w+)", text)
    assert base is not None
    assert all("(1.00)" in cell for cell in found[base[1]][:2])
    for name in ("command", "date", "machine", "versions", "settings", "jax", "`auto` took"):
        assert f"\n- {name}: " in text
    assert str(tmp_path) not in text


@pytest.mark.long
def test_layer_speed_tells_other_settings_by_the_name_of_its_files(tmp_path):
    arguments = "--dtype=bfloat16", "--torch_wait=passive", "--peers=floor"
    text = run("layer_speed.py", tmp_path, f"--sizes={TINY}", "--rounds=1", *arguments)
    assert (tmp_path / "layer_speed_bfloat16_passive.md").exists()
    assert "- settings: bfloat16" in text
    assert "(ratio to auto)" in text


@pytest.mark.long
def test_generality_runs(tmp_path):
    text = run("generality.py", tmp_path, f"--sizes={TINY}", "--rounds=1")
    found = rows(text)
    for cell in ("gru", "layer-norm lstm", "peephole lstm", "leaky integrator", "masked lstm"):
        assert {f"{cell}, auto", f"{cell}, reference"} <= found.keys()
    assert "(1.00)" in found["lstm, reference"][0]


@pytest.mark.long
def test_memory_grows_as_the_length_and_with_remat_as_its_root(tmp_path):
    found = rows(run("long_sequences.py", tmp_path, "--lengths=4096,16384,65536", "--rounds=1"))
    none, root, windows = map(float, found["memory, MB"])
    assert windows == pytest.approx(0, abs=0.1)
    assert none == pytest.approx(1, abs=0.05)
    assert root == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_every_contestant_gives_all_gradients_in_the_dtype_of_the_layer(module, tiny):
    contestants, peers = module("contestants"), module("peers")
    layer = tiny._replace(dtype="bfloat16")
    batch, steps, width, hidden = layer.size
    weights, biases = 4 * hidden * (width + hidden), (4 * hidden, 8 * hidden)
    ours = {name: contestants.ours(lj.lstm, name) for name in ("auto", "reference", "deferred")}
    for name, make in (ours | peers.installed(LSTMS)).items():
        value, gradients = make(layer)()
        leaves = jax.tree.leaves(gradients)
        assert {str(leaf.dtype) for leaf in (value, *leaves)} == {"bfloat16"}, name
        sizes = sum(leaf.size for leaf in leaves) - batch * steps * width - weights
        assert sizes in biases, name
        assert all(np.abs(np.asarray(leaf, "float32")).max() > 0 for leaf in leaves), name


def test_what_cannot_serve_is_left_out_and_the_others_go_on(module, tiny):
    contestants, timing, report = module("contestants"), module("timing"), module("report")
    options = argparse.Namespace(sizes=[tiny.size], dtype="float32", rounds=1, pause=0)
    with pytest.raises(contestants.CannotServeError, match="parallel"):
        contestants.ours(lj.lstm, "parallel")(tiny)
    entered = {name: contestants.ours(lj.lstm, name) for name in ("reference", "parallel")}
    found = timing.measure(entered, options)["forward"]
    assert math.isnan(found["parallel"][0])
    assert found["reference"][0] > 0
    assert "| parallel | – | – | – |" in report.table(found, [tiny.size], "reference")


def test_backends_are_those_that_scan_takes_with_that_of_auto_first(module, tiny):
    contestants = module("contestants")
    xs = jax.ShapeDtypeStruct((5, 3, 4), "float32")
    found = {cell_of: contestants.backends(cell_of, tiny) for cell_of in (lj.lstm, lj.min_lstm)}
    for cell_of, names in found.items():
        assert names[0] == lj.explain(cell_of(6), xs).name
    assert "deferred" in found[lj.lstm]
    assert "parallel" not in found[lj.lstm]
    assert "parallel" in found[lj.min_lstm]


def test_times_are_milliseconds_of_one_call(module, tiny):
    timing = module("timing")
    options = argparse.Namespace(sizes=[tiny.size], dtype="float32", rounds=3, pause=0)
    naps = {f"{s}": lambda layer, s=s: lambda: time.sleep(s) for s in (0.005, 0.03)}
    found = timing.measure(naps, options)["value and gradient"]
    assert 5 <= found["0.005"][0] < 50
    assert 30 <= found["0.03"][0] < 300


def test_the_table_has_geometric_mean_and_worst(module, tiny):
    found = {"torch": [1.0, 2.0], "auto": [0.5, 4.0]}
    text = module("report").table(found, [tiny.size, tiny.size], "torch")
    assert "| auto | 0.5 (0.50) | 4 (2.00) | 1.00 | 2.00 |" in text


@pytest.mark.slow
def test_the_cell_of_a_user_keeps_the_contract(module):
    from lstm_jax.testing import check_cell

    check_cell(module("generality").leaky(5))


def test_the_exponent_is_that_of_the_longer_half(module):
    lengths = 2.0 ** np.arange(4, 13)
    values = np.where(lengths < 100, 100.0, lengths**0.5)
    assert module("long_sequences").exponent(lengths, values) == pytest.approx(0.5)


@pytest.mark.parametrize("policy", ["active", "passive"])
def test_the_policy_of_torch_replaces_what_was_set(module, monkeypatch, policy):
    monkeypatch.setenv("OMP_WAIT_POLICY", "something")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    module("options").set_torch_wait(policy)
    found = os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")
    assert found == ((None, None) if policy == "active" else ("passive", "0"))


def test_sizes_are_numbers_of_the_list_or_written_out(module):
    options, contestants = module("options"), module("contestants")
    made = argparse.ArgumentParser()
    options.add_layer_options(made)
    sizes = made.parse_args(["--sizes=6,1x2x3x4"]).sizes
    assert sizes == [contestants.Size(16, 1024, 768, 768), contestants.Size(1, 2, 3, 4)]


@pytest.mark.slow
def test_the_loop_hands_others_their_turns(module, monkeypatch, tmp_path):
    loop_cost = module("loop_cost")
    monkeypatch.setattr(loop_cost, "CONFIG", f"{loop_cost.CONFIG}:smoke")
    monkeypatch.setattr(loop_cost, "_TURN", 4)
    times = loop_cost.steps_in_turns(tmp_path / "run", rounds=2)
    assert len(times) == 4
    assert all(len(taken) == 2 and np.nanmin(taken) > 0 for taken in times.values())
    assert sum(math.isnan(t) for taken in times.values() for t in taken) == 2
    assert rows(loop_cost.table(times))[loop_cost._HAND][1] == "1.000"
