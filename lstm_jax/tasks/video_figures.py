"""What one shows of a classifier of clips."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

_MOST_CLASSES = 10
_MOST_FRAMES = 16
_WIDTH = 12  # inches


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
    pictures = [_side_by_side(load(row)) for row in rows]
    heights = [_WIDTH * picture.shape[0] / picture.shape[1] + 0.35 for picture in pictures]
    figure = Figure(figsize=(_WIDTH + 0.2, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, row, picture in zip(axes, rows, pictures, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        chosen = int(probability[row].argmax())
        said = f"{classes[labels[row]]}; chosen: {classes[chosen]}, {probability[row, chosen]:.2f}"
        color = "black" if chosen == labels[row] else "tab:red"
        axis.set_title(said, loc="left", fontsize="medium", color=color)
        axis.axis("off")
    figure.savefig(path, dpi=100)


def _side_by_side(clip: np.ndarray) -> np.ndarray:
    """Frames of a clip as one picture [height, width] or [height, width, 3]."""
    kept = clip[:: -(-len(clip) // _MOST_FRAMES)]
    edged = np.pad(kept, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    picture = np.concatenate(list(edged), axis=1)
    return picture if picture.shape[-1] == 3 else picture[..., 0]
