"""The n-grams of symbols that many training texts hold, by number, and where texts hold them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_jax.data.arrays import read_arrays
from lstm_jax.errors import UserError

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


class NGramVocabulary:
    """Numbers, from 1, for runs of up to `order` symbols.

    An n-gram is known by a hash of 64 bits: in a million of them two agree with a chance of one to
    forty million.

    >>> texts = [np.array([5, 6, 7]), np.array([6, 7]), np.array([5, 7])]
    >>> vocabulary = NGramVocabulary.learn(texts, order=2, size=10)
    >>> len(vocabulary)  # in two texts or more are 5, 6, 7, 6 7, and 5 where the text begins
    5
    >>> (vocabulary.mark(np.array([6, 7, 6, 8])) > 0).tolist()  # what stands earlier counts once
    [[True, False], [True, True], [False, False], [False, False]]

    Attributes:
      order: symbols of the longest n-grams.
      hashes: of the n-grams, uint64 [size], rising.
    """

    def __init__(self, order: int, hashes: np.ndarray):
        self.order, self.hashes = order, hashes

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def learn(
        cls, texts: Sequence[np.ndarray], *, order: int, size: int, fewest: int = 2
    ) -> "NGramVocabulary":
        """The n-grams that are in most texts.

        Args:
          texts: symbol numbers of the training texts.
          order: symbols of the longest n-grams.
          size: the most n-grams.
          fewest: texts that an n-gram must be in; one that is in a single text names the text.

        Raises:
          UserError: no n-gram is in as many texts.
        """
        found = [np.unique(_hashes(text, order)) for text in texts]
        hashes, counts = np.unique(np.concatenate(found), return_counts=True)
        hashes, counts = hashes[counts >= fewest], counts[counts >= fewest]
        if not len(hashes):
            raise UserError(f"data.ngrams: no n-gram is in {fewest} training texts or more")
        most = np.argsort(-counts, kind="stable")[:size]
        return cls(order, np.sort(hashes[most]))

    def mark(self, text: np.ndarray) -> np.ndarray:
        """The numbers of the n-grams that end at each symbol, int32 [time, order].

        0 where there is none of that length in the vocabulary, and where it stood earlier: what a
        text holds counts once (S. Wang and C. Manning, "Baselines and Bigrams", 2012).
        """
        hashes = _hashes(text, self.order)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self) - 1)
        numbers = np.where(self.hashes[place] == hashes, place + 1, 0).ravel()
        once = np.zeros_like(numbers)
        first = np.unique(numbers, return_index=True)[1]
        once[first] = numbers[first]
        return once.reshape(len(text), self.order).astype(np.int32)

    def save(self, path: Path) -> None:
        """Writes the n-grams into an NPZ file."""
        with path.open("wb") as file:
            np.savez(file, order=self.order, hashes=self.hashes)

    @classmethod
    def load(cls, path: Path) -> "NGramVocabulary":
        """Reads what `save` wrote.

        Raises:
          UserError: the file is not there, or no such file.
        """
        try:
            arrays = read_arrays(path)
            order, hashes = int(arrays["order"]), arrays["hashes"]
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} holds no n-grams ({error})") from None
        if hashes.dtype != np.uint64 or hashes.ndim != 1 or not len(hashes) or order < 1:
            raise UserError(f"{path} holds no n-grams")
        return cls(order, hashes)


def _hashes(text: np.ndarray, order: int) -> np.ndarray:
    """Of the n-grams that end at each symbol, uint64 [time, order].

    What is before the text counts as a symbol, so that its first ones have n-grams of their own.
    """
    symbols = text.astype(np.uint64) + np.uint64(1)
    found = np.zeros((len(text), order), np.uint64)
    for length in range(1, order + 1):
        before = np.zeros_like(symbols)
        if length > 1:
            before[1:] = found[:-1, length - 2]
        mixed = (before ^ symbols) * _MIX
        found[:, length - 1] = (mixed ^ (mixed >> _SHIFT)) * _MIX + np.uint64(length)
        # Before the beginning there is nothing: a longer n-gram is the shorter one.
        found[: max(length - 2, 0), length - 1] = found[: max(length - 2, 0), length - 2]
    return found
