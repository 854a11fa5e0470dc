"""Anomalies that are put into a video, to see whether they are found."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

# From a video, the first and the last step of a segment, and draws to the frames of the segment.
Kind = Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]


class Segment(NamedTuple):
    """Where an anomaly is.

    Attributes:
      kind: a name in `VIDEO_ANOMALIES`.
      begin: the first frame that is another one.
      end: the first behind them.
    """

    kind: str
    begin: int
    end: int


def _frozen(video: np.ndarray, begin: int, end: int, random: np.random.Generator) -> np.ndarray:
    del random
    return np.repeat(video[begin - 1 : begin], end - begin, axis=0)


def _reversed(video: np.ndarray, begin: int, end: int, random: np.random.Generator) -> np.ndarray:
    del random
    return video[begin:end][::-1]


def _pasted(video: np.ndarray, begin: int, end: int, random: np.random.Generator) -> np.ndarray:
    height, width = video.shape[1:3]
    tall, wide = height // 4, width // 4
    top, left = random.integers(height - tall + 1), random.integers(width - wide + 1)
    piece = video[random.integers(len(video)), top : top + tall, left : left + wide]
    frames = video[begin:end].copy()
    row = random.integers(height - tall + 1)
    ways = np.linspace(0, width - wide, len(frames)).astype(int)
    for frame, place in zip(frames, ways[:: random.choice([-1, 1])], strict=True):
        frame[row : row + tall, place : place + wide] = piece
    return frames


VIDEO_ANOMALIES: Mapping[str, Kind] = {
    "frozen": _frozen,
    "reversed": _reversed,
    "pasted": _pasted,
}


def inject_into_video(
    video: np.ndarray, count: int, lengths: tuple[int, int], first: int, random: np.random.Generator
) -> tuple[np.ndarray, list[Segment]]:
    """A video with anomalies of all kinds in turn, one in each of `count` equal parts.

    In a frozen segment the frame before it stays; a reversed one runs backwards; in a pasted one
    a piece of another frame, a quarter as high and as wide as the frame, crosses it.

    >>> video = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    >>> found, segments = inject_into_video(video, 2, (3, 3), 4, np.random.default_rng(0))
    >>> segments
    [Segment(kind='frozen', begin=15, end=18), Segment(kind='reversed', begin=32, end=35)]
    >>> found[14:19].ravel().tolist(), found[31:36].ravel().tolist()
    ([14, 14, 14, 14, 18], [31, 34, 33, 32, 35])

    Args:
      video: bytes [time, height, width, channels].
      count: of anomalies.
      lengths: the least and the greatest number of frames of each.
      first: frames at the beginning of every part that stay as they are.
      random: draws places and lengths.

    Returns:
      The video, and where anomalies are.

    Raises:
      ValueError: a part has too few frames.
    """
    part = len(video) // count
    if part < first + lengths[1] + 1:
        raise ValueError(
            f"{count} anomalies of up to {lengths[1]} frames, each behind {first} normal ones, "
            f"need {count * (first + lengths[1] + 1)} frames; there are {len(video)}"
        )
    changed, segments = video.copy(), []
    for number in range(count):
        kind = list(VIDEO_ANOMALIES)[number % len(VIDEO_ANOMALIES)]
        length = int(random.integers(lengths[0], lengths[1] + 1))
        begin = number * part + int(random.integers(first, part - length))
        end = begin + length
        changed[begin:end] = VIDEO_ANOMALIES[kind](video, begin, end, random)
        segments.append(Segment(kind, begin, end))
    return changed, segments


def anomalous_steps(frames: int, segments: list[Segment]) -> np.ndarray:
    """Which steps from a frame to the next are no steps of the video, booleans [frames].

    The step out of a segment is one of them: the frame behind it is normal, how it comes is not.

    >>> anomalous_steps(6, [Segment("frozen", 2, 4)]).tolist()
    [False, False, True, True, True, False]
    """
    steps = np.zeros(frames, bool)
    for segment in segments:
        steps[segment.begin : segment.end + 1] = True
    return steps
