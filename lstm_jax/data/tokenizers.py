"""From text to numbers and back: what a symbol is, as a part of a config.

A part learns its symbols from the training split alone; the run keeps them, and prediction takes
them from there.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Protocol

from lstm_jax.config import PositiveInt, Range, register
from lstm_jax.data.subwords import Subwords
from lstm_jax.data.vocabulary import UNKNOWN, Encoded, Vocabulary
from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json

__all__ = ["UNKNOWN", "Encoded", "Tokenizer", "load_tokenizer"]

SubwordSize = Annotated[int, Range(257)]


class Tokenizer(Protocol):
    """Text as numbers: 0 is the unknown symbol, 1 to `len - 1` are symbols."""

    @property
    def units(self) -> str:
        """What a symbol is."""
        ...

    def __len__(self) -> int: ...
    def encode(self, text: str) -> Encoded:
        """The text as numbers, with how many characters each stands for."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The numbers as text."""
        ...

    def save(self, path: Path) -> None:
        """Writes it as JSON; `load_tokenizer` reads it."""
        ...


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that `save` wrote: data alone, nothing of it is run.

    Raises:
      UserError: the file is missing or holds no tokenizer.
    """
    try:
        content = read_json(path)
        if content["units"] == Subwords.units:
            return Subwords.of_json(content)
        return Vocabulary.of_json(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no tokenizer ({error})") from None


@register("tokenizer")
def characters(texts: Iterable[str], *, min_count: PositiveInt = 1) -> Tokenizer:
    """Characters.

    >>> characters(["abba"]).encode("abc").ids.tolist()
    [1, 2, 0]

    Args:
      texts: those of the training split.
      min_count: characters seen less often are unknown.
    """
    return Vocabulary.of(texts, "characters", min_count)


@register("tokenizer")
def bytes(texts: Iterable[str]) -> Tokenizer:
    """Bytes of UTF-8; nothing is learnt, and nothing is unknown.

    >>> bytes([]).encode("é").ids.tolist()
    [196, 170]

    Args:
      texts: of no consequence.
    """
    return Vocabulary.of(texts, "bytes")


@register("tokenizer")
def words(
    texts: Iterable[str], *, min_count: PositiveInt = 1, max_size: PositiveInt | None = None
) -> Tokenizer:
    """What stands between white space, the most frequent first; a line break is a word too.

    The step `split_punctuation` parts words from the marks around them.

    >>> tokenizer = words(["to be or not to be"], max_size=2)
    >>> tokenizer.decode(tokenizer.encode("not to be").ids)
    '<unk> to be '

    Args:
      texts: those of the training split.
      min_count: words seen less often are unknown.
      max_size: no more than this many words, the most frequent ones.
    """
    return Vocabulary.of(texts, "words", min_count, max_size)


@register("tokenizer")
def bpe(texts: Iterable[str], *, size: SubwordSize = 8000, min_count: PositiveInt = 2) -> Tokenizer:
    """Byte-pair encoding over bytes (R. Sennrich et al., arXiv 1508.07909): nothing is unknown.

    Args:
      texts: those of the training split.
      size: pieces to learn, the 256 bytes among them; a small text may give fewer.
      min_count: pairs seen less often are not merged.
    """
    return Subwords.of(texts, "bpe", size, min_count)


@register("tokenizer")
def unigram(texts: Iterable[str], *, size: SubwordSize = 8000) -> Tokenizer:
    """The pieces that make the text likeliest (T. Kudo, arXiv 1804.10959), over bytes.

    Args:
      texts: those of the training split.
      size: pieces to learn, the 256 bytes among them; a small text may give fewer.
    """
    return Subwords.of(texts, "unigram", size)
