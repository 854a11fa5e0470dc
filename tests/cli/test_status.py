"""`lstm-jax status` of runs in every state, as another process sees them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from lstm_jax.cli.main import main
from lstm_jax.run_status import read_status
from lstm_jax.tasks import Metric
from lstm_jax.training.heartbeat import Heartbeat

# A process that does what a run does to its folder, and then waits to be ended.
RUN = """
import fcntl, json, sys, time
from pathlib import Path
from lstm_jax.tasks import Metric
from lstm_jax.training.heartbeat import Heartbeat
folder = Path(sys.argv[1])
(folder / "config.json").write_text("{}")
lock = (folder / ".lock").open("w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
heartbeat = Heartbeat(folder, Metric("bits", "bits per character"), 0, 400).__enter__()
heartbeat.beat(50, "train", {"loss": 3.0, "bits": 4.5, "characters_per_second": 81000.0})
heartbeat.beat(100, "train", {"loss": 2.0, "bits": 3.5, "characters_per_second": 82000.0,
    "seconds": 60.0, "step_seconds": 0.0125})
heartbeat.beat(100, "validation", {"bits": 3.25})
heartbeat.warn("the loss jumped")
(folder / "checkpoints" / "100").mkdir(parents=True)
(folder / "checkpoints" / "100.orbax-checkpoint-tmp").mkdir()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def process(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield child
    child.kill()
    child.wait()


def edit(folder, **changes):
    path = folder / "heartbeat.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def status(capsys, *arguments):
    capsys.readouterr()
    code = main(["status", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_run_runs_until_it_is_killed_and_then_it_crashed(process, tmp_path, capsys):
    code, out, _ = status(capsys, f"--workdir={tmp_path}")
    assert code == 0
    assert f"running, process {process.pid} on" in out
    assert "100 of 400 (25%)" in out
    assert "3.250 bits per character at step 100" in out
    assert "loss 2.000, 3.500 bits per character at step 100" in out
    assert "82,000 characters a second" in out
    assert "12.5 ms a step" in out
    assert "step 100: the loss jumped" in out
    assert "step 100, written 0:0" in out
    found = read_status(tmp_path)
    assert found["best"] == {"step": 100, "value": 3.25}
    assert found["seconds_left"] is not None
    # Asking leaves the lock to the run.
    assert read_status(tmp_path)["state"] == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = read_status(tmp_path)
    assert (found["state"], found["seconds_left"]) == ("crashed", None)
    assert found["checkpoint"]["step"] == 100


def test_a_silent_run_is_warned_of(process, tmp_path):
    edit(tmp_path, time=time.time() - 500, interval=30.0)
    found = read_status(tmp_path)
    assert found["state"] == "running"
    assert (
        "no report for 500 s, where the last two were 30 s apart" in found["warnings"][-1]["text"]
    )
    edit(tmp_path, time=time.time() - 500, interval=300.0)
    assert len(read_status(tmp_path)["warnings"]) == 1


def test_a_process_that_has_not_spoken_yet_is_starting(process, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    edit(tmp_path, pid=gone.pid)
    assert read_status(tmp_path)["state"] == "starting"
    # A lock may say who holds it: then it is no matter whether the other one lives.
    (tmp_path / ".lock").write_text(json.dumps({"pid": process.pid, "host": socket.gethostname()}))
    edit(tmp_path, pid=os.getpid())
    found = read_status(tmp_path)
    assert (found["state"], found["pid"]) == ("starting", process.pid)
    edit(tmp_path, pid=process.pid)
    assert read_status(tmp_path)["state"] == "running"
    (tmp_path / "heartbeat.json").unlink()
    assert read_status(tmp_path)["state"] == "starting"
    (tmp_path / "heartbeat.json").write_text('{"state": "run')  # no heartbeat is ever torn so
    assert read_status(tmp_path)["state"] == "starting"


def test_a_run_on_another_machine_is_believed_while_it_speaks(process, tmp_path):
    process.kill()
    process.wait()
    edit(tmp_path, host="elsewhere")
    assert read_status(tmp_path)["state"] == "running"
    edit(tmp_path, host="elsewhere", time=time.time() - 3600)
    assert read_status(tmp_path)["state"] == "crashed"


def test_a_finished_run_shows_its_result(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    with Heartbeat(tmp_path, Metric("bits", "bits", decimals=2), 0, 10):
        pass
    (tmp_path / "result.json").write_text('{"steps": 10, "test/bits": 2.0, "best_step": 7}')
    code, out, _ = status(capsys, f"--workdir={tmp_path}")
    assert code == 0
    assert "finished" in out
    assert "2.00 bits at step 7" in out


def test_ends_are_told(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert read_status(tmp_path)["state"] == "not started"
    heartbeat = Heartbeat(tmp_path, Metric("bits", "bits"), 0, 10)
    heartbeat.beat(5, "validation", {"bits": float("nan")})
    error = RuntimeError("out of memory")
    heartbeat.__exit__(RuntimeError, error, None)
    found = read_status(tmp_path)
    assert (found["state"], found["reason"]) == ("failed", "RuntimeError: out of memory")
    assert found["last"]["validation"]["bits"] is None
    json.loads(json.dumps(found, allow_nan=False))
    (tmp_path / "result.json").write_text('{"steps": 10, "test/bits": 2.0}')
    found = read_status(tmp_path)
    assert (found["state"], found["step"], found["reason"]) == ("finished", 10, None)


def test_a_run_without_a_heartbeat_has_its_figures(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 10, "split": "train", "loss": 2.0}\n{"step": 20, "split": "train", "loss": 1.0}\n'
    )
    found = read_status(tmp_path)
    assert (found["state"], found["step"]) == ("not running", 20)
    assert found["last"]["train"]["loss"] == 1.0


def test_a_folder_of_runs_is_a_table(process, tmp_path, capsys):
    for name in ("b", "a/deep"):
        (tmp_path / "others" / name).mkdir(parents=True)
        (tmp_path / "others" / name / "config.json").write_text("{}")
    os.symlink(tmp_path, tmp_path / "others/running")
    code, out, _ = status(capsys, f"--workdir={tmp_path / 'others'}")
    assert code == 0
    header, *rows = [line.split() for line in out.splitlines()]
    assert header[:3] == ["run", "state", "step"]
    assert [row[0] for row in rows] == ["a/deep", "b", "running"]
    assert rows[0][1:3] == ["not", "started"]
    assert rows[2][1:5] == ["running", "100", "of", "400"]
    found = json.loads(status(capsys, f"--workdir={tmp_path / 'others'}", "--json")[1])
    assert [run["state"] for run in found] == ["not started", "not started", "running"]


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_no_run_is_one_sentence_and_code_2(tmp_path, capsys, folder):
    code, out, err = status(capsys, f"--workdir={tmp_path / folder}")
    assert (code, out) == (2, "")
    assert f"{tmp_path / folder} holds no run" in err
    assert err.count("\n") == 1


def test_it_answers_without_jax(process, tmp_path):
    code = (
        "import sys; from lstm_jax.cli.main import main\n"
        f"code = main(['status', '--workdir={tmp_path}'])\n"
        "sys.exit(code or any(name in sys.modules for name in ('jax', 'flax', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "running" in done.stdout
