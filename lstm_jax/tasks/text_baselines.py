"""What simple methods need for a held-out text, computed from the text the model was given."""

import lzma
from collections.abc import Mapping

from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.tokenizers import Tokenizer
from lstm_jax.models.ngram import cross_entropy

_LIMIT = 20_000_000  # characters; xz and counting would hold up longer texts


def text_baselines(
    texts: Mapping[str, str], vocabulary: Tokenizer, order: int = 5
) -> dict[str, dict[str, float]]:
    """What xz and an n-gram need for the held-out texts: bits per character, of words perplexity.

    `xz -9` compresses each text alone, which says how much it repeats itself; after the training
    text, it may refer to that as the model may. None of them for a text that would take minutes.
    """
    found: dict[str, dict[str, float]] = {}
    if sum(map(len, texts.values())) > _LIMIT:
        return found
    train = vocabulary.encode(texts["train"])
    for split in SPLITS[1:]:
        text = texts[split]
        held_out = vocabulary.encode(text)
        bits = cross_entropy(train.ids, held_out.ids, len(vocabulary), order)
        values = {f"{order}-gram, Kneser-Ney": bits / held_out.characters[1:].sum()}
        if vocabulary.units == "words":
            values = {f"{order}-gram, Kneser-Ney": 2 ** (bits / (len(held_out.ids) - 1))}
        else:
            seen = _xz_bits(texts["train"] + text) - _xz_bits(texts["train"])
            values["xz -9"] = _xz_bits(text) / len(text)
            values["xz -9, after the training text"] = seen / len(text)
        for name, value in values.items():
            found.setdefault(name, {})[split] = float(value)
    return found


def _xz_bits(text: str) -> int:
    return 8 * len(lzma.compress(text.encode("utf-8", "surrogateescape"), preset=9))
