"""Figures on disk: lines of JSON, and files that TensorBoard reads."""

import json

import pytest

from lstm_jax.training.writers import MetricWriter, read_metrics


def test_a_resumed_run_drops_what_comes_after_its_checkpoint(tmp_path):
    writer = MetricWriter(tmp_path, 0)
    for step in (10, 20, 30):
        writer.write(step, "train", {"loss": step / 10})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "spl')  # torn by a kill
    assert [line["step"] for line in read_metrics(tmp_path)] == [10, 20, 30]
    writer = MetricWriter(tmp_path, 20)
    writer.write(30, "train", {"loss": 7.0})
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(10, 1.0), (20, 2.0), (30, 7.0)]


def test_tensorboard_reads_what_was_written(tmp_path):
    reason = "tensorboard, the reader, is not installed"
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason=reason
    )
    writer = MetricWriter(tmp_path, 0)
    writer.write(10, "validation", {"bits_per_character": 2.5})
    writer.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Scalars("validation/bits_per_character")
    assert (event.step, event.value) == (10, 2.5)
