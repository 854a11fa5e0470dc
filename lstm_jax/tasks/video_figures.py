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
    rows = [int(row) for row in np.unique(labels, return_index=True)[1]][:_MOST_CLASSES]
    titles = []
    for row in rows:
        chosen = int(probability[row].argmax())
        said = f"{classes[labels[row]]}; chosen: {classes[chosen]}, {probability[row, chosen]:.2f}"
        titles.append((said, chosen == labels[row]))
    _draw_rows([load(row) for row in rows], titles, path)


def draw_captions(
    load: Callable[[int], np.ndarray], texts: Sequence[str], found: Sequence[str], path: Path
) -> None:
    """Draws clips as rows of frames, each with its sentence and with what was said.

    Args:
      load: the frames of a clip by its number, bytes [time, height, width, channels].
      texts: the sentence of every clip.
      found: what was said of each.
      path: the file.
    """
    clips = [load(row) for row in range(len(texts))]
    titles = [
        (text if said == text else f"{text}; said: {said}", said == text)
        for text, said in zip(texts, found, strict=True)
    ]
    _draw_rows(clips, titles, path)


def _draw_rows(clips: Sequence[np.ndarray], titles: Sequence[tuple[str, bool]], path: Path) -> None:
    """Draws each clip below its title, which is red if it is not right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pictures = [_side_by_side(clip) for clip in clips]
    heights = [_WIDTH * picture.shape[0] / picture.shape[1] + 0.35 for picture in pictures]
    figure = Figure(figsize=(_WIDTH + 0.2, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(clips), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, picture, (title, right) in zip(axes, pictures, titles, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, loc="left", fontsize="medium", color="black" if right else "tab:red")
        axis.axis("off")
    figure.savefig(path, dpi=100)


def _side_by_side(clip: np.ndarray) -> np.ndarray:
    """Frames of a clip as one picture [height, width] or [height, width, 3]."""
    kept = clip[:: -(-len(clip) // _MOST_FRAMES)]
    edged = np.pad(kept, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    picture = np.concatenate(list(edged), axis=1)
    return picture if picture.shape[-1] == 3 else picture[..., 0]
