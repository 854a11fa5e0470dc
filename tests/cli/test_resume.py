"""A run that ends anywhere goes on as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstm_jax.training.writers import read_metrics
from tests.conftest import CHAR_LM

CLOCK = {"seconds", "characters_per_second"}


def start(workdir: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "lstm_jax.cli.main", "train", f"--config={CHAR_LM}:smoke"]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    return output


def wait_for_line(process: subprocess.Popen, text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the run ended without {text!r}")


def wait_for_file(process: subprocess.Popen, workdir: Path, pattern: str) -> None:
    while process.poll() is None and not list(workdir.glob(pattern)):
        time.sleep(0.001)


def figures(workdir: Path) -> dict:
    """All that a run leaves, but for the time it took."""
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in read_metrics(workdir)]
    result = json.loads((workdir / "result.json").read_text())
    meta = json.loads((workdir / "checkpoints/40/meta/metadata").read_text())["content"]
    return {
        "lines": lines,
        "result": {k: v for k, v in result.items() if k not in CLOCK},
        "digests": meta["digests"],
        "data": meta["data"],
    }


def kill_when(process: subprocess.Popen, workdir: Path, moment: str, rng: random.Random) -> None:
    if moment == "saving":
        wait_for_file(process, workdir, "checkpoints/*tmp*")
    else:
        wait_for_line(process, moment)
        time.sleep(rng.uniform(0, 0.4))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_at_any_moment_the_end_is_the_same_bit_for_bit(smoke_run, tmp_path):
    rng = random.Random(0)
    workdir = tmp_path / "killed"
    for moment in ("saving", "compiling", "step 20: validation", "saving"):
        kill_when(start(workdir), workdir, moment, rng)
        assert not (workdir / "result.json").exists()
    output = finish(start(workdir))
    assert "going on from step" in output
    assert figures(workdir) == figures(smoke_run)


@pytest.mark.slow
def test_killed_at_random_times(smoke_run, tmp_path):
    rng = random.Random(1)
    workdir = tmp_path / "killed"
    for _ in range(12):
        process = start(workdir)
        time.sleep(rng.uniform(2.0, 7.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finish(start(workdir))
    assert figures(workdir) == figures(smoke_run)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, number, code):
    workdir = tmp_path / "run"
    long = "--config.train.duration=4000 steps"
    process = start(workdir, long)
    wait_for_line(process, "step 10/4000")
    process.send_signal(number)
    output = finish(process)
    assert process.returncode == code
    assert "to go on: lstm-jax train" in output
    assert "Traceback" not in output
    saved = int(output.split("saved step ")[1].split(";")[0])
    assert (workdir / "checkpoints" / str(saved)).is_dir()
    process = start(workdir, long)
    wait_for_line(process, f"going on from step {saved}")
    process.kill()
    process.wait()


def test_data_that_changed_under_a_run_are_noticed(tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("all happy families are alike. " * 200)
    own = ["--config.data.source=text_file", f"--config.data.path={book}"]
    process = start(tmp_path / "run", *own, "--config.train.duration=4000 steps")
    wait_for_line(process, "step 30/4000")
    process.send_signal(signal.SIGTERM)
    finish(process)
    book.write_text("every unhappy family is unhappy. " * 200)
    process = start(tmp_path / "run", *own, "--config.train.duration=4000 steps")
    output = finish(process)
    assert process.returncode == 2
    assert "the data are not those that the run was trained on" in output
