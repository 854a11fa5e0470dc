"""What one shows of forecast frames: filmstrips, an animation, and the error frame by frame."""

from pathlib import Path
from typing import Any

import numpy as np

_SEQUENCES = 4
_RED = (200, 40, 40)


def draw_filmstrips(seen: np.ndarray, coming: np.ndarray, found: np.ndarray, path: Path) -> None:
    """Draws the first sequences: what was seen, what came, and what was forecast, below it.

    Args:
      seen: bytes [sequences, time, height, width, channels].
      coming: the same of the frames that came.
      found: the same of those that were forecast.
      path: the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sequences = min(_SEQUENCES, len(seen))
    columns = max(seen.shape[1], coming.shape[1])
    figure = Figure(figsize=(1 + columns, 3.3 * sequences), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3 * sequences, 1, squeeze=False)[:, 0]
    for i in range(sequences):
        rows = (("seen", seen[i]), ("came", coming[i]), ("forecast", found[i]))
        for axis, (name, frames) in zip(axes[3 * i :], rows, strict=False):
            axis.imshow(_side_by_side(frames, columns), cmap="gray", vmin=0, vmax=255)
            axis.set(ylabel=name, xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    figure.savefig(path, dpi=110)


def _side_by_side(frames: np.ndarray, columns: int) -> np.ndarray:
    """Frames [time, height, width, channels] as one picture, with white lines between them."""
    time, height, width, channels = frames.shape
    strip = np.full((height, columns, width + 2, channels), 255, np.uint8)
    strip[:, :time, :width] = np.swapaxes(frames, 0, 1)
    picture = strip.reshape(height, columns * (width + 2), channels)
    return picture[..., 0] if channels == 1 else picture


def write_animation(
    seen: np.ndarray, coming: np.ndarray, found: np.ndarray, path: Path, *, scale: int = 2
) -> None:
    """Writes the first sequences as a GIF: above what came, below what was forecast.

    While frames are seen both are the same; what is forecast has a red edge.

    Args:
      seen: bytes [sequences, time, height, width, channels].
      coming: the same of the frames that came.
      found: the same of those that were forecast.
      path: the file.
      scale: pixels of the picture for one of a frame.
    """
    from PIL import Image

    rows = [
        _edged(np.concatenate([seen[:_SEQUENCES], frames[:_SEQUENCES]], axis=1), first, scale)
        for frames, first in ((coming, None), (found, seen.shape[1]))
    ]
    pictures = [Image.fromarray(np.concatenate(both, axis=0)) for both in zip(*rows, strict=True)]
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=200, loop=0)


def _edged(frames: np.ndarray, red_from: int | None, scale: int) -> list[np.ndarray]:
    """Sequences beside one another [height, width, 3], a picture a step, each with an edge."""
    large = np.repeat(np.repeat(frames, scale, axis=2), scale, axis=3)
    large = np.broadcast_to(large, (*large.shape[:-1], 3))
    pictures = []
    for step in range(frames.shape[1]):
        red = red_from is not None and step >= red_from
        framed = np.full((len(frames), *np.add(large.shape[2:4], 4), 3), 90, np.uint8)
        framed[:] = _RED if red else (90, 90, 90)
        framed[:, 2:-2, 2:-2] = large[:, step]
        pictures.append(np.concatenate(list(framed), axis=1))
    return pictures


def draw_errors(seen: np.ndarray, coming: np.ndarray, found: np.ndarray, path: Path) -> None:
    """Draws the squared error of a frame over how far ahead it is, beside that of a copy.

    Args:
      seen: bytes [sequences, time, height, width, channels].
      coming: the same of the frames that came.
      found: the same of those that were forecast.
      path: the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    ahead = np.arange(1, coming.shape[1] + 1)
    for name, frames in (("forecast", found), ("copy of the last frame seen", seen[:, -1:])):
        errors = np.square((frames - coming.astype(np.float32)) / 255).sum(axis=(-3, -2, -1))
        axes.plot(ahead, errors.mean(axis=0), marker="o", label=name)
    axes.set(xlabel="frames ahead", ylabel="squared error of a frame", ylim=(0, None))
    axes.set_xticks(ahead)
    axes.set_title(f"{len(coming)} test sequences")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
