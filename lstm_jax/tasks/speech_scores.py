"""Word and character error rates by jiwer."""

from collections.abc import Sequence
from typing import Any

from lstm_jax.errors import UserError
from lstm_jax.tasks.task import Metric

METRICS = (
    Metric("cer", "character error rate", decimals=4),
    Metric("wer", "word error rate", decimals=4),
    Metric("greedy_cer", "character error rate of the best path", decimals=4),
    Metric("greedy_wer", "word error rate of the best path", decimals=4),
    Metric("loss", "nats per symbol"),
)


def require_jiwer() -> Any:
    """The library that counts errors.

    Raises:
      UserError: it is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise UserError(
            f"error rates need the library jiwer ({error}): pip install 'lstm_jax[audio]'"
        ) from None
    return jiwer


def error_rates(found: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """Errors of transcripts for every character and every word that was said.

        (substitutions + deletions + insertions) / length of what was said

    over all texts together (V. Levenshtein, 1966); spaces are characters. Texts in which nothing is
    said count in neither.

    >>> error_rates(["the hat", "now"], ["the cat", "now"])
    {'cer': 0.1, 'wer': 0.3333333333333333}

    Args:
      found: the transcripts.
      said: what they are compared with.

    Raises:
      UserError: jiwer is not installed, or nothing is said in any text.
    """
    library = require_jiwer()
    kept = [(one, text) for one, text in zip(found, said, strict=True) if text.strip()]
    if not kept:
        raise UserError("error rates need a text in which something is said")
    hypotheses, references = (list(texts) for texts in zip(*kept, strict=True))
    return {
        "cer": float(library.cer(references, hypotheses)),
        "wer": float(library.wer(references, hypotheses)),
    }
