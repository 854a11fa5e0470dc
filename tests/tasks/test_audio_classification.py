"""Classification of recordings: the batch changes nothing, broken ones are told, tones learnt."""

import json

import jax
import numpy as np
import pytest
import soundfile

from lstm_jax.cli.main import main
from lstm_jax.data.audio_inputs import read_inputs
from lstm_jax.data.labelled_audio import generated_tones
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.training import build_experiment, experiment
from tests.conftest import REPOSITORY

KEYWORDS = str(REPOSITORY / "configs/audio/keywords.py")


def make(features=None, **data):
    data = {"source": "generated_tones", "size": 40, "batch_size": 4} | data
    if data["source"] == "audio_folders":
        del data["size"]
    values = {
        "data": data,
        "features": {"sample_rate": 8000, "mels": 6, **(features or {})},
        "model": {"hidden_size": 4, "filters": 3, "width": 3, "stride": 2},
        "augmentation": {"time_masks": 0, "frequency_masks": 0},
    }
    return build_experiment(experiment(task="audio_classification", **values)).task


def test_the_scale_of_training_is_kept_and_no_prediction_depends_on_the_others(tmp_path):
    task = make({"normalization": "training"})
    learner, dataset = task.prepare(tmp_path)
    batch = dataset.train[0]
    valid = np.arange(batch["features"].shape[1]) < batch["features_lengths"][:, None]
    assert abs(batch["features"][valid].mean()) < 0.5
    params = learner.init(jax.random.key(0))
    test = task.data.source()["test"]
    inputs = read_inputs(test, task.features, task.data.reading)
    together = task.probabilities(tmp_path, params, inputs)
    alone = [
        task.probabilities(tmp_path, params, read_inputs([one], task.features, task.data.reading))
        for one in test
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=-1), 1, rtol=1e-5)


def test_speeds_are_of_training_alone(tmp_path):
    _, dataset = make(speeds=(90, 100, 110)).prepare(tmp_path)
    assert dataset.notes[0] == "96 train, 4 validation, 4 test recordings of 6 features a frame"
    # What comes from a cache is the same dataset.
    cached = make(speeds=(90, 100, 110), reading={"cache": str(tmp_path / "cache")})
    for _ in range(2):
        assert cached.prepare(tmp_path)[1].fingerprint == dataset.fingerprint
    with pytest.raises(ConfigError, match=r"speeds: must be numbers \(int in \[10, 1000\]\)"):
        make(speeds=(5,))
    with pytest.raises(ConfigError, match="speeds: names none"):
        make(speeds=())


@pytest.fixture
def folder(tmp_path):
    for number, one in enumerate(generated_tones(size=30)()["train"]):
        file = tmp_path / "sounds" / one.label / f"{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, one.audio.samples, 8000)
    return tmp_path / "sounds"


def test_a_broken_recording_is_refused_or_left_out(tmp_path, folder):
    (folder / "rising" / "x.wav").write_text("no sound")
    data = {"source": "audio_folders", "path": (str(folder),)}
    with pytest.raises(
        UserError, match=r"data: \w+: .*x.wav is no sound .*; with data\.reading\.broken=skip"
    ):
        make(**data).prepare(tmp_path)
    _, dataset = make(**data, reading={"broken": "skip"}).prepare(tmp_path)
    assert "1 of" in dataset.notes[-1]
    assert "x.wav is no sound" in dataset.notes[-1]


def test_predict_tells_what_it_leaves_out(tmp_path, folder, capsys):
    (folder / "rising" / "x.wav").write_text("no sound")
    for broken in ("refuse", "skip"):
        task = make(reading={"broken": broken})
        learner, _ = task.prepare(tmp_path)
        found = task.predict_file(tmp_path, learner.init(jax.random.key(0)), str(folder))
        if broken == "refuse":  # predict has no field to set
            with pytest.raises(UserError, match=r"--input: .*x.wav is no sound .*recognised\)$"):
                next(found)
            continue
        assert len(list(found)) == 24
        assert "--input: 1 of 25 recordings are left out: " in capsys.readouterr().err


@pytest.mark.slow
def test_the_smoke_config_learns_and_predicts_files(tmp_path, folder, capsys):
    workdir = tmp_path / "run"
    assert main(["train", f"--config={KEYWORDS}:smoke", f"--workdir={workdir}"]) == 0
    assert json.loads((workdir / "result.json").read_text())["test/accuracy"] > 0.9
    assert (workdir / "figures/confusion_matrix.png").exists()
    capsys.readouterr()
    assert main(["predict", f"--workdir={workdir}", f"--input={folder}", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 24
    assert np.mean([record["file"].split("/")[-2] == record["label"] for record in told]) > 0.9
    one = told[0]["file"]
    assert main(["predict", f"--workdir={workdir}", f"--input={one}"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "file,label,probability"
    (tmp_path / "x.wav").write_text("no sound")
    assert main(["predict", f"--workdir={workdir}", f"--input={tmp_path / 'x.wav'}"]) == 2
    assert "x.wav is no sound that can be read" in capsys.readouterr().err
