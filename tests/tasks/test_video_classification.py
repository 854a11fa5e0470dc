"""Classification of clips: figures are those of clip after clip, a user's videos are classified."""

import csv
import io
import json

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.data.moving_mnist import paste
from lstm_jax.errors import ConfigError
from lstm_jax.models.classifier import apply
from lstm_jax.tasks.class_labels import load_classes
from lstm_jax.training import Run, build_experiment, experiment, load_config
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

CONFIG = str(REPOSITORY / "configs/video/actions.py")


def make(model=None, **data):
    data = {
        "source": "stroke_motions", "size": 40, "side": 8, "frames": 4, "batch_size": 4,
        "evaluation_batch_size": 4, **data,
    }  # fmt: skip
    model = {"hidden_size": 3, "filters": 2, "convolutions": 1, "frame_size": 4, **(model or {})}
    return build_experiment(experiment(task="video_classification", data=data, model=model)).task


def test_figures_are_those_of_clip_after_clip(tmp_path):
    task = make()
    learner, dataset = task.prepare(tmp_path)
    params = jax.jit(learner.init)(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["test"], 4)
    test, classes = task.data.source.read()["test"], load_classes(tmp_path / "classes.json")
    network = task.network(classes)
    logits_of = jax.jit(lambda clip: apply(network, params, clip[None], np.array([4]))[0])
    nats, right = [], []
    for row, label in enumerate(test.labels):
        logits = logits_of(test.load(row))
        nats.append(-float(jax.nn.log_softmax(logits)[classes.index(label)]))
        right.append(classes[int(logits.argmax())] == label)
    assert len(right) == 10
    assert values["loss"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert values["accuracy"] == pytest.approx(np.mean(right))
    (figures,) = task.baselines(tmp_path).values()
    # 10 clips of 8 classes in turn: the first two have two each, and the first by name is chosen.
    assert figures["test"] == pytest.approx(test.labels.count("anticlockwise") / 10)


def test_a_conv_lstm_alone_is_possible_and_nothing_is_not():
    with pytest.raises(ConfigError, match=r"model\.num_layers: must be at least 1 without"):
        make({"num_layers": 0})
    network = make({"num_layers": 0, "conv_lstm_size": 3}).network(["a", "b"])
    assert not network.bidirectional


@pytest.mark.parametrize("mode", ["", "conv_lstm", "folders"])
def test_every_mode_of_the_config_is_right(mode):
    build_experiment(load_config(f"{CONFIG}:{mode}"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "strokes"
    assert main(["train", f"--config={CONFIG}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


@pytest.mark.slow
def test_the_smoke_config_runs_and_draws(run):
    result = json.loads((run / "result.json").read_text())
    assert result["baselines"]["most frequent class"] == {"validation": 0.125, "test": 0.125}
    assert result["test/loss"] < 1.05 * np.log(8)
    for name in ("confusion_matrix.png", "clips.png"):
        assert (run / "figures" / name).stat().st_size > 5_000


@pytest.mark.slow
def test_a_users_videos_are_classified(run, tmp_path, capsys):
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    from tests.data.test_video_files import write_video

    clip = np.zeros((10, 48, 64, 1), np.uint8)
    square = np.full((16, 16), 255, np.uint8)
    paste(clip, square, np.stack([np.full(10, 20), np.linspace(0, 48, 10)], axis=1).astype(int))
    file = write_video(tmp_path / "own.avi", np.repeat(clip, 3, axis=-1))
    capsys.readouterr()
    assert main(["predict", f"--workdir={run}", f"--input={file}"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["file"] == str(file)
    loaded = Run.load(run)
    task = loaded.experiment.task
    assert row["label"] in load_classes(loaded.assets / "classes.json")
    params = loaded.restore_params(task.restore(loaded.assets), "best").trees["params"]
    clips = task.data.source.read_file("--input", file)
    likely = task.probabilities(loaded.assets, params, clips)
    assert float(row["probability"]) == pytest.approx(float(likely.max()), rel=1e-5)
    file.write_bytes(b"")
    assert main(["predict", f"--workdir={run}", f"--input={file}"]) == 2
    assert "own.avi is empty" in capsys.readouterr().err


def test_a_broken_file_is_told_in_a_sentence_by_other_processes_too(tmp_path, capsys):
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    from tests.data.test_video_files import write_video

    for name in ("dawn", "dusk"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        write_video(tmp_path / "videos" / name / "a.avi", np.zeros((4, 16, 16, 3), np.uint8))
    (tmp_path / "videos/dusk/b.avi").write_bytes(b"no video")
    told = []
    for processes in (0, 2):
        fields = {"path": tmp_path / "videos", "processes": processes}
        overrides = [f"--config.data.{name}={value}" for name, value in fields.items()]
        workdir = f"--workdir={tmp_path / 'run'}"
        assert main(["train", f"--config={CONFIG}:folders", workdir, *overrides]) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert "data.path: " in told[0]
    assert "b.avi is no video that can be read" in told[0]
