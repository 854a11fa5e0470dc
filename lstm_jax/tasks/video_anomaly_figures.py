"""A picture of what a detector of anomalies found in a video."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lstm_jax.data.video_anomalies import VIDEO_ANOMALIES, Segment

_NAMES = {
    "together": "the larger score of both",
    "forecast": "forecaster",
    "copy": "copy of the frame before",
}


def draw_detection(
    errors: Mapping[str, np.ndarray],
    scores: Mapping[str, tuple[np.ndarray, float]],
    segments: Sequence[Segment],
    context: int,
    path: Path,
) -> None:
    """Draws errors over time, and below them the scores of each method with its threshold.

    Args:
      errors: squared errors of frames, by method.
      scores: scores of frames and the threshold, by method.
      segments: where anomalies are.
      context: frames in front of the first one that has an error.
      path: the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3 + 2.2 * len(scores)), layout="constrained")
    FigureCanvasAgg(figure)
    first, *others = figure.subplots(1 + len(scores), 1, sharex=True)
    _shade(first, segments)
    for name, values in errors.items():
        # A copy of a frozen frame has no error, which has no place on the axis.
        frames = np.arange(context, context + len(values))
        first.plot(frames, np.where(values > 0, values, np.nan), label=_NAMES[name], linewidth=1)
    first.set(yscale="log", ylabel="squared error")
    first.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=5)
    for axes, (name, (values, threshold)) in zip(others, scores.items(), strict=True):
        _shade(axes, segments)
        axes.plot(np.arange(context, context + len(values)), values, color="black", linewidth=1)
        axes.axhline(threshold, color="black", linestyle="--", linewidth=0.8)
        axes.set(ylabel="score, deviations", title=_NAMES[name])
        axes.set_ylim(top=min(values.max(), 5 * threshold) * 1.05)
    others[-1].set_xlabel("frame of the test; dashed: the threshold of validation")
    figure.savefig(path, dpi=100)


def _shade(axes, segments: Sequence[Segment]) -> None:
    told = set()
    for segment in segments:
        color = f"C{3 + list(VIDEO_ANOMALIES).index(segment.kind)}"
        label = None if segment.kind in told else segment.kind
        axes.axvspan(segment.begin, segment.end, color=color, alpha=0.25, label=label)
        told.add(segment.kind)
