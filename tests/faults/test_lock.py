"""One process trains a run, others may read it, and a crash leaves no lock behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.digests import leaf_digests
from lstm_jax.training.lock import Lock, trainer
from tests.faults.disks import trees
from tests.runs import command, figures, go_on, kill, start, wait_for_line


@pytest.mark.slow
def test_a_second_process_is_refused_and_readers_are_not(run, tmp_path, capfd):
    workdir = tmp_path / "run"
    first = start(workdir)
    wait_for_line(first, "step 100: validation")
    wait_for_line(first, "step 150/")  # behind the save of step 100
    first.send_signal(signal.SIGSTOP)
    assert main(command(workdir)) == 2
    refusal = f"another process is training this run (process {first.pid} on "
    assert refusal in capfd.readouterr().err
    holder = trainer(workdir)
    assert holder is not None
    assert holder["pid"] == first.pid
    for reader in (["evaluate", "--json"], ["generate", "--length=10"], ["status"]):
        assert main([*reader, f"--workdir={workdir}"]) == 0
    assert first.poll() is None
    kill(first)
    assert trainer(workdir) is None
    go_on(workdir)
    assert "going on from step" in capfd.readouterr().out
    assert figures(workdir) == figures(run)


def test_the_lock_of_a_process_goes_with_it(tmp_path):
    lock = Lock(tmp_path)
    with pytest.raises(UserError, match=f"process {os.getpid()} on"):
        Lock(tmp_path)
    holder = trainer(tmp_path)
    assert holder is not None
    assert holder["pid"] == os.getpid()
    del lock
    assert trainer(tmp_path) is None
    Lock(tmp_path)
    assert trainer(tmp_path / "absent") is None


def test_steps_that_a_trainer_deletes_disturb_no_reader(tmp_path):
    program = """
        import sys, pathlib
        from lstm_jax.training.checkpoints import Checkpoints
        from tests.faults.disks import trees
        checkpoints = Checkpoints(pathlib.Path(sys.argv[1]), keep_latest=1)
        for step in range(1, 25):
            checkpoints.save(step, trees(float(step)), {}, 1.0 / step)
    """
    folder = tmp_path / "c"
    began = time.monotonic()
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(folder)])
    seen = set()
    while writer.poll() is None:
        if time.monotonic() > began + 120:
            writer.kill()
        for find in (Checkpoints(folder).best, Checkpoints(folder).latest):
            restored = find(trees())
            if restored is not None:
                seen.add(restored.step)
                assert leaf_digests(restored.trees) == leaf_digests(trees(float(restored.step)))
    assert writer.returncode == 0
    assert len(seen) > 1
