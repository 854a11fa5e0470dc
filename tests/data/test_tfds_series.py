"""Series in a TensorFlow dataset: what is written is read, and what cannot be used is told."""

import numpy as np
import pytest

from lstm_jax.config import find
from lstm_jax.data import tfds_series as module
from lstm_jax.data.series_sources import long_csv
from lstm_jax.errors import ConfigError, UserError

_FIELDS = {"name_field": "id", "known_fields": ("price",), "static_fields": ("shop", "size")}
_LONG = """unique_id,ds,y,price,shop,size
north,2024-01-31,1,3,café,2
north,2024-02-29,,3,café,2
north,2024-03-31,3,4,café,2
south,2024-02-29,4,3.5,kiosk,7
south,2024-03-31,5,3,kiosk,7
"""


def _record(name, start, target, price, shop, size):
    arrays = {"target": np.float32(target), "price": np.float32(price)}
    return {"id": name, "start": start, **arrays, "shop": shop, "size": size}


_RECORDS = [
    _record("north", "2024-01-31", [1, np.nan, 3], [3, 3, 4], "café", 2.0),
    _record("south", "2024-02-29T00:00Z", [4, 5], [3.5, 3], "kiosk", 7.0),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("importlib_resources", reason="TFDS asks for it to prepare")

    class Sales(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            numbers = tfds.features.Tensor(shape=(None,), dtype=np.float32)
            features = {
                "id": tfds.features.Text(),
                "start": tfds.features.Text(),
                "target": numbers,
                "price": numbers,
                "shop": tfds.features.ClassLabel(names=["café", "kiosk"]),
                "size": tfds.features.Scalar(dtype=np.float32),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": enumerate(_RECORDS)}

        def _generate_examples(self):
            raise NotImplementedError

    folder = tmp_path_factory.mktemp("tfds")
    Sales(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return str(folder)


def source(data_dir, **fields):
    values = {"dataset": "sales", "frequency": "ME", "data_dir": data_dir} | _FIELDS | fields
    return find("series_source", "tfds_series")(**values)


def test_a_dataset_is_the_table_of_the_same_rows_in_long_form(data_dir, tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text(_LONG, encoding="utf-8")
    columns = {"known_columns": ("price",), "static_columns": ("shop", "size")}
    expected = long_csv(path=str(path), frequency="ME", **columns)()
    read = source(data_dir)
    found = read()
    by_name = {series.name: series for series in found.series}  # TFDS shuffles what it writes
    assert found.layout == expected.layout
    assert found.notes == expected.notes
    assert sorted(by_name) == ["north", "south"]
    ordered = found._replace(series=[by_name[series.name] for series in expected.series])
    assert ordered.fingerprint() == expected.fingerprint()
    again = read(str(path), found.layout)  # a file to forecast
    assert again.fingerprint() == expected.fingerprint()


def test_names_that_do_not_exist_are_told_with_those_that_do(data_dir):
    with pytest.raises(UserError, match=r"data.value_field: sales has no feature 'targt'; did you"):
        source(data_dir, value_field="targt")()
    with pytest.raises(UserError, match=r"data.static_fields: sales has no feature 'town'"):
        source(data_dir, static_fields=("town",))()
    with pytest.raises(UserError, match="TFDS cannot read test of sales"):
        source(data_dir, split="test")()
    with pytest.raises(ConfigError, match=r"'price' is named in .* already"):
        source(data_dir, value_field="price")
    with pytest.raises(ConfigError, match="frequency: 'often' is none"):
        source(data_dir, frequency="often")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start": "today"}, "record 0 of train, start: 'today' is no time in ISO 8601"),
        ({"start": ""}, "start: '' is no time in ISO 8601"),
        ({"start": "2024-01-31T00:00+01:00"}, "is no time in ISO 8601 without an offset"),
        ({"target": np.ones((3, 2))}, r"target: must be numbers along one axis, .* \(3, 2\)"),
        ({"target": np.array([1, np.inf, 2])}, "'north' is infinite at step 1"),
        ({"price": np.ones(2)}, "must be of shape .3 or more, 1."),
        ({"price": np.array([1, np.nan, 2])}, "'price' is no number"),
        ({"size": np.ones(2)}, "size: must be one number or a class"),
    ],
)
def test_records_that_cannot_be_used(data_dir, monkeypatch, changed, message):
    records, features = module.open_tfds("sales", "train", data_dir)
    north = next(record for record in records if record["id"] == b"north")
    monkeypatch.setattr(module, "open_tfds", lambda *_: ([north | changed], features))
    with pytest.raises(UserError, match=message) as error:
        source(data_dir)()
    assert "\n" not in str(error.value)


def test_covariates_of_one_series_are_of_one_length(data_dir, monkeypatch):
    records, features = module.open_tfds("sales", "train", data_dir)
    extra = [{**record, "size": np.ones(9)} for record in records]
    monkeypatch.setattr(module, "open_tfds", lambda *_: (extra, features))
    with pytest.raises(UserError, match=r"size: has 9 steps, and price has [23]"):
        source(data_dir, known_fields=("price", "size"), static_fields=())()
