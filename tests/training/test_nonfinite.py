"""A run whose numbers go wrong: it stops and keeps the step, passes it over, or goes back."""

import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.data.streams import StreamWindows
from lstm_jax.training import Console, Run, experiment, train
from lstm_jax.training.faults import NonFinite
from lstm_jax.training.writers import read_metrics
from tests.training.small import small

BAD = 13  # the batch of the epoch that brings it about


@pytest.fixture
def poisoned(monkeypatch):
    """The loss of one batch of the training text is not a number."""
    task = sys.modules["lstm_jax.tasks.language_model"]  # its name is that of the task in it
    whole, loss = StreamWindows.__getitem__, task._loss

    def get(self, index):
        window = whole(self, index)
        if index % len(self) == BAD and len(window["inputs"]) == 16:
            window["characters"][0] = -1
        return window

    def poison(logits, carry, batch):
        value, carry, sums = loss(logits, carry, batch)
        return value * jnp.where(batch["characters"][0] < 0, jnp.nan, 1.0), carry, sums

    monkeypatch.setattr(StreamWindows, "__getitem__", get)
    monkeypatch.setattr(task, "_loss", poison)


def start(folder, policy, console=None, **options):
    lengths = {"duration": "24 steps", "report_every": "4 steps", "checkpoint_every": "4 steps"}
    values = small(folder, train={**lengths, "evaluate_every": "8 steps", "on_nonfinite": policy})
    for name, value in options.items():
        values[name] = {**values[name], **value}
    run = Run.open(folder / "run", experiment(**values))
    return run, train(run, console or Console())


def test_stop_names_the_step_and_keeps_it(tmp_path, poisoned, capsys):
    with pytest.raises(NonFinite, match=r"step 13: the loss is nan, no finite gradient in") as told:
        start(tmp_path, "stop")
    assert told.value.step == BAD
    assert "lstm-jax debug --workdir=" in str(told.value)
    folder = tmp_path / "run/debug/step_13"
    report = json.loads((folder / "report.json").read_text())
    assert report["before"] == []
    assert "layer_0/cell/kernel" in report["gradients"]
    with np.load(folder / "batch.npz", allow_pickle=False) as batch:
        assert batch["characters"][0] == -1
    assert (folder / "state").is_dir()
    heartbeat = json.loads((tmp_path / "run/heartbeat.json").read_text())
    assert heartbeat["state"] == "failed"


def test_skip_counts_it_and_goes_on(tmp_path, poisoned, capsys):
    run, result = start(tmp_path, "skip")
    assert result["steps"] == 24
    lines = [line for line in read_metrics(run.folder) if line["split"] == "train"]
    assert [(line["step"], line["skipped"]) for line in lines if "skipped" in line] == [(16, 1)]
    assert "step 16: skipped 1 step(s) whose loss or gradient" in capsys.readouterr().out


def test_rewind_goes_back_and_on_with_other_batches(tmp_path, poisoned, capsys):
    run, result = start(tmp_path, "rewind")
    output = capsys.readouterr().out
    assert "step 13: the loss is nan" in output
    assert "back at step 12, on with other batches" in output
    assert result["steps"] == 24
    steps = [line["step"] for line in read_metrics(run.folder) if line["split"] == "train"]
    assert steps == [4, 8, 12, 16, 20, 24]
    meta = json.loads((run.folder / "checkpoints/24/meta/metadata").read_text())["content"]
    assert meta["data"]["state"]["next_index"] == 24 + 2  # batches 12 and 13 were seen before


def test_a_run_that_ends_behind_a_rewind_goes_back_again(tmp_path, poisoned):
    class Ends(Console):
        seen = 0

        def advance(self, step):
            self.seen += step == 14
            if self.seen == 2:  # the first time, the state stood still before step 13
                raise KeyboardInterrupt

    whole, _ = start(tmp_path / "whole", "rewind")
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "ended", "rewind", Ends())
    ended, _ = start(tmp_path / "ended", "rewind")
    path = "checkpoints/24/meta/metadata"
    one, other = (json.loads((r.folder / path).read_text())["content"] for r in (whole, ended))
    assert one["digests"] == other["digests"]
    assert one["data"]["state"] == other["data"]["state"]


def test_rewinding_ends_where_it_does_not_help(tmp_path, capsys):
    with pytest.raises(NonFinite, match=r"went back 10 times already"):
        start(tmp_path, "rewind", optimizer={"name": "sgd", "learning_rate": 1e38, "momentum": 0.0})
    assert capsys.readouterr().out.count("on with other batches") == 10


def test_the_command_says_it_in_a_sentence(tmp_path, poisoned, capsys):
    values = small(tmp_path, train={"duration": "24 steps", "report_every": "4 steps"})
    config = tmp_path / "config.py"
    config.write_text(
        f"from lstm_jax.training import experiment\n\n\ndef get_config():\n"
        f"    return experiment(**{values!r})\n"
    )
    assert main(["train", f"--config={config}", f"--workdir={tmp_path / 'run'}"]) == 2
    assert "lstm-jax train: step 13: the loss is nan" in capsys.readouterr().err
    assert main(["debug", f"--workdir={tmp_path / 'run'}"]) == 0
    output = capsys.readouterr().out
    assert "step 13: the loss is nan" in output
    assert "it is so again" in output
    assert "poison: return value * jnp.where" in output  # the line that makes it
