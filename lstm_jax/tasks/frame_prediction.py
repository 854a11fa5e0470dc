"""Forecasts of frames: what comes next in a video."""

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logit

from lstm_jax.cells import Cell
from lstm_jax.config import LayerCount, PositiveInt, Seed, part_of, register, values_of
from lstm_jax.data.frame_sources import FrameSource
from lstm_jax.data.loader import RandomAccess
from lstm_jax.data.memory_problem import MemoryBatches, Sizes
from lstm_jax.data.video_files import FrameSize, read_frames
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.frame_forecaster import FrameForecaster, apply, brightness
from lstm_jax.tasks.frame_figures import draw_errors, draw_filmstrips, write_animation
from lstm_jax.tasks.frame_scores import squared_error, ssim
from lstm_jax.tasks.sized_cell import sized_cell
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

METRICS = (
    Metric("mse", "squared error of a frame", decimals=2),
    Metric("ssim", "structural similarity", lower_is_better=False, decimals=4),
    Metric("loss", "nats of a frame", decimals=1),
    Metric("copy_mse", "squared error of the last frame seen", decimals=2),
    Metric("copy_ssim", "structural similarity of the last frame seen", decimals=4),
)
_COPY = "copy of the last frame seen"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameData:
    """Where frames come from and how they become batches.

    Attributes:
      source: where sequences come from.
      seen: frames of a sequence that are read.
      forecast: frames behind them that are forecast.
      batch_size: sequences in a step.
      evaluation_batch_size: sequences in a batch of an evaluation.
      evaluation_examples: sequences of every held-out split, where they are drawn.
      epoch_batches: batches that are called an epoch, where sequences are drawn.
      seed: of the training sequences; held-out ones do not depend on it.
    """

    source: FrameSource = part_of("frame_source", "moving_mnist", inline=True)
    seen: PositiveInt = 10
    forecast: PositiveInt = 10
    batch_size: PositiveInt = 16
    evaluation_batch_size: PositiveInt = 16
    evaluation_examples: PositiveInt = 256
    epoch_batches: PositiveInt = 100
    seed: Seed = 0

    def splits(self) -> dict[str, MemoryBatches]:
        """The batches of every split."""
        sizes = Sizes(
            self.batch_size,
            self.evaluation_batch_size,
            self.epoch_batches,
            self.evaluation_examples,
            (),
            self.seed,
        )
        return self.source.make(sizes, self.seen + self.forecast)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlaneOptions:
    """A network of layers that lie in a plane.

    Attributes:
      cell: the recurrent cell of every layer, one that lies in a plane.
      hidden_size: memory cells of each layer at every place.
      num_layers: layers of the encoder, and of the forecaster.
      patch: side of the squares of pixels that are a place each; it divides the sides of a frame.
      residual: whether outputs are added to the last frame read, and say what changes.
    """

    cell: Callable[[int], Cell] = part_of("cell", "conv_lstm")
    hidden_size: PositiveInt = 64
    num_layers: LayerCount = 2
    patch: PositiveInt = 4
    residual: bool = False

    def __post_init__(self) -> None:
        axes = sized_cell(self.cell, self.hidden_size).input_axes
        if axes != 3:
            raise ConfigError(
                "cell: a cell that lies in a plane is needed, such as conv_lstm of 2 dimensions; "
                f"the inputs of this one have {axes} axes each, and not 3"
            )

    def require_fit(self, size: FrameSize) -> None:
        """Refuses a patch that does not divide the sides of a frame."""
        if size.height % self.patch or size.width % self.patch:
            raise ConfigError(
                f"model.patch: must divide the frames' {size.height} by {size.width} pixels, "
                f"got {self.patch}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameModelOptions(PlaneOptions):
    """The network.

    Attributes:
      cell: the recurrent cell of every layer, one that lies in a plane.
      hidden_size: memory cells of each layer at every place.
      num_layers: layers of the encoder, and of the forecaster.
      patch: side of the squares of pixels that are a place each; it divides the sides of a frame.
      residual: whether outputs are added to the last frame read, and say what changes.
      feedback: whether encoder and forecaster are one network that reads its own forecasts; it
        then also learns from the frames that are seen.
    """

    feedback: bool = False


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class frame_prediction:
    """Forecasts of frames.

    Attributes:
      data: the sequences.
      model: the network.
    """

    data: FrameData
    model: FrameModelOptions

    def __post_init__(self) -> None:
        self.model.require_fit(self.data.source.size)

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Makes the batches; nothing of them is needed later."""
        del assets
        data = self.data
        splits = data.splits()
        digest = hashlib.sha256(f"{data.seen} {data.forecast}".encode())
        for name, batches in splits.items():
            digest.update(f"{name} {batches.fingerprint()}".encode())
        dataset = Dataset(
            train=splits.pop("train"),
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("frames", float(data.batch_size * (data.seen + data.forecast))),
            fingerprint=digest.hexdigest(),
        )
        mean = float(np.mean(dataset.train[0]["frames"])) / 255
        return self._learner(compute, float(logit(np.clip(mean, 0.01, 0.99)))), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner."""
        del assets
        return self._learner(compute)

    def network(self, compute: Compute = FLOAT32, first_logit: float = 0.0) -> FrameForecaster:
        """The Flax module."""
        return FrameForecaster(
            channels=self.data.source.size.channels,
            first_logit=first_logit,
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """The squared error of frames that stay as the last one seen."""
        del assets
        splits = self.data.splits()
        return {
            _COPY: {
                split: _error_of_copies(splits[split], self.data.seen)
                for split in splits
                if split != "train"
            }
        }

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` shows the forecasts."""
        del assets, params, seed
        return ""

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Filmstrips and an animation of test sequences, and the error frame by frame."""
        del assets
        batch = self.data.splits()["test"][0]
        frames = batch["frames"][batch["valid"]]
        seen, coming = frames[:, : self.data.seen], frames[:, self.data.seen :]
        found = self._forecast(params, seen)
        draw_filmstrips(seen, coming, found, figures / "forecasts.png")
        write_animation(seen, coming, found, figures / "forecasts.gif")
        draw_errors(seen, coming, found, figures / "error_by_frame.png")

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The frames that follow a video, as pictures; only its last frames are read.

        Raises:
          UserError: it cannot be read, or is too short.
        """
        del assets
        size, needed = self.data.source.size, self.data.seen
        frames = read_frames("--input", Path(path).expanduser(), size)
        last = list(collections.deque(frames, maxlen=needed))
        if len(last) < needed:
            raise UserError(f"--input: {path} has {len(last)} frame(s), and {needed} are needed")
        for number, picture in enumerate(self._forecast(params, np.stack(last)[None])[0], start=1):
            yield {"frame": number, "picture": picture}

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "draw the frames that follow a video, with --input=file"}

    def _forecast(self, params: Any, seen: np.ndarray) -> np.ndarray:
        """The frames that follow, bytes [sequences, forecast, height, width, channels]."""
        steps = self.data.forecast
        logits = _apply(self.network(), params, seen, steps)[:, -steps:]
        return np.asarray(jnp.round(255 * brightness(logits)), np.uint8)

    def _learner(self, compute: Compute, first_logit: float = 0.0) -> Learner:
        network, data = self.network(compute, first_logit), self.data
        example = jnp.zeros((1, 1, *data.source.size), jnp.uint8)

        def init(key: Array) -> Any:
            return network.init(key, example, 2)["params"]

        loss = functools.partial(_loss, network, data.seen)
        return Learner(init, no_carry, loss, _summarize, METRICS, weight="frames")


def _loss(
    network: FrameForecaster,
    seen: int,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array | None,
) -> tuple[Array, Any, Sums]:
    """The cross-entropy of brightness, as in the paper; the best answer is its expectation."""
    del key
    given, coming = batch["frames"][:, :seen], batch["frames"][:, seen:]
    logits = apply(network, params, given, coming.shape[1])
    answered = batch["frames"][:, -logits.shape[1] :] / jnp.float32(255)
    entropy = optax.sigmoid_binary_cross_entropy(logits, answered)
    nats_of_all = jnp.sum(entropy, axis=(-3, -2, -1))
    # What is said of frames that were seen is learnt from, and does not count.
    logits, true = (x[:, -coming.shape[1] :] for x in (logits, answered))
    nats = nats_of_all[:, -coming.shape[1] :]
    found = jax.lax.stop_gradient(brightness(logits))
    copies = jnp.broadcast_to(given[:, -1:] / jnp.float32(255), true.shape)
    of_frames = {
        "nats": nats,
        "squares": squared_error(found, true),
        "ssim": ssim(found, true),
        "copy_squares": squared_error(copies, true),
        "copy_ssim": ssim(copies, true),
        "frames": jnp.ones(nats.shape),
    }
    valid = batch["valid"][:, None]
    sums = {name: jnp.sum(x, where=valid) for name, x in of_frames.items()}
    learnt = jnp.sum(nats_of_all, where=valid) / nats_of_all.shape[1] * nats.shape[1]
    return learnt / jnp.maximum(sums["frames"], 1), carry, sums


def _summarize(sums: Mapping[str, float]) -> dict[str, float]:
    of = {name: value / sums["frames"] for name, value in sums.items()}
    return {
        "mse": of["squares"],
        "ssim": of["ssim"],
        "loss": of["nats"],
        "copy_mse": of["copy_squares"],
        "copy_ssim": of["copy_ssim"],
    }


@functools.partial(jax.jit, static_argnums=(0, 3))
def _apply(network: FrameForecaster, params: Any, frames: Array, steps: int) -> Array:
    return apply(network, params, frames, steps)


def _error_of_copies(batches: RandomAccess, seen: int) -> float:
    total, count = 0.0, 0
    for i in range(len(batches)):
        batch: Any = batches[i]
        frames = batch["frames"][batch["valid"]] / np.float32(255)
        errors = np.square(frames[:, seen:] - frames[:, seen - 1 : seen]).sum(axis=(-3, -2, -1))
        total, count = total + float(errors.sum()), count + errors.size
    return total / count
