"""Series in memory: what fits together, and what does not."""

import numpy as np
import pytest

from lstm_jax.data.backtest import Backtest
from lstm_jax.data.calendar import parse_frequency
from lstm_jax.data.series import SeriesLayout, series_of_arrays
from lstm_jax.errors import UserError

START = np.datetime64("2024-01-01")


def _table(values, **options):
    return series_of_arrays(values, parse_frequency("D"), starts=START, **options)


def test_times_are_counted_from_the_start_of_each_series():
    starts = [np.datetime64("2024-02-28"), np.datetime64("2024-03-01")]
    table = series_of_arrays([np.arange(3.0)] * 2, parse_frequency("D"), starts=starts)
    found = table.times(table.series[0], 1, 2).astype("datetime64[D]").tolist()
    assert [str(day) for day in found] == ["2024-02-29", "2024-03-01"]
    assert table.times(table.series[1], 0, 1) == starts[1]


def test_the_fingerprint_sees_every_number_and_name():
    values, known, statics = [np.arange(4.0)], [np.ones((5, 1))], [np.zeros(1)]

    def digest(values=values, known=known, statics=statics, name="x"):
        named = {"known_names": [name], "static_names": ["s"]}
        return _table(values, known=known, statics=statics, **named).fingerprint()

    changed = np.array([0.0, 1, 2, np.nan])
    digests = {
        digest(),
        digest(values=[changed]),
        digest(known=[known[0] * 2]),
        digest(statics=[np.ones(1)]),
        digest(name="y"),
    }
    assert len(digests) == 5
    assert digest() == digest()


def test_a_layout_survives_json():
    layout = SeriesLayout(parse_frequency("15min", "Europe/Berlin"), ("a", "b"), ("c=d",))
    assert SeriesLayout.from_json(layout.to_json()) == layout


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "there is no series"),
        ([np.ones((3, 2))], {}, r"values must be a vector, got shape \(3, 2\)"),
        ([np.zeros(0)], {}, "values must be a vector"),
        ([np.ones(3)] * 2, {"names": ["a", "a"]}, "two series are called 'a'"),
        ([np.ones(3)], {"names": ["a", "b"]}, "names: 2 given for 1 series"),
        ([np.ones(3)], {"known": [np.ones((3, 1))]}, r"\(3 or more, 0\), a column for each name"),
        ([np.ones(3)], {"statics": [np.ones(2)]}, "one number for each of 0 static covariates"),
        ([np.ones(3), np.array([1, -np.inf])], {}, "'series_1' is infinite at step 1 .2024-01-02"),
        (
            [np.ones(3)],
            {"statics": [np.array([np.nan])], "static_names": ["size"]},
            "'size' is no number; what is known",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(values, options, message):
    with pytest.raises(UserError, match=message):
        _table(values, **options)


@pytest.mark.parametrize(("horizon", "stride"), [(3, 1), (3, 3), (2, 5), (7, 3)])
@pytest.mark.parametrize(("validation", "test"), [(1, 1), (4, 2), (3, 5)])
def test_forecasts_of_a_split_are_a_stride_apart_and_end_before_the_next(
    horizon, stride, validation, test
):
    backtest = Backtest(horizon, stride, validation, test)
    for length in (80, 101):
        tested, validated = (backtest.origins(split, length) for split in ("test", "validation"))
        assert (len(validated), len(tested)) == (validation, test)
        assert tested[-1] + horizon == length
        assert validated[-1] + horizon <= tested[0]
        assert (tested[0] - validated[-1]) % stride == 0
        assert (tested[0] - validated[-1]) < horizon + stride
        assert (np.diff(np.concatenate([validated, tested])) % stride == 0).all()
        assert backtest.train_end(length) == validated[0] == length - backtest.held_out


def test_without_validation_training_ends_where_the_test_begins():
    backtest = Backtest(horizon=3, stride=2, validation_origins=0, test_origins=2)
    assert backtest.train_end(20) == backtest.origins("test", 20)[0] == 15
    assert len(backtest.origins("validation", 20)) == 0
