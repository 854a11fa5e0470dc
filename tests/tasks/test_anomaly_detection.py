"""Anomalies: scores are likelihoods, the threshold is validation's, figures are scikit-learn's."""

import csv
import dataclasses
import io
import json
import math
import shutil

import jax
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cli.main import main
from lstm_jax.config import find
from lstm_jax.data.anomalies import ANOMALIES, inject
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.nearest_neighbour import euclidean_distances
from lstm_jax.models.step_forecaster import StepForecaster, negative_log_likelihood
from lstm_jax.tasks.anomaly_scores import detection, moving_mean, roc_auc
from lstm_jax.training import Run, build_experiment, experiment, load_config
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

ECG = str(REPOSITORY / "configs/series/ecg5000_anomaly.py")
VIC = str(REPOSITORY / "configs/series/vic_elec_anomaly.py")


def test_figures_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    scores, truth = random.integers(0, 20, 300) / 4, random.random(300) < 0.3
    found = detection(scores, truth, 2.5)
    alarms = scores > 2.5
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, alarms))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, alarms))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, alarms))
    assert found["false_alarms"] == pytest.approx(np.mean(alarms[~truth]))


def test_of_one_kind_alone_there_is_no_curve():
    assert math.isnan(roc_auc(np.arange(3.0), np.zeros(3, bool)))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_a_moving_mean_is_of_what_there_is(width):
    values = np.random.default_rng(0).normal(size=9)
    for i, found in enumerate(moving_mean(values, width)):
        first = i - width // 2
        assert found == pytest.approx(np.mean(values[max(first, 0) : first + width]))


@pytest.mark.parametrize("kind", list(ANOMALIES))
def test_an_anomaly_is_where_it_is_said_to_be(kind):
    values = np.sin(np.arange(60.0))
    for seed in range(20):
        random = np.random.default_rng(seed)
        changed, steps = inject(kind, values, 30, (4, 9), 0.5, random)
        np.testing.assert_array_equal(changed[~steps], values[~steps])
        assert (changed[steps] != values[steps]).any()
        assert np.flatnonzero(steps).min() >= 30
        assert steps.sum() == 1 if kind == "spike" else 4 <= steps.sum() <= 9
        apart = np.abs(changed - values)[steps]
        if kind in ("spike", "level"):
            np.testing.assert_allclose(apart, 1.0 if kind == "spike" else 0.5)
        if kind == "swapped":
            np.testing.assert_allclose(np.sort(changed[steps]), np.sort(values[steps]))


def test_nothing_behind_a_step_moves_its_likelihood():
    model = StepForecaster(cell=lj.lstm, hidden_size=5, targets=1, horizon=3)
    series = jax.random.normal(jax.random.key(0), (2, 12, 2))
    variables = model.init(jax.random.key(1), series)
    mean, deviation = model.apply(variables, series)
    later = series.at[:, 8:, 0].add(5.0)  # values from step 8 on; their forecasts are as before
    for ours, theirs in zip((mean, deviation), model.apply(variables, later), strict=True):
        np.testing.assert_array_equal(ours[:, : 8 - 3 + 3], theirs[:, : 8 - 3 + 3])
        assert not np.allclose(ours[:, 8:], theirs[:, 8:])
    known = series.at[:, 9, 1].add(5.0)  # what is known ahead moves the forecast of its own step
    changed = np.abs(model.apply(variables, known)[0] - mean).sum(axis=(0, 2))
    assert np.flatnonzero(changed > 1e-7).tolist() == [6, 7, 8]


def test_the_likelihood_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    values, mean = random.normal(size=(2, 4, 3))
    deviation = random.random((4, 3)) + 0.1
    expected = -stats.norm.logpdf(values, mean, deviation).sum(axis=-1)
    found = negative_log_likelihood(values, mean, deviation)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_nearest_distance_is_the_least_one():
    random = np.random.default_rng(0)
    series, training = random.normal(size=(5, 4, 2)), random.normal(size=(9, 4, 2))
    apart = np.square(series[:, None] - training[None]).sum(axis=(2, 3)).min(axis=1)
    np.testing.assert_allclose(euclidean_distances(list(series), list(training)), apart)


def write(path, values):
    times = np.datetime64("2024-01-01T00:00") + np.arange(len(values)) * np.timedelta64(60, "m")
    rows = "".join(f"{time},{value}\n" for time, value in zip(times, values, strict=True))
    path.write_text("ds,y\n" + rows)
    return str(path)


WAVE = np.sin(np.arange(1440) * 2 * np.pi / 24)
PIECES = {"piece": 72, "stride": 24, "first": 48, "longest": 12}


def test_pieces_follow_in_time_and_the_test_alone_has_anomalies(tmp_path):
    path = write(tmp_path / "a.csv", np.arange(1440.0))  # a value tells its step
    made = find("labelled_series_source", "injected_csv")(path=path, **PIECES)
    found = made.read()
    first = {split: [int(one.values[0, 0]) for one in found[split]] for split in found}
    pieces = range(0, 1440 - 72 + 1, 24)
    assert first["test"] == list(pieces[-12:])
    assert first["validation"] == list(pieces[-18:-14])  # it ends where the test begins
    assert first["validation"][-1] + 72 == first["test"][0]
    assert first["train"] == list(pieces[:-20])
    for split, records in found.items():
        for start, one in zip(first[split], records, strict=True):
            steps = np.zeros(72, bool) if one.anomalous is None else one.anomalous
            assert (one.label == "normal") == (not steps.any())
            values = np.arange(start, start + 72)
            np.testing.assert_array_equal(one.values[~steps, 0], values[~steps])
    labels = [one.label for one in found["test"]]
    assert sorted(labels) == sorted([*["normal"] * 6, *ANOMALIES, "spike", "level"])
    assert {one.label for one in found["train"] + found["validation"]} == {"normal"}
    (whole,) = made.read_file("--input", tmp_path / "a.csv")
    assert (whole.label, len(whole.values)) == (None, 1440)


def test_fields_of_pieces_are_checked():
    source = find("labelled_series_source", "injected_csv")
    with pytest.raises(ConfigError, match="8 and 24 steps must fit behind step 96 of 100"):
        source(path="a.csv", piece=100)
    with pytest.raises(ConfigError, match="together must be below 1"):
        source(path="a.csv", test_share=0.6, validation_share=0.4)


def make(**data):
    values = {"data": data, "model": {"hidden_size": 4}}
    return build_experiment(experiment(task="anomaly_detection", **values)).task


def test_the_network_is_checked_before_anything_is_read():
    model = {"hidden_size": 6, "cell": {"name": "mlstm"}}
    with pytest.raises(ConfigError, match=r"model\.cell: num_heads must divide hidden_size 6"):
        build_experiment(experiment(task="anomaly_detection", model=model))
    with pytest.raises(ConfigError, match=r"model\.num_layers: .*1000"):
        build_experiment(experiment(task="anomaly_detection", model={"num_layers": 1001}))


def test_classes_that_are_not_there_are_told(tmp_path):
    with pytest.raises(UserError, match=r"train split has no series of .*did you mean sine"):
        make(source="generated_shapes", normal=("sin",)).prepare(tmp_path)
    with pytest.raises(UserError, match="test split has normal series alone"):
        make(source="generated_shapes", normal=("sine", "saw", "square")).prepare(tmp_path)
    task = make(source="generated_shapes", normal=("sine",))
    with pytest.raises(UserError, match="holds no threshold, which a run has at its end"):
        task.threshold(tmp_path)


def test_what_cannot_be_forecast_is_told_before_training(tmp_path):
    config = {"data": {"source": "generated_shapes", "normal": ("sine",)}}
    for model, message in {
        (
            ("horizon", 39),
        ): r"data: train: series 1 has \d+ step\(s\) of 2 .*more than 39 \(model\.hor",
        (
            ("targets", 3),
        ): r"model\.targets: 3 dimensions are to be forecast, and the series have 2",
    }.items():
        made = experiment(
            task="anomaly_detection", **config, model={"hidden_size": 4, **dict(model)}
        )
        with pytest.raises(UserError, match=message):
            build_experiment(made).task.prepare(tmp_path)


def test_series_are_read_once_and_scored_once(tmp_path):
    task, reads = make(source="generated_shapes", normal=("sine",)), []
    source = task.data.source

    def read():
        reads.append(0)
        return source.read()

    data = dataclasses.replace(task.data, source=source._replace(read=read))
    task = dataclasses.replace(task, data=data)
    learner, _ = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    (tmp_path / "figures").mkdir()
    task.draw(tmp_path, params, tmp_path / "figures")
    told = (tmp_path / "figures" / "anomalies.json").read_text()
    assert task.show(tmp_path, None, 0) == told.strip()  # no network is asked again
    assert len(reads) == 1


def test_the_loss_is_the_mean_score_of_normal_series(tmp_path):
    task = make(source="generated_shapes", normal=("sine",), evaluation_batch_size=7)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["test"], 7)
    normal = [one for one in task.data.source.read()["test"] if one.label == "sine"]
    scored = task.scored(tmp_path, params, normal)
    assert [len(one.steps) for one in scored] == [len(one.values) - 1 for one in normal]
    assert values["loss"] == pytest.approx(np.mean(np.concatenate([s.steps for s in scored])))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "waves"
    assert main(["train", f"--config={ECG}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


def test_the_smoke_config_finds_other_waves(run):
    figures = json.loads((run / "figures" / "anomalies.json").read_text())
    assert figures["roc_auc"] > 0.85
    assert (run / "figures" / "anomalies.png").stat().st_size > 10_000
    assert json.loads(json.loads((run / "result.json").read_text())["sample"]) == figures


def test_the_threshold_is_a_quantile_of_normal_validation_scores(run, tmp_path):
    finished = Run.load(run)
    task = finished.experiment.task
    params = finished.restore_params(task.restore(finished.assets), "best").trees["params"]
    normal = [one for one in task.data.source.read()["validation"] if one.label == "sine"]
    scores = [one.steps.mean() for one in task.scored(finished.assets, params, normal)]
    expected = pytest.approx(np.quantile(scores, 0.95))
    assert task.threshold(finished.assets) == expected
    # A run that goes on, with other parameters in the end, has another threshold.
    shutil.copy(finished.assets / "inputs.json", tmp_path)
    (tmp_path / "threshold.json").write_text("99")
    task.draw(tmp_path, params, tmp_path)
    assert task.threshold(tmp_path) == expected


def test_predict_scores_a_file(run, tmp_path, capsys):
    cells = [":".join([",".join(map(str, np.arange(n) % 2))] * 2) for n in (30, 40)]
    path = tmp_path / "a.ts"
    path.write_text("@dimensions 2\n@classLabel false\n@data\n" + "\n".join(cells))
    capsys.readouterr()
    assert main(["predict", f"--workdir={run}", f"--input={path}"]) == 0
    records = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [record["series"] for record in records] == ["1", "2"]
    assert [record["anomaly"] for record in records] == ["1", "1"]
    path.write_text("@dimensions 2\n@classLabel false\n@data\n1:2")
    assert main(["predict", f"--workdir={run}", f"--input={path}"]) == 2
    error = capsys.readouterr().err
    assert "--input: series 1 has 1 step(s) of 2 dimension(s); more than 4 (model.ho" in error


@pytest.mark.parametrize("config", [ECG, VIC])
def test_the_configs_are_configs(config):
    assert build_experiment(load_config(config)).task.model.horizon > 1


@pytest.mark.slow
def test_steps_of_a_series_are_scored(tmp_path, capsys):
    arguments = [f"--config={VIC}:smoke", f"--workdir={tmp_path / 'run'}"]
    own = [
        f"--config.data.path={write(tmp_path / 'a.csv', WAVE)}",
        "--config.data.source=injected_csv", "--config.data.normal=normal",
        "--config.model.targets=1", "--config.train.duration=60 epochs",
        *(f"--config.data.{name}={value}" for name, value in PIECES.items()),
    ]  # fmt: skip
    assert main(["train", *arguments, *own]) == 0
    figures = json.loads((tmp_path / "run" / "figures" / "anomalies.json").read_text())
    assert figures["roc_auc"] > 0.8
    capsys.readouterr()
    assert main(["predict", f"--workdir={tmp_path / 'run'}", f"--input={tmp_path / 'a.csv'}"]) == 0
    records = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(record["step"]) for record in records] == list(range(3, 1441))
    assert [records[0]["ds"], records[-1]["ds"]] == ["2024-01-01T02:00:00", "2024-02-29T23:00:00"]
