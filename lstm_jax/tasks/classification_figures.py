"""What one shows of a classifier: its confusion matrix, and where it was sure and wrong."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_jax.config import write_atomically

_MOST_CLASSES_IN_NUMBERS = 20  # beyond them, cells are too small for figures
_SHOWN = 600  # characters of a text


def confusion(labels: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
    """How many of each class (rows) were taken for each (columns).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, chosen), 1)
    return counts


def draw_confusion(
    labels: np.ndarray, chosen: np.ndarray, classes: Sequence[str], path: Path
) -> None:
    """Draws the confusion matrix: counts, and shares of the true class as colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = confusion(labels, chosen, len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 3 + 0.6 * min(len(classes), 2 * _MOST_CLASSES_IN_NUMBERS)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, label="share of the true class")
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=45, ha="right")
    axes.set_yticks(places, classes)
    axes.set(xlabel="chosen", ylabel="true")
    axes.set_title(f"accuracy {np.mean(labels == chosen):.4f} of {len(labels):,}")
    if len(classes) <= _MOST_CLASSES_IN_NUMBERS:
        for i in places:
            for j in places:
                color = "white" if shares[i, j] > 0.5 else "black"
                axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", color=color)
    figure.savefig(path, dpi=110)


def write_errors(
    texts: Sequence[str],
    labels: np.ndarray,
    probability: np.ndarray,
    classes: Sequence[str],
    path: Path,
    *,
    most: int = 20,
) -> None:
    """Writes the texts whose true class was thought least likely, the most surprising first.

    Args:
      texts: as the source gave them.
      labels: their classes [texts].
      probability: of every class for every text [texts, classes].
      classes: their names.
      path: the file.
      most: how many are written.
    """
    given = probability[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(probability.argmax(axis=-1) != labels)
    order = wrong[np.argsort(given[wrong], kind="stable")][:most]
    blocks = [f"{len(wrong):,} of {len(labels):,} texts are of another class than was chosen.\n"]
    for row in map(int, order):
        chosen = int(probability[row].argmax())
        head = (
            f"text {row}: {classes[labels[row]]}, taken for {classes[chosen]} with probability "
            f"{probability[row, chosen]:.4f}"
        )
        shown = textwrap.fill(textwrap.shorten(texts[row], _SHOWN, placeholder=" [...]"), 100)
        blocks.append(f"{head}\n{textwrap.indent(shown, '  ')}\n")
    write_atomically(path, "\n".join(blocks))
