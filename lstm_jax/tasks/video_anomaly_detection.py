"""Anomalies of a video: steps that a forecaster of its frames did not expect."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.config import register, values_of, write_atomically
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.data.memory_problem import ArrayBatches
from lstm_jax.data.video_anomalies import VIDEO_ANOMALIES, Segment, anomalous_steps
from lstm_jax.errors import UserError
from lstm_jax.json_files import read_json
from lstm_jax.models.frame_forecaster import FrameForecaster, apply, brightness
from lstm_jax.tasks.anomaly_scores import detection, moving_mean, roc_auc
from lstm_jax.tasks.frame_prediction import PlaneOptions
from lstm_jax.tasks.frame_scores import squared_error
from lstm_jax.tasks.task import (
    FLOAT32,
    Array,
    Batch,
    Compute,
    Dataset,
    Learner,
    Metric,
    Sums,
    no_carry,
)
from lstm_jax.tasks.video_anomaly_figures import draw_detection
from lstm_jax.tasks.video_anomaly_options import AnomalousVideo, VideoAnomalyScore

METRICS = (
    Metric("mse", "squared error of the next frame", decimals=3),
    Metric("loss", "nats of a frame", decimals=2),
    Metric("copy_mse", "squared error of the frame before it", decimals=3),
)
_NORMAL, _FIGURES = "normal.json", "anomalies.json"
_TOGETHER = "together"  # a step scores what the method that finds it odder says
_COPY = "copy of the frame before"
_LEAST = 1e-6  # squared error of a frame whose logarithm is finite: that of a copy is 0


class Errors(NamedTuple):
    """Squared errors of all frames from `context` on.

    Attributes:
      forecast: of the network.
      copy: of the frame before each.
    """

    forecast: np.ndarray
    copy: np.ndarray


class _Judged(NamedTuple):
    """The scores of the steps of the test by one method."""

    scores: np.ndarray
    threshold: float


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class video_anomaly_detection:
    """Detection of anomalous moments of a video.

    A forecaster of the next frame learns from the first part of a video what is normal in it.

    Attributes:
      data: the video.
      model: the network.
      score: what is a score, and from which on it is an alarm.
    """

    data: AnomalousVideo
    model: PlaneOptions
    score: VideoAnomalyScore

    def __post_init__(self) -> None:
        self.model.require_fit(self.data.source.size)

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the video and cuts it; nothing of it is needed later."""
        del assets
        data, found = self.data, self.data.splits()
        data.injected(found["test"])  # whether anomalies have room is told before any work
        train = self._windows(found["train"], 1, data.batch_size, data.seed)
        stride = data.window - data.context  # every frame from the first context on counts once
        splits = {
            split: self._windows(frames, stride, data.evaluation_batch_size)
            for split, frames in found.items()
        }
        counts = ", ".join(f"{len(frames):,} {split}" for split, frames in found.items())
        dataset = Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("frames", float(data.batch_size * data.window)),
            fingerprint=joint_fingerprint((train, *splits.values())),
            notes=[f"frames: {counts}"],
        )
        return self._learner(compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner."""
        del assets
        return self._learner(compute)

    def network(self, compute: Compute = FLOAT32) -> FrameForecaster:
        """The Flax module: it forecasts every frame from those before it."""
        return FrameForecaster(
            channels=self.data.source.size.channels,
            feedback=True,
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """The squared error of the frame before each."""
        del assets
        found = self.data.splits()
        return {
            _COPY: {
                split: float(_copy_errors(found[split])[self.data.context - 1 :].mean())
                for split in ("validation", "test")
            }
        }

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """What `draw` found of the anomalies put into the test, as JSON."""
        del params, seed
        return (assets / _FIGURES).read_text(encoding="utf-8").strip()

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Sets the threshold by the validation frames; draws errors and scores over time."""
        validation = self.errors(params, self.data.splits()["validation"])
        normal = self._normal(validation)
        write_atomically(assets / _NORMAL, json.dumps(normal, indent=2) + "\n")
        told, errors, judged, segments = self._found(assets, params)
        for folder in (assets, figures):
            write_atomically(folder / _FIGURES, json.dumps(told, indent=2) + "\n")
        draw_detection(
            {name: getattr(errors, name) for name in Errors._fields},
            {name: (one.scores, one.threshold) for name, one in judged.items()},
            segments,
            self.data.context,
            figures / "anomalies.png",
        )

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The score of every frame of a video behind the first context, and whether it alarms."""
        frames = self.data.source.read_file("--input", Path(path).expanduser())
        if len(frames) <= self.data.context:
            raise UserError(
                f"--input: {path} has {len(frames)} frame(s); more than {self.data.context} "
                "are needed"
            )
        judged = self._judge(assets, self.errors(params, frames))[_TOGETHER]
        for frame, score in enumerate(judged.scores.tolist(), start=self.data.context + 1):
            yield {"frame": frame, "score": score, "anomaly": int(score > judged.threshold)}

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "score the frames of a video, with --input=file"}

    def errors(self, params: Any, frames: np.ndarray) -> Errors:
        """The squared error of every frame from `context` on, and of the frame before it."""
        window, context = self.data.window, self.data.context
        stride = window - context
        # The last window is filled up; what is said of frames that are not there is left out.
        missing = -(len(frames) - context) % stride
        filled = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        batches = self._windows(filled, stride, self.data.evaluation_batch_size)
        network, found = self.network(), []
        for i in range(len(batches)):
            batch = batches[i]
            errors = np.asarray(_squared_errors(network, params, batch["frames"]))
            found.append(errors[batch["valid"], context - 1 :].ravel())
        forecast = np.concatenate(found)[: len(frames) - context]
        return Errors(forecast, _copy_errors(frames)[context - 1 :])

    def _found(
        self, assets: Path, params: Any
    ) -> tuple[dict[str, Any], Errors, dict[str, _Judged], list[Segment]]:
        """What is told of the test with its anomalies, and what it is told from."""
        changed, segments = self.data.injected(self.data.splits()["test"])
        errors, context = self.errors(params, changed), self.data.context
        judged = self._judge(assets, errors)
        truth = anomalous_steps(len(changed), segments)[context:]
        told: dict[str, Any] = {"steps": len(truth), "anomalous steps": int(truth.sum())}
        for name, one in judged.items():
            told[name] = {"threshold": one.threshold}
            told[name] |= detection(one.scores, truth, one.threshold)
            for kind in VIDEO_ANOMALIES:
                of_kind = [segment for segment in segments if segment.kind == kind]
                if of_kind:
                    told[name] |= _of_kind(kind, of_kind, one, truth, context)
        return told, errors, judged, segments

    def _normal(self, errors: Errors) -> dict[str, dict[str, float]]:
        """Of the errors of normal frames: where their logarithms lie, and the thresholds."""
        normal: dict[str, dict[str, float]] = {_TOGETHER: {}}
        for name, values in errors._asdict().items():
            logs = np.log(np.maximum(values, _LEAST))
            normal[name] = {"mean": float(logs.mean()), "deviation": max(float(logs.std()), _LEAST)}
        for name, scores in self._scores(errors, normal).items():
            normal[name]["threshold"] = float(np.quantile(scores, 1 - self.score.false_alarms))
        return normal

    def _judge(self, assets: Path, errors: Errors) -> dict[str, _Judged]:
        """The scores of the steps by each method, and by both together, with the thresholds."""
        try:
            normal = {
                name: {k: float(v) for k, v in found.items()}
                for name, found in read_json(assets / _NORMAL).items()
            }
            scores = self._scores(errors, normal)
            return {name: _Judged(scores[name], normal[name]["threshold"]) for name in scores}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{assets / _NORMAL} holds no threshold, which a run has at its end ({error})"
            ) from None

    def _scores(
        self, errors: Errors, normal: Mapping[str, Mapping[str, float]]
    ) -> dict[str, np.ndarray]:
        scores = {}
        for name, values in errors._asdict().items():
            logs = np.log(np.maximum(values, _LEAST))
            apart = (logs - normal[name]["mean"]) / normal[name]["deviation"]
            apart = np.abs(apart) if self.score.sides == "both" else apart
            scores[name] = moving_mean(apart, self.score.smoothing)
        # What stands still a copy finds, what moves as nothing moves the network.
        return {_TOGETHER: np.maximum(scores["forecast"], scores["copy"]), **scores}

    def _windows(
        self, frames: np.ndarray, stride: int, batch_size: int, seed: int | None = None
    ) -> ArrayBatches:
        """Windows of consecutive frames; with a seed in an order of its own every epoch."""
        window = np.arange(self.data.window)

        def cut(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"frames": frames[rows["first"][:, None] + window]}

        first = np.arange(0, len(frames) - self.data.window + 1, stride)
        return ArrayBatches({"first": first}, batch_size=batch_size, seed=seed, finish=cut)

    def _learner(self, compute: Compute) -> Learner:
        network, size = self.network(compute), self.data.source.size

        def init(key: Array) -> Any:
            return network.init(key, jnp.zeros((1, 1, *size), jnp.uint8), 1)["params"]

        loss = functools.partial(_loss, network, self.data.context)
        return Learner(init, no_carry, loss, _summarize, METRICS, weight="frames")


def _of_kind(
    kind: str, segments: list[Segment], judged: _Judged, truth: np.ndarray, context: int
) -> dict[str, Any]:
    """The area under the curve of one kind beside all that is normal, and how many alarmed."""
    own = anomalous_steps(len(truth) + context, segments)[context:]
    alarms = judged.scores > judged.threshold
    hits = [alarms[s.begin - context : s.end + 1 - context].any() for s in segments]
    beside = own | ~truth
    return {
        f"roc_auc of {kind}": roc_auc(judged.scores[beside], own[beside]),
        f"found of {kind}": f"{sum(hits)} of {len(hits)}",
    }


def _loss(
    network: FrameForecaster,
    context: int,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array | None,
) -> tuple[Array, Any, Sums]:
    """The cross-entropy of the brightness of every frame behind the context."""
    del key
    frames = batch["frames"] / jnp.float32(255)
    logits = apply(network, params, batch["frames"][:, :-1], 1)[:, context - 1 :]
    before, true = frames[:, context - 1 : -1], frames[:, context:]
    entropy = optax.sigmoid_binary_cross_entropy(logits, true)
    of_frames = {
        "nats": jnp.sum(entropy, axis=(-3, -2, -1)),
        "squares": squared_error(jax.lax.stop_gradient(brightness(logits)), true),
        "copy_squares": squared_error(before, true),
        "frames": jnp.ones(true.shape[:2]),
    }
    sums = {name: jnp.sum(x, where=batch["valid"][:, None]) for name, x in of_frames.items()}
    return sums["nats"] / jnp.maximum(sums["frames"], 1), carry, sums


def _summarize(sums: Mapping[str, float]) -> dict[str, float]:
    of = {name: value / sums["frames"] for name, value in sums.items()}
    return {"mse": of["squares"], "loss": of["nats"], "copy_mse": of["copy_squares"]}


@functools.partial(jax.jit, static_argnums=0)
def _squared_errors(network: FrameForecaster, params: Any, frames: Array) -> Array:
    """Of every frame but the first of each window [batch, window - 1]."""
    found = brightness(apply(network, params, frames[:, :-1], 1))
    return squared_error(found, frames[:, 1:] / jnp.float32(255))


def _copy_errors(frames: np.ndarray) -> np.ndarray:
    """The squared error of the frame before, of all but the first."""
    x = frames / np.float32(255)
    return np.square(np.diff(x, axis=0)).sum(axis=(-3, -2, -1))
