"""Frames of video files through PyAV, one after another: a file's length does not cost memory.

PyAV (the package `av`) carries FFmpeg and is the extra `[video]`. FFmpeg also reads play lists and
text, and some of its formats open other files; here it may open containers of video alone, and
nothing but the file that was named.
"""

import errno
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from lstm_jax.data.processes import in_order, pool
from lstm_jax.errors import UserError

Broken = Literal["refuse", "skip"]
_CONTAINERS = "avi,mov,mp4,matroska,webm,mpeg,mpegts,mpegvideo,m4v,flv,ogg,gif,asf"
_ONLY = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
_TOLD = 3  # files that a note names


class FrameSize(NamedTuple):
    """What every frame is made.

    Attributes:
      height: pixels.
      width: pixels.
      channels: 3 for red, green and blue, 1 for grey.
    """

    height: int
    width: int
    channels: int = 3


def count_frames(where: str, file: Path) -> int:
    """How many frames a file holds; its packets are counted, which takes no decoding but of one.

    Args:
      where: what named the file, for messages.
      file: the file.

    Raises:
      UserError: it cannot be read, is empty, holds no video, or ends before what its header
        promises.
    """
    with _opened(where, file) as container:
        stream = container.streams.video[0]
        promised = stream.frames  # 0 where the container does not say
        count = sum(1 for packet in _told(where, file, container.demux(stream)) if packet.size)
    if not count:
        raise UserError(f"{where}: {file} holds no frame")
    if count < promised:
        raise UserError(
            f"{where}: {file} is truncated: {count:,} of its {promised:,} frames are there"
        )
    next(read_frames(where, file, FrameSize(16, 16)))  # of a codec that FFmpeg has
    return count


def read_frames(where: str, file: Path, size: FrameSize) -> Iterator[np.ndarray]:
    """The frames of a file in order, bytes [height, width, channels]; one is kept at a time.

    A frame is turned as the file says that it is shown, by quarters, scaled until it covers the
    size, and its middle is taken.

    Args:
      where: what named the file, for messages.
      file: the file.
      size: of the frames.

    Raises:
      UserError: the file cannot be read, or, when the iterator is there, a frame cannot.
    """
    with _opened(where, file) as container:
        for frame in _told(where, file, container.decode(video=0)):
            yield _fitted(frame, size)


def read_clip(where: str, file: Path, size: FrameSize, chosen: Sequence[int]) -> np.ndarray:
    """Chosen frames of a file, bytes [chosen, height, width, channels].

    Args:
      where: what named the file, for messages.
      file: the file.
      size: of the frames.
      chosen: their numbers, from 0, rising; one may come several times.

    Raises:
      UserError: the file cannot be read, or ends before the last of them.
    """
    clip = np.zeros((len(chosen), *size), np.uint8)
    found = 0
    with _opened(where, file) as container:
        for number, frame in enumerate(_told(where, file, container.decode(video=0))):
            # Only what is kept is scaled, which takes longer than to decode.
            while found < len(chosen) and chosen[found] == number:
                clip[found] = _fitted(frame, size)
                found += 1
            if found == len(chosen):
                return clip
    raise UserError(
        f"{where}: {file} breaks off: frame {chosen[found]} is needed and cannot be decoded"
    )


def spread_evenly(count: int, wanted: int) -> np.ndarray:
    """The numbers of frames at equal distances, the middle one of each of as many equal parts.

    >>> spread_evenly(10, 5).tolist(), spread_evenly(2, 3).tolist()
    ([1, 3, 5, 7, 9], [0, 1, 1])
    """
    return ((np.arange(wanted) + 0.5) * count / wanted).astype(int)


def usable(
    where: str, files: Sequence[Path], broken: Broken, processes: int = 0
) -> tuple[dict[Path, int], list[str]]:
    """The files that can be read with how many frames each has, and what is worth telling.

    Args:
      where: what named the files, for messages.
      files: the files.
      broken: whether one that cannot be read is refused, or skipped and counted.
      processes: how many look at them; 0 for this one alone.

    Raises:
      UserError: a file cannot be read and is to be refused, or none can.
    """
    found: dict[Path, int] = {}
    skipped: list[str] = []
    look = functools.partial(_frames_or_error, where)
    looks = in_order(look, files, pool(processes), 4 * processes) if processes else map(look, files)
    for file, seen in zip(files, looks, strict=True):
        if isinstance(seen, int):
            found[file] = seen
            continue
        if broken == "refuse":
            # Of `predict` no field of a config can be set.
            way_out = "" if where.startswith("--") else " (data.broken=skip leaves such files out)"
            raise UserError(f"{seen}{way_out}")
        skipped.append(str(seen).removeprefix(f"{where}: "))
    if not found:
        raise UserError(f"{where}: none of {len(files):,} files can be read; {skipped[0]}")
    if not skipped:
        return found, []
    more = f"; and {len(skipped) - _TOLD:,} more" if len(skipped) > _TOLD else ""
    told = "; ".join(skipped[:_TOLD])
    return found, [f"{len(skipped):,} of {len(files):,} files were skipped: {told}{more}"]


def _frames_or_error(where: str, file: Path) -> int | UserError:
    try:
        return count_frames(where, file)
    except UserError as error:
        return error


def _opened(where: str, file: Path) -> Any:
    """A container with video in it, open."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"{where}: video needs PyAV, which cannot be imported ({error}); "
            "pip install 'lstm_jax[video]'"
        ) from None
    try:
        if file.stat().st_size == 0:
            raise UserError(f"{where}: {file} is empty")
        container = av.open(str(file.absolute()), options=dict(_ONLY))
    except (OSError, av.FFmpegError) as error:
        raise UserError(f"{where}: {file} is no video that can be read ({_why(error)})") from None
    if not container.streams.video:
        container.close()
        raise UserError(f"{where}: {file} holds no video")
    return container


def _told(where: str, file: Path, parts: Iterator[Any]) -> Iterator[Any]:
    """The parts; an error of FFmpeg's on the way is a sentence."""
    import av

    number = 0
    try:
        for number, part in enumerate(parts, start=1):  # noqa: B007
            yield part
    except av.FFmpegError as error:
        raise UserError(
            f"{where}: {file} breaks off after {number:,} frames ({_why(error)})"
        ) from None


def _why(error: Any) -> str:
    if error.errno == errno.EINVAL:  # what FFmpeg says of a format that may not be opened
        return f"it is none of {_CONTAINERS}"
    return str(error.strerror or error)


def _fitted(frame: Any, size: FrameSize) -> np.ndarray:
    # A phone writes what its sensor sees, and beside it how it was held.
    quarters = round(frame.rotation / 90) % 4  # anticlockwise
    if quarters % 2:
        size = FrameSize(size.width, size.height, size.channels)
    scale = max(size.height / frame.height, size.width / frame.width)
    height = max(size.height, round(frame.height * scale))
    width = max(size.width, round(frame.width * scale))
    form = "gray" if size.channels == 1 else "rgb24"
    # Every pixel counts for as much as it covers: plain interpolation would leave most of them out.
    scaled = frame.reformat(width=width, height=height, format=form, interpolation="AREA")
    top, left = (height - size.height) // 2, (width - size.width) // 2
    pixels = scaled.to_ndarray().reshape(height, width, size.channels)
    return np.rot90(pixels[top : top + size.height, left : left + size.width], quarters)
