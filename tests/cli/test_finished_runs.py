"""What `lstm-jax train` says of runs that are finished, broken, or whose reader went away."""

import json
import shutil
import subprocess
import sys

import pytest

from lstm_jax.cli.main import main
from tests.conftest import CHAR_LM


@pytest.fixture
def finished(smoke_run, tmp_path):
    """A finished run to break."""
    return shutil.copytree(smoke_run, tmp_path / "run")


def refused(capsys, *arguments):
    assert main(["train", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_a_finished_run_has_no_step_to_profile(finished, capsys):
    told = refused(capsys, f"--workdir={finished}", "--profile=steps:10-20")
    assert "no step is left to profile" in told


def test_a_finished_run_without_checkpoints_says_how_to_go_on(finished, capsys):
    shutil.rmtree(finished / "checkpoints")
    assert "delete its result.json" in refused(capsys, f"--workdir={finished}")
    (finished / "result.json").unlink()
    assert main(["train", f"--workdir={finished}"]) == 0
    assert (finished / "checkpoints").is_dir()


def test_a_damaged_result_is_named_and_can_be_made_again(finished, capsys):
    before = json.loads((finished / "result.json").read_text())
    (finished / "result.json").write_text("{")
    told = refused(capsys, f"--workdir={finished}")
    assert "result.json is damaged" in told
    (finished / "result.json").unlink()
    assert main(["train", f"--workdir={finished}"]) == 0
    assert json.loads((finished / "result.json").read_text())["steps"] == before["steps"]


def test_a_reader_that_goes_away_ends_no_run(tmp_path):
    train = [sys.executable, "-m", "lstm_jax.cli.main", "train", f"--config={CHAR_LM}:smoke"]
    process = subprocess.Popen(
        [*train, f"--workdir={tmp_path / 'run'}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, b"")
    assert (tmp_path / "run/result.json").exists()


def test_a_dry_run_that_does_not_fit_fails(tmp_path, capsys):
    told = refused(
        capsys,
        f"--config={CHAR_LM}:smoke",
        f"--workdir={tmp_path / 'run'}",
        "--dry_run",
        "--config.model.hidden_size=200000",
    )
    assert "does not fit" in told
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverged_says_so(tmp_path, capsys):
    options = {
        "optimizer": "sgd",
        "optimizer.learning_rate": 1e30,
        "train.gradient_clip_norm": None,
        "data.baselines": False,
    }
    overrides = [f"--config.{name}={value}" for name, value in options.items()]
    assert main(["train", f"--config={CHAR_LM}:smoke", f"--workdir={tmp_path}", *overrides]) == 0
    told = capsys.readouterr().out
    assert "not finite: parameter_norm" in told
    assert told.count("training has diverged") == 1
