"""Frame prediction: scores are those of scikit-image, figures those of frame after frame."""

import csv
import io
import json
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from lstm_jax.cli.main import main
from lstm_jax.errors import ConfigError
from lstm_jax.models.frame_forecaster import apply
from lstm_jax.tasks.frame_scores import squared_error, ssim
from lstm_jax.training import Run, build_experiment, experiment
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

similarity = jax.jit(ssim)
forecast = jax.jit(apply, static_argnums=(0, 3))
CONFIG = str(REPOSITORY / "configs/video/moving_mnist.py")


def make(model=None, **data):
    data = {
        "source": "moving_blobs", "side": 12, "seen": 3, "forecast": 2, "batch_size": 2,
        "evaluation_batch_size": 3, "evaluation_examples": 4, **data,
    }  # fmt: skip
    model = {"hidden_size": 3, "num_layers": 1, **(model or {})}
    return build_experiment(experiment(task="frame_prediction", data=data, model=model)).task


@pytest.mark.parametrize("channels", [1, 3])
def test_similarity_is_that_of_scikit_image(channels):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    random = np.random.default_rng(0)
    true = random.random((4, 64, 64, channels)) * (random.random((4, 64, 64, 1)) < 0.3)
    noise = random.normal(size=true.shape) * np.reshape([0.01, 0.1, 0.3, 1], (4, 1, 1, 1))
    found = np.clip(true + noise, 0, 1)
    expected = [
        metrics.structural_similarity(
            *(np.round(255 * frames[i]).astype(np.uint8) for frames in (found, true)),
            channel_axis=-1,
        )
        for i in range(4)
    ]
    scores = similarity(found.astype(np.float32), true.astype(np.float32))
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    assert expected[0] > 0.9 > 0.2 > expected[3]


def test_figures_are_those_of_frame_after_frame(tmp_path):
    task = make()
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["test"], 3)
    found: dict = {name: [] for name in values}
    for i in range(2):
        batch = dataset.splits["test"][i]
        for frames in batch["frames"][batch["valid"]]:
            logits = np.asarray(forecast(task.network(), params, frames[None, :3], 2))[0]
            said, true = 1 / (1 + np.exp(-logits)), frames[3:] / np.float32(255)
            nats = -true * np.log(said) - (1 - true) * np.log(1 - said)
            for step in range(2):
                copy = frames[2] / np.float32(255)
                found["loss"].append(nats[step].sum())
                found["mse"].append(np.square(said[step] - true[step]).sum())
                found["copy_mse"].append(np.square(copy - true[step]).sum())
                found["ssim"].append(similarity(said[step], true[step]))
                found["copy_ssim"].append(similarity(copy, true[step]))
    assert len(found["mse"]) == 4 * 2
    for name, seen in found.items():
        assert values[name] == pytest.approx(float(np.mean(seen)), rel=1e-4), name
    (figures,) = task.baselines(tmp_path).values()
    assert figures["test"] == pytest.approx(values["copy_mse"], rel=1e-5)
    assert set(figures) == {"validation", "test"}


def test_squared_error_is_a_sum_over_pixels_and_channels():
    true = np.zeros((2, 5, 4, 3), np.float32)
    found = true.copy()
    found[1, 0, 0] = [0.5, 0, 0.5]
    assert squared_error(found, true).tolist() == [0, 0.5]


def test_errors_are_told_before_anything_is_done():
    with pytest.raises(ConfigError, match=r"model\.patch: must divide .* 12 by 12 pixels, got 5"):
        make(model={"patch": 5})
    with pytest.raises(ConfigError, match=r"model\.cell: a cell that lies in a plane is needed"):
        make(model={"cell": {"name": "lstm"}})
    with pytest.raises(ConfigError, match=r"model\.cell: .* have 2 axes each, and not 3"):
        make(model={"cell": {"name": "conv_lstm", "dimensions": 1}})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "blobs"
    assert main(["train", f"--config={CONFIG}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


@pytest.mark.slow
def test_the_smoke_config_draws_what_it_forecasts(run):
    result = json.loads((run / "result.json").read_text())
    assert result["baselines"]["copy of the last frame seen"]["test"] > 0
    assert result["test/mse"] < 0.25 * 16 * 16  # what grey frames have of black and white ones
    with Image.open(run / "figures/forecasts.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 7
        animation.seek(6)
        colors = np.asarray(animation.convert("RGB"))
    height = colors.shape[0] // 2
    red = (colors[..., 0] > 150) & (colors[..., 1] < 80)
    assert red[height:].any()  # what was forecast has a red edge, what came has none
    assert not red[:height].any()
    for name in ("forecasts.png", "error_by_frame.png"):
        assert (run / "figures" / name).stat().st_size > 5_000


@pytest.mark.slow
def test_predict_draws_the_frames_that_follow_a_video(run, tmp_path, capsys):
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    from tests.data.test_video_files import write_video

    loaded = Run.load(run)
    task: Any = loaded.experiment.task
    seen, side = task.data.seen, task.data.source.size.height
    moving = np.zeros((seen + 2, side, side, 3), np.uint8)
    for frame in range(len(moving)):
        moving[frame, 4:10, frame : frame + 5] = 255
    video = write_video(tmp_path / "a.avi", moving)
    arguments = ["predict", f"--workdir={run}", f"--input={video}"]
    assert main(arguments) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["frame"] for row in rows] == [str(i + 1) for i in range(task.data.forecast)]
    found = []
    for row in rows:
        with Image.open(row["picture"]) as picture:
            found.append(np.asarray(picture, np.float32))
    params = loaded.restore_params(task.restore(loaded.assets), "best").trees["params"]
    logits = forecast(task.network(), params, moving[None, 2:, ..., :1], len(rows))
    expected = 255 * jax.nn.sigmoid(logits[0, -len(rows) :, ..., 0])
    np.testing.assert_allclose(found, expected, atol=1)
    elsewhere = tmp_path / "elsewhere"
    assert main([*arguments, f"--output={elsewhere}"]) == 0
    assert len(list(elsewhere.iterdir())) == task.data.forecast
    capsys.readouterr()
    (tmp_path / "file").touch()
    assert main([*arguments, f"--output={tmp_path / 'file'}"]) == 2
    assert "--output: cannot write" in capsys.readouterr().err
    short = write_video(tmp_path / "short.avi", moving[: seen - 1])
    assert main([*arguments[:2], f"--input={short}"]) == 2
    assert f"has {seen - 1} frame(s), and {seen} are needed" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluation_gives_the_figures_of_the_run(run, capsys):
    assert main(["evaluate", f"--workdir={run}", "--split=test", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    result = json.loads((run / "result.json").read_text())
    assert values["ssim"] == pytest.approx(result["test/ssim"])
