"""Tokenizers: nothing is lost, the numbers are the same after loading."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_jax.config import build, complete, find, names
from lstm_jax.data.sources import python_docs
from lstm_jax.data.tokenizers import UNKNOWN, load_tokenizer
from lstm_jax.errors import ConfigError, UserError

TEXTS = [
    "the cat sat on the mat, and the dog sat too.\n",
    "die Größe der Straße: 日本語 ist schön",
] * 20
SCRIPTS = ["", " ", "größer\n\n", "日本語 الْعَرَبِيَّة עברית", "👩‍👩‍👧 x\x00\u2028", "  two  spaces "]
SUBWORDS = ["bpe", "unigram"]


def fit(name, texts=TEXTS, **options):
    pytest.importorskip("tokenizers") if name in SUBWORDS else None
    factory = find("tokenizer", name)
    return build(factory, complete(factory, options))(texts)


@pytest.mark.parametrize("name", ["bytes", *SUBWORDS])
def test_any_text_comes_back(name):
    tokenizer = fit(name)

    @settings(max_examples=50)
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def check(text):
        encoded = tokenizer.encode(text)
        assert tokenizer.decode(encoded.ids) == text
        assert encoded.characters.sum() == len(text)
        assert UNKNOWN not in encoded.ids
        assert (encoded.ids < len(tokenizer)).all()

    check()
    for text in SCRIPTS:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("name", SUBWORDS)
def test_pieces_are_those_of_the_library(name):
    tokenizers = pytest.importorskip("tokenizers")

    tokenizer = fit(name, python_docs()()["test"], size=1000)
    text = "the value of an expression 日本語"
    theirs = tokenizers.Tokenizer.from_str(tokenizer._content).encode(text)
    assert tokenizer.encode(text).ids.tolist() == [i + 1 for i in theirs.ids]
    assert len(theirs.ids) < 0.6 * len(text.encode())


@pytest.mark.parametrize("name", SUBWORDS)
def test_the_size_is_the_most_that_is_learnt(name):
    docs = python_docs()()["test"]
    sizes = [len(fit(name, docs, size=size)) for size in (300, 600)]
    assert 257 < sizes[0] <= 301 < sizes[1] <= 601
    assert len(fit(name, ["abc"], size=400)) <= 401


@pytest.mark.parametrize("name", ["characters", "bytes", "words", *SUBWORDS])
def test_saved_and_loaded_is_the_same(tmp_path, name):
    tokenizer = fit(name)
    tokenizer.save(tmp_path / "t.json")
    again = load_tokenizer(tmp_path / "t.json")
    assert (len(again), again.units) == (len(tokenizer), tokenizer.units)
    for text in (*TEXTS, *SCRIPTS):
        assert again.encode(text).ids.tolist() == tokenizer.encode(text).ids.tolist()
        assert again.decode(again.encode(text).ids) == tokenizer.decode(again.encode(text).ids)


def test_bpe_learns_the_same_twice():
    assert fit("bpe").pieces == fit("bpe").pieces


def test_words_are_kept_by_frequency():
    tokenizer = fit("words", ["b a b c c c d"], max_size=2)
    assert tokenizer.encode("c b a d").ids.tolist() == [1, 2, UNKNOWN, UNKNOWN]
    assert len(fit("words", ["b a b c c c d"], min_count=2)) == 3


@pytest.mark.parametrize(
    "content",
    [
        None,
        "[]",
        "{",
        b"\xff",
        '{"units": "subwords"}',
        '{"units": "subwords", "tokenizers": {"model": {"vocab": {"日": 0}}}}',
        '{"units": "subwords", "tokenizers": {"model": {"vocab": {"a": 0, "b": 9}}}}',
        '{"units": "subwords", "tokenizers": {"model": {"vocab": {"a": 0, "b": "1"}}}}',
        '{"units": "runes", "symbols": []}',
    ],
)
def test_a_file_that_is_no_tokenizer_is_told(tmp_path, content):
    path = tmp_path / "t.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"t\.json holds no tokenizer"):
        load_tokenizer(path)


def test_a_size_below_all_bytes_is_refused():
    factory = find("tokenizer", "bpe")
    with pytest.raises(ConfigError, match=r"size: must be int >= 257, got 100"):
        build(factory, complete(factory, {"size": 100}))
    assert {"characters", "bytes", "words", "bpe", "unigram"} <= set(names("tokenizer"))


def test_without_the_library_a_sentence(monkeypatch, tmp_path):
    tokenizer = fit("bpe")
    tokenizer.save(tmp_path / "t.json")
    ids = tokenizer.encode("cat").ids
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"pip install 'lstm_jax\[text\]'"):
        find("tokenizer", "bpe")(TEXTS)
    # What needs no learning goes on without it: numbers to text.
    assert load_tokenizer(tmp_path / "t.json").decode(ids) == "cat"
    assert json.loads((tmp_path / "t.json").read_text())["units"] == "subwords"


def test_a_tokenizer_that_the_library_cannot_read_is_told(tmp_path):
    pytest.importorskip("tokenizers")
    path = tmp_path / "t.json"
    path.write_text('{"units": "subwords", "tokenizers": {"model": {"vocab": {"a": 0}}}}')
    with pytest.raises(UserError, match="a tokenizer of subwords cannot be used"):
        load_tokenizer(path).encode("a")
