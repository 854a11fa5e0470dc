"""Captioning: a decoder is blind behind a clip's end, a run learns, a user's videos are told."""

import csv
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cli.main import main
from lstm_jax.data.tokenizers import load_tokenizer
from lstm_jax.errors import ConfigError
from lstm_jax.models.video_captioner import VideoCaptioner
from lstm_jax.tasks.translation_scores import scores
from lstm_jax.training import Run, build_experiment, experiment, load_config
from tests.conftest import REPOSITORY

CONFIG = str(REPOSITORY / "configs/video/captions.py")


def test_what_stands_behind_the_end_of_a_clip_changes_nothing():
    model = VideoCaptioner(
        vocabulary_size=7, cell=lj.lstm, embedding_size=4, hidden_size=6, filters=2,
        convolutions=1, frame_size=5,
    )  # fmt: skip
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 8, 8, 1), np.uint8)
    lengths, inputs = jnp.array([5, 3]), jnp.array([[5, 1, 2], [5, 2, 3]])
    variables = model.init(jax.random.key(0), clips, lengths, inputs)
    apply = jax.jit(model.apply)
    vectors, weights = apply(variables, clips, lengths, inputs)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    assert not np.asarray(weights[1, :, 3:]).any()
    other = clips.copy()
    other[1, 3:] = 255 - other[1, 3:]
    changed, _ = apply(variables, other, lengths, inputs)
    np.testing.assert_array_equal(vectors, changed)
    other[1, 2] = 255 - other[1, 2]
    changed, _ = apply(variables, other, lengths, inputs)
    assert np.abs(changed - vectors)[1].max() > 1e-4
    np.testing.assert_array_equal(changed[0], vectors[0])


def test_a_clip_has_nothing_to_copy():
    data = {"source": "stroke_stories"}
    values = {"task": "video_captioning", "data": data, "model": {"copying": True}}
    with pytest.raises(ConfigError, match=r"model\.copying: frames hold no symbols"):
        build_experiment(experiment(**values))


@pytest.mark.parametrize("mode", ["", "files"])
def test_every_mode_of_the_config_is_right(mode):
    build_experiment(load_config(f"{CONFIG}:{mode}"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("sacrebleu", reason="sacrebleu, of the extra [text], is not installed")
    workdir = tmp_path_factory.mktemp("runs") / "strokes"
    assert main(["train", f"--config={CONFIG}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


@pytest.mark.slow
def test_figures_are_those_of_the_captions(run):
    result = json.loads((run / "result.json").read_text())
    finished = Run.load(run)
    task = finished.experiment.task
    params = finished.restore_params(task.restore(finished.assets), "best").trees["params"]
    test = task.data.source.read()["test"]
    found = task.captions(finished.assets, params, test)
    assert len(found) == len(test.labels) == 16
    assert result["test/bleu"] == pytest.approx(scores(found, test.labels)["bleu"])
    exact = np.mean([a == b for a, b in zip(found, test.labels, strict=True)])
    assert result["test/exact"] == pytest.approx(exact)
    words = len(load_tokenizer(finished.assets / "tokenizer.json"))
    assert result["test/loss"] < np.log(words)  # what saying any word at random has
    (frequent,) = result["baselines"].values()
    assert 0 < frequent["test"] < 100
    assert (run / "figures/captions.png").stat().st_size > 5_000


@pytest.mark.slow
def test_a_users_videos_are_told(run, tmp_path, capsys):
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    from tests.data.test_video_files import write_video

    for name in ("b", "a"):
        write_video(tmp_path / f"{name}.avi", np.full((6, 32, 32, 3), 90, np.uint8))
    capsys.readouterr()
    assert main(["predict", f"--workdir={run}", f"--input={tmp_path}"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [str(tmp_path / f"{name}.avi") for name in "ab"]
    assert rows[0]["caption"].split()
    assert rows[0]["caption"] == rows[1]["caption"]
