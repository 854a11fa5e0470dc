"""Several seeds of a config: each an ordinary run, the mean and deviation of their figures."""

import json
import statistics
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_seeds_are_runs_and_their_figures_are_summed_up(tmp_path):
    command = [
        sys.executable, "experiments/series/seeds.py", f"--workdir={tmp_path}", "--seeds=2",
        "--config=configs/series/japanese_vowels.py:smoke", "--config.train.duration=1 epochs",
        "--config.train.evaluate_every=1 epochs",
    ]  # fmt: skip
    for _ in range(2):  # what is finished is not run again
        found = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=True
        )
    told = json.loads((tmp_path / "seeds.json").read_text())
    runs = [json.loads((tmp_path / f"seed_{i}" / "result.json").read_text()) for i in range(2)]
    values = [run["test/loss"] for run in runs]
    assert told["test/loss"]["values"] == values
    assert values[0] != values[1]
    assert told["test/loss"]["mean"] == pytest.approx(statistics.fmean(values))
    assert told["test/loss"]["deviation"] == pytest.approx(statistics.stdev(values))
    assert "compiling" not in found.stdout
