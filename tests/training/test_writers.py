"""Figures on their way to disk and to services: each read back by what reads it."""

import csv
import errno
import json
import math
import sys
import types

import jax
import pytest

from lstm_jax.errors import ConfigError, UserError
from lstm_jax.training import load_config, writer_files
from lstm_jax.training.writers import (
    WRITERS,
    MetricWriter,
    check_writers,
    read_metrics,
    require_writers,
)
from tests.conftest import CHAR_LM


def table(folder, split="train"):
    with (folder / f"csv/{split}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(folder, tag):
    reason = "tensorboard, the reader, is not installed"
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason=reason
    )
    events = accumulator.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the service: runs by id, whose steps only grow, and `init` begins anew."""
    runs = {}

    class Run:
        def __init__(self):
            self.rows, self.finished = {}, False

        def log(self, values, step):
            assert not self.finished
            if step >= max(self.rows, default=0):  # the service leaves earlier steps out
                self.rows.setdefault(step, {}).update(values)

        def finish(self):
            self.finished = True

    def init(*, id, **options):
        runs[id] = Run()
        runs[id].options = options
        return runs[id]

    module = types.ModuleType("wandb")
    module.__spec__ = types.SimpleNamespace(name="wandb")
    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return runs


def test_a_resumed_run_drops_what_comes_after_its_checkpoint_everywhere(tmp_path, wandb):
    writer = MetricWriter(tmp_path, 0, tuple(WRITERS), {"seed": 3})
    for step in (10, 20, 30):
        writer.write(step, "train", {"loss": step / 10})
    writer.close()
    for name, torn in {"metrics.jsonl": '{"step": 40, "spl', "csv/train.csv": "40,4."}.items():
        with (tmp_path / name).open("a") as file:
            file.write(torn)  # by a kill
    assert [line["step"] for line in read_metrics(tmp_path)] == [10, 20, 30]
    writer = MetricWriter(tmp_path, 20, tuple(WRITERS), {"seed": 3})
    writer.write(30, "train", {"loss": 7.0})
    writer.close()
    expected = [(10, 1.0), (20, 2.0), (30, 7.0)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == expected
    assert [(int(row["step"]), float(row["loss"])) for row in table(tmp_path)] == expected
    (run,) = wandb.values()
    assert [(step, row["train/loss"]) for step, row in run.rows.items()] == expected
    assert run.finished
    assert run.options["config"] == {"seed": 3}
    assert scalars(tmp_path, "train/loss") == expected


def test_a_run_that_starts_over_drops_everything(tmp_path, wandb):
    for loss in (1.0, 2.0):
        writer = MetricWriter(tmp_path, 0, tuple(WRITERS))
        writer.write(10, "train", {"loss": loss})
        if loss == 1.0:
            writer.write(20, "train", {"loss": loss})
        writer.close()
    assert [line["loss"] for line in read_metrics(tmp_path)] == [2.0]
    assert [row["loss"] for row in table(tmp_path)] == ["2.0"]
    (run,) = wandb.values()
    assert run.rows == {10: {"train/loss": 2.0}}
    assert scalars(tmp_path, "train/loss") == [(10, 2.0)]


def test_tensorboard_reads_what_was_written_before_the_file_is_closed(tmp_path):
    writer = MetricWriter(tmp_path, 0)
    writer.write(10, "validation", {"bits_per_character": 2.5})
    assert scalars(tmp_path, "validation/bits_per_character") == [(10, 2.5)]
    writer.close()


def test_columns_of_a_table_grow(tmp_path):
    writer = MetricWriter(tmp_path, 0, ["csv"])
    writer.write(1, "train", {"loss": 1.5})
    writer.write(1, "test", {"words, wrong": 0.5})
    writer.write(2, "train", {"loss": 1.25, "norm": 3.0})
    writer.write(3, "train", {"norm": 4.0})
    writer.close()
    assert table(tmp_path) == [
        {"step": "1", "loss": "1.5", "norm": ""},
        {"step": "2", "loss": "1.25", "norm": "3.0"},
        {"step": "3", "loss": "", "norm": "4.0"},
    ]
    assert table(tmp_path, "test") == [{"step": "1", "words, wrong": "0.5"}]
    MetricWriter(tmp_path, 2, ["csv"]).close()
    assert [row["step"] for row in table(tmp_path)] == ["1", "2"]


class _FullDisk:
    """A file that takes a few bytes more and then none, while the disk is full."""

    def __init__(self, file, room):
        self._file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        data = data[: self.room]
        self.room -= len(data)
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_full_disk_holds_lines_back_and_tears_none(tmp_path, capsys):
    appender = writer_files.Appender(tmp_path / "lines")
    appender.append("one\n")
    appender._file = disk = _FullDisk(appender._file, room=2)
    appender.append("two\n")
    appender.append("three\n")
    assert (tmp_path / "lines").read_text() == "one\n"
    assert "No space left on device" in capsys.readouterr().err
    disk.room = 1000
    appender.append("four\n")
    appender.close()
    assert (tmp_path / "lines").read_text() == "one\ntwo\nthree\nfour\n"


def test_a_table_that_cannot_grow_yet_loses_no_row(tmp_path, monkeypatch):
    tables = writer_files.Tables(tmp_path, 0)
    tables.write(1, "train", {"loss": 1.0})

    def fail(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer_files, "write_atomically", fail)
        tables.write(2, "train", {"norm": 2.0})
    tables.write(3, "train", {"loss": 3.0})
    tables.close()
    assert [(row["step"], row["loss"], row["norm"]) for row in table(tmp_path)] == [
        ("1", "1.0", ""), ("2", "", "2.0"), ("3", "3.0", ""),
    ]  # fmt: skip


def test_another_error_of_the_disk_is_none_of_these(tmp_path):
    appender = writer_files.Appender(tmp_path / "lines")
    appender._file.close()
    with pytest.raises(ValueError, match="closed"):
        appender.append("one\n")


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    writer = MetricWriter(tmp_path, 0, ["csv", "tensorboard"])
    writer.write(1, "train", {"loss": 1.0})
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_write_is_told_before_any_work(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"no writer is called 'tensorbord'.*mean tensorboard"):
        check_writers(["csv", "tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"needs the package wandb.*pip install wandb"):
        require_writers(["wandb"])
    with pytest.raises(UserError, match="needs the package wandb"):
        MetricWriter(tmp_path, 0, ["wandb"])
    assert list(tmp_path.iterdir()) == []


def test_several_are_named_on_the_command_line():
    config = load_config(CHAR_LM, ["train.writers=tensorboard,csv"])
    assert tuple(config.train.writers) == ("tensorboard", "csv")


def test_figures_that_are_not_finite_are_null_in_json_and_say_nothing_else(tmp_path, capfd):
    writer = MetricWriter(tmp_path, 0, ["tensorboard"])
    writer.write(1, "train", {"loss": math.inf, "norm": math.nan, "rate": 0.5})
    writer.close()
    (text,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    (line,) = read_metrics(tmp_path)
    assert json.loads(text, parse_constant=pytest.fail)["loss"] is None
    assert math.isnan(line["loss"])
    assert line["rate"] == 0.5
    assert capfd.readouterr() == ("", "")
