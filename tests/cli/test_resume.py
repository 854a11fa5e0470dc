"""A run that ends anywhere goes on as if nothing had happened."""

import os
import random
import signal
import time

import pytest

from lstm_jax.cli.main import main
from tests.runs import command, figures, finish, start, wait_for_file, wait_for_line

LONG = "--config.train.duration=1000000 steps"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(command(workdir)) == 0
    return figures(workdir)


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_killed_at_any_moment_the_end_is_the_same_bit_for_bit(undisturbed, tmp_path):
    workdir = tmp_path / "killed"
    process = start(workdir)
    wait_for_file(process, workdir / "checkpoints", "tmp")
    kill(process)
    process = start(workdir)
    wait_for_line(process, "compiling")
    kill(process)
    process = start(workdir)
    wait_for_line(process, "step 100: validation")
    kill(process)
    assert not (workdir / "result.json").exists()
    output = finish(start(workdir))
    assert "going on from step" in output
    assert figures(workdir) == undisturbed


@pytest.mark.slow
def test_killed_inside_saves_the_end_is_the_same_bit_for_bit(undisturbed, tmp_path):
    rng = random.Random(1)
    workdir = tmp_path / "killed"
    for _ in range(4):
        process = start(workdir)
        wait_for_line(process, "did the first step")
        wait_for_file(process, workdir / "checkpoints", "tmp")
        time.sleep(rng.uniform(0, 0.03))  # a save takes about as long
        kill(process)
        if (workdir / "checkpoints" / "400").exists():
            break
    finish(start(workdir))
    assert figures(workdir) == undisturbed


@pytest.mark.slow
def test_killed_at_random_times_the_end_is_the_same_bit_for_bit(undisturbed, tmp_path):
    rng = random.Random(2)
    workdir = tmp_path / "killed"
    for _ in range(4):
        process = start(workdir)
        time.sleep(rng.uniform(0.5, 5.0))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    finish(start(workdir))
    assert figures(workdir) == undisturbed


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, number, code):
    workdir = tmp_path / "run"
    process = start(workdir, LONG)
    wait_for_line(process, "step 50/")
    process.send_signal(number)
    output = finish(process)
    assert process.returncode == code
    assert "to go on: lstm-jax train" in output
    assert "Traceback" not in output
    saved = int(output.split("saved step ")[1].split(";")[0])
    assert (workdir / "checkpoints" / str(saved)).is_dir()
    process = start(workdir, LONG)
    wait_for_line(process, f"going on from step {saved}")
    kill(process)


def terminated(process):
    """Sends SIGTERM, and returns what the process says within the grace of a scheduler."""
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    output = finish(process)
    assert time.monotonic() - began < 25
    assert process.returncode == 143
    assert "Traceback" not in output
    return output


@pytest.mark.slow
def test_sigterm_at_any_moment_the_end_is_the_same_bit_for_bit(undisturbed, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir)
    wait_for_line(process, "compiling")
    assert "nothing is lost" in terminated(process)
    assert not (workdir / "checkpoints").exists()

    process = start(workdir)
    wait_for_file(process, workdir / "checkpoints", "tmp")
    saved = int(terminated(process).split("saved step ")[1].split(";")[0])
    assert (workdir / "checkpoints" / str(saved)).is_dir()

    process = start(workdir)
    wait_for_line(process, "step 100/")  # the evaluation of step 100 follows
    assert "saved step" in terminated(process)
    finish(start(workdir))
    assert figures(workdir) == undisturbed


@pytest.mark.slow
def test_a_second_signal_ends_the_run_at_once_and_loses_nothing_on_disk(undisturbed, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir)
    wait_for_file(process, workdir / "checkpoints", "tmp")
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    wait_for_line(process, "once more to stop at once")
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert process.returncode == 143
    finish(start(workdir))
    assert figures(workdir) == undisturbed


def test_data_that_changed_under_a_run_are_noticed(tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("all happy families are alike. " * 200)
    own = ["--config.data.source=text_file", f"--config.data.path={book}", LONG]
    process = start(tmp_path / "run", *own)
    wait_for_line(process, "step 50/")
    process.send_signal(signal.SIGTERM)
    finish(process)
    book.write_text("every unhappy family is unhappy. " * 200)
    process = start(tmp_path / "run", *own)
    output = finish(process)
    assert process.returncode == 2
    assert "the data are not those that the run was trained on" in output
