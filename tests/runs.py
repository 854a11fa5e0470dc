"""Runs in processes of their own, to be killed and compared."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from lstm_jax.cli.main import main
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.statistics import is_of_the_clock
from lstm_jax.training.writers import read_metrics
from tests.conftest import CHAR_LM, REPOSITORY

STEPS, SAVED_EVERY = 300, 50
OPTIONS = (
    "--config.data.source=text_file",
    f"--config.data.path={REPOSITORY / 'LICENSE'}",  # small, so that a run ends in seconds
    f"--config.train.duration={STEPS} steps",
    "--config.train.report_every=50 steps",
    "--config.train.evaluate_every=100 steps",
    f"--config.train.checkpoint_every={SAVED_EVERY} steps",
)
_LONGEST = 240  # seconds that a run may take, on a machine that does other things too


def command(workdir: Path, *options: str) -> list[str]:
    """The arguments of `train`."""
    return ["train", f"--config={CHAR_LM}:smoke", f"--workdir={workdir}", *OPTIONS, *options]


def start(workdir: Path, *options: str, **environment: str) -> subprocess.Popen:
    """A run in a process of its own, which is killed if it never ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_jax.cli.main", *command(workdir, *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )
    limit = threading.Timer(_LONGEST, process.kill)
    limit.daemon = True
    limit.start()
    return process


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=_LONGEST)
    return output


def go_on(workdir: Path) -> None:
    """The run from where it stopped to its end, in this process."""
    assert main(command(workdir)) == 0


def kill(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=_LONGEST)
    assert process.returncode == -signal.SIGKILL


def wait_for_line(process: subprocess.Popen, text: str) -> None:
    assert process.stdout is not None
    before = []
    for line in process.stdout:
        before.append(line)
        if text in line:
            return
    raise AssertionError(f"the run ended without {text!r}:\n{''.join(before)}")


def wait_for_file(process: subprocess.Popen, folder: Path, name: str) -> None:
    """Waits until a file of that name is there, without a pause in which it could come and go."""
    while process.poll() is None:
        if folder.is_dir() and any(name in found for found in os.listdir(folder)):
            return
        time.sleep(0.0005)
    raise AssertionError(f"the run ended, and no {name} was seen")


def figures(workdir: Path) -> dict:
    """All that a run leaves, but for the time it took: a digest of every array among it."""
    lines = [_untimed(line) for line in read_metrics(workdir)]
    result = json.loads((workdir / "result.json").read_text())
    checkpoints = workdir / "checkpoints"
    meta = json.loads((checkpoints / f"{STEPS}/meta/metadata").read_text())["content"]
    assert not list(checkpoints.glob("*tmp*"))
    return {
        "lines": lines,
        "result": _untimed(result),
        "digests": meta["digests"],
        "data": meta["data"],
        "config": json.loads((workdir / "config.json").read_text()),
        "checkpoints": Checkpoints(checkpoints).steps(),
    }


def _untimed(values: dict) -> dict:
    return {name: value for name, value in values.items() if not is_of_the_clock(name)}


def unfinished(run: Path, workdir: Path, back: int = 0) -> Path:
    """A copy of a finished run, as it was when its last checkpoint, or one before, was on disk."""
    shutil.copytree(run, workdir)
    (workdir / "result.json").unlink()
    checkpoints = workdir / "checkpoints"
    steps = Checkpoints(checkpoints).steps()
    for step in steps[len(steps) - back :]:
        shutil.rmtree(checkpoints / str(step))
    return workdir
