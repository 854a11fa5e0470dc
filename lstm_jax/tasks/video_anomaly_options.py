"""What the detection of anomalies in a video is told: the video, and what is an alarm."""

import dataclasses
import functools
from typing import Literal

import numpy as np

from lstm_jax.config import Fraction, PositiveInt, Seed, part_of
from lstm_jax.data.video_anomalies import Segment, inject_into_video
from lstm_jax.data.video_sources import VideoSource, cut_by_time
from lstm_jax.errors import ConfigError, UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalousVideo:
    """A video cut by time into training, validation and test, and what is put into the test.

    Attributes:
      source: where the video comes from.
      validation_share: share of the frames for validation, behind those to train on.
      test_share: share of the frames for the test, the last ones.
      window: frames of a training example.
      context: frames read before the first one that is forecast.
      batch_size: windows in a step.
      evaluation_batch_size: windows in a batch of an evaluation.
      anomalies: how many are put into the test; see `lstm_jax.data.video_anomalies`.
      shortest: frames of the shortest anomaly.
      longest: frames of the longest.
      seed: of the order of the windows; the anomalies do not depend on it.
    """

    source: VideoSource = part_of("video_source", "video_file", inline=True)
    validation_share: Fraction = 0.15
    test_share: Fraction = 0.35
    window: PositiveInt = 16
    context: PositiveInt = 4
    batch_size: PositiveInt = 8
    evaluation_batch_size: PositiveInt = 8
    anomalies: PositiveInt = 6
    shortest: PositiveInt = 10
    longest: PositiveInt = 16
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.context >= self.window:
            raise ConfigError(
                f"context: must be below the window's {self.window} frames, got {self.context}"
            )
        if self.longest < self.shortest:
            raise ConfigError(
                f"longest: must not be below shortest, {self.shortest}, got {self.longest}"
            )
        if self.validation_share + self.test_share >= 1:
            raise ConfigError("validation_share and test_share together must be below 1")

    @functools.cached_property
    def video(self) -> np.ndarray:
        """All frames, which a command decodes once."""
        return self.source.read()

    def splits(self) -> dict[str, np.ndarray]:
        """The frames of every split, in the order of time, without anomalies.

        Raises:
          UserError: a split has no window.
        """
        video = self.video
        found = cut_by_time(video, {"validation": self.validation_share, "test": self.test_share})
        for split, frames in found.items():
            if len(frames) < self.window:
                raise UserError(
                    f"data.source: {len(video):,} frames are too few: the {split} split has "
                    f"{len(frames):,}, and a window {self.window}"
                )
        return found

    def injected(self, test: np.ndarray) -> tuple[np.ndarray, list[Segment]]:
        """The test's frames with anomalies, always the same ones."""
        try:
            return inject_into_video(
                test,
                self.anomalies,
                (self.shortest, self.longest),
                self.context,
                np.random.default_rng(0),
            )
        except ValueError as error:
            raise UserError(f"data.anomalies: {error}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoAnomalyScore:
    """What the score of a step from one frame to the next is, and when it is an alarm.

    Attributes:
      sides: "above": how far the logarithm of the frame's squared error lies above that of normal
        validation frames, in their deviations; "both": how far it lies above or below, since what
        stands still where something should move has too small an error. The error of a copy of the
        frame before is scored alike, and the larger score counts.
      smoothing: steps around each whose mean is its score.
      false_alarms: share of the normal validation scores that lie above the threshold.
    """

    sides: Literal["above", "both"] = "both"
    smoothing: PositiveInt = 3
    false_alarms: Fraction = 0.05
