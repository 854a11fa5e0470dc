"""Sources of series with a class: splits of every class, files that do not fit are told."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lstm_jax.config import find
from lstm_jax.data.labelled_series import generated_shapes, hold_out_of_every_class
from lstm_jax.data.series_inputs import inputs_of, load_inputs
from lstm_jax.errors import ConfigError, UserError


def source(name, **options):
    return find("labelled_series_source", name)(**options)


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    share=st.sampled_from([0.1, 0.2, 0.33, 0.5]),
    seed=st.integers(0, 5),
)
@example(counts=[1, 2], share=0.5, seed=0)  # both rows of the second class were held out
def test_a_share_is_of_every_class_alike(counts, share, seed):
    labels = [str(c) for c, count in enumerate(counts) for _ in range(count)]
    rows = hold_out_of_every_class(labels, {"validation": share}, seed)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(labels)))
    for c, count in enumerate(counts):
        held = sum(labels[row] == str(c) for row in rows["validation"])
        assert held < count
        if count > 1:
            free = sum(n for n in counts if n > 1)
            exact = count * min(max(1, round(len(labels) * share)), free) / free
            assert abs(held - exact) <= 1
    again = hold_out_of_every_class(labels, {"validation": share}, seed)
    np.testing.assert_array_equal(rows["train"], again["train"])


def test_another_seed_holds_out_other_rows():
    labels = ["a"] * 60 + ["b"] * 40
    one, two = (hold_out_of_every_class(labels, {"test": 0.2}, seed)["test"] for seed in (0, 1))
    assert len(one) == len(two) == 20
    assert set(one) != set(two)


def test_official_splits_stay_and_validation_is_taken_from_training(tmp_path):
    for name, start, count in (("TRAIN", 0, 30), ("TEST", 100, 12)):
        lines = [f"{i % 3 + 1}\t{start + i}\t0" for i in range(count)]
        (tmp_path / f"X_{name}.tsv").write_text("\n".join(lines))
    found = source(
        "archive_files",
        path=(str(tmp_path / "X_TRAIN.tsv"),),
        test_path=(str(tmp_path / "X_TEST.tsv"),),
        validation_share=0.2,
    ).read()
    assert [len(found[split]) for split in ("train", "validation", "test")] == [24, 6, 12]
    assert sorted(s.label for s in found["validation"]) == ["1", "1", "2", "2", "3", "3"]
    assert min(s.values[0, 0] for s in found["test"]) == 100


LONG = "id,label,x,y\n" + "".join(
    f"s{i},{'ab'[i % 2]},{i},{'' if t == 1 else t}\n" for i in range(20) for t in range(3)
)
COLUMNS = {"id_column": "id", "value_columns": ("x", "y")}


def test_a_long_table_is_series_by_id(tmp_path):
    (tmp_path / "a.csv").write_text(LONG)
    made = source("labelled_csv", path=(str(tmp_path / "a.csv"),), test_share=0.1, **COLUMNS)
    found = made.read()
    series = {s.values[0, 0]: s for split in found.values() for s in split}
    assert sorted(series) == list(range(20))
    np.testing.assert_array_equal(series[3].values, [[3, 0], [3, np.nan], [3, 2]])
    assert series[3].label == "b"
    (tmp_path / "b.csv").write_text("id,x,y\nq,1,2\n")
    (unknown,) = made.read_file("--input", tmp_path / "b.csv")
    assert unknown.label is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG.replace("s1,b,1,2", "s1,a,1,2"), "line 7, column 'label': 'a', but the series began"),
        (LONG.replace("s2,a,2,0", "s2,a,two,0"), "line 8, column 'x': 'two' is no number"),
        (LONG.replace("id,label,x,y", "id,label,x,z"), "has no column 'y' in its first row"),
        ("id,x,y\n" + "q,1,2\n", "has no column 'label' in its first row"),
    ],
)
def test_a_long_table_that_cannot_be_used_is_told(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        source("labelled_csv", path=(str(tmp_path / "a.csv"),), **COLUMNS).read()


def test_fields_are_checked_when_a_source_is_made():
    with pytest.raises(ConfigError, match="path: names no file"):
        source("archive_files", path=())
    with pytest.raises(ConfigError, match="together must be below 1"):
        source("archive_files", path=("a.ts",), validation_share=0.5, test_share=0.5)
    with pytest.raises(ConfigError, match="value_columns: names no column"):
        source("labelled_csv", path=("a.csv",), value_columns=())


def test_inputs_have_one_scale_and_no_gaps(tmp_path):
    random = np.random.default_rng(0)
    training = [random.normal(5, 3, (n, 2)) * [1, 10] for n in (50, 80)]
    training[0][3, 0] = np.nan
    made = inputs_of(training, "training")
    every = np.concatenate([made(values) for values in training])
    np.testing.assert_allclose(every.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(every.std(axis=0), 1, atol=0.01)
    own = inputs_of(training, "series")(training[1])
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-6)
    unscaled = inputs_of(training, "none")
    np.testing.assert_allclose(unscaled(training[1]), training[1], rtol=1e-6)
    nothing = unscaled(np.full((2, 2), np.nan))
    np.testing.assert_allclose(nothing, np.tile(unscaled.mean, (2, 1)), rtol=1e-6)
    assert not inputs_of(training, "series")(np.full((4, 2), 7.0)).any()  # a constant series
    made.save(tmp_path / "inputs.json")
    np.testing.assert_array_equal(load_inputs(tmp_path / "inputs.json")(training[0]), every[:50])


def test_inputs_of_another_kind_are_refused(tmp_path):
    for text in ("{}", '{"normalization": "x"}', "[]", "no",
                 '{"normalization": "none", "mean": [1, 2], "deviation": [1]}'):  # fmt: skip
        (tmp_path / "inputs.json").write_text(text)
        with pytest.raises(UserError, match="does not say how series become inputs"):
            load_inputs(tmp_path / "inputs.json")


def test_generated_series_are_the_same_every_time():
    one, two = (generated_shapes(size=40).read() for _ in range(2))
    for split in one:
        for a, b in zip(one[split], two[split], strict=True):
            np.testing.assert_array_equal(a.values, b.values)
