"""CTC: loss, best path and search against sums over all paths."""

import functools
import itertools
import math
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_jax as lj
from lstm_jax.errors import UserError
from lstm_jax.models.ctc import best_path, ctc_loss, needed_steps
from lstm_jax.models.ctc_search import advance, begin, finish, follow, search
from lstm_jax.models.language_model import LanguageModel, run
from lstm_jax.models.ngram import next_symbol_tables, probabilities
from lstm_jax.models.text_scorers import (
    NEVER,
    Scorer,
    automaton,
    ngram_scorer,
    no_scorer,
    recurrent_scorer,
    weighted,
    word_list,
)

STEPS, SYMBOLS = 5, 3


@pytest.fixture(scope="module")
def log_p() -> np.ndarray:
    logits = jax.random.normal(jax.random.key(0), (3, STEPS, SYMBOLS)) * 1.5
    return np.asarray(jax.nn.log_softmax(logits))


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def all_texts(log_p: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of every text: the sum over all paths that collapse to it."""
    total: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        total[collapsed(path)] += math.exp(sum(log_p[t, s] for t, s in enumerate(path)))
    return total


def texts_of(symbols: jax.Array) -> list[tuple[int, ...]]:
    return [tuple(int(s) for s in row if s) for row in np.asarray(symbols)]


def scored(scorer: Scorer, text: tuple[int, ...]) -> float:
    state, total = scorer.initial, 0.0
    for symbol in text:
        total += float(scorer.ahead(state)[symbol])
        state = scorer.advance(state, jnp.array(symbol))
    return total + float(scorer.ahead(state)[0])


def searched(log_p, lengths, scorer: Scorer, beam_size: int):
    run = jax.jit(lambda log_p, lengths: search(log_p, lengths, scorer, beam_size))
    return run(jnp.asarray(log_p), jnp.asarray(lengths))


def test_the_loss_sums_all_paths(log_p):
    texts = [(1,), (2, 2), (1, 2, 1)]
    labels = np.array([[*text, *[0] * (3 - len(text))] for text in texts])
    nats = ctc_loss(log_p, jnp.array([5, 5, 4]), labels, jnp.array([1, 2, 3]))
    for i, (text, steps) in enumerate(zip(texts, (5, 5, 4), strict=True)):
        assert nats[i] == pytest.approx(-math.log(all_texts(log_p[i, :steps])[text]), abs=1e-5)


def test_the_best_path_is_the_likeliest_of_all(log_p):
    found = best_path(log_p, jnp.array([5, 3, 0]))
    for i, steps in enumerate((5, 3, 0)):
        paths = itertools.product(range(SYMBOLS), repeat=steps)
        best = max(paths, key=lambda path: sum(log_p[i, t, s] for t, s in enumerate(path)))
        assert texts_of(found.symbols)[i] == collapsed(best)
        total = sum(log_p[i, t, s] for t, s in enumerate(best))
        assert found.log_probabilities[i] == pytest.approx(total, abs=1e-5)


def test_steps_that_labels_need():
    rows = [(1,), (1, 1), (1, 2, 2, 2)]
    for text in rows:
        paths = (p for n in range(8) for p in itertools.product(range(3), repeat=n))
        shortest = next(len(path) for path in paths if collapsed(path) == text)
        assert needed_steps(np.array(text)) == shortest


@pytest.fixture(scope="module")
def language() -> Scorer:
    texts = [np.array(text) for text in ([1, 2], [1, 2, 1], [2], [2, 2, 1])]
    return weighted([(0.7, ngram_scorer(texts, SYMBOLS, 3))], bonus=0.4)


@pytest.mark.parametrize("with_language", [False, True])
def test_a_search_that_keeps_all_prefixes_is_exact(log_p, language, with_language):
    scorer = language if with_language else no_scorer(SYMBOLS)
    lengths = np.array([5, 4, 1])
    found, symbols = searched(log_p, lengths, scorer, 64)
    for i, steps in enumerate(lengths):
        sums = all_texts(log_p[i, :steps])
        wanted = {
            text: math.log(p) + (scored(scorer, text) if with_language else 0.0)
            for text, p in sums.items()
        }
        kept = texts_of(symbols[i])[: len(wanted)]
        assert sorted(kept) == sorted(wanted)
        assert list(found.scores[i, : len(kept)]) == sorted(found.scores[i, : len(kept)])[::-1]
        for place, text in enumerate(kept):
            assert found.scores[i, place] == pytest.approx(wanted[text], abs=1e-4)
            assert found.log_probabilities[i, place] == pytest.approx(
                math.log(sums[text]), abs=1e-4
            )


def test_a_search_with_a_recurrent_language_model_is_exact(log_p):
    """Its score is CTC's sum of paths and what the network says of the whole text at once."""
    network = LanguageModel(vocabulary_size=5, cell=lj.lstm, embedding_size=3, hidden_size=4)
    params = jax.jit(network.init)(jax.random.key(1), jnp.zeros((1, 1), int))["params"]
    params = jax.tree.map(lambda leaf: 6 * leaf, params)  # so that it prefers some texts by far
    numbers = np.array([4, 2, 1])  # what it calls the end, and the symbols 1 and 2
    scorer = weighted([(0.7, recurrent_scorer(network, params, numbers))], bonus=0.4)
    found, symbols = searched(log_p, np.full(3, STEPS), scorer, 64)
    texts = sorted(all_texts(log_p[0]))
    told = np.array([[4, *numbers[list(text)], 4, *[0] * (STEPS - len(text))] for text in texts])
    _, logits = jax.jit(run, static_argnums=0)(network, params, told[:, :-1])
    nats = np.asarray(jax.nn.log_softmax(logits))
    language = {
        text: sum(float(nats[i, t, told[i, t + 1]]) for t in range(len(text) + 1))
        for i, text in enumerate(texts)
    }
    assert max(language.values()) - min(language.values()) > 5
    for i in range(3):
        wanted = {
            text: math.log(p) + 0.7 * language[text] + 0.4 * len(text)
            for text, p in all_texts(log_p[i]).items()
        }
        kept = texts_of(symbols[i])[: len(wanted)]
        np.testing.assert_allclose(
            found.scores[i, : len(kept)], [wanted[text] for text in kept], atol=1e-4
        )
        assert kept[0] == max(wanted, key=wanted.__getitem__)


def test_a_small_beam_never_finds_more_than_there_is(log_p):
    exact = [all_texts(one) for one in log_p]
    found, symbols = searched(log_p, np.full(3, STEPS), no_scorer(SYMBOLS), 3)
    for i in range(3):
        texts = texts_of(symbols[i])
        assert len(set(texts)) == 3
        for text, log_probability in zip(texts, found.log_probabilities[i], strict=True):
            assert log_probability <= math.log(exact[i][text]) + 1e-5
        assert texts[0] == max(exact[i], key=exact[i].__getitem__)


def test_padding_and_neighbours_change_nothing(log_p, language):
    lengths = np.array([5, 2, 3])
    noise = np.where(np.arange(STEPS)[:, None] < lengths[:, None, None], log_p, np.nan)
    padded = np.concatenate([np.nan_to_num(noise, nan=-0.01), np.full((3, 2, SYMBOLS), -1.0)], 1)
    together, texts = searched(padded, lengths, language, 8)
    for i, steps in enumerate(lengths):
        alone, text = searched(log_p[i : i + 1, :steps], lengths[i : i + 1], language, 8)
        np.testing.assert_array_equal(text[0], texts[i, :, :steps])
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=1e-5)
        assert not np.asarray(texts[i, :, steps:]).any()


def test_a_search_in_pieces_is_the_search_of_the_whole(log_p, language):
    whole, texts = searched(log_p, np.full(3, STEPS), language, 8)
    beam, trails = begin(language, 3, 8), []
    for piece in (log_p[:, :2], log_p[:, 2:3], log_p[:, 3:]):
        beam, trail = advance(language, beam, piece, np.ones(piece.shape[:2], bool))
        trails.append(trail)
    trail = jax.tree.map(lambda *parts: jnp.concatenate(parts), *trails)
    found = finish(beam)
    np.testing.assert_allclose(found.scores, whole.scores, atol=1e-5)
    np.testing.assert_array_equal(follow(trail, found.places), texts)


def test_the_ngram_as_an_automaton_is_the_ngram():
    random = np.random.default_rng(0)
    train, test = random.integers(0, 4, 60), random.integers(0, 5, 100)
    for order in (1, 2, 4):
        tables = next_symbol_tables(train, 5, order, most=10_000)
        assert tables is not None
        following, p, state = tables
        found = []
        for symbol in test:
            found.append(p[state, symbol])
            state = following[state, symbol]
        np.testing.assert_allclose(found, probabilities(train, test, 5, order), rtol=1e-12)
        np.testing.assert_allclose(p.sum(axis=1), 1)
    assert next_symbol_tables(train, 5, 4, most=100) is None
    short = next_symbol_tables(train[:2], 5, 4, most=100)
    assert short is not None
    np.testing.assert_allclose(short[1].sum(axis=1), 1)


def test_the_ngram_scores_a_text_as_what_stands_between_two_ends():
    texts = [np.array([1, 2, 2]), np.array([2, 1])]
    scorer = ngram_scorer(texts, 3, 3)
    train, test = np.array([0, 1, 2, 2, 0, 2, 1, 0]), np.array([0, 2, 2, 0])
    wanted = np.log(probabilities(train, test, 3, 3)[1:]).sum()
    assert scored(scorer, (2, 2)) == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(UserError, match="too large"):
        ngram_scorer([np.arange(1, 20_000)], 20_000, 2)


def test_a_word_list_leaves_only_its_words(log_p):
    """Symbol 1 is a letter, symbol 2 the space; the only word is two letters."""
    scorer = word_list([(1, 1)], SYMBOLS, space=2)
    found, symbols = searched(log_p, np.full(3, STEPS), scorer, 32)
    for i in range(3):
        texts = texts_of(symbols[i])
        allowed = [text for text, s in zip(texts, found.scores[i], strict=True) if s > NEVER / 2]
        assert set(allowed) == {(), (1, 1), (1, 1, 2)}
        best = max(allowed, key=lambda text: all_texts(log_p[i])[text])
        assert texts[0] == best
    assert scored(scorer, (1, 1, 2, 1, 1)) == 0
    assert scored(scorer, (1, 2)) <= NEVER
    with pytest.raises(UserError, match="no word"):
        word_list([()], SYMBOLS, space=2)


def test_a_code_tells_prefixes_apart():
    """Many prefixes of many lengths: a search of constant outputs keeps all of them different."""
    flat = np.full((1, 9, 4), math.log(0.25), np.float32)
    _, symbols = searched(flat, np.array([9]), no_scorer(4), 300)
    texts = texts_of(symbols[0])
    assert len(set(texts)) == len(texts)


def test_the_gradient_of_the_loss_is_finite(log_p):
    loss = functools.partial(
        ctc_loss, steps=jnp.array([5, 5, 2]), labels=jnp.ones((3, 3), int),
        label_lengths=jnp.array([0, 1, 1]),
    )  # fmt: skip
    gradient = jax.grad(lambda logits: loss(logits).sum())(log_p)
    assert np.isfinite(gradient).all()
    assert not np.asarray(gradient[2, 2:]).any()
    assert optax.global_norm(gradient) > 0


def test_states_of_an_automaton_are_followed():
    scorer = automaton(np.array([[0, 1], [0, 0]]), np.array([[0.0, -1.0], [-2.0, -3.0]]), 0)
    assert scored(scorer, (1, 1)) == -4.0
