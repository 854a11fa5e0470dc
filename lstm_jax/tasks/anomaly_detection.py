"""Anomalies of series: what a forecaster that has seen normal ones alone thought unlikely."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell
from lstm_jax.config import (
    Fraction,
    LayerCount,
    PositiveInt,
    Rate,
    Seed,
    part_of,
    register,
    values_of,
    write_atomically,
)
from lstm_jax.data.bucketing import BucketedBatches, best_bounds, longest_of
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.labelled_series import LabelledSeriesSource, SeriesBySplit
from lstm_jax.data.series_inputs import Normalization, SeriesInputs, inputs_of, load_inputs
from lstm_jax.data.timeseries_files import LabelledSeries
from lstm_jax.errors import UserError, did_you_mean
from lstm_jax.json_files import read_json
from lstm_jax.models.nearest_neighbour import euclidean_distances
from lstm_jax.models.step_forecaster import StepForecaster, negative_log_likelihood
from lstm_jax.tasks.anomaly_figures import draw_anomalies
from lstm_jax.tasks.anomaly_scores import detection, moving_mean, roc_auc
from lstm_jax.tasks.bucketed import bucketed_dataset
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

_LOSS = Metric("loss", "nats a step")
_INPUTS, _THRESHOLD, _FIGURES = "inputs.json", "threshold.json", "anomalies.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyData:
    """Where the series come from, and which of them are normal.

    Attributes:
      source: where series and classes come from.
      normal: the classes that are normal; nothing else is trained on, nor sets the threshold.
      normalization: "series": mean 0 and deviation 1 of every dimension of every series;
        "training": of every dimension of all normal training series together; or "none".
      batch_size: series in a step.
      evaluation_batch_size: series in a batch of an evaluation.
      buckets: lengths to which batches are padded; each is compiled once.
      seed: of the order of the series.
    """

    source: LabelledSeriesSource = part_of("labelled_series_source", "archive_files", inline=True)
    normal: tuple[str, ...] = ("normal",)
    normalization: Normalization = "training"
    batch_size: PositiveInt = 32
    evaluation_batch_size: PositiveInt = 128
    buckets: PositiveInt = 2
    seed: Seed = 0

    @functools.cached_property
    def series(self) -> SeriesBySplit:
        """The series of every split, which a command reads once."""
        return self.source.read()


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepForecasterOptions:
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      hidden_size: memory cells in each layer.
      num_layers: recurrent layers.
      targets: how many dimensions are forecast and scored, the first ones; the others are known
        ahead. All, if None.
      horizon: how many steps ahead.
      dropout: share of the last layer's outputs that is dropped in training.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    hidden_size: PositiveInt = 64
    num_layers: LayerCount = 1
    targets: PositiveInt | None = None
    horizon: PositiveInt = 1
    dropout: Rate = 0.0

    def __post_init__(self) -> None:
        sized_cell(self.cell, self.hidden_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyScore:
    """What is a score of, and from which on it is an alarm.

    Attributes:
      of: "series": the mean of a series' steps; "steps": every step has one.
      smoothing: steps around each whose mean is its score.
      false_alarms: share of the normal validation scores that lie above the threshold.
    """

    of: Literal["series", "steps"] = "series"
    smoothing: PositiveInt = 1
    false_alarms: Fraction = 0.05


class _Scored(NamedTuple):
    """A series with the scores of its steps from `horizon` on."""

    series: LabelledSeries
    steps: np.ndarray


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class anomaly_detection:
    """Detection of anomalous series, or of anomalous steps.

    Attributes:
      data: the series.
      model: the network.
      score: what is a score of, and from which on it is an alarm.
    """

    data: AnomalyData
    model: StepForecasterOptions
    score: AnomalyScore

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the series, of which the normal ones are trained on."""
        found = self._normal(self.data.series)
        dimensions = found["train"][0].values.shape[-1]
        for split, series in {**found, "test": self.data.series["test"]}.items():
            self._require_steps(f"data: {split}", series, dimensions)
        if (self.model.targets or 1) > dimensions:
            raise UserError(
                f"model.targets: {self.model.targets} dimensions are to be forecast, and the "
                f"series have {dimensions}"
            )
        inputs = inputs_of([series.values for series in found["train"]], self.data.normalization)
        dataset = self._dataset(found, inputs)
        if not (assets / _INPUTS).exists():
            inputs.save(assets / _INPUTS)
        return self._learner(inputs, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the inputs of a run."""
        return self._learner(load_inputs(assets / _INPUTS), compute)

    def network(self, inputs: SeriesInputs, compute: Compute = FLOAT32) -> StepForecaster:
        """The Flax module for series of so many dimensions."""
        options: dict[str, Any] = values_of(self.model)
        options["targets"] = self.model.targets or len(inputs.mean)
        return StepForecaster(dtype=compute.dtype, remat=compute.remat, **options)

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """Nothing: `draw` tells of the distance to the nearest normal series."""
        del assets
        return {}

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Precision, recall, F1 and the area under the ROC curve that `draw` found, as JSON."""
        del params, seed
        return (assets / _FIGURES).read_text(encoding="utf-8").strip()

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Sets the threshold by the validation split; draws scores and what was found."""
        validation = self._scored(assets, params, "validation")
        normal = [one for one in validation if one.series.label in self.data.normal]
        scores = np.concatenate([self._scores(one) for one in normal])
        threshold = float(np.quantile(scores, 1 - self.score.false_alarms))
        write_atomically(assets / _THRESHOLD, json.dumps(threshold) + "\n")
        scored = self._scored(assets, params, "test")
        told = json.dumps(self.figures(assets, scored), indent=2)
        for path in (assets / _FIGURES, figures / "anomalies.json"):
            write_atomically(path, told + "\n")
        draw_anomalies(
            [self._scores(one) for one in scored],
            [self._truth(one) for one in scored],
            [(one.series, one.steps) for one in scored],
            threshold,
            figures / "anomalies.png",
        )

    def figures(self, assets: Path, scored: Sequence[_Scored]) -> dict[str, Any]:
        """What `detection` tells of a split, and the share that was found of each other class."""
        threshold = self.threshold(assets)
        scores = [self._scores(one) for one in scored]
        truth = [self._truth(one) for one in scored]
        found: dict[str, Any] = {"scores of": self.score.of, "threshold": threshold}
        found |= detection(np.concatenate(scores), np.concatenate(truth), threshold)
        for label in sorted({str(one.series.label) for one in scored} - set(self.data.normal)):
            hits = [
                bool((score[true] > threshold).any())
                for one, score, true in zip(scored, scores, truth, strict=True)
                if one.series.label == label
            ]
            found[f"found of {label}"] = f"{sum(hits)} of {len(hits)}"
        if self.score.of == "series":
            found["roc_auc, nearest normal series"] = self._nearest(assets, scored)
        return found

    def threshold(self, assets: Path) -> float:
        """That of a finished run.

        Raises:
          UserError: it is not finished.
        """
        try:
            return float(read_json(assets / _THRESHOLD))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{assets / _THRESHOLD} holds no threshold, which a run has at its end ({error})"
            ) from None

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The score of every series of a file, or of every step, and whether it is an alarm.

        Args:
          assets: of the run.
          params: the parameters.
          path: a file in a layout of the run's source; classes in it are not looked at.
        """
        threshold = self.threshold(assets)
        series = self.data.source.read_file("--input", Path(path).expanduser())
        for number, one in enumerate(self.scored(assets, params, series), start=1):
            for step, score in enumerate(self._scores(one), start=self.model.horizon + 1):
                where: dict[str, Any] = {}
                if self.score.of == "steps":
                    where["step"] = step
                    if one.series.times is not None:
                        where["ds"] = str(one.series.times[step - 1])
                verdict = {"score": float(score), "anomaly": int(score > threshold)}
                yield {"series": number, **where, **verdict}

    def scored(self, assets: Path, params: Any, series: Sequence[LabelledSeries]) -> list[_Scored]:
        """Series with the negative log-likelihood of each of their steps from `horizon` on."""
        inputs = load_inputs(assets / _INPUTS)
        network = self.network(inputs)
        self._require_steps("--input", series, len(inputs.mean))
        sequences = {"series": [inputs(one.values) for one in series]}
        bounds = best_bounds(longest_of(sequences), self.data.buckets)
        batches = BucketedBatches(
            sequences, {}, batch_size=self.data.evaluation_batch_size, bounds=bounds
        )
        steps: list[np.ndarray] = [np.zeros(0)] * len(series)
        for i in range(len(batches)):
            batch = batches[i]
            nats = np.asarray(_nats(network, params, batch["series"]))
            for row, length, values in zip(
                batch["rows"][batch["valid"]], batch["series_lengths"], nats, strict=False
            ):
                steps[row] = values[: length - self.model.horizon]
        return [_Scored(one, nats) for one, nats in zip(series, steps, strict=True)]

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": f"score the {self.score.of} of a file, with --input=file"}

    def _require_steps(self, where: str, series: Sequence[LabelledSeries], dimensions: int) -> None:
        """Raises UserError if there is nothing to forecast in a series, or too much."""
        for number, one in enumerate(series, start=1):
            if one.values.shape[-1] != dimensions or len(one.values) <= self.model.horizon:
                raise UserError(
                    f"{where}: series {number} has {len(one.values)} step(s) of "
                    f"{one.values.shape[-1]} dimension(s); more than {self.model.horizon} "
                    f"(model.horizon) of {dimensions} are needed"
                )

    def _scored(self, assets: Path, params: Any, split: str) -> list[_Scored]:
        return self.scored(assets, params, self.data.series[split])

    def _scores(self, one: _Scored) -> np.ndarray:
        smooth = moving_mean(one.steps, self.score.smoothing)
        return smooth if self.score.of == "steps" else smooth.mean(keepdims=True)

    def _truth(self, one: _Scored) -> np.ndarray:
        """Which of the scores are of an anomaly."""
        anomalous = one.series.label not in self.data.normal
        if self.score.of == "series":
            return np.array([anomalous])
        if one.series.anomalous is not None:
            return one.series.anomalous[self.model.horizon :]
        return np.full(len(one.steps), anomalous)

    def _nearest(self, assets: Path, scored: Sequence[_Scored]) -> float:
        """The area under the ROC curve of the distance to the nearest normal training series."""
        inputs = load_inputs(assets / _INPUTS)
        training = self._normal(self.data.series)["train"]
        distance = euclidean_distances(
            [inputs(one.series.values) for one in scored],
            [inputs(series.values) for series in training],
        )
        truth = np.concatenate([self._truth(one) for one in scored])
        return roc_auc(distance, truth)

    def _normal(
        self, found: Mapping[str, Sequence[LabelledSeries]]
    ) -> dict[str, list[LabelledSeries]]:
        """The normal series of every split.

        Raises:
          UserError: a split has none, or the test nothing but normal ones.
        """
        normal = {s: [one for one in found[s] if one.label in self.data.normal] for s in SPLITS}
        for split in SPLITS:
            if not normal[split]:
                labels = sorted({str(one.label) for one in found[split]})
                raise UserError(
                    f"data.normal: the {split} split has no series of {self.data.normal}; "
                    f"{did_you_mean(self.data.normal[0] if self.data.normal else '', labels)}"
                )
        if len(normal["test"]) == len(found["test"]):
            raise UserError("data.normal: the test split has normal series alone")
        return normal

    def _dataset(
        self, found: Mapping[str, Sequence[LabelledSeries]], inputs: SeriesInputs
    ) -> Dataset:
        counts = ", ".join(f"{len(found[split]):,} {split}" for split in SPLITS)
        return bucketed_dataset(
            self.data,
            "series",
            {split: [inputs(one.values) for one in found[split]] for split in SPLITS},
            units="time steps",
            notes=lambda train: [f"normal series: {counts}; batches of {train.bounds} steps"],
        )

    def _learner(self, inputs: SeriesInputs, compute: Compute) -> Learner:
        network = self.network(inputs, compute)
        example = jnp.zeros((1, self.model.horizon + 1, len(inputs.mean)))

        def init(key: Array) -> Any:
            return network.init(key, example)["params"]

        loss = functools.partial(_loss, network)
        return Learner(init, no_carry, loss, _summarize, (_LOSS,), weight="steps")


def _loss(
    network: StepForecaster, params: Any, carry: Any, batch: Batch, key: Array | None
) -> tuple[Array, Any, Sums]:
    """The mean negative log-likelihood of the steps that there are, in nats."""
    noise = {} if key is None else {"rngs": {"dropout": key}, "deterministic": False}
    nats = _negative(network, params, batch["series"], **noise)
    steps = jnp.arange(nats.shape[1]) + network.horizon
    there = (steps < batch["series_lengths"][:, None]) & batch["valid"][:, None]
    sums = {"steps": jnp.sum(there, dtype=jnp.float32), "nats": jnp.sum(nats * there)}
    return sums["nats"] / jnp.maximum(sums["steps"], 1), carry, sums


def _summarize(sums: Mapping[str, float]) -> dict[str, float]:
    return {"loss": sums["nats"] / sums["steps"]}


def _negative(network: StepForecaster, params: Any, series: Array, **noise: Any) -> Array:
    """Nats of every step from `horizon` on [batch, time - horizon]."""
    forecast: Any = network.apply({"params": params}, series, **noise)
    mean, deviation = forecast
    values = series[:, network.horizon :, : network.targets]
    return negative_log_likelihood(values, mean, deviation)


_nats = jax.jit(_negative, static_argnums=0)
