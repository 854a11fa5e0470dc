"""The benchmarks of classification and recognition time the same model on both sides."""

import os
import re
import subprocess
import sys

import jax
import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    ("benchmark", "arguments", "row"),
    [
        pytest.param(
            "classifier_speed", ["--texts=64"], "bidirectional LSTM-128", marks=pytest.mark.slow
        ),
        pytest.param(
            "recognition_speed",
            [],
            "convolutions, bidirectional LSTM-160 twice, CTC",
            marks=pytest.mark.long,
        ),
    ],
)
def test_both_programs_are_the_same_model(tmp_path, benchmark, arguments, row):
    pytest.importorskip("torch")
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.values["jax_compilation_cache_dir"] or ""}
    script = REPOSITORY / f"experiments/benchmarks/{benchmark}.py"
    arguments = ["--rounds=1", "--batches=1", *arguments, f"--out={tmp_path}"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True, text=True, check=False, env=os.environ | cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / f"{benchmark}.md").read_text()
    ours, theirs = map(float, re.findall(r"first step: ([\d.]+) and ([\d.]+)", text)[0])
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert re.search(rf"\| {re.escape(row)} \| [\d,]+ \| [\d,]+ \| [\d.]+ \|", text)
