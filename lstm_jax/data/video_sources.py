"""Where one long video comes from, by name."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np

from lstm_jax.config import PositiveInt, Range, register
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.moving_mnist import blobs, draw_moving
from lstm_jax.data.video_files import FrameSize, count_frames, read_frames
from lstm_jax.errors import UserError


class VideoSource(NamedTuple):
    """A video, read as a whole.

    Attributes:
      size: of a frame.
      read: its frames, bytes [time, height, width, channels].
      read_file: those of another one: `(where, path) -> frames`.
    """

    size: FrameSize
    read: Callable[[], np.ndarray]
    read_file: Callable[[str, Path], np.ndarray]


@register("video_source")
def video_file(
    *,
    path: str,
    height: PositiveInt = 48,
    width: PositiveInt = 64,
    color: Literal["rgb", "grey"] = "grey",
    memory: PositiveInt = 1024,
) -> VideoSource:
    """A video file. Its frames are kept in memory, as small as they are made.

    Args:
      path: the file.
      height: of a frame, pixels; it is scaled to cover height and width, and its middle taken.
      width: of a frame, pixels.
      color: whether frames are in colour.
      memory: MiB that the frames may take.

    Raises:
      UserError: when it is read: the file cannot be, or its frames need more memory.
    """
    size = FrameSize(height, width, 3 if color == "rgb" else 1)

    def read_file(where: str, file: Path) -> np.ndarray:
        return _whole(where, file, size, memory)

    return VideoSource(size, lambda: read_file("data.path", Path(path).expanduser()), read_file)


@register("video_source")
def stroke_video(
    *, frames: Annotated[int, Range(64)] = 400, side: Annotated[int, Range(8)] = 16
) -> VideoSource:
    """Generated: a stroke that flies about and bounces off the edges, to try a config without data.

    >>> stroke_video(frames=64, side=8).read().shape
    (64, 8, 8, 1)

    Args:
      frames: of the video.
      side: of a frame, pixels; a stroke has half of it.
    """
    size = FrameSize(side, side, 1)

    def read() -> np.ndarray:
        random = np.random.default_rng(0)
        shapes = blobs(random, 1, side // 2)
        return draw_moving(random, shapes, 1, frames, number=1, side=side)[0]

    return VideoSource(size, read, lambda where, file: _whole(where, file, size, 1024))


def cut_by_time(video: np.ndarray, shares: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The frames of every split: the last for the test, those before them for validation.

    Args:
      video: frames [time, ...].
      shares: of the frames, for `validation` and `test`.
    """
    test = round(len(video) * (1 - shares["test"]))
    validation = test - round(len(video) * shares["validation"])
    return dict(zip(SPLITS, np.split(video, [validation, test]), strict=True))


def _whole(where: str, file: Path, size: FrameSize, memory: int) -> np.ndarray:
    count = count_frames(where, file)
    needed = count * int(np.prod(size))
    if needed > memory * 2**20:
        raise UserError(
            f"{where}: the {count:,} frames of {file} need {math.ceil(needed / 2**20):,} MiB of "
            f"memory; {memory:,} are allowed (data.memory; smaller frames need less)"
        )
    return np.stack(list(read_frames(where, file, size)))
