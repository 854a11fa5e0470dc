"""The loop with what a config may ask of it."""

import json

import jax
import numpy as np
import pytest

from lstm_jax.training import Console, Run, experiment, train
from lstm_jax.training.writers import read_metrics
from tests.training.small import small

LENGTHS = {"duration": "16 steps", "report_every": "4 steps", "evaluate_every": "4 steps"}


def run(folder, *, train_options=None, **sections):
    values = small(folder, train={**LENGTHS, **(train_options or {})}, **sections)
    opened = Run.open(folder / "run", experiment(**values))
    return opened, train(opened, Console())


def lines(opened, split):
    return [line for line in read_metrics(opened.folder) if line["split"] == split]


def saved(opened, step):
    text = (opened.folder / f"checkpoints/{step}/meta/metadata").read_text()
    return json.loads(text)["content"]


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bfloat16", "remat": "sqrt"},
        {"precision": "float16", "accumulation_steps": 4},
        {"gradient_clip_value": 0.1, "gate_statistics": False},
    ],
)
def test_a_run_learns_under_every_option(tmp_path, options):
    opened, result = run(tmp_path, train_options=options)
    found = lines(opened, "train")
    assert [line["step"] for line in found] == [4, 8, 12, 16]
    assert found[-1]["loss"] < found[0]["loss"]
    assert np.isfinite(result["test/perplexity"])
    assert ("loss_scale" in found[0]) == (options.get("precision") == "float16")
    assert any(name.startswith("gates/") for name in lines(opened, "validation")[0]) == (
        options.get("gate_statistics", True)
    )


def test_an_average_is_evaluated_and_kept_beside_the_parameters(tmp_path):
    opened, _ = run(tmp_path, averaging={"name": "ema", "decay": 0.5})
    digests = saved(opened, 16)["digests"]
    average, raw = "params/softmax/kernel", "training/raw_params/softmax/kernel"
    assert digests[average] != digests[raw]
    plain, _ = run(tmp_path / "plain")
    assert saved(plain, 16)["digests"][average] == digests[raw]
    assert lines(plain, "validation")[0] != lines(opened, "validation")[0]


def test_early_stopping_ends_a_run_with_a_result(tmp_path):
    opened, result = run(tmp_path, early_stopping={"patience": 2, "min_delta": 100.0})
    assert result["steps"] == 12  # the first evaluation, and two that are no better by 100
    assert saved(opened, 12)["early_stopping"]["evaluations"] == 2
    again = Run.load(opened.folder)
    (opened.folder / "result.json").unlink()
    assert train(again, Console())["steps"] == 12


def test_a_run_measured_in_time_ends_by_the_clock(tmp_path):
    schedule = {"name": "linear", "warmup": 0.0}
    options = {"duration": "3 seconds", "report_every": "1 second", "evaluate_every": "50 percent"}
    opened, result = run(tmp_path, train_options=options, schedule=schedule)
    rates = [line["learning_rate"] for line in lines(opened, "train")]
    assert result["steps"] > 16
    assert result["seconds"] >= 3
    assert rates[-1] < rates[0]


def test_a_plateau_lowers_the_rate(tmp_path):
    schedule = {"name": "reduce_on_plateau", "patience": 1, "factor": 0.5, "rtol": 0.9}
    opened, _ = run(tmp_path, schedule=schedule)
    rates = [line["learning_rate"] for line in lines(opened, "train")]
    assert rates[-1] <= rates[0] / 2


def test_figures_of_a_step_are_written(tmp_path):
    opened, _ = run(tmp_path)
    found = lines(opened, "train")[1]
    norms = [found[f"gradient_norm/{name}"] for name in ("embedding", "layer_0", "layer_1")]
    assert min(norms) > 0
    assert {"step_seconds", "input_wait", "model_flops_per_second", "update_ratio"} <= found.keys()


def test_the_state_outlives_a_run_in_the_precision_of_its_masters(tmp_path):
    opened, _ = run(tmp_path, train_options={"precision": "bfloat16"})
    like = {"params": jax.eval_shape(opened.experiment.prepare(opened.assets)[0].init, KEY)}
    restored = opened.checkpoints().latest(like)
    assert restored is not None
    assert {leaf.dtype for leaf in jax.tree.leaves(restored.trees)} == {np.dtype("float32")}


KEY = jax.random.key(0)
