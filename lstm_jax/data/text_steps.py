"""Steps of a text pipeline: functions of a document, applied in the order of the config."""

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal

from lstm_jax.config import register
from lstm_jax.errors import UserError


def apply_steps(text: str, steps: Sequence[Callable[[str], str]]) -> str:
    """The text after all steps, in their order.

    >>> apply_steps(" It IS ", [lowercase, one_line])
    'it is'

    Raises:
      UserError: a step, which a user may have written, gave no text.
    """
    for step in steps:
        text = step(text)
        if not isinstance(text, str):
            name = getattr(step, "func", step).__name__
            raise UserError(f"data.steps: {name} returned {type(text).__name__}, not text")
    return text


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


@register("text_step")
def split_punctuation(text: str) -> str:
    """Spaces around every mark that is no part of a word, so that words stand alone.

    A mark between two letters or digits stays, as in "don't", "well-known" and "3.5".

    >>> split_punctuation('"It isn\\'t 3.5, is it?"')
    '" It isn\\'t 3.5 , is it ? "'
    """
    spaced = re.sub(r"(?<!\w)([^\w\s])|([^\w\s])(?!\w)", r" \1\2 ", text)
    return re.sub(r" +", " ", spaced).strip(" ")


@register("text_step")
def remove_markup(text: str) -> str:
    """HTML tags are taken out, those of breaks and paragraphs become line breaks.

    >>> remove_markup("Good &amp; short.<br /><br />See <i>it</i>")
    'Good & short.\\n\\nSee it'
    """
    broken = re.sub(r"<(?:br|p|/p)\b[^<>]*>", "\n", text, flags=re.IGNORECASE)
    return html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", broken))


@register("text_step")
def one_line(text: str) -> str:
    """Every run of white space, line breaks too, becomes one space.

    >>> one_line(" a\\n b ")
    'a b'
    """
    return " ".join(text.split())


@register("text_step")
def reverse_words(text: str) -> str:
    """The words in the order from the last to the first, for a model that reads from the end.

    >>> reverse_words("not good at all")
    'all at good not'
    """
    return " ".join(reversed(text.split()))
