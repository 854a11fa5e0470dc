"""Generation: from the carry, by the rules of temperature, top-k and top-p."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.data.vocabulary import Vocabulary
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.tasks.generation import Sampling, draw, generate, shown

VOCABULARY = Vocabulary.of(["abcdefgh \n"], "characters")
MODEL = LanguageModel(len(VOCABULARY), lj.lstm, embedding_size=4, hidden_size=8, num_layers=2)
PARAMS = MODEL.init(jax.random.key(0), jnp.zeros((1, 1), int))["params"]


def write(**options):
    options = {"prompt": "abc", "length": 70, **options}
    pieces = list(generate(MODEL, PARAMS, VOCABULARY, **options))
    return ["".join(parts) for parts in zip(*pieces, strict=True)]


def test_greedy_text_equals_running_the_model_over_it_again():
    (text,) = write(temperature=0.0, prompt="ab ca")
    ids = VOCABULARY.encode("ab ca" + text).ids
    _, logits = MODEL.apply({"params": PARAMS}, ids[None])
    likeliest = jnp.argmax(logits[0, :, 1:], -1) + 1  # the unknown symbol is never written
    assert VOCABULARY.decode(likeliest[4:-1]) == text
    assert len(text) == 70


def test_the_seed_decides():
    assert write(seed=3) == write(seed=3)
    assert write(seed=3) != write(seed=4)


def test_a_longer_text_begins_with_the_shorter():
    assert write(length=70)[0].startswith(write(length=33)[0])


def test_samples_differ_and_each_has_the_length():
    texts = write(samples=3)
    assert len(set(texts)) == 3
    assert {len(text) for text in texts} == {70}


def test_an_unknown_prompt_and_an_empty_one_are_served():
    assert len(write(prompt="ÄÖ")[0]) == 70
    assert write(prompt="") == write(prompt="\n")


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, {1, 2, 3, 4}),
        ({"top_k": 2}, {3, 4}),
        ({"top_k": 1}, {4}),
        ({"top_p": 0.5}, {4}),
        ({"top_p": 0.9}, {3, 4}),
        ({"temperature": 0.0}, {4}),
    ],
)
def test_draws_come_from_the_allowed_symbols_alone(options, allowed):
    probability = jnp.array([0.2, 0.01, 0.05, 0.24, 0.5])  # number 0 is the unknown symbol
    sampling = Sampling(
        **{"temperature": 1.0, "top_k": 5, "top_p": 1.0, **options}  # pyright: ignore
    )
    keys = jax.random.split(jax.random.key(0), 2000)
    drawn = jax.vmap(lambda key: draw(key, jnp.log(probability), sampling))(keys)
    assert set(np.unique(drawn).tolist()) == allowed


def test_temperature_sharpens():
    logits = jnp.log(jnp.array([0.1, 0.3, 0.6]))
    keys = jax.random.split(jax.random.key(0), 4000)

    def share(temperature):
        sampling = Sampling(jnp.float32(temperature), jnp.int32(3), jnp.float32(1.0))
        return float((jax.vmap(lambda k: draw(k, logits, sampling))(keys) == 2).mean())

    # Of the two known symbols: 2/3 at temperature 1, 4/5 at a half.
    assert share(1.0) == pytest.approx(2 / 3, abs=0.03)
    assert share(0.5) == pytest.approx(4 / 5, abs=0.03)


def test_bytes_of_one_character_are_joined_over_pieces():
    from lstm_jax.tasks.generation import _Decoder

    vocabulary = Vocabulary.of([], "bytes")
    ids = vocabulary.encode("aé€😀b").ids
    decoder = _Decoder(vocabulary)
    assert "".join(decoder.text(ids[i : i + 1]) for i in range(len(ids))) == "aé€😀b"


def test_a_word_stands_apart_from_the_prompt():
    words = Vocabulary.of(["the cat sat"], "words")
    assert [shown(prompt, words) for prompt in ("the", "the ", "the\n", "")] == [
        "the ", "the ", "the\n", "",
    ]  # fmt: skip
    assert shown("the", VOCABULARY) == "the"
