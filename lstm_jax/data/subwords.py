"""Pieces of words, learnt from text by the library `tokenizers`; any text comes back as it was."""

import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.data.vocabulary import Encoded
from lstm_jax.errors import UserError

Method = Literal["bpe", "unigram"]


class Subwords:
    """Pieces of words over the bytes of UTF-8, so that no text is unknown and none is lost.

    Number 0 is kept for the unknown symbol, as in every tokenizer here, and never comes up.

    Attributes:
      pieces: the bytes that each number stands for, from number 1.
    """

    units = "subwords"

    def __init__(self, content: str):
        """Takes the JSON of the library.

        Raises:
          ValueError: it is not that of byte-level pieces.
        """
        self._content = content
        vocabulary = json.loads(content)["model"]["vocab"]
        # A unigram model lists pairs of a piece and its score, BPE maps a piece to its number.
        if isinstance(vocabulary, dict):
            names = sorted(vocabulary, key=vocabulary.__getitem__)
            if [vocabulary[name] for name in names] != list(range(len(names))):
                raise ValueError("its pieces are not numbered from 0 on")
        else:
            names = [name for name, _ in vocabulary]
        try:
            self.pieces = [bytes(_BYTE_OF[letter] for letter in name) for name in names]
        except KeyError:
            raise ValueError("its pieces are not made of bytes") from None
        # Continuation bytes are 10xxxxxx: a character counts at its first byte.
        self._characters = np.array(
            [0, *(sum(byte & 0xC0 != 0x80 for byte in piece) for piece in self.pieces)], np.int32
        )

    @classmethod
    def of(cls, texts: Iterable[str], method: Method, size: int, min_count: int = 2) -> "Subwords":
        """Learns the pieces of texts.

        Args:
          texts: those of the training split.
          method: "bpe" merges what is often side by side (R. Sennrich et al., arXiv 1508.07909);
            "unigram" keeps the pieces under which the text is likeliest (T. Kudo,
            arXiv 1804.10959). The library learns these in no fixed order, so that the same text
            may give them other numbers a second time.
          size: pieces to learn, the 256 bytes among them.
          min_count: pairs that are seen less often are not merged; of BPE alone.

        Raises:
          UserError: the library `tokenizers` is not installed.
        """
        library = _library()
        # The library's own alphabet stands in another order each time, and so would all numbers.
        alphabet = [_LETTERS[byte] for byte in range(256)]
        options: dict[str, Any] = {"vocab_size": size, "show_progress": False}
        if method == "bpe":
            model = library.Tokenizer(library.models.BPE())
            trainer = library.trainers.BpeTrainer(
                initial_alphabet=alphabet, min_frequency=min_count, **options
            )
        else:
            model = library.Tokenizer(library.models.Unigram())
            trainer = library.trainers.UnigramTrainer(initial_alphabet=alphabet, **options)
        model.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.train_from_iterator(map(_encodable, texts), trainer)
        return cls(model.to_str())

    def __len__(self) -> int:
        """How many numbers there are, that of unknown symbols included."""
        return len(self.pieces) + 1

    def encode(self, text: str) -> Encoded:
        """The text as numbers."""
        ids = np.array(self._model.encode(_encodable(text)).ids, np.int32) + 1
        return Encoded(ids, self._characters[ids])

    def decode(self, ids: Iterable[int]) -> str:
        """The numbers as text; bytes that are no text show as a replacement mark."""
        pieces = [b"\xef\xbf\xbd", *self.pieces]  # the replacement mark itself
        return b"".join(pieces[int(i)] for i in ids).decode("utf-8", "replace")

    def save(self, path: Path) -> None:
        """Writes the pieces as JSON."""
        content = {"units": self.units, "tokenizers": json.loads(self._content)}
        write_atomically(path, json.dumps(content, ensure_ascii=True) + "\n")

    @classmethod
    def of_json(cls, content: Any) -> "Subwords":
        """The pieces in what `save` wrote, read as JSON.

        Raises:
          ValueError, KeyError or TypeError: there are none in it.
        """
        return cls(json.dumps(content["tokenizers"], ensure_ascii=True))

    @functools.cached_property
    def _model(self) -> Any:
        try:
            return _library().Tokenizer.from_str(self._content)
        except UserError:
            raise
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"a tokenizer of subwords cannot be used ({error})") from None


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise UserError(
            f"subwords need the library tokenizers ({error}): pip install 'lstm_jax[text]'"
        ) from None
    return tokenizers


def _encodable(text: str) -> str:
    """The text with a question mark for lone surrogates, which the library cannot read."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _letters() -> list[str]:
    """The letter that stands for each byte in a piece, as GPT-2 wrote them.

    Printable bytes stand for themselves, the others are moved behind the 256th letter.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    behind = itertools.count(256)
    return [chr(byte if byte in printable else next(behind)) for byte in range(256)]


_LETTERS = _letters()
_BYTE_OF = {letter: byte for byte, letter in enumerate(_LETTERS)}
