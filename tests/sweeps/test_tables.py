"""Trials as a file of a table."""

import sys

import pytest

from lstm_jax.errors import UserError
from lstm_jax.sweeps.tables import write_table

_ROWS = [{"trial": 0, "rate": 0.1, "cell": "lstm"}, {"trial": 1, "rate": 1, "error": "so, it is"}]


def test_a_row_that_lacks_a_column_leaves_it_empty(tmp_path):
    write_table(_ROWS, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == ["trial,rate,cell,error", "0,0.1,lstm,", '1,1,,"so, it is"']


def test_parquet_keeps_types(tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    write_table(_ROWS, tmp_path / "a.parquet")
    table = pyarrow.read_table(tmp_path / "a.parquet")
    assert table.to_pylist() == [
        {"trial": 0, "rate": 0.1, "cell": "lstm", "error": None},
        {"trial": 1, "rate": 1.0, "cell": None, "error": "so, it is"},
    ]
    assert [str(kind) for kind in table.schema.types] == ["int64", "double", "string", "string"]


def test_what_cannot_be_written_is_told(tmp_path, monkeypatch):
    for path, message in {
        "a.xlsx": "must end in .csv or .parquet",
        "nowhere/a.csv": "cannot write",
    }.items():
        with pytest.raises(UserError, match=message):
            write_table(_ROWS, tmp_path / path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"needs pyarrow: pip install 'lstm_jax\[parquet\]'"):
        write_table(_ROWS, tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())
