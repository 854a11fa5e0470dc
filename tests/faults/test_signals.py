"""SIGTERM and Ctrl-C: the step is saved within the grace of a scheduler, and nothing is lost."""

import signal
import time

import pytest

from tests.runs import figures, finish, go_on, start, wait_for_file, wait_for_line

pytestmark = pytest.mark.slow
GRACE = 25  # seconds; schedulers give 30


def ended_by(process, number):
    """Sends a signal, and returns what the process says."""
    process.send_signal(number)
    began = time.monotonic()
    output = finish(process)
    assert time.monotonic() - began < GRACE
    assert process.returncode == 128 + number
    assert "Traceback" not in output
    return output


def saved_step(workdir, output):
    assert "to go on: lstm-jax train" in output
    saved = int(output.split("saved step ")[1].split(";")[0])
    assert (workdir / "checkpoints" / str(saved)).is_dir()
    return saved


def test_signals_save_and_say_how_to_go_on(run, tmp_path, capfd):
    workdir = tmp_path / "run"
    process = start(workdir)
    wait_for_line(process, "step 50/")
    saved = saved_step(workdir, ended_by(process, signal.SIGINT))
    process = start(workdir)
    wait_for_line(process, f"going on from step {saved}")
    wait_for_line(process, "step 100/")  # its evaluation follows
    saved = saved_step(workdir, ended_by(process, signal.SIGTERM))
    go_on(workdir)
    assert f"going on from step {saved}" in capfd.readouterr().out
    assert figures(workdir) == figures(run)


def test_sigterm_in_a_compilation_and_in_a_save_loses_nothing(run, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir)
    wait_for_line(process, "compiling")
    assert "nothing is lost" in ended_by(process, signal.SIGTERM)
    assert not (workdir / "checkpoints").exists()
    process = start(workdir)
    wait_for_file(process, workdir / "checkpoints", "tmp")
    saved_step(workdir, ended_by(process, signal.SIGTERM))
    go_on(workdir)
    assert figures(workdir) == figures(run)


def test_a_second_signal_ends_the_run_at_once_and_loses_nothing_on_disk(run, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir)
    wait_for_file(process, workdir / "checkpoints", "tmp")
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    wait_for_line(process, "once more to stop at once")
    ended_by(process, signal.SIGTERM)
    go_on(workdir)
    assert figures(workdir) == figures(run)
