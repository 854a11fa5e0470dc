"""BLEU and chrF by sacrebleu, with their signatures."""

from collections.abc import Sequence
from typing import Any

from lstm_jax.errors import UserError
from lstm_jax.tasks.task import Metric


def require_sacrebleu() -> Any:
    """The metrics of the library.

    Raises:
      UserError: it is not installed.
    """
    try:
        import sacrebleu.metrics
    except ImportError as error:
        raise UserError(
            f"scores need the library sacrebleu ({error}): pip install 'lstm_jax[text]'"
        ) from None
    return sacrebleu.metrics


def scores(found: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """BLEU and chrF of translations, from 0 to 100.

    K. Papineni et al., 2002; M. Popović, 2015; as computed by M. Post, "A Call for Clarity in
    Reporting BLEU Scores", arXiv 1804.08771.

    >>> scores(["a small house on a hill"], ["a small house on the hill"])["bleu"] < 100
    True

    Args:
      found: the translations.
      targets: what they are compared with.

    Raises:
      UserError: sacrebleu is not installed.
    """
    library = require_sacrebleu()
    return {
        # "force": a text that ends in a space and a full stop may be meant so.
        "bleu": library.BLEU(force=True).corpus_score(list(found), [list(targets)]).score,
        "chrf": library.CHRF().corpus_score(list(found), [list(targets)]).score,
    }


def metrics() -> tuple[Metric, Metric]:
    """BLEU and chrF, each with the signature that says how it is computed."""
    try:
        library = require_sacrebleu()
    except UserError:  # a run can be used without it, only not scored
        return _metric("bleu", "BLEU"), _metric("chrf", "chrF")
    made = []
    for name, metric in (("bleu", library.BLEU()), ("chrf", library.CHRF())):
        scored = metric.corpus_score(["a"], [["a"]])
        made.append(_metric(name, f"{scored.name} {metric.get_signature()}"))
    return made[0], made[1]


def _metric(name: str, label: str) -> Metric:
    return Metric(name, label, lower_is_better=False, decimals=2)
