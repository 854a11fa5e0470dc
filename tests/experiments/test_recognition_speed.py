"""The benchmark of recognition times the same model on both sides."""

import os
import re
import subprocess
import sys

import jax
import pytest

from tests.conftest import REPOSITORY


@pytest.mark.long
def test_both_programs_are_the_same_model(tmp_path):
    pytest.importorskip("torch")
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.values["jax_compilation_cache_dir"] or ""}
    script = REPOSITORY / "experiments/benchmarks/recognition_speed.py"
    arguments = ["--rounds=1", "--batches=1", f"--out={tmp_path}"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True, text=True, check=False, env=os.environ | cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "recognition_speed.md").read_text()
    ours, theirs = map(float, re.findall(r"first step: ([\d.]+) and ([\d.]+)", text)[0])
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert re.search(
        r"\| convolutions, bidirectional LSTM-160 twice, CTC \| [\d,]+ \| [\d,]+ \| [\d.]+ \|", text
    )
