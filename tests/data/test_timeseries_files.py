"""Files of series archives: what is written is what is read, and what cannot be is told where."""

import numpy as np
import pytest

from lstm_jax.data.timeseries_files import read_series
from lstm_jax.errors import UserError

HEADER = "# of somebody\n@problemName X\n@timeStamps false\n@univariate false\n@dimensions 2\n"
TWO_CLASSES = f"{HEADER}@equalLength false\n@classLabel true a b\n@data\n"


def read(tmp_path, text, name="x.ts"):
    (tmp_path / name).write_text(text)
    return read_series("data.path", tmp_path / name)


def test_a_ts_file_has_dimensions_lengths_and_gaps(tmp_path):
    first, second = read(tmp_path, f"{TWO_CLASSES}1,2.5,?:4,5,6:a\n\n7:NaN:b\n")
    np.testing.assert_array_equal(first.values, [[1, 4], [2.5, 5], [np.nan, 6]])
    np.testing.assert_array_equal(second.values, [[7, np.nan]])
    assert (first.label, second.label, first.values.dtype) == ("a", "b", np.float32)


def test_a_ts_file_may_have_no_classes(tmp_path):
    header = "@timestamps false\n@univariate true\n@classlabel false\n@data\n"
    (series,) = read(tmp_path, f"{header}1,2,3\n")
    assert (series.values.shape, series.label) == ((3, 1), None)
    (series,) = read(tmp_path, TWO_CLASSES + "1:2:?\n")
    assert series.label is None


@pytest.mark.parametrize("mark", ["\t", ",", "  "])
def test_a_table_is_read_whatever_stands_between(tmp_path, mark):
    rows = [["1.0000000e+00", "0.5", "NaN", "2"], ["-1", "3", "4", "NaN"], ["?", "1", "2", "3"]]
    text = "\n".join(mark.join(row) for row in rows)
    first, second, third = read(tmp_path, text, "X_TRAIN.tsv")
    np.testing.assert_array_equal(first.values, [[0.5], [np.nan], [2]])
    np.testing.assert_array_equal(second.values, [[3], [4]])  # NaN at the end are no values
    assert [first.label, second.label, third.label] == ["1", "-1", None]


def test_a_class_of_nothing_is_none(tmp_path):
    assert [one.label for one in read(tmp_path, "1\t2\n\t3\n", "x.tsv")] == ["1", None]


def test_arrays_are_those_that_were_saved(tmp_path):
    values = np.arange(12.0).reshape(2, 3, 2)
    values[1, 2] = np.nan
    np.savez(tmp_path / "a.npz", values=values, labels=np.array(["x", "y"]))
    first, second = read_series("data.path", tmp_path / "a.npz")
    np.testing.assert_array_equal(first.values, values[0])
    np.testing.assert_array_equal(second.values, values[1, :2])
    assert (first.label, second.label) == ("x", "y")
    np.savez(tmp_path / "b.npz", values=values[..., 0])
    assert [s.label for s in read_series("data.path", tmp_path / "b.npz")] == [None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{TWO_CLASSES}1,x:4,5:a", r"x\.ts, line 9, dimension 1, value 2: 'x' is not a number"),
        (f"{TWO_CLASSES}1,inf:4,5:a", r"line 9, dimension 1, value 2: 'inf' is not finite"),
        (f"{TWO_CLASSES}1:2:3:a", r"line 9: 2 dimension\(s\) are needed, there are 3"),
        (f"{TWO_CLASSES}1,2:3:a", r"line 9: dimension 2 has 1 step\(s\), the first 2"),
        (f"{TWO_CLASSES}1:3:c", r"line 9: the class 'c' is none of @classLabel \('a', 'b'\)"),
        (TWO_CLASSES, "has no series behind a line @data"),
        ("1:2:a", "line 1: a line with @ is needed"),
        ("@timestamps true\n@data\n1", "line 2: the file has time stamps"),
        ("@targetlabel true\n@data\n1:2", "line 2: the file has a number to each series"),
    ],
)
def test_a_ts_file_that_cannot_be_used_is_told(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\n1\t2\tb\n", r"x\.tsv, line 2, value 3: 'b' is not a number"),
        ("1\t2\n1\tNaN\n", "line 2: a class and at least one value are needed"),
        ("1\t2\t-inf\n", "line 1, value 3: '-inf' is not finite"),
        ("1\t2\t1e99\n", "line 1, value 3: '1e99' is not finite in 32 bits"),
        (" \n", "holds no text"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text, "x.tsv")


def test_arrays_that_cannot_be_used_are_told(tmp_path):
    file = tmp_path / "a.npz"
    file.write_text("no")
    with pytest.raises(UserError, match=r"cannot read .*a\.npz as arrays of numpy.savez"):
        read_series("data.path", file)
    for arrays, message in (
        ({"x": np.ones(3)}, r"an array `values` \[series, time, dimensions\] is needed"),
        ({"values": np.ones((2, 3)), "labels": np.ones(3, int)}, "`labels` must be"),
        ({"values": np.full((2, 3), np.nan)}, "series 0 has no value"),
        ({"values": np.array([[1.0, np.inf]])}, "series 0 is infinite somewhere"),
    ):
        np.savez(file, **arrays)
        with pytest.raises(UserError, match=message):
            read_series("data.path", file)
