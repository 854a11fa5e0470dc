"""Symbols and their numbers: characters, bytes or words."""

import collections
import functools
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json

Units = Literal["characters", "bytes", "words"]
UNKNOWN = 0  # the number of every symbol that the vocabulary does not hold


class Encoded(NamedTuple):
    """Text as numbers.

    Attributes:
      ids: symbol numbers, int32 [length].
      characters: how many characters of text each symbol stands for, int32 [length].
    """

    ids: np.ndarray
    characters: np.ndarray


class Vocabulary:
    """The symbols a model knows, each with a number; number 0 stands for all it does not know.

    >>> vocabulary = Vocabulary.of(["abba"], "characters")
    >>> vocabulary.encode("abc").ids.tolist(), vocabulary.decode([1, 2, 0])
    ([1, 2, 0], 'ab\\ufffd')

    Attributes:
      units: "characters"; "bytes" of UTF-8; or "words", separated by white space, where a line
        break is a word too.
      symbols: the symbols, numbered from 1; all 256 of them for bytes.
    """

    def __init__(self, units: Units, symbols: Sequence[str]):
        self.units: Units = units
        self.symbols = list(symbols)

    @classmethod
    def of(
        cls, texts: Iterable[str], units: Units, min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """The vocabulary of texts.

        Characters are in sorted order; words with the most frequent first, as an adaptive softmax
        needs them.

        Args:
          texts: those of the training split.
          units: what a symbol is.
          min_count: symbols seen less often are unknown.
          max_size: no more than this many symbols, the most frequent ones.
        """
        if units == "bytes":
            return cls(units, [])
        counts = collections.Counter(symbol for text in texts for symbol in _split(text, units))
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        symbols = [symbol for symbol, count in frequent if count >= min_count][:max_size]
        return cls(units, sorted(symbols) if units == "characters" else symbols)

    def __len__(self) -> int:
        """How many numbers there are, that of unknown symbols included."""
        return 257 if self.units == "bytes" else len(self.symbols) + 1

    def encode(self, text: str) -> Encoded:
        """The text as numbers."""
        if self.units == "bytes":
            raw = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
            # Continuation bytes are 10xxxxxx: a character counts at its first byte.
            return Encoded(raw.astype(np.int32) + 1, ((raw & 0xC0) != 0x80).astype(np.int32))
        symbols = _split(text, self.units)
        ids = np.fromiter((self._numbers.get(s, UNKNOWN) for s in symbols), np.int32)
        if self.units == "characters":
            return Encoded(ids, np.ones_like(ids))
        # The white space behind a word is part of what the word stands for.
        lengths = (1 if s == "\n" else len(s) + 1 for s in symbols)
        return Encoded(ids, np.fromiter(lengths, np.int32))

    def decode(self, ids: Iterable[int]) -> str:
        """The numbers as text; the unknown symbol shows as a replacement mark."""
        if self.units == "bytes":
            return bytes(max(int(i) - 1, 0) for i in ids).decode("utf-8", "replace")
        unknown = "\ufffd" if self.units == "characters" else "<unk>"
        symbols = [unknown, *self.symbols]
        text = [symbols[int(i)] for i in ids]
        if self.units == "characters":
            return "".join(text)
        return "".join(s if s == "\n" else f"{s} " for s in text)

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON."""
        content = {"units": self.units, "symbols": self.symbols}
        write_atomically(path, json.dumps(content, ensure_ascii=True, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
          UserError: the file is missing or holds no vocabulary.
        """
        try:
            return cls.of_json(read_json(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} holds no vocabulary ({error})") from None

    @classmethod
    def of_json(cls, content: Any) -> "Vocabulary":
        """The vocabulary in what `save` wrote, read as JSON.

        Raises:
          ValueError, KeyError or TypeError: there is none in it.
        """
        units, symbols = content["units"], content["symbols"]
        if units not in ("characters", "bytes", "words") or not isinstance(symbols, list):
            raise ValueError("neither characters, bytes nor words")
        return cls(units, [str(s) for s in symbols])

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols, start=1)}


def _split(text: str, units: Units) -> Sequence[str]:
    return text if units == "characters" else re.findall(r"\n|\S+", text)
