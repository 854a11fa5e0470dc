"""A run that starts from another's parameters: bit for bit, by name, and told."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.config import build, complete
from lstm_jax.errors import ConfigError
from lstm_jax.tasks import Learner
from lstm_jax.training import Run
from lstm_jax.training.init_from import InitFrom, start_from
from lstm_jax.training.parameter_groups import parameter_paths
from tests.conftest import CHAR_LM, REPOSITORY

OWN = {"embedding": jnp.zeros((4, 2)), "layer": {"bias": jnp.zeros(3), "kernel": jnp.zeros((2, 3))}}
OTHER = {
    "embedding": jnp.ones((5, 2)),
    "layer": {"bias": jnp.ones(3), "kernel": jnp.full((2, 3), 2)},
}


def start(take=(), other=OTHER):
    learner = Learner(lambda key: OWN, *[None] * 4)  # type: ignore[arg-type]
    learner, lines = start_from(learner, InitFrom(workdir="x", take=take), lambda: other)
    return learner.init(jax.random.key(0)), lines


def test_what_fits_is_taken_and_what_does_not_is_named():
    params, lines = start()
    np.testing.assert_array_equal(params["layer"]["bias"], OTHER["layer"]["bias"])
    np.testing.assert_array_equal(params["layer"]["kernel"], OTHER["layer"]["kernel"])
    assert params["layer"]["kernel"].dtype == OWN["layer"]["kernel"].dtype
    np.testing.assert_array_equal(params["embedding"], OWN["embedding"])
    assert lines == [
        "from x taken: layer/bias, layer/kernel",
        "of another shape, not taken: embedding (4, 2), there (5, 2)",
    ]


def test_patterns_choose():
    params, lines = start(("bias$",), {**OTHER, "head": jnp.ones(1)})
    assert params["layer"]["bias"].all()
    assert not params["layer"]["kernel"].any()
    assert "not taken, since no pattern names it: embedding, layer/kernel" in lines
    assert "not taken, since nothing here has the name: head" in lines


@pytest.mark.parametrize(
    ("take", "other", "message"),
    [
        (
            ("embedding",),
            OTHER,
            r"'embedding' takes no parameter; shapes differ: embedding \(4, 2\)",
        ),
        (("bias", "lyer"), OTHER, "'lyer' takes no parameter; there are: embedding, layer/bias"),
        (
            (),
            {"other": jnp.ones(1)},
            "no parameter of x has the name and the shape .* there: other",
        ),
    ],
)
def test_a_start_that_takes_nothing_is_refused(take, other, message):
    with pytest.raises(ConfigError, match=message):
        start(take, other)


def test_fields_are_checked():
    for values, message in {
        (("workdir", "x"), ("take", ("(",))): r"take: '\(' is no regular expression",
        (("take", ("a",)),): "take: needs a workdir to take from",
    }.items():
        with pytest.raises(ConfigError, match=message):
            build(InitFrom, complete(InitFrom, dict(values)))


def best_params(workdir):
    run = Run.load(workdir)
    return run.restore_params(run.experiment.task.restore(run.assets), "best").trees["params"]


@pytest.mark.slow
def test_a_run_starts_from_a_run_and_goes_on_without_it(smoke_run, tmp_path, capsys):
    source = tmp_path / "source"
    shutil.copytree(smoke_run, source)
    command = [
        "train", f"--config={CHAR_LM}:smoke", f"--workdir={tmp_path / 'run'}",
        f"--config.init_from.workdir={source}", "--config.optimizer.learning_rate=1e-30",
        "--config.train.duration=4 steps", "--config.train.checkpoint_every=2 steps",
    ]  # fmt: skip
    assert main(command) == 0
    out = capsys.readouterr().out
    assert f"from {source} taken: embedding/embedding, layer_0/cell/bias" in out.replace("\n", "")
    for a, b in zip(
        *(jax.tree.leaves(best_params(p)) for p in (source, tmp_path / "run")), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    # Its own checkpoint is all that it needs from then on.
    shutil.rmtree(source)
    result = json.loads((tmp_path / "run/result.json").read_text())
    (tmp_path / "run/result.json").unlink()
    assert main(command) == 0
    assert (
        json.loads((tmp_path / "run/result.json").read_text())["best_step"] == result["best_step"]
    )


def test_a_run_that_is_not_there_is_told(tmp_path, capsys):
    command = ["train", f"--config={CHAR_LM}:smoke", f"--workdir={tmp_path / 'run'}"]
    assert main([*command, f"--config.init_from.workdir={tmp_path / 'none'}"]) == 2
    error = capsys.readouterr().err
    assert "none holds no run" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_classifier_starts_from_a_language_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # the config names the language model's folder
    configs = REPOSITORY / "configs/text"
    assert main(["train", f"--config={configs}/imdb_lm.py:smoke", "--workdir=runs/imdb_lm"]) == 0
    command = [f"--config={configs}/imdb.py:smoke_pretrained", "--workdir=runs/c"]
    still = ["--config.optimizer.learning_rate=1e-30", "--config.train.duration=2 steps"]
    assert main(["train", *command, *still]) == 0
    assert "made anew: output/bias" in capsys.readouterr().out.replace("\n", "")
    language_model, classifier = (
        best_params(tmp_path / "runs/imdb_lm"),
        best_params(tmp_path / "runs/c"),
    )
    for name in ("embedding", "layer_0"):
        for path, a, b in zip(
            parameter_paths(classifier[name]),
            *(jax.tree.leaves(params[name]) for params in (language_model, classifier)),
            strict=True,
        ):
            # The average of parameters that stay divides by the sum of its weights.
            np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=f"{name}/{path}")
    vocabularies = [(tmp_path / f"runs/{run}/assets/vocabulary.json") for run in ("imdb_lm", "c")]
    assert vocabularies[0].read_text() == vocabularies[1].read_text()
