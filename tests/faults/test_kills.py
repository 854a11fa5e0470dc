"""`kill -9` at any moment: the run goes on to the same end, bit for bit."""

import random
import time

import pytest

from tests.runs import STEPS, figures, go_on, kill, start, wait_for_file, wait_for_line


def test_killed_inside_its_first_save_the_end_is_the_same(run, tmp_path):
    workdir = tmp_path / "killed"
    process = start(workdir)
    wait_for_file(process, workdir / "checkpoints", "tmp")
    kill(process)
    assert not (workdir / "result.json").exists()
    go_on(workdir)
    assert figures(workdir) == figures(run)


@pytest.mark.slow
def test_killed_at_many_moments_the_end_is_the_same(run, tmp_path, capfd):
    rng = random.Random(1)
    workdir = tmp_path / "killed"

    def in_a_save(process):
        wait_for_line(process, "did the first step")
        wait_for_file(process, workdir / "checkpoints", "tmp")
        time.sleep(rng.uniform(0, 0.03))  # a save takes about as long

    def at_any_time(process):
        wait_for_line(process, "step 100: validation")  # behind a whole save
        time.sleep(rng.uniform(0, 0.5))

    moments = (in_a_save, at_any_time, in_a_save)
    for moment in moments:
        if (workdir / f"checkpoints/{STEPS}").exists():
            break
        process = start(workdir)
        moment(process)
        kill(process)
    assert not (workdir / "result.json").exists()
    go_on(workdir)
    assert "going on from step" in capfd.readouterr().out
    assert figures(workdir) == figures(run)
