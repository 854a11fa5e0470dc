"""A full disk: the run says so, keeps the last good step, and goes on when there is room."""

import json
import signal

import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.training import Run, load_config
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.digests import leaf_digests
from tests.conftest import CHAR_LM
from tests.faults.disks import fill, trees
from tests.runs import STEPS, command, figures, finish, go_on, start, wait_for_line


def test_what_finds_no_room_is_kept_and_written_when_there_is_some(small_disk, tmp_path, capfd):
    disk = small_disk(tmp_path / "disk", 2 << 20)
    checkpoints = Checkpoints(disk / "c")
    scores = {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0}
    for step, score in scores.items():
        checkpoints.save(step, trees(float(step)), {}, score)
        if step == 1:
            checkpoints.wait()
            filler = fill(disk, leave=100_000)
    with pytest.raises(UserError, match=r"step 5 cannot be saved in .*: no room left"):
        checkpoints.wait()
    assert checkpoints.steps() == [1]
    assert leaf_digests(checkpoints.latest(trees()).trees) == leaf_digests(trees(1.0))
    printed = capfd.readouterr()
    assert all(line.startswith("lstm-jax: step ") for line in printed.err.splitlines()), printed
    filler.unlink()
    checkpoints.save(6, trees(6.0), {}, 6.0)
    checkpoints.wait()
    # As if there had always been room, but for 4, which was neither the last nor the best.
    assert checkpoints.steps() == [2, 5, 6]
    for step in (2, 5, 6):
        assert leaf_digests(checkpoints.restore(step, trees()).trees) == leaf_digests(
            trees(float(step))
        )
    assert "is saved after all" in capfd.readouterr().err
    checkpoints.close()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["run", "run/checkpoints"])
def test_a_run_goes_on_while_the_disk_is_full(run, small_disk, tmp_path, where):
    disk = small_disk(tmp_path / where, 8 << 20)
    filler = fill(disk, leave=400_000)
    process = start(tmp_path / "run")
    wait_for_line(process, "no room left")
    process.send_signal(signal.SIGSTOP)
    filler.unlink()
    process.send_signal(signal.SIGCONT)
    output = finish(process)
    assert process.returncode == 0, output
    assert "is saved after all" in output
    assert "Traceback" not in output
    assert figures(tmp_path / "run") == figures(run)


@pytest.mark.slow
def test_a_run_that_finds_no_room_to_the_end_says_so_and_goes_on_later(
    run, small_disk, tmp_path, capfd
):
    disk = small_disk(tmp_path / "run", 8 << 20)
    filler = fill(disk, leave=250_000)
    process = start(tmp_path / "run")
    output = finish(process)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    assert len(output.splitlines()) < 60, "the storage must not print pages of its own"
    last = max(Checkpoints(disk / "checkpoints").steps())
    # Where saves were late and few, the last one may find the room, and then the result does not.
    lacking = f"step {STEPS} cannot be saved" if last < STEPS else "result.json cannot be written"
    assert lacking in output.splitlines()[-1]
    assert json.loads((disk / "config.json").read_text())
    for line in (disk / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    filler.unlink()
    go_on(disk)
    assert f"going on from step {last}" in capfd.readouterr().out
    assert figures(disk) == figures(run)


def test_a_start_without_room_says_so_and_leaves_nothing_torn(small_disk, tmp_path, capfd):
    disk = small_disk(tmp_path / "disk", 1 << 20)
    fill(disk)
    assert main(command(disk / "run")) == 2
    printed = capfd.readouterr().err
    assert printed.endswith("config.json cannot be written: no room left\n"), printed
    assert len(printed.splitlines()) == 1
    assert not [f for f in (disk / "run").rglob("*") if f.is_file() and f.name != ".lock"]


def test_a_result_is_written_whole_or_not_at_all(small_disk, tmp_path):
    disk = small_disk(tmp_path / "disk", 1 << 20)
    run = Run.open(disk / "run", load_config(f"{CHAR_LM}:smoke"))
    filler = fill(disk, leave=4096)
    with pytest.raises(UserError, match=r"result\.json cannot be written: no room left"):
        run.write_result({"sample": "x" * 100_000})
    assert run.result() is None
    assert not [f for f in (disk / "run").iterdir() if "result" in f.name]
    filler.unlink()
    run.write_result({"sample": "x" * 100_000})
    assert run.result() == {"sample": "x" * 100_000}
