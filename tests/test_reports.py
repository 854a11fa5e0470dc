"""The learning curve: what is drawn where, from the lines and the result of a run."""

import math

import numpy as np
import pytest

from lstm_jax.reports import draw_learning_curve, learning_curve
from lstm_jax.tasks import Metric
from lstm_jax.training import Run

BITS = Metric("bits", "bits per character")
RESULT = {
    "best_step": 20,
    "test/bits": 1.5,
    "baselines": {"xz": {"validation": 2.5, "test": 2.6}, "guess": {"test": 8.0}},
}


def lines():
    for step in (10, 20, 30):
        yield {
            "step": step, "split": "train", "loss": 40 / step, "bits": 50 / step,
            "learning_rate": 0.1 / step, "gradient_norm": 10.0**-step,
        }  # fmt: skip
    yield {"step": 30, "split": "validation", "bits": 2.0}
    yield {"step": 40, "split": "train", "learning_rate": 0.001}  # no step was good


def drawn(axes):
    return {line.get_label(): np.transpose(line.get_data()).tolist() for line in axes.lines}


def test_every_figure_is_drawn_in_a_place_of_its_own():
    axes = learning_curve(list(lines()), BITS, None, "my run").axes
    assert [a.get_ylabel() for a in axes] == [
        "bits per character", "loss", "learning rate", "gradient norm"
    ]  # fmt: skip
    assert axes[0].get_title() == "my run"
    assert drawn(axes[0]) == {
        "train": [[10, 5.0], [20, 2.5], [30, 50 / 30]],
        "validation": [[30, 2.0]],
    }
    assert drawn(axes[1])["train"] == [[10, 4.0], [20, 2.0], [30, 40 / 30]]
    assert drawn(axes[2])["train"][-1] == [40, 0.001]
    assert [a.get_yscale() for a in axes] == ["linear", "linear", "linear", "log"]


def test_a_result_brings_the_baselines_and_the_best_checkpoint():
    axes = learning_curve(list(lines()), BITS, RESULT, "my run").axes[0]
    found = drawn(axes)
    assert {y for _, y in found["validation, xz"]} == {2.5}
    assert {x for x, _ in found["best checkpoint"]} == {20}
    assert axes.get_title() == "test: 1.500 bits per character\n(xz 2.600; guess 8.000)"


@pytest.mark.parametrize(
    "found",
    [
        [{"step": 1, "split": "validation", "bits": math.nan}],
        [{"step": 1, "split": "train", "gradient_norm": 0.0}],
        [{"step": 1, "split": "train", "gradient_norm": math.inf, "loss": math.nan}],
    ],
)
def test_a_run_that_went_wrong_has_a_picture_too(found, tmp_path):
    learning_curve(found, BITS, None, "wrong").savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_the_picture_of_a_run(smoke_run):
    path = smoke_run / "figures/learning_curve.png"
    path.unlink()
    draw_learning_curve(Run.load(smoke_run))
    assert path.read_bytes()[:4] == b"\x89PNG"
