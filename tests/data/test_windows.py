"""Windows: every number against a plain cut of the series, and nothing from behind the origin."""

import numpy as np
import pytest

from lstm_jax.data.backtest import Backtest
from lstm_jax.data.calendar import parse_frequency
from lstm_jax.data.series import series_of_arrays
from lstm_jax.data.windows import (
    RollingWindows,
    Scaling,
    TrainingWindows,
    WindowShape,
    WindowStore,
    fit_scaling,
    future,
    rolling,
)
from lstm_jax.errors import UserError

SHAPE = WindowShape(history=6, horizon=3, lags=(1, 4))
BACKTEST = Backtest(horizon=3, stride=2, validation_origins=2, test_origins=3)


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    lengths, ahead = (40, 31, 57), 3
    values = [random.normal(10, 4, length).astype(np.float32) for length in lengths]
    values[1][[0, 7, 8, 20, 30]] = np.nan
    return series_of_arrays(
        values,
        parse_frequency("h"),
        starts=[np.datetime64(f"2024-01-0{day}T05") for day in (3, 1, 2)],
        known=[random.normal(3, 2, (length + ahead, 2)) for length in lengths],
        known_names=("warm", "holiday"),
        statics=[random.normal(size=1) for _ in lengths],
        static_names=("size",),
    )


@pytest.fixture
def store(table):
    return WindowStore(table, SHAPE, fit_scaling(table, BACKTEST))


def test_a_window_is_what_a_plain_cut_gives(table, store):
    scaling = store.scaling
    for windows in (
        TrainingWindows(store, BACKTEST, 8, seed=1),
        rolling(store, BACKTEST, "test", 4),
    ):
        for index in range(len(windows)):
            batch = windows[index]
            for row in np.flatnonzero(batch["valid"]):
                series = table.series[batch["series"][row]]
                origin, known = int(batch["origin"][row]), len(table.known_names)
                padded = np.concatenate([np.full(10, np.nan), series.values, np.full(3, np.nan)])
                cut = padded[origin : origin + 13]  # 4 for the lags, 6 and 3; 10 padded before
                np.testing.assert_array_equal(batch["values"][row], np.nan_to_num(cut))
                np.testing.assert_array_equal(batch["observed"][row], ~np.isnan(cut))
                covariates = series.known[origin - 6 : origin + 3]
                np.testing.assert_allclose(
                    batch["known"][row, :, :known] * scaling.known_deviation + scaling.known_mean,
                    covariates,
                    rtol=1e-5,
                )
                start = table.times(series, origin - 6, 1)[0]
                np.testing.assert_array_equal(
                    batch["known"][row, :, known:], table.frequency.features(start, 9)
                )
                statics = batch["statics"][row] * scaling.static_deviation + scaling.static_mean
                np.testing.assert_allclose(statics, series.statics, rtol=1e-5)


def test_training_never_reaches_what_is_held_out_and_the_test_never_validation(table, store):
    batches = TrainingWindows(store, BACKTEST, 8, seed=0)
    for epoch in range(20):
        for index in range(len(batches)):
            batch = batches.at(epoch, index)
            lengths = store.lengths[batch["series"]]
            ends = [BACKTEST.train_end(int(length)) for length in lengths]
            assert (batch["origin"] + 3 <= ends).all()
            assert (batch["origin"] >= 6).all()
    for length in store.lengths.tolist():
        validation, test = (BACKTEST.origins(split, length) for split in ("validation", "test"))
        assert validation[-1] + 3 <= test[0]
        assert test[-1] + 3 == length


def test_nothing_before_the_origin_depends_on_what_comes_after(table):
    """What is held out may change as it likes: inputs of a forecast stay the same."""
    before = rolling(WindowStore(table, SHAPE, fit_scaling(table, BACKTEST)), BACKTEST, "test", 4)
    changed = []
    for series in table.series:
        values, known = series.values.copy(), series.known.copy()
        end = BACKTEST.train_end(len(values))
        values[end:] += 100
        known[end:] *= 7
        changed.append(series._replace(values=values, known=known))
    table = table._replace(series=changed)
    store = WindowStore(table, SHAPE, fit_scaling(table, BACKTEST))
    for old, new in zip(before.store.scaling, store.scaling, strict=True):
        np.testing.assert_array_equal(old, new)
    first = BACKTEST.origins("validation", 40)[:1]
    inputs = [RollingWindows(s, [0], first, 1)[0] for s in (before.store, store)]
    for name in ("statics", "origin"):
        np.testing.assert_array_equal(inputs[0][name], inputs[1][name])
    np.testing.assert_array_equal(inputs[0]["values"][:, :10], inputs[1]["values"][:, :10])


def test_an_epoch_forecasts_every_step_about_once_and_is_a_function_of_its_number(store):
    batches = TrainingWindows(store, BACKTEST, 4, seed=5)
    places = [
        (int(series), int(origin))
        for index in range(len(batches))
        for series, origin in zip(
            *(batches.at(3, index)[n] for n in ("series", "origin")), strict=True
        )
    ]
    assert {series for series, _ in places} == {0, 1, 2}
    possible = sum(BACKTEST.train_end(int(length)) - 9 + 1 for length in store.lengths)
    assert possible / 3 <= len(places) < possible / 3 + 4
    again = TrainingWindows(store, BACKTEST, 4, seed=5)
    again.at(8, 0)
    np.testing.assert_array_equal(again.at(3, 1)["values"], batches.at(3, 1)["values"])
    assert (again.at(3, 1)["origin"] != again.at(4, 1)["origin"]).any()
    other = TrainingWindows(store, BACKTEST, 4, seed=6)
    assert other.fingerprint() != batches.fingerprint() == again.fingerprint()


def test_every_origin_is_drawn_in_the_long_run(store):
    batches, seen = TrainingWindows(store, BACKTEST, 4, seed=0), set()
    for epoch in range(200):
        for index in range(len(batches)):
            batch = batches.at(epoch, index)
            seen |= set(zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True))
    ends = [BACKTEST.train_end(int(length)) for length in store.lengths]
    assert seen == {(i, o) for i, end in enumerate(ends) for o in range(6, end - 2)}


def test_what_fills_up_a_batch_is_not_valid_and_not_observed(store):
    last = rolling(store, BACKTEST, "test", 4)[2]
    assert last["valid"].tolist() == [True, False, False, False]
    assert not last["observed"][1:].any()


def test_future_windows_begin_behind_the_last_value(table, store):
    batch = future(store, 8)[0]
    assert batch["origin"][:3].tolist() == [40, 31, 57]
    assert not batch["observed"][:, -3:].any()
    cut = [series._replace(known=series.known[:-1]) for series in table.series]
    short = WindowStore(table._replace(series=cut), SHAPE, store.scaling)
    with pytest.raises(UserError, match=r"are known for 2 steps behind the last value, .* is of 3"):
        future(short, 8)
    long = WindowStore(table, WindowShape(35, 3), store.scaling)
    with pytest.raises(UserError, match="'series_1' has 31 steps, and the forecast reads 35"):
        future(long, 8)


def test_a_series_shorter_than_its_windows_is_named(table):
    shape = WindowShape(history=20, horizon=3)
    store = WindowStore(table, shape, fit_scaling(table, BACKTEST))
    message = "'series_1' has 31 steps, and 36 are needed: a window of 20 \\+ 3"
    with pytest.raises(UserError, match=message):
        TrainingWindows(store, BACKTEST, 4, seed=0)


def test_scaling_survives_json_and_leaves_constants_alone(table, store):
    again = Scaling.from_json(store.scaling.to_json())
    for before, after in zip(store.scaling, again, strict=True):
        np.testing.assert_array_equal(before, after)
    constant = [series._replace(known=np.full_like(series.known, 7)) for series in table.series]
    scaling = fit_scaling(table._replace(series=constant), BACKTEST)
    np.testing.assert_array_equal(scaling.known_deviation, [1, 1])


def test_series_off_one_another_s_grid_have_their_own_calendar():
    starts = [np.datetime64("2024-01-01"), np.datetime64("2024-01-03")]
    weekly = parse_frequency("W")
    table = series_of_arrays([np.arange(30.0)] * 2, weekly, starts=starts)
    store = WindowStore(table, WindowShape(4, 2), fit_scaling(table, Backtest(2, 2, 1, 1)))
    batch = store.batch(np.array([0, 1]), np.array([10, 10]), 2)
    for row, series in enumerate(table.series):
        expected = weekly.features(table.times(series, 6, 1)[0], 6)
        np.testing.assert_array_equal(batch["known"][row], expected)
    assert (batch["known"][0] != batch["known"][1]).any()
