"""Clips of video with a sentence each that says what happens, decoded when they are needed.

They are `Clips` whose labels are the sentences.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from lstm_jax.config import Fraction, NonNegativeInt, PositiveInt, Range, register
from lstm_jax.data.clips import Clips, ClipSource, clips_of_files, generated_clips, read_videos
from lstm_jax.data.files import read_text
from lstm_jax.data.held_out import SPLITS, path_field, read_splits, require_paths
from lstm_jax.data.moving_mnist import blobs, read_digits
from lstm_jax.data.stories import STORIES, draw_story, sentence
from lstm_jax.data.video_files import Broken, FrameSize
from lstm_jax.errors import UserError

_DIGIT = 28


@register("caption_source")
def captioned_videos(
    *,
    path: tuple[str, ...],
    validation_path: tuple[str, ...] = (),
    test_path: tuple[str, ...] = (),
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.1,
    frames: PositiveInt = 16,
    height: PositiveInt = 64,
    width: PositiveInt = 64,
    color: Literal["rgb", "grey"] = "rgb",
    broken: Broken = "refuse",
    processes: NonNegativeInt = 0,
) -> ClipSource:
    """Tables with a video a line: its file, a tab, and the sentence that says what happens.

    A file is named from the folder of its table. A clip is as many frames as `frames`, evenly
    spread over the video; all, of a shorter one. A video with several sentences stands in several
    lines, all of which are in one split.

    Args:
      path: tables in UTF-8, separated by commas.
      validation_path: those of the validation split, none to take a share of `path`.
      test_path: those of the test split, none to take a share of `path`.
      validation_share: share of the videos for validation, without tables of its own.
      test_share: share of the videos for the test, without tables of its own.
      frames: of a clip.
      height: of a frame, pixels; it is scaled to cover height and width, and its middle taken.
      width: of a frame, pixels.
      color: whether frames are in colour.
      broken: whether a file that is no whole video is refused, or skipped and counted.
      processes: that decode, of their own, the clips of the next batch among them; 0 for none.

    Raises:
      ConfigError: no table is named, or the shares leave nothing to train on.
      UserError: when it is called: a table or a video cannot be used.
    """
    paths = {"train": path, "validation": validation_path, "test": test_path}
    taken = require_paths(paths, {"validation": validation_share, "test": test_share})
    size = FrameSize(height, width, 3 if color == "rgb" else 1)

    def read_one(split: str, tables: tuple[str, ...]) -> list[tuple[str, str]]:
        rows = []
        for table in tables:
            rows += _read_table(path_field(split), Path(table).expanduser())
        return rows

    def read() -> Mapping[str, Clips]:
        found = {}
        for split, rows in read_splits(paths, taken, read_one).items():
            files = [(Path(name), text) for name, text in rows]
            found[split] = clips_of_files(path_field(split), files, size, frames, broken, processes)
        return found

    def read_file(where: str, file: Path) -> Clips:
        return read_videos(where, file, size, frames, broken, processes)

    return ClipSource(size, frames, read, read_file)


def _read_table(where: str, table: Path) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(read_text(where, table).split("\n"), start=1):
        if not line.strip():
            continue
        values = [value.strip() for value in line.split("\t")]
        if len(values) != 2 or not all(values):
            raise UserError(f"{where}: {table}, line {number}: is not a file, a tab and a sentence")
        rows.append((str(table.parent / values[0]), values[1]))
    return rows


@register("caption_source")
def digit_stories(
    *,
    size: Annotated[int, Range(40)] = 4000,
    held_out: Annotated[int, Range(8)] = 400,
    frames: Annotated[int, Range(4)] = 12,
    side: Annotated[int, Range(_DIGIT)] = 48,
    data_dir: str | None = None,
    train: str = "train[:55000]",
    validation: str = "train[55000:]",
    test: str = "test",
) -> ClipSource:
    """Generated clips of a handwritten digit that moves, and a sentence: which digit, and how.

    See `lstm_jax.data.stories`. Digits of MNIST are real, what they do and what is said of it is
    generated. Those of the held-out splits are not trained on. They are read through
    `tfds.data_source`, which needs Pillow; no TensorFlow.

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
    return _told(lambda split: read_digits(names[split], data_dir), counts, frames, side)


@register("caption_source")
def stroke_stories(
    *, size: Annotated[int, Range(40)] = 160, frames: Annotated[int, Range(4)] = 8,
    side: Annotated[int, Range(8)] = 16,
) -> ClipSource:  # fmt: skip
    """Generated strokes in place of the digits of `digit_stories`, to try a config without data.

    There are ten strokes, which go by the names of digits.

    >>> clips = stroke_stories(size=40).read()["train"]
    >>> clips.labels[7], clips.load(7).shape
    ('the digit zero moves down then up', (8, 16, 16, 1))

    Args:
      size: clips to train on; a quarter as many each for validation and test.
      frames: of a clip.
      side: of a frame, pixels; a stroke has half of it.
    """
    counts = {"train": size, "validation": size // 4, "test": size // 4}

    def shapes(split: str) -> tuple[np.ndarray, np.ndarray]:
        del split
        return blobs(np.random.default_rng(0), 10, side // 2), np.arange(10)

    return _told(shapes, counts, frames, side)


def _told(
    digits_of: Callable[[str], tuple[np.ndarray, np.ndarray]],
    counts: Mapping[str, int],
    frames: int,
    side: int,
) -> ClipSource:
    def clips(split: str) -> Clips:
        images, digits = digits_of(split)
        number = SPLITS.index(split)
        plans = []
        for row in range(counts[split]):
            random = np.random.default_rng((number, row))
            plans.append((random.integers(len(STORIES)), random.integers(len(images))))

        def load(row: int) -> np.ndarray:
            story, image = plans[row]
            random = np.random.default_rng((number, row, 1))
            return draw_story(random, STORIES[story], images[image], frames, side)

        labels = [sentence(int(digits[image]), STORIES[story]) for story, image in plans]
        return Clips([f"{split} {row}" for row in range(len(labels))], labels, load)

    return generated_clips(clips, frames, side)
