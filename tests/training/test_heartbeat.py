"""What a run says of itself at its reports and at its end."""

import errno
import json
import signal
from pathlib import Path

import jax
import pytest

from lstm_jax.records import read_heartbeat
from lstm_jax.tasks import Metric
from lstm_jax.training.heartbeat import Heartbeat
from lstm_jax.training.interruption import Interrupted
from lstm_jax.training.writers import MetricWriter

BITS = Metric("bits", "bits")


def test_the_best_is_the_best_of_the_metric_in_its_direction(tmp_path):
    higher = Metric("accuracy", "accuracy", lower_is_better=False)
    for metric, best in ((BITS, (10, 1.0)), (higher, (20, 3.0))):
        heartbeat = Heartbeat(tmp_path, metric, 0, 100)
        for step, value in ((10, 1.0), (20, 3.0), (30, float("nan")), (40, 2.0)):
            heartbeat.beat(step, "train", {metric.name: 0.0 if metric is BITS else 9.0})
            heartbeat.beat(step, "validation", {metric.name: value})
        found = read_heartbeat(tmp_path)
        assert found["best"] == dict(zip(("step", "value"), best, strict=True))
        assert found["last"]["validation"] == {"step": 40, metric.name: 2.0}
        assert (found["state"], found["step"], found["total"]) == ("running", 40, 100)


def test_a_resumed_run_knows_what_came_before_its_checkpoint_alone(tmp_path):
    writer = MetricWriter(tmp_path, 0, ())
    for step, bits in ((10, 3.0), (20, 2.0), (30, 1.0)):
        writer.write(step, "validation", {"bits": bits})
    writer.close()
    with Heartbeat(tmp_path, BITS, 20, 100):
        found = read_heartbeat(tmp_path)
    assert found["state"] == "starting"
    assert found["best"] == {"step": 20, "value": 2.0}
    heartbeat = Heartbeat(tmp_path, BITS, 30, 100)
    heartbeat.went_back(10)
    heartbeat.beat(20, "train", {})
    assert read_heartbeat(tmp_path)["best"] == {"step": 10, "value": 3.0}


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (None, "finished", None),
        (Interrupted(7, signal.SIGTERM), "stopped", "SIGTERM"),
        (KeyboardInterrupt(), "stopped", "interrupted, without saving"),
        (RuntimeError("no\nmemory"), "failed", "RuntimeError: no"),
    ],
)
def test_it_says_how_the_run_ended(tmp_path, error, state, reason):
    def run():
        with Heartbeat(tmp_path, BITS, 0, 10):
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    found = read_heartbeat(tmp_path)
    assert (found["state"], found.get("reason")) == (state, reason)
    if isinstance(error, Interrupted):
        assert found["step"] == 7


def test_the_time_left_is_that_of_the_steps_since_the_first_report(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    heartbeat = Heartbeat(tmp_path, BITS, 0, 100)
    now[0] += 50  # to compile
    heartbeat.beat(10, "train", {})
    assert read_heartbeat(tmp_path)["seconds_left"] is None
    now[0] += 20
    heartbeat.beat(20, "train", {})
    found = read_heartbeat(tmp_path)
    assert found["seconds_left"] == pytest.approx(160)
    assert found["interval"] == pytest.approx(20)


def test_the_last_warnings_are_kept_with_their_steps(tmp_path):
    heartbeat = Heartbeat(tmp_path, BITS, 5, 10)
    for i in range(25):
        heartbeat.warn(f"warning {i}")
    found = read_heartbeat(tmp_path)["warnings"]
    assert [item["text"] for item in found] == [f"warning {i}" for i in range(5, 25)]
    assert found[0]["step"] == 5


def test_a_full_disk_leaves_the_last_one_and_ends_nothing(tmp_path, monkeypatch):
    heartbeat = Heartbeat(tmp_path, BITS, 0, 10)
    heartbeat.beat(1, "train", {})
    number = [errno.ENOSPC]

    def fail(path, text, encoding):
        path.touch()
        raise OSError(number[0], "of the disk")

    monkeypatch.setattr(Path, "write_text", fail)
    heartbeat.beat(2, "train", {})
    assert [path.name for path in tmp_path.iterdir()] == ["heartbeat.json"]
    assert json.loads((tmp_path / "heartbeat.json").read_text())["step"] == 1
    number[0] = errno.EIO
    with pytest.raises(OSError, match="of the disk"):
        heartbeat.beat(3, "train", {})


def test_only_the_first_process_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with Heartbeat(tmp_path, BITS, 0, 10) as heartbeat:
        heartbeat.beat(1, "train", {})
    assert list(tmp_path.iterdir()) == []
