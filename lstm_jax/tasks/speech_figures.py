"""What one shows of a recognizer: when it hears which symbol, and where it is most wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.data.tokenizers import Tokenizer
from lstm_jax.models.ctc import BLANK
from lstm_jax.tasks.speech_scores import error_rates

_SYMBOLS = 40  # rows of a picture


def draw_alignment(
    log_p: np.ndarray,
    features: np.ndarray,
    seconds: float,
    tokenizer: Tokenizer,
    titles: tuple[str, str],
    path: Path,
) -> None:
    """Draws the features of a recording over the probability of every symbol at every step.

    Args:
      log_p: log-probabilities [steps, symbols].
      features: [frames, features].
      seconds: how long it lasts.
      tokenizer: the symbols.
      titles: what is said in it, and what was found.
      path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    p = np.exp(log_p)
    heard = np.argsort(-p[:, 1:].max(axis=0), kind="stable")[:_SYMBOLS] + 1
    rows = sorted(int(symbol) for symbol in heard if p[:, symbol].max() > 0.1)
    figure = Figure(
        figsize=(min(3 + 2.2 * seconds, 24), 3.5 + 0.18 * len(rows)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    above, below = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (2, 1 + 0.15 * len(rows))}
    )
    extent = 0.0, seconds
    above.imshow(features.T, origin="lower", aspect="auto", extent=(*extent, 0, features.shape[1]))
    above.set(ylabel="features", title=_plain(f"said: {titles[0]}\nfound: {titles[1]}"))
    below.imshow(
        p[:, [*rows, BLANK]].T,
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=1,
        extent=(*extent, len(rows) + 0.5, -0.5),
    )
    names = [_plain(tokenizer.decode([symbol])).replace(" ", "␣") for symbol in rows]
    below.set_yticks(range(len(rows) + 1), [*names, "blank"])
    below.set(xlabel="seconds", ylabel="probability")
    figure.savefig(path, dpi=110)


def write_worst(
    names: Sequence[str], said: Sequence[str], found: Sequence[str], shown: int, path: Path
) -> None:
    """Writes the recordings with the most wrong characters, for each what is said and was found."""
    rates = [
        error_rates([f], [s])["cer"] if s.strip() else 0.0 for s, f in zip(said, found, strict=True)
    ]
    wrong = [rate * len(text) for rate, text in zip(rates, said, strict=True)]
    order = np.argsort(-np.array(wrong), kind="stable")[:shown]
    lines = [
        f"{names[i]}: {round(wrong[i])} errors in {len(said[i])} characters\n"
        f"  said:  {said[i]}\n  found: {found[i]}\n"
        for i in order
    ]
    write_atomically(path, "\n".join(lines))


def _plain(text: str) -> str:
    """Text that is no mathematics to matplotlib."""
    return text.replace("$", r"\$")
