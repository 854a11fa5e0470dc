"""N-grams are those that counting by hand finds."""

import numpy as np
import pytest

from lstm_jax.data.ngram_vocabulary import NGramVocabulary
from lstm_jax.errors import UserError
from lstm_jax.models.ngram_votes import log_ratios

_BEGIN = -1


def ngrams(text, order):
    """At every symbol the runs of each length that end there; the beginning counts as a symbol."""
    padded = [_BEGIN, *map(int, text)]
    ends = range(2, len(padded) + 1)
    return [[tuple(padded[max(end - n, 0) : end]) for n in range(1, order + 1)] for end in ends]


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(0)
    return [random.integers(0, 5, length) for length in random.integers(0, 9, 60)]


@pytest.mark.parametrize("order", [1, 2, 4])
def test_marks_are_the_first_places_of_what_two_texts_hold(texts, order):
    vocabulary = NGramVocabulary.learn(texts, order=order, size=1000)
    held = [{gram for at in ngrams(text, order) for gram in at} for text in texts]
    known = {gram for one in held for gram in one if sum(gram in other for other in held) > 1}
    assert len(vocabulary) == len(known)
    numbers = {}
    for text in texts:
        seen = set()
        marks = vocabulary.mark(text)
        assert marks.shape == (len(text), order)
        for row, at in zip(marks, ngrams(text, order), strict=True):
            for number, gram in zip(row, at, strict=True):
                assert (number > 0) == (gram in known and gram not in seen)
                if number:
                    assert numbers.setdefault(int(number), gram) == gram
                seen.add(gram)
    assert sorted(numbers) == list(range(1, len(known) + 1))


def test_the_most_frequent_are_kept_and_read_again(texts, tmp_path):
    vocabulary = NGramVocabulary.learn(texts, order=3, size=5)
    every = NGramVocabulary.learn(texts, order=3, size=1000)
    counts = dict.fromkeys(every.hashes, 0)
    for text in texts:
        for number in np.unique(every.mark(text)):
            if number:
                counts[every.hashes[number - 1]] += 1
    least = min(counts[h] for h in vocabulary.hashes)
    assert sum(count > least for count in counts.values()) < len(vocabulary) == 5
    vocabulary.save(tmp_path / "a.npz")
    read = NGramVocabulary.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.mark(texts[1]), vocabulary.mark(texts[1]))


def test_nothing_in_common_is_told():
    with pytest.raises(UserError, match=r"data\.ngrams: no n-gram is in 2 training texts or more"):
        NGramVocabulary.learn([np.array([1]), np.array([2, 2])], order=2, size=9)


def test_ratios_are_those_of_counts_by_hand():
    marked = [np.array([[1, 0], [2, 0]]), np.array([[1, 0]]), np.array([[3, 2]])]
    found = log_ratios(marked, np.array([0, 1, 1]), size=3, classes=2)
    shares = np.array([[2 / 5, 2 / 5, 1 / 5], [2 / 6, 2 / 6, 2 / 6]])
    np.testing.assert_allclose(found[0], np.log(shares[0] / shares[1]) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[0], -found[1], rtol=1e-5)
