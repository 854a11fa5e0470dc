"""Clips of video with a class, decoded when they are needed.

A source checks its fields when it is made and reads when it is called, so that a finished run can
be used where its data are gone.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np

from lstm_jax.config import Fraction, NonNegativeInt, PositiveInt, Range, Seed, register
from lstm_jax.data.class_folders import class_files
from lstm_jax.data.held_out import SPLITS, path_field, require_paths
from lstm_jax.data.labelled_series import hold_out_of_every_class
from lstm_jax.data.motions import MOTIONS, draw_motion
from lstm_jax.data.moving_mnist import blobs, read_digits
from lstm_jax.data.processes import Ahead
from lstm_jax.data.video_files import Broken, FrameSize, read_clip, spread_evenly, usable
from lstm_jax.errors import UserError

_DIGIT = 28


def _not_ahead(rows: Sequence[int]) -> None:
    del rows


class Clips(NamedTuple):
    """Clips that are made when they are asked for.

    Attributes:
      names: what each is called.
      labels: the class of each; empty if it is not known.
      load: the frames of a clip by its number, bytes [time, height, width, channels].
      notes: what is worth telling of them.
      begin: is told the numbers of the clips that are needed next, which may be made meanwhile.
    """

    names: Sequence[str]
    labels: Sequence[str]
    load: Callable[[int], np.ndarray]
    notes: Sequence[str] = ()
    begin: Callable[[Sequence[int]], None] = _not_ahead

    def take(self, rows: Sequence[int] | np.ndarray) -> "Clips":
        """Some of them."""
        chosen = [int(row) for row in rows]
        names, labels = ([known[row] for row in chosen] for known in (self.names, self.labels))
        return Clips(
            names,
            labels,
            lambda row: self.load(chosen[row]),
            begin=lambda rows: self.begin([chosen[row] for row in rows]),
        )


class ClipSource(NamedTuple):
    """Clips with a class.

    Attributes:
      size: of a frame.
      frames: the most in a clip.
      read: the clips of every split.
      read_file: those of a video, or of the videos of a folder: `(where, path) -> clips`.
    """

    size: FrameSize
    frames: int
    read: Callable[[], Mapping[str, Clips]]
    read_file: Callable[[str, Path], Clips]


@register("clip_source")
def clip_folders(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.2,
    split_seed: Seed = 0,
    frames: PositiveInt = 16,
    height: PositiveInt = 112,
    width: PositiveInt = 112,
    color: Literal["rgb", "grey"] = "rgb",
    broken: Broken = "refuse",
    processes: NonNegativeInt = 0,
) -> ClipSource:
    """A folder with a folder for each class, and in it a video file for each clip.

    A clip is as many frames as `frames`, evenly spread over the video; all, of a shorter one.

    Args:
      path: folders of class folders, separated by commas.
      validation_path: those of the validation split, none to take a share of `path`.
      test_path: those of the test split, none to take a share of `path`.
      validation_share: share of the clips for validation, without folders of its own.
      test_share: share of the clips for the test, without folders of its own.
      split_seed: of the draw of these shares, of every class alike.
      frames: of a clip.
      height: of a frame, pixels; it is scaled to cover height and width, and its middle taken.
      width: of a frame, pixels.
      color: whether frames are in colour.
      broken: whether a file that is no whole video is refused, or skipped and counted.
      processes: that decode, of their own, the clips of the next batch among them; 0 for none.

    Raises:
      ConfigError: no folder is named, or the shares leave nothing to train on.
      UserError: when it is called: a folder or file cannot be used.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    taken = require_paths(paths, {"validation": validation_share, "test": test_share})
    size = FrameSize(height, width, 3 if color == "rgb" else 1)

    def read() -> Mapping[str, Clips]:
        found = {
            split: clips_of_files(
                path_field(split), _labelled_files(split, roots), size, frames, broken, processes
            )
            for split, roots in paths.items()
            if roots
        }
        whole = found["train"]
        rows = hold_out_of_every_class(whole.labels, taken, split_seed)
        found |= {split: whole.take(chosen) for split, chosen in rows.items()}
        found["train"] = found["train"]._replace(notes=whole.notes)
        for split in SPLITS:
            if split not in found or not found[split].names:
                raise UserError(
                    f"data: the {split} split has no clip: name data for it, or a share"
                )
        return {split: found[split] for split in SPLITS}

    def read_file(where: str, file: Path) -> Clips:
        return read_videos(where, file, size, frames, broken, processes)

    return ClipSource(size, frames, read, read_file)


def _labelled_files(split: str, roots: Sequence[str]) -> list[tuple[Path, str]]:
    folders = [Path(name).expanduser() for name in roots]
    found = [class_files(path_field(split), root, _visible, "file", hidden=".") for root in folders]
    return [one for files in found for one in files]


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _files_below(root: Path) -> list[Path]:
    entries = _visible(root)
    return [
        file for entry in entries for file in (_files_below(entry) if entry.is_dir() else [entry])
    ]


def read_videos(
    where: str, path: Path, size: FrameSize, frames: int, broken: Broken, processes: int = 0
) -> Clips:
    """The clip of a video, or those of the videos of a folder and of those in it, without labels.

    Raises:
      UserError: a file cannot be read and is to be refused, or none can, or there is none.
    """
    files = _files_below(path) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{where}: {path} holds no file")
    return clips_of_files(where, [(one, "") for one in files], size, frames, broken, processes)


def clips_of_files(
    where: str,
    files: Sequence[tuple[Path, str]],
    size: FrameSize,
    frames: int,
    broken: Broken,
    processes: int = 0,
) -> Clips:
    """Clips of video files with their labels: frames evenly spread over each.

    Args:
      where: what named the files, for messages.
      files: each with its label.
      size: of a frame.
      frames: the most of a clip.
      broken: whether a file that is no whole video is refused, or skipped and counted.
      processes: that decode; 0 for this one alone.

    Raises:
      UserError: a file cannot be read and is to be refused, or none can.
    """
    counts, notes = usable(where, [file for file, _ in files], broken, processes)
    kept = [(file, label) for file, label in files if file in counts]
    names, labels = [str(file) for file, _ in kept], [label for _, label in kept]

    def decode(row: int) -> Callable[[], np.ndarray]:
        file = kept[row][0]
        chosen = spread_evenly(counts[file], min(frames, counts[file]))
        return functools.partial(read_clip, where, file, size, chosen.tolist())

    if not processes:
        return Clips(names, labels, lambda row: decode(row)(), notes)
    ahead = Ahead(decode, processes)
    return Clips(names, labels, ahead.load, notes, ahead.begin)


@register("clip_source")
def digit_motions(
    *,
    size: Annotated[int, Range(40)] = 2000,
    held_out: Annotated[int, Range(8)] = 400,
    frames: Annotated[int, Range(4)] = 16,
    side: Annotated[int, Range(_DIGIT)] = 64,
    data_dir: str | None = None,
    train: str = "train[:55000]",
    validation: str = "train[55000:]",
    test: str = "test",
) -> ClipSource:
    """Generated clips of handwritten digits that move; the class is the shape of the path.

    See `lstm_jax.data.motions`. Digits of MNIST are real, what they do is generated. Those of the
    held-out splits are not trained on. They are read through `tfds.data_source`, which needs
    Pillow; no TensorFlow.

    Args:
      size: clips to train on.
      held_out: clips of validation, and of the test.
      frames: of a clip.
      side: of a frame, pixels.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      train: split of MNIST whose digits are trained on, in TFDS's own words for splits.
      validation: split of the validation digits.
      test: split of the test digits.

    Raises:
      UserError: when it is called: the dataset or a split cannot be read here.
    """
    names = {"train": train, "validation": validation, "test": test}
    counts = {"train": size, "validation": held_out, "test": held_out}
    return _generated(lambda split: read_digits(names[split], data_dir)[0], counts, frames, side)


@register("clip_source")
def stroke_motions(
    *, size: Annotated[int, Range(40)] = 160, frames: Annotated[int, Range(4)] = 8,
    side: Annotated[int, Range(8)] = 24,
) -> ClipSource:  # fmt: skip
    """Generated strokes that move as the digits of `digit_motions`, to try a config without data.

    >>> clips = stroke_motions(size=40, side=16).read()["train"]
    >>> clips.labels[:3], clips.load(2).shape
    (['left', 'right', 'up'], (8, 16, 16, 1))

    Args:
      size: clips to train on; a quarter as many each for validation and test.
      frames: of a clip.
      side: of a frame, pixels; a stroke has two fifths of it.
    """
    seeds = {"train": 0, "validation": 1, "test": 2}
    counts = {"train": size, "validation": size // 4, "test": size // 4}

    def shapes(split: str) -> np.ndarray:
        return blobs(np.random.default_rng(seeds[split]), 50, 2 * side // 5)

    return _generated(shapes, counts, frames, side)


def _generated(
    shapes_of: Callable[[str], np.ndarray], counts: Mapping[str, int], frames: int, side: int
) -> ClipSource:
    def clips(split: str) -> Clips:
        shapes = shapes_of(split)
        labels = [MOTIONS[row % len(MOTIONS)] for row in range(counts[split])]

        def load(row: int) -> np.ndarray:
            random = np.random.default_rng((SPLITS.index(split), row))
            return draw_motion(random, labels[row], shapes, frames, side)

        return Clips([f"{split} {row}" for row in range(len(labels))], labels, load)

    return generated_clips(clips, frames, side)


def generated_clips(clips_of: Callable[[str], Clips], frames: int, side: int) -> ClipSource:
    """A source of clips that are drawn for each split, and of a user's own videos beside them.

    Args:
      clips_of: draws the clips of a split.
      frames: of a clip.
      side: of a frame, pixels; it is grey.
    """
    size = FrameSize(side, side, 1)

    def read_file(where: str, file: Path) -> Clips:
        """A user's own videos, as grey squares of this size."""
        return read_videos(where, file, size, frames, "refuse")

    return ClipSource(size, frames, lambda: {split: clips_of(split) for split in SPLITS}, read_file)
