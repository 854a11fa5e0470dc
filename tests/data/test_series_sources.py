"""Sources of series: what is read from each layout, and one sentence for each kind of bad input."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.data.series import SeriesLayout
from lstm_jax.data.series_sources import generated_series, long_csv, npz_arrays, wide_csv
from lstm_jax.errors import ConfigError, UserError

SERIES = Path(os.environ.get("LSTM_JAX_SERIES", Path(__file__).parents[3] / "shared/data/series"))
VIC_ELEC = SERIES / "vic_elec.csv"
WIDE = """ds;a;b;warm;holiday
2024-01-01T00:00Z;1;;20.5;TRUE
2024-01-01T01:00Z;2;5;21;FALSE
2024-01-01T03:00Z;NaN;6;22;FALSE
2024-01-01T02:00Z;4;NA;21.5;FALSE
2024-01-01T04:00Z;5;7;23;FALSE
2024-01-01T05:00Z;;;24;TRUE
"""
LONG = """unique_id,ds,y,price,shop,size
north,2024-01-31,1,3,café,2
south,2024-03-31,5,3,kiosk,7
south,2024-02-29,4,3.5,kiosk,7
north,2024-02-29,2,3,café,2
north,2024-03-31,3,4,café,2
south,2024-04-30,2,4,kiosk,7
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_wide_form_gives_series_of_their_own_start_and_end(write):
    table = wide_csv(path=write(WIDE), known_columns=("warm", "holiday"))()
    a, b = table.series
    assert (a.name, b.name, str(table.frequency)) == ("a", "b", "h")
    np.testing.assert_array_equal(a.values, [1, 2, 4, np.nan, 5])
    np.testing.assert_array_equal(b.values, [5, np.nan, 6, 7])
    assert b.start == np.datetime64("2024-01-01T01:00")
    np.testing.assert_array_equal(b.known[:, 0], [21, 21.5, 22, 23, 24])
    np.testing.assert_array_equal(a.known[:, 1], [1, 0, 0, 0, 0, 1])
    assert table.notes == ("2 of 9 values are missing (22.2%)",)


def test_long_form_takes_rows_in_any_order(write):
    source = long_csv(path=write(LONG), known_columns=("price",), static_columns=("shop", "size"))
    table = source()
    north, south = table.series
    assert str(table.frequency) == "ME"
    np.testing.assert_array_equal(south.values, [4, 5, 2])
    np.testing.assert_array_equal(south.known, [[3.5], [3], [4]])
    assert table.static_names == ("shop=café", "shop=kiosk", "size")
    np.testing.assert_array_equal(north.statics, [1, 0, 2])
    np.testing.assert_array_equal(south.statics, [0, 1, 7])
    assert south.start == np.datetime64("2024-02-29")


def test_rows_that_are_not_there_are_missing_values(write):
    rows = "".join(f"x,2024-01-{day:02},{day}\n" for day in range(1, 20) if day not in (4, 9, 10))
    table = long_csv(path=write("unique_id,ds,y\n" + rows))()
    assert np.flatnonzero(np.isnan(table.series[0].values)).tolist() == [3, 8, 9]


def test_a_file_to_forecast_has_the_layout_of_the_training_file(write):
    source = long_csv(path=write(LONG), known_columns=("price",), static_columns=("shop", "size"))
    layout = SeriesLayout.from_json(source().layout.to_json())
    assert layout == source().layout
    own = write(
        "unique_id,ds,y,price,shop,size\nwest,2025-01-31,7,1,kiosk,3\nwest,2025-02-28,7,2,kiosk,3\n"
        "west,2025-03-31,,3,kiosk,3\n",
        "own.csv",
    )
    table = source(own, layout)
    np.testing.assert_array_equal(
        table.series[0].values, [7, 7]
    )  # constant, which is no error here
    np.testing.assert_array_equal(table.series[0].known, [[1], [2], [3]])
    np.testing.assert_array_equal(table.series[0].statics, [0, 1, 3])
    strange = write(Path(own).read_text().replace("kiosk", "kisok"), "strange.csv")
    message = (
        r"input: .*strange.csv, line 2, column 'shop': 'kisok' was not there .* did you mean kio"
    )
    with pytest.raises(UserError, match=message):
        source(strange, layout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024", "2024-01-01"),
        ("2024-03", "2024-03-01"),
        ("2024-03-05 07:30", "2024-03-05T07:30"),
        ("2024-03-05T07:30:00+02:00", "2024-03-05T05:30"),
    ],
)
def test_times_in_iso_8601(write, text, expected):
    table = wide_csv(path=write(f"ds,y\n{text},1\n{text.replace('2024', '2025')},2\n"))()
    assert table.series[0].start == np.datetime64(expected)


def test_times_of_another_form_are_named(write):
    path = write("when,y\n05.03.2024,1\n06.03.2024,2\n")
    table = wide_csv(path=path, time_column="when", time_format="%d.%m.%Y")()
    assert table.series[0].start == np.datetime64("2024-03-05")
    with pytest.raises(
        UserError, match=r"line 2, column 'when': '05.03.2024' is no time in ISO 8601"
    ):
        wide_csv(path=path, time_column="when")()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("02:00Z;4", "02:00Z;four", "line 5, column 'a': 'four' is no number"),
        ("02:00Z;4", "02:00Z;inf", "line 5, column 'a': 'inf' is infinite"),
        ("02:00Z;4", "02:00Z;1e39", "line 5, column 'a': '1e39' is too large"),
        (";21.5;", ";;", "line 5, column 'warm': is missing, and what is known ahead must be"),
        (";21.5;", ";nan;", "line 5, column 'warm': is missing, and what is known ahead must be"),
        (
            "01T02:00Z",
            "01T03:00Z",
            r"line 5, column 'ds': 2024-01-01T03:00Z stands there a second time, first in line 4",
        ),
        (
            "01T02:00Z",
            "01T02:10Z",
            r"line 5, column 'ds': 2024-01-01T02:10Z is no step of h \(as most rows have it\)",
        ),
        (
            "2024-01-01T02:00Z",
            "yesterday",
            "line 5, column 'ds': 'yesterday' is no time in ISO 8601",
        ),
        (
            "01T02:00Z",
            "01T02:00",
            "line 5, .*: '2024-01-01T02:00' has no offset from UTC, and line 2",
        ),
        ("01T02:00Z", "01T02:00:00.5Z", "line 5, column 'ds': .* has parts of a second"),
        ("02:00Z;4;", "02:00Z;4,;", "line 5, column 'a': '4,' is no number"),
        ("02:00Z;4;", "02:00Z;", r"line 5: has 4 cell\(s\), and its first row 5"),
        (
            WIDE[WIDE.index("2024-01-01T02") :],
            "",
            "behind line 3 a row is missing, for .*T02:00:00",
        ),
        (";a;", ";b;", "its first row names column 'b' twice"),
        (";a;", ";c;", "no column 'a' in its first row; .*There are|there are: ds, c, b"),
        (WIDE[WIDE.index("2024") :], "", "has no row below the names of its columns"),
        ("ds;", '"ds;', "line 7: has 1 cell|unexpected end|has no row below"),
    ],
)
def test_bad_input_in_wide_form_is_a_sentence_with_line_and_column(write, old, new, message):
    assert old in WIDE
    path = write(WIDE.replace(old, new, 1))
    source = wide_csv(path=path, columns=("a", "b"), known_columns=("warm", "holiday"))
    with pytest.raises(
        UserError, match=re.escape(f"data.path: {path}") + ".*" + f"({message})"
    ) as e:
        source()
    assert "\n" not in str(e.value)


def test_a_wrong_name_of_the_time_does_not_make_it_a_series(write):
    with pytest.raises(UserError, match="has no column 'time' in its first row"):
        wide_csv(path=write(WIDE), time_column="time")()


def test_constant_and_empty_series_are_named(write):
    rows = [f"2024-01-{day:02},{day},5," for day in range(1, 9)]
    path = write("\n".join(["ds,a,b,c", *rows]))
    message = (
        "series 'b' is 5 in every row of column 'b', from line 2 on: there is nothing to forecast"
    )
    with pytest.raises(UserError, match=message):
        wide_csv(path=path, columns=("a", "b"))()
    with pytest.raises(UserError, match="series 'c' has no value in column 'c'"):
        wide_csv(path=path, columns=("a", "c"))()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "north,2024-02",
            "south,2024-02",
            "line 5, column 'ds': .* second time for series 'south'",
        ),
        ("north,2024-02", ",2024-02", "line 5, column 'unique_id': names no series"),
        ("south,2024-02-29,4", "south,2024-02-29,x", "line 4, column 'y': 'x' is no number"),
        ("4,3.5,kiosk", "4,3.5,café", "line 4, column 'shop': 'café' is another than in line 3"),
    ],
)
def test_bad_input_in_long_form(write, old, new, message):
    assert old in LONG
    path = write(LONG.replace(old, new, 1))
    source = long_csv(path=path, static_columns=("shop",))
    if "line 4, column 'shop'" in message:  # rows of a series are in the order of the file here
        message = "line [34], column 'shop': '(café|kiosk)' is another than in line [34]"
    with pytest.raises(UserError, match=message):
        source()


def test_irregular_times_are_told_by_their_widest_gap(write):
    days = (1, 2, 3, 6, 9, 30)
    path = write("ds,y\n" + "".join(f"2024-01-{day:02},{day}\n" for day in days))
    message = (
        "line 7, column 'ds': times are irregular: 6 rows stand for 30 steps of D .* before this "
        "one 20 are missing; data.frequency names another step"
    )
    with pytest.raises(UserError, match=message):
        wide_csv(path=path)()
    assert len(wide_csv(path=path, frequency="D")().series[0].values) == 30  # who means it says so


def test_fields_are_checked_before_anything_is_read():
    with pytest.raises(ConfigError, match=r"'y' is named in .* already"):
        wide_csv(path="nowhere.csv", columns=("y",), known_columns=("y",))
    with pytest.raises(ConfigError, match="frequency: 'often' is none"):
        long_csv(path="nowhere.csv", frequency="often")
    with pytest.raises(ConfigError, match="start: 'soon' is no time"):
        npz_arrays(path="nowhere.npz", frequency="h", start="soon")
    with pytest.raises(UserError, match=r"data.path: cannot read nowhere.csv"):
        wide_csv(path="nowhere.csv")()


def test_arrays_of_a_file(tmp_path):
    values = np.arange(20.0).reshape(2, 10)
    values[1, 4] = np.nan
    np.savez(tmp_path / "a.npz", values=values, known=np.ones((12, 3)), statics=np.eye(2))
    table = npz_arrays(path=str(tmp_path / "a.npz"), frequency="h", start="2024-01-01T05:00Z")()
    np.testing.assert_array_equal(table.series[1].values, values[1].astype(np.float32))
    assert table.series[0].known.shape == (12, 3)
    assert table.series[0].statics.tolist() == [1, 0]
    assert table.series[0].start == np.datetime64("2024-01-01T05")
    assert table.known_names == ("known_0", "known_1", "known_2")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"value": np.ones(9)}, "has no array values; did you mean value"),
        ({"values": np.array(["a"])}, "values: holds no numbers"),
        ({"values": np.ones(9), "known": np.ones((5, 1))}, "must be of shape .9 or more, 1."),
        ({"values": np.array([1.0, np.inf, 2])}, "'series_0' is infinite at step 1 .2024-01-02T00"),
        ({"values": np.ones((2, 3, 4))}, "values must be"),
        ({"values": np.full(4, np.nan)}, "has no value at all"),
        (
            {"values": np.ones(3), "known": np.full((3, 1), np.nan)},
            "'known_0' is no number at step 0",
        ),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message):
        npz_arrays(path=str(tmp_path / "a.npz"), frequency="D", start="2024-01-01")()


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "a.npz").write_text("nothing")
    with pytest.raises(UserError, match=r"is no file of numpy.savez"):
        npz_arrays(path=str(tmp_path / "a.npz"), frequency="D", start="2024-01-01")()


def test_generated_series_are_the_same_every_time_and_of_different_length():
    first, second = generated_series(size=3, length=200)(), generated_series(size=3, length=200)()
    assert first.fingerprint() == second.fingerprint()
    assert [len(series.values) for series in first.series] == [200, 180, 160]
    assert generated_series(size=3, length=200, seed=1)().fingerprint() != first.fingerprint()


@pytest.mark.skipif(not VIC_ELEC.exists(), reason="the demand of Victoria is not on this machine")
def test_the_demand_of_victoria():
    table = wide_csv(
        path=str(VIC_ELEC),
        time_column="Time",
        columns=("Demand",),
        known_columns=("Temperature", "Holiday"),
        time_zone="Australia/Melbourne",
    )()
    assert len(table.series[0].values) == 52_608
    assert table.frequency.season == 48
    first = table.frequency.features(table.series[0].start, 1)[0]
    assert first[0] == -0.5  # midnight in Melbourne
    with pytest.raises(UserError, match="line 2, column 'Date': '2012-01-01' is no number"):
        wide_csv(path=str(VIC_ELEC), time_column="Time")()
