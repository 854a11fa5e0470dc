"""A position in the data belongs to its data and its pipeline."""

import json

import pytest

from lstm_jax.data.loader import endless
from lstm_jax.errors import UserError
from lstm_jax.training import build_experiment, experiment
from lstm_jax.training.position import get_position, set_position


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text("all happy families are alike. " * 200)
    return file


def prepared(book, **data):
    data = {"source": "text_file", "path": str(book), "batch_size": 4, "window": 16, **data}
    data.setdefault("evaluation_batch_size", 4)
    config = experiment(task="language_model", data=data)
    (book.parent / "assets").mkdir(exist_ok=True)
    _, dataset = build_experiment(config).task.prepare(book.parent / "assets")
    return config, dataset, endless(dataset.train)


def saved_at_five(book):
    config, dataset, loader = prepared(book)
    for _ in range(5):
        next(loader)
    return json.loads(json.dumps(get_position(loader, dataset, config)))


def test_a_loader_goes_on_with_the_batch_that_comes_next(book):
    saved = saved_at_five(book)
    config, dataset, loader = prepared(book)
    set_position(loader, dataset, config, saved, book.parent)
    for i in range(5, 5 + len(dataset.train)):
        expected = dataset.train[i % len(dataset.train)]
        assert (next(loader)["inputs"] == expected["inputs"]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 8}, "batches of 4, and the batches here are of 8"),
        ({"window": 8}, "another pipeline .data: window: 16 -> 8"),
    ],
)
def test_a_position_of_another_pipeline_is_refused(book, change, words):
    saved = saved_at_five(book)
    config, dataset, loader = prepared(book, **change)
    before = loader.get_state()
    with pytest.raises(UserError, match=words):
        set_position(loader, dataset, config, saved, book.parent)
    assert loader.get_state() == before


def test_a_file_that_changed_is_named(book):
    saved = saved_at_five(book)
    book.write_text("every unhappy family is unhappy. " * 200)
    config, dataset, loader = prepared(book)
    with pytest.raises(UserError, match=r"the data are not those .*changed: .*book\.txt"):
        set_position(loader, dataset, config, saved, book.parent)


def test_a_file_of_another_date_but_the_same_text_is_the_same(book):
    saved = saved_at_five(book)
    book.write_text(book.read_text())
    config, dataset, loader = prepared(book)
    assert get_position(loader, dataset, config)["files"] != saved["files"]
    set_position(loader, dataset, config, saved, book.parent)


def test_other_data_are_noticed_where_no_file_is_named(book):
    saved = {**saved_at_five(book), "files": {}}
    config, dataset, loader = prepared(book)
    other = dataset._replace(fingerprint="another")
    with pytest.raises(UserError, match="the data are not those"):
        set_position(loader, other, config, saved, book.parent)
