"""Steps of a text pipeline: functions of a document, applied in the order of the config."""

import re
import unicodedata
from typing import Literal

from lstm_jax.config import register


@register("text_step")
def lowercase(text: str) -> str:
    """All letters in lower case."""
    return text.lower()


@register("text_step")
def collapse_whitespace(text: str) -> str:
    """Every run of white space becomes one space, or one line break if it held one.

    >>> collapse_whitespace("a  b \\n\\n c")
    'a b\\nc'
    """
    return re.sub(r"\s+", lambda run: "\n" if "\n" in run.group() else " ", text)


@register("text_step")
def normalize_unicode(text: str, *, form: Literal["NFC", "NFKC", "NFD", "NFKD"] = "NFC") -> str:
    """Unicode normal form, so that one character has one code.

    Args:
      form: NFC composes accents; NFKC also replaces look-alikes such as ligatures.
    """
    return unicodedata.normalize(form, text)
