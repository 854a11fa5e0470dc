"""Classification of series: figures are those of series after series, errors are told."""

import json

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.config import find
from lstm_jax.errors import UserError
from lstm_jax.models.classifier import apply
from lstm_jax.tasks.class_labels import load_classes
from lstm_jax.training import Run, build_experiment, experiment, load_config
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

VOWELS = str(REPOSITORY / "configs/series/japanese_vowels.py")
ECG = str(REPOSITORY / "configs/series/ecg5000.py")
HEADER = "@univariate false\n@dimensions {}\n@classLabel true {}\n@data\n"


def write(path, count, dimensions=2, classes="ab", seed=0):
    random = np.random.default_rng(seed)
    lines = []
    for i in range(count):
        values = random.normal(size=(dimensions, random.integers(3, 9)))
        cells = ":".join(",".join(f"{v:.3f}" for v in column) for column in values)
        lines.append(f"{cells}:{classes[i % len(classes)]}")
    path.write_text(HEADER.format(dimensions, " ".join(classes)) + "\n".join(lines))
    return str(path)


def make(path, augmentation=None, **data):
    data = {"path": (path,), "batch_size": 4, "evaluation_batch_size": 5, **data}
    model = {"hidden_size": 5, "filters": 3, "width": 3, "stride": 2, "dropout": {"output": 0.0}}
    values = {"data": data, "model": model, "augmentation": augmentation or {}}
    return build_experiment(experiment(task="series_classification", **values)).task


def test_figures_are_those_of_series_after_series(tmp_path):
    task = make(write(tmp_path / "a.ts", 40))
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["train"], 5)
    series = task.data.source.read()["train"]
    mean = np.concatenate([s.values for s in series]).astype(np.float64)
    mean, deviation = mean.mean(axis=0), mean.std(axis=0)
    network, classes, nats, right = (
        task.network("ab"),
        load_classes(tmp_path / "classes.json"),
        [],
        [],
    )
    for one in series:
        inputs = ((one.values - mean) / deviation).astype(np.float32)
        logits = apply(network, params, inputs[None], np.array([len(inputs)]))[0]
        nats.append(-float(jax.nn.log_softmax(logits)[classes.index(one.label)]))
        right.append(classes[int(logits.argmax())] == one.label)
    assert values["loss"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert values["accuracy"] == pytest.approx(np.mean(right))


def test_augmentation_is_of_training_alone(tmp_path):
    path = write(tmp_path / "a.ts", 40)
    losses = []
    for noise in (0.0, 1.0):
        learner, dataset = make(path, {"noise": noise}).prepare(tmp_path)
        params, batch = learner.init(jax.random.key(0)), dataset.train[0]
        keys = (None, jax.random.key(1))
        losses.append([float(learner.loss(params, (), batch, key)[0]) for key in keys])
    (still, plain), (still_too, noisy) = losses
    assert still == still_too
    assert plain == pytest.approx(still)
    assert noisy != pytest.approx(still, rel=1e-3)


def test_what_is_odd_is_told(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{i % 2}\t1\t?\t{1 if i < 20 else i}\n" for i in range(40)))
    _, dataset = make(str(path), validation_share=0.25, test_share=0.25).prepare(tmp_path)
    notes = "\n".join(dataset.notes)
    assert "train: 20 series of 3 to 3 steps" in notes
    assert "train: 20 of 60 values are missing" in notes
    counts = [int(note.split()[1]) for note in dataset.notes if note.endswith("are constant")]
    assert sum(counts) == 20


def test_series_that_do_not_fit_are_told(tmp_path):
    path = write(tmp_path / "a.ts", 20)
    with pytest.raises(UserError, match=r"data: test: series 1 has 3 dimension\(s\), and those"):
        make(path, test_path=(write(tmp_path / "b.ts", 4, dimensions=3),)).prepare(tmp_path)
    with pytest.raises(UserError, match="test split has a class 'c' that the training split"):
        make(path, test_path=(write(tmp_path / "c.ts", 3, classes="abc"),)).prepare(tmp_path)
    with pytest.raises(UserError, match="has one class only, 'a'"):
        make(write(tmp_path / "d.ts", 20, classes="a")).prepare(tmp_path)
    assert not (tmp_path / "classes.json").exists()


def test_the_mean_of_training_is_kept_for_prediction(tmp_path):
    task = make(write(tmp_path / "a.ts", 40))
    learner, _ = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    series = task.data.source.read()["test"]
    together = task.probabilities(tmp_path, params, series)
    alone = np.concatenate([task.probabilities(tmp_path, params, [one]) for one in series])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=-1), 1, rtol=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "waves"
    assert main(["train", f"--config={VOWELS}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


def test_the_smoke_config_learns(run):
    result = json.loads((run / "result.json").read_text())
    assert result["test/accuracy"] > 0.6
    assert result["baselines"]["most frequent class"]["test"] < 0.5
    assert result["baselines"]["nearest neighbour, DTW"]["test"] > 0.9
    assert (run / "figures" / "confusion_matrix.png").stat().st_size > 5_000


def test_a_file_is_classified_series_for_series(run, tmp_path):
    finished = Run.load(run)
    task = finished.experiment.task
    params = finished.restore_params(task.restore(finished.assets), "best").trees["params"]
    test = task.data.source.read()["test"]
    cells = [":".join(",".join(map(str, column)) for column in s.values.T) for s in test]
    path = tmp_path / "a.ts"
    path.write_text(HEADER.format(2, "").replace("true", "false") + "\n".join(cells))
    records = list(task.predict_file(finished.assets, params, path))
    right = np.mean([r["label"] == s.label for r, s in zip(records, test, strict=True)])
    result = json.loads((run / "result.json").read_text())
    assert right == pytest.approx(result["test/accuracy"])
    assert [r["series"] for r in records] == list(range(1, len(test) + 1))
    path.write_text(HEADER.format(1, "").replace("true", "false") + "1,2,3")
    with pytest.raises(UserError, match=r"--input: series 1 has 1 dimension\(s\), and those to"):
        list(task.predict_file(finished.assets, params, path))


@pytest.mark.parametrize("config", [ECG, VOWELS])
def test_the_configs_are_configs(config):
    task = build_experiment(load_config(config)).task
    assert isinstance(task, find("task", "series_classification"))


@pytest.mark.slow
def test_the_smoke_config_with_a_convolution_learns(tmp_path):
    assert main(["train", f"--config={ECG}:smoke", f"--workdir={tmp_path / 'run'}"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test/accuracy"] > 0.6
