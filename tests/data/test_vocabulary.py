"""Vocabularies: round trips, unknown symbols, counts of characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.vocabulary import UNKNOWN, Vocabulary
from lstm_jax.errors import UserError


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_characters_and_bytes_come_back(text):
    for units in ("characters", "bytes"):
        vocabulary = Vocabulary.of([text], units)
        encoded = vocabulary.encode(text)
        assert vocabulary.decode(encoded.ids) == text
        assert encoded.characters.sum() == len(text)
        assert (encoded.ids < len(vocabulary)).all()
        assert UNKNOWN not in encoded.ids


def test_words_come_back_but_for_spaces():
    vocabulary = Vocabulary.of(["to be or\nnot  to be"], "words")
    encoded = vocabulary.encode("not to\nbe")
    assert vocabulary.decode(encoded.ids) == "not to \nbe "
    assert encoded.characters.tolist() == [4, 3, 1, 3]


def test_rare_and_unseen_symbols_are_unknown():
    vocabulary = Vocabulary.of(["aabbc"], "characters", min_count=2)
    assert vocabulary.encode("abcd").ids.tolist() == [1, 2, UNKNOWN, UNKNOWN]
    assert Vocabulary.of(["a b"], "words").decode([UNKNOWN]) == "<unk> "


@pytest.mark.parametrize("units", ["characters", "bytes", "words"])
def test_saved_and_loaded_is_the_same(tmp_path, units):
    vocabulary = Vocabulary.of(["a é\u2028 b\n"], units)
    vocabulary.save(tmp_path / "v.json")
    again = Vocabulary.load(tmp_path / "v.json")
    assert (again.units, again.symbols) == (vocabulary.units, vocabulary.symbols)


@pytest.mark.parametrize("content", [None, "[]", '{"units": "x", "symbols": []}', "{"])
def test_a_file_that_is_no_vocabulary_is_told(tmp_path, content):
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="holds no vocabulary"):
        Vocabulary.load(path)
