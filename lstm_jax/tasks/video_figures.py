"""What one shows of a classifier of clips."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

_MOST_CLASSES = 10
_MOST_FRAMES = 16


def draw_clips(
    load: Callable[[int], np.ndarray],
    labels: np.ndarray,
    probability: np.ndarray,
    classes: Sequence[str],
    path: Path,
) -> None:
    """Draws the first clip of every class as a row of frames, with what was chosen.

    Args:
      load: the frames of a clip by its number, bytes [time, height, width, channels].
      labels: the class of every clip.
      probability: of every class for every clip [clips, classes].
      classes: their names.
      path: the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [int(row) for row in np.unique(labels, return_index=True)[1]][:_MOST_CLASSES]
    figure = Figure(figsize=(13, 1.15 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axis, row in zip(axes, rows, strict=True):
        clip = load(row)
        kept = clip[:: -(-len(clip) // _MOST_FRAMES)]
        edged = np.pad(kept, ((0, 0), (0, 0), (0, 2), (0, 0)), constant_values=255)
        picture = np.concatenate(list(edged), axis=1)
        axis.imshow(picture if picture.shape[-1] == 3 else picture[..., 0], cmap="gray",
                    vmin=0, vmax=255)  # fmt: skip
        chosen = int(probability[row].argmax())
        color = "black" if chosen == labels[row] else "tab:red"
        said = f"{classes[labels[row]]}\nchosen: {classes[chosen]}, {probability[row, chosen]:.2f}"
        axis.set_ylabel(said, rotation=0, ha="right", va="center", color=color)
        axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=100)
