"""Forecasting: figures are those of the forecasts, nothing leaks, and a run can be used."""

import csv
import dataclasses
import io
import json

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.tasks.forecast_backtest import Forecasts, spread_by_outcomes
from lstm_jax.tasks.forecast_kept import load_kept, load_spread
from lstm_jax.tasks.forecast_scores import LEVELS
from lstm_jax.training import build_experiment, experiment, load_config
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

VIC_ELEC = str(REPOSITORY / "configs/series/vic_elec.py")
AIR = str(REPOSITORY / "configs/series/air_passengers.py")
OWN = str(REPOSITORY / "configs/series/own_series.py")
DATA = {
    "source": "generated_series", "frequency": "h", "length": 300, "size": 2, "history": 24,
    "horizon": 6, "season": 24, "lags": ("24",), "validation_origins": 2, "test_origins": 3,
    "batch_size": 4, "evaluation_batch_size": 4,
}  # fmt: skip


def make(data=None, **model):
    model = {"hidden_size": 4, "num_layers": 1, **model}
    config = experiment(task="forecasting", data={**DATA, **(data or {})}, model=model)
    return build_experiment(config).task


def days(first, count):
    return np.datetime64(first, "s") + np.arange(count) * np.timedelta64(1, "D")


def forecasts_of(truth, begins, ends, width=1.0):
    """Forecasts of zero whose band from .1 to .9 is from -width to width."""
    truth = np.asarray(truth, float)
    count = len(truth)
    quantiles = np.tile(np.linspace(-width, width, len(LEVELS)), (*truth.shape, 1))
    return Forecasts(
        quantiles, truth, np.zeros(count, int), np.arange(count), np.array(begins), np.array(ends)
    )


def test_the_loss_is_that_of_what_was_observed(tmp_path):
    task = make(head={"name": "gaussian"}, dropout=0.0)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    loss, _, sums = learner.loss(params, (), dataset.splits["test"][1], None)
    batch = dataset.splits["test"][1]
    # Two of the four rows fill the batch up.
    assert batch["valid"].tolist() == [True, True, False, False]
    assert float(sums["values"]) == batch["observed"][:2, -6:].sum()
    assert float(loss) == pytest.approx(float(sums["cost"] / sums["values"]))


def test_figures_do_not_depend_on_the_size_of_batches(tmp_path):
    found = []
    for size in (1, 4, 6):
        task = make({"evaluation_batch_size": size})
        learner, dataset = task.prepare(tmp_path)
        params = learner.init(jax.random.key(0))
        found.append(make_evaluate(learner)(params, dataset.splits["test"], size))
    for values in found[1:]:
        assert values == pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize("decoder", ["direct", "autoregressive"])
def test_no_figure_of_an_origin_depends_on_what_came_later(tmp_path, decoder):
    """Later values may change the truth alone, and the intervals of later forecasts."""
    task = make(decoder=decoder, paths=8)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    run = task._backtest(load_kept(tmp_path))
    windows = dataset.splits["test"]
    before = run(params, windows, dataset.splits["validation"])
    store = windows.store
    # All that comes behind the second origin of the first series, in that series.
    origin = int(windows.origins[1])
    begin = int(store._begin[0])
    store._values[begin + origin : begin + len(store.table.series[0].values)] = 1e4
    after = run(params, windows, dataset.splits["validation"])
    np.testing.assert_array_equal(before.plain.quantiles[:2], after.plain.quantiles[:2])
    np.testing.assert_array_equal(before.forecasts.quantiles[0], after.forecasts.quantiles[0])
    assert np.abs(before.plain.quantiles[2] - after.plain.quantiles[2]).max() > 0


def test_with_nothing_learnt_the_forecast_is_the_naive_one_and_that_is_told(tmp_path):
    task = make()
    learner, dataset = task.prepare(tmp_path)
    params = jax.tree.map(np.zeros_like, learner.init(jax.random.key(0)))
    values = make_evaluate(learner)(params, dataset.splits["test"], 4)
    assert values["mase"] == pytest.approx(values["naive_mase"], rel=0.02)  # gaps differ
    worse = {**values, "mase": values["naive_mase"] * 1.01}
    assert "no better than that of the seasonal naive forecast" in learner.warn(worse)[0]
    assert learner.warn({**values, "mase": float("nan")})
    assert not learner.warn({**values, "mase": values["naive_mase"] * 0.99})


def test_intervals_widen_behind_forecasts_that_were_too_narrow():
    truth = [[5.0, 5.0], [5.0, 0.0], [0.0, 0.0]]
    begins, ends = days("2024-01-01", 3), days("2024-01-02", 3)
    found, log_spread = spread_by_outcomes(forecasts_of(truth, begins, ends), 0.5)
    widths = found.quantiles[:, 0, -1]
    expected = np.cumsum([0, 0.5 * 0.8, 0.5 * 0.3, 0.5 * -0.2])
    np.testing.assert_allclose(np.log(widths), expected[:3])
    assert log_spread == pytest.approx(expected[3])


def test_intervals_know_only_outcomes_of_horizons_that_are_over():
    truth = [[9.0], [9.0], [9.0]]
    begins, ends = days("2024-01-01", 3), days("2024-01-03", 3)
    found, _ = spread_by_outcomes(forecasts_of(truth, begins, ends), 1.0)
    np.testing.assert_allclose(np.log(found.quantiles[:, 0, -1]), [0, 0, 0.8], atol=1e-12)
    unseen, end = spread_by_outcomes(forecasts_of([[np.nan]] * 3, begins, ends), 1.0, 0.3)
    np.testing.assert_allclose(np.log(unseen.quantiles[:, 0, -1]), 0.3)
    assert end == 0.3


def test_in_the_long_run_four_fifths_lie_inside():
    random = np.random.default_rng(0)
    truth = random.normal(scale=np.linspace(1, 3, 400)[:, None], size=(400, 24))
    begins = days("2024-01-01", 401)
    plain = forecasts_of(truth, begins[:-1], begins[1:])
    found, _ = spread_by_outcomes(plain, 0.3)
    # What is off is the way that the factor has gone, over rate and number of forecasts.
    inside = (found.truth >= found.quantiles[..., 0]) & (found.truth <= found.quantiles[..., -1])
    assert inside.mean() == pytest.approx(0.8, abs=0.015)


@pytest.mark.parametrize(
    ("data", "model", "message"),
    [
        ({"horizon": 7}, {"patch": 2}, r"data\.horizon: 7 is no multiple of model\.patch 2"),
        ({"lags": ("3",)}, {}, r"data\.lags: 3 steps before the end of the horizon of 6 there is"),
        ({"lags": ("x",)}, {}, r"data\.lags: must be numbers from 1 on, got 'x'"),
        ({}, {"decoder": "autoregressive", "patch": 2}, r"model\.patch: is for the direct decoder"),
        ({}, {"head": {"name": "negative_binomial"}}, r"model\.head: counts begin at zero"),
    ],
)
def test_fields_that_do_not_fit_are_told(data, model, message):
    with pytest.raises(ConfigError, match=message):
        make(data, **model)


def test_values_that_are_no_counts_are_told(tmp_path):
    head = {"name": "negative_binomial"}
    task = make(head=head, residual="none", scaling="mean_absolute")
    with pytest.raises(UserError, match="holds values that are no counts"):
        task.prepare(tmp_path)


def test_series_that_are_too_short_are_told_in_one_sentence(tmp_path, recwarn):
    message = r"has 100 steps, and 126 are needed: .*2 \+ 3 forecasts, 6 steps apart"
    with pytest.raises(UserError, match=message):
        make({"length": 100, "size": 1, "history": 90}).prepare(tmp_path)
    assert not recwarn.list


def test_a_season_that_nothing_can_be_judged_by_is_told(tmp_path):
    with pytest.raises(UserError, match=r"data.season: .* 290 steps before it, .* shorter season"):
        make({"season": 290}).prepare(tmp_path)


def test_series_are_read_once(tmp_path):
    task, reads = make(), []

    def source(*file):
        reads.append(file)
        return read(*file)

    read = task.data.source
    task = dataclasses.replace(task, data=dataclasses.replace(task.data, source=source))
    task.prepare(tmp_path)
    assert task.baselines(tmp_path)
    assert reads == [()]


@pytest.mark.parametrize("kept", ["", "[]", '{"log_spread": "wide"}', "{"])
def test_what_a_run_keeps_is_checked_when_it_is_read(tmp_path, kept):
    assert load_spread(tmp_path) == 0
    (tmp_path / "spread.json").write_text(kept)
    (tmp_path / "series.json").write_text(kept)
    with pytest.raises(UserError, match=r"spread\.json is not what a run keeps of its intervals"):
        load_spread(tmp_path)
    with pytest.raises(UserError, match=r"series\.json is not what a run keeps of its series"):
        load_kept(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "series"
    assert main(["train", f"--config={VIC_ELEC}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


def test_a_result_holds_figures_baselines_and_what_is_worse_than_naive(run):
    result = json.loads((run / "result.json").read_text())
    worse = [s for s in ("validation", "test") if result[f"{s}/mase"] >= result[f"{s}/naive_mase"]]
    assert [text.split(":")[0] for text in result.get("warnings", ())] == worse
    assert result["baselines"]["seasonal naive"]["test"] == pytest.approx(result["test/naive_mase"])
    for name in ("forecasts.png", "coverage.png"):
        assert (run / "figures" / name).stat().st_size > 10_000


@pytest.mark.slow
def test_a_forecaster_that_is_of_no_use_says_so(tmp_path, capsys):
    # One step at a rate that destroys it.
    arguments = ["train", f"--config={VIC_ELEC}:smoke", f"--workdir={tmp_path / 'r'}"]
    arguments += ["--config.train.duration=2 steps", "--config.train.evaluate_every=1 steps"]
    arguments += ["--config.optimizer.learning_rate=30.0", "--config.averaging.name=none"]
    arguments += ["--config.schedule.name=constant"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    text = "no better than that of the seasonal naive forecast"
    assert (said.out + said.err).count(text) >= 4  # two evaluations, two splits of the result
    result = json.loads((tmp_path / "r" / "result.json").read_text())
    assert [w.split(":")[0] for w in result["warnings"]] == ["validation", "test"]


def test_evaluate_gives_the_figures_of_the_result(run, capsys):
    capsys.readouterr()
    assert main(["evaluate", f"--workdir={run}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    result = json.loads((run / "result.json").read_text())
    for name in ("mase", "quantile_loss", "coverage", "loss"):
        assert found[name] == pytest.approx(result[f"test/{name}"], rel=1e-5)


def write_series(path, steps, ahead, names=("generated_0", "generated_1")):
    """A file as a user has one: two series, and what is known of the day to forecast."""
    times = np.datetime64("2025-03-01T00", "s") + np.arange(steps + ahead) * 3600
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["unique_id", "ds", "y", "warmth", "level"])
        for i, name in enumerate(names):
            for step, time in enumerate(times):
                value = f"{20 + i + np.sin(step / 4):.3f}" if step < steps else ""
                writer.writerow([name, str(time), value, "0.1", "5"])
    return f"--input={path}"


@pytest.mark.parametrize(
    "mode", ["smoke", pytest.param("smoke_autoregressive", marks=pytest.mark.slow)]
)
def test_predict_forecasts_a_file(run, tmp_path, capsys, mode):
    workdir = run
    if mode != "smoke":
        workdir = tmp_path / "run"
        short = "--config.train.duration=6 steps"
        assert main(["train", f"--config={VIC_ELEC}:{mode}", f"--workdir={workdir}", short]) == 0
    given = write_series(tmp_path / "mine.csv", 120, 24)
    capsys.readouterr()
    assert main(["predict", f"--workdir={workdir}", given]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 2 * 24
    assert [rows[0]["ds"], rows[-1]["ds"]] == ["2025-03-06T00:00:00", "2025-03-06T23:00:00"]
    assert [rows[0]["unique_id"], rows[-1]["unique_id"]] == ["generated_0", "generated_1"]
    for row in rows:
        quantiles = [float(row[f"q{level}"]) for level in LEVELS]
        assert quantiles == sorted(quantiles)
    assert main(["predict", f"--workdir={workdir}", given, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["ds"] for record in records] == [row["ds"] for row in rows]
    assert records[5]["q0.5"] == pytest.approx(float(rows[5]["q0.5"]), rel=1e-6)


def test_predict_tells_what_it_cannot_use(run, tmp_path, capsys):
    short = write_series(tmp_path / "short.csv", 20, 24)
    unknown = write_series(tmp_path / "unknown.csv", 120, 24, ("generated_0", "shop_7"))
    blind = write_series(tmp_path / "blind.csv", 120, 3)
    for given, message in {
        "--input=-": "needs a file",
        "--input=none.csv": "none.csv",
        short: "has 20 steps, and the forecast reads 48",
        unknown: "'shop_7' is none of them",
        blind: "are known for 3 steps behind the last value, and the forecast is of 24",
    }.items():
        assert main(["predict", f"--workdir={run}", given]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("mode", ["", ":covariates", ":autoregressive"])
def test_modes_are_configs(mode):
    build_experiment(load_config(VIC_ELEC + mode))
    build_experiment(load_config(AIR))
    build_experiment(load_config(OWN))


def test_the_smoke_config_of_the_passengers_runs(tmp_path):
    workdir = tmp_path / "air"
    assert main(["train", f"--config={AIR}:smoke", f"--workdir={workdir}"]) == 0
    assert "test/mase" in json.loads((workdir / "result.json").read_text())


@pytest.mark.slow
def test_a_file_of_ones_own_is_enough(tmp_path, capsys):
    given = write_series(tmp_path / "mine.csv", 130, 0).replace("--input", "--config.data.path")
    workdir = tmp_path / "own"
    options = [
        "--config.data.horizon=12",
        "--config.data.history=24",
        "--config.train.duration=4 steps",
        "--config.data.baselines=False",
    ]
    options += ["--config.data.validation_origins=2", "--config.data.test_origins=2"]
    small = ["--config.model.hidden_size=4", "--config.model.num_layers=1"]
    assert main(["train", f"--config={OWN}", f"--workdir={workdir}", given, *options, *small]) == 0
    assert (
        "2 series of 130 to 130 steps of h; forecasts of 12 from 24, with lags"
        in capsys.readouterr().out
    )
    assert (
        main(["predict", f"--workdir={workdir}", given.replace("config.data.path", "input")]) == 0
    )
    assert capsys.readouterr().out.count("\n") == 1 + 2 * 12
