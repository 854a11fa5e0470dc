"""Anomalies of a video: errors are those of frame after frame, the threshold that of validation."""

import csv
import io
import json

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.frame_forecaster import apply, brightness
from lstm_jax.tasks.anomaly_scores import detection
from lstm_jax.training import Run, build_experiment, experiment, load_config
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

CONFIG = str(REPOSITORY / "configs/video/anomaly.py")


def make(model=None, **data):
    data = {
        "source": "stroke_video", "frames": 120, "side": 8, "window": 6, "context": 2,
        "anomalies": 3, "shortest": 3, "longest": 4, "batch_size": 4, "evaluation_batch_size": 3,
        **data,
    }  # fmt: skip
    model = {"hidden_size": 2, "num_layers": 1, "residual": True, **(model or {})}
    values = {"data": data, "model": model}
    return build_experiment(experiment(task="video_anomaly_detection", **values)).task


def test_errors_are_those_of_frame_after_frame(tmp_path):
    task = make()
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    test = task.data.splits()["test"][:19]  # not a whole number of windows
    errors = task.errors(params, test)
    x = test / np.float32(255)
    copied = np.square(x[2:] - x[1:-1]).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(errors.copy, copied, rtol=1e-5)
    # Residual: before it has learnt, a forecast is a copy, but for what has no logit.
    clipped = np.square(x[2:] - np.clip(x[1:-1], 0.01, 0.99)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(errors.forecast, clipped, rtol=1e-3)

    params["output"]["kernel"] = 0.3 * jax.random.normal(
        jax.random.key(1), params["output"]["kernel"].shape
    )
    found = task.errors(params, test).forecast
    network = task.network()
    for frame in range(2, 6):  # in the first window
        logits = apply(network, params, test[None, :frame], 1)[0, -1]
        expected = np.square(brightness(logits) - x[frame]).sum()
        assert found[frame - 2] == pytest.approx(float(expected), rel=1e-4)
    values = make_evaluate(learner)(params, dataset.splits["validation"], 3)
    frames = task.data.splits()["validation"]
    whole = 2 + (len(frames) - 2) // 4 * 4  # of whole windows
    own = task.errors(params, frames[:whole])
    assert values["mse"] == pytest.approx(own.forecast.mean(), rel=1e-4)
    assert values["copy_mse"] == pytest.approx(own.copy.mean(), rel=1e-4)


def test_what_does_not_fit_is_told_before_anything_is_done(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.context: must be below the window's 6 frames"):
        make(context=6)
    with pytest.raises(ConfigError, match=r"data\.longest: must not be below shortest, 3, got 2"):
        make(longest=2)
    with pytest.raises(ConfigError, match="together must be below 1"):
        make(validation_share=0.5, test_share=0.5)
    with pytest.raises(ConfigError, match=r"model\.patch: must divide"):
        make({"patch": 3})
    with pytest.raises(UserError, match=r"data\.anomalies: 9 anomalies .* there are 42"):
        make(anomalies=9).prepare(tmp_path)
    with pytest.raises(UserError, match=r"too few: the validation split has 18, and a window 20"):
        make(window=20).prepare(tmp_path)


def test_the_config_is_a_config():
    build_experiment(load_config(CONFIG))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "stroke"
    assert main(["train", f"--config={CONFIG}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


@pytest.mark.slow
def test_the_smoke_config_finds_what_was_put_in(run):
    figures = json.loads((run / "figures/anomalies.json").read_text())
    assert figures["anomalous steps"] < figures["steps"] / 2
    assert figures["copy"]["roc_auc of frozen"] > 0.9  # a copy of it has no error at all
    assert list(figures)[2:] == ["together", "forecast", "copy"]
    assert 0 <= figures["forecast"]["roc_auc"] <= 1
    assert (run / "figures/anomalies.png").stat().st_size > 10_000
    assert json.loads(json.loads((run / "result.json").read_text())["sample"]) == figures


@pytest.mark.slow
def test_the_threshold_is_a_quantile_and_a_file_is_scored_by_it(run, tmp_path, capsys):
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    from tests.data.test_video_files import write_video

    finished = Run.load(run)
    task = finished.experiment.task
    params = finished.restore_params(task.restore(finished.assets), "best").trees["params"]
    normal = json.loads((finished.assets / "normal.json").read_text())["forecast"]
    errors = task.errors(params, task.data.splits()["validation"]).forecast
    scores = np.abs(np.log(errors) - normal["mean"]) / normal["deviation"]
    smooth = [scores[max(i - 1, 0) : i + 2].mean() for i in range(len(scores))]
    assert normal["threshold"] == pytest.approx(np.quantile(smooth, 0.95), rel=1e-4)
    alarms = np.array(smooth) > normal["threshold"]
    assert detection(np.array(smooth), alarms, normal["threshold"])["recall"] == 1

    # A run that goes on, with other parameters in the end, has another threshold.
    (tmp_path / "normal.json").write_text("{}")
    task.draw(tmp_path, params, tmp_path)
    assert json.loads((tmp_path / "normal.json").read_text())["forecast"] == normal

    noise = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    file = write_video(tmp_path / "noise.avi", noise)
    capsys.readouterr()
    assert main(["predict", f"--workdir={run}", f"--input={file}"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["frame"]) for row in rows] == list(range(4, 21))
    assert {row["anomaly"] for row in rows} == {"1"}  # noise is nothing that a stroke does
    file = write_video(tmp_path / "short.avi", noise[:3])
    assert main(["predict", f"--workdir={run}", f"--input={file}"]) == 2
    assert "has 3 frame(s); more than 3 are needed" in capsys.readouterr().err
