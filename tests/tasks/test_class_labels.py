"""The names of classes that a run keeps."""

import pytest

from lstm_jax.errors import UserError
from lstm_jax.tasks.class_labels import load_classes, save_classes


def test_saved_and_loaded_are_the_same(tmp_path):
    classes = ["b", "größer", "a\n日本"]
    save_classes(classes, tmp_path / "c.json")
    assert load_classes(tmp_path / "c.json") == classes


@pytest.mark.parametrize("content", [None, "{", "{}", "[1]", '"ab"', "[" * 100_000])
def test_a_file_that_holds_none_is_told(tmp_path, content):
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"c\.json holds no classes"):
        load_classes(path)
