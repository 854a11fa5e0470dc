"""Recurrent forecasters of many series in Flax linen: direct over the horizon, or step by step."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell
from lstm_jax.cells.noisy_cells import dropout_mask
from lstm_jax.kernels import Remat
from lstm_jax.models.forecast_heads import ForecastHead, Frame
from lstm_jax.models.layers import recurrent_layers

Decoder = Literal["direct", "autoregressive"]
ValueScaling = Literal["mean_absolute", "standard", "none"]
_TINY = 1e-6


class Seen(NamedTuple):
    """A batch of windows as the network sees it, with time L (largest lag) + history + horizon.

    Attributes:
      z: values in units of the frame, 0 where missing [batch, time].
      observed: where one is not missing, 0 or 1 [batch, time].
      known: what is known of history and horizon [batch, history + horizon, features].
      context: what holds for a whole series [batch, size].
    """

    z: Array
    observed: Array
    known: Array
    context: Array


class Forecaster(nn.Module):
    """Says how the values of a horizon are distributed, from a history and what is known of both.

    At step t a layer stack reads lagged values z[t-l] with a flag each (1 where one was observed),
    the covariates of t, and what holds for the series. Values are in units of the window's frame:
    divided by the mean absolute value of the history, or standardised by its mean and deviation.

    `autoregressive`: one lag is 1, the value before. The network predicts every step of history and
    horizon from the true values before it; forecasts are paths of samples that are fed back
    (`sample_paths`). D. Salinas, V. Flunkert and J. Gasthaus, "DeepAR", arXiv 1704.04110.

    `direct`: one pass gives all steps of the horizon. The network reads the value itself as well,
    which is missing in the horizon, and goes on through the horizon with covariates and with lags
    that reach back before it. R. Wen et al., "A Multi-Horizon Quantile Recurrent Forecaster",
    arXiv 1711.11053, with the recurrent network itself as the decoder. With a `patch` of p it reads
    and predicts p steps at once, and takes as much less time.

    With a `residual_lag` what the network says is added to the value that lag before, so that it
    begins as the seasonal naive forecast.

    Params: `layer_0`, `layer_1`, ..., `output`, and `embedding` of the number of the series.

    >>> import lstm_jax as lj
    >>> model = Forecaster(cell=lj.lstm, head_size=2, history=8, horizon=4, lags=(4,))
    >>> batch = {"values": jnp.ones((3, 16)), "observed": jnp.ones((3, 16), bool),
    ...          "known": jnp.zeros((3, 12, 5)), "statics": jnp.zeros((3, 0)),
    ...          "series": jnp.zeros(3, int)}
    >>> variables = model.init(jax.random.key(0), batch)
    >>> raw, frame = model.apply(variables, batch)
    >>> raw.shape, frame.center.shape
    ((3, 4, 2), (3, 4))

    Attributes:
      cell: makes the cell of a layer from its hidden size.
      head_size: numbers that the head reads of each step.
      history: steps that are read.
      horizon: steps that are forecast.
      lags: how far back values are read at every step; "autoregressive" needs 1 among them,
        "direct" none below the horizon.
      hidden_size: size of each recurrent layer.
      num_layers: number of recurrent layers.
      decoder: how the horizon is forecast.
      patch: steps that are read and predicted at once; 1 for "autoregressive".
      residual_lag: the lag whose value the network's numbers are added to; 0 for none.
      scaling: what values are divided by.
      series: how many there are to tell apart by a vector.
      embedding_size: of that vector; 0 for none.
      sees_scale: whether the logarithm of the scale is among what holds for the series.
      dropout: share of the activations behind each layer that is dropped in training, the same for
        all steps of a window.
      dtype: type of the products; parameters, carries and what comes out are float32.
      remat: what the backward pass computes again instead of keeping it, as in `lstm_jax.scan`.
    """

    cell: Callable[[int], Cell]
    head_size: int
    history: int
    horizon: int
    lags: tuple[int, ...] = ()
    hidden_size: int = 64
    num_layers: int = 2
    decoder: Decoder = "direct"
    patch: int = 1
    residual_lag: int = 0
    scaling: ValueScaling = "mean_absolute"
    series: int = 1
    embedding_size: int = 0
    sees_scale: bool = False
    dropout: float = 0.0
    dtype: str = "float32"
    remat: Remat = "none"

    def setup(self) -> None:  # noqa: D102
        sizes = [self.hidden_size] * self.num_layers
        self.layers = recurrent_layers(self.cell, sizes, self.dtype)
        if self.embedding_size:
            self.embedding = nn.Embed(self.series, self.embedding_size)
        # Small at the start: a forecast begins near the frame's center.
        kernel_init = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        self.output = nn.Dense(self.patch * self.head_size, kernel_init=kernel_init)

    def __call__(
        self, batch: Mapping[str, Array], *, deterministic: bool = True
    ) -> tuple[Array, Frame]:
        """What the head reads [batch, steps, head_size], and its frame [batch, steps].

        The steps are those of the horizon; those of the history before them if autoregressive, each
        from the true values before it. Of the horizon a direct network reads no value.

        Args:
          batch: windows as `WindowStore` gives them: `values`, `observed`, `known`, `statics` and
            `series`.
          deterministic: no dropout; otherwise the key "dropout" is needed.
        """
        seen, frame = self.look(batch)
        first = self.history if self.decoder == "direct" else 0
        x_bsd = self._inputs(seen, self._start, self.history + self.horizon)
        _, y_sbh = self._run(self._patches(x_bsd), None, deterministic)
        y_sbh = y_sbh[first // self.patch :]
        raw = jnp.swapaxes(self.output(y_sbh).astype(jnp.float32), 0, 1)
        raw = raw.reshape(len(raw), -1, self.head_size)
        return raw, self._frame_at(seen, frame, self._start + first, raw.shape[1])

    def look(self, batch: Mapping[str, Array]) -> tuple[Seen, Frame]:
        """The batch as the network sees it, and the frame of each window [batch]."""
        values, observed = batch["values"], batch["observed"]
        past = slice(self._start, self._start + self.history)
        frame = frame_of(values[:, past], observed[:, past], self.scaling)
        z = (values - frame.center[:, None]) / frame.scale[:, None]
        parts = [batch["statics"].astype(jnp.float32)]
        if self.sees_scale:
            parts.append(jnp.log(frame.scale)[:, None])
        if self.embedding_size:
            parts.append(self.embedding(batch["series"]))
        seen = Seen(
            jnp.where(observed, z, 0),
            observed.astype(jnp.float32),
            batch["known"],
            jnp.concatenate(parts, axis=-1),
        )
        return seen, frame

    def begin(self, seen: Seen) -> tuple[Carry, ...]:
        """The carries behind the history."""
        x_bsd = self._inputs(seen, self._start, self.history)
        carries, _ = self._run(self._patches(x_bsd), None, deterministic=True)
        return carries

    def advance(
        self, carries: tuple[Carry, ...], seen: Seen, frame: Frame, step: Array
    ) -> tuple[tuple[Carry, ...], Array, Frame]:
        """One step of the horizon: carries, what the head reads [batch, head_size], its frame."""
        at = self._start + self.history + step
        carries, y_sbh = self._run(self._patches(self._inputs(seen, at, 1)), carries, True)
        center, scale = self._frame_at(seen, frame, at, 1)
        return carries, self.output(y_sbh[0]).astype(jnp.float32), Frame(center[:, 0], scale[:, 0])

    @property
    def _start(self) -> int:
        """Where the history begins in the values of a window."""
        return max(self.lags, default=0)

    def _inputs(self, seen: Seen, first: Any, count: int) -> Array:
        """What is read at `count` steps from `first` on [batch, steps, size]."""

        def cut(array: Array, begin: Any) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, begin, count, axis=1)

        columns = [cut(a, first - lag) for lag in self.lags for a in (seen.z, seen.observed)]
        if self.decoder == "direct":
            past = jnp.arange(seen.z.shape[1]) < self._start + self.history
            columns += [cut(jnp.where(past, a, 0), first) for a in (seen.z, seen.observed)]
        known = cut(seen.known, first - self._start)
        context = jnp.repeat(seen.context[:, None], count, axis=1)
        return jnp.concatenate([jnp.stack(columns, axis=-1), known, context], axis=-1)

    def _patches(self, x_btd: Array) -> Array:
        """Steps put together by the patch, time first."""
        return jnp.swapaxes(x_btd.reshape(len(x_btd), x_btd.shape[1] // self.patch, -1), 0, 1)

    def _run(
        self, x_sbd: Array, carries: tuple[Carry, ...] | None, deterministic: bool
    ) -> tuple[tuple[Carry, ...], Array]:
        found = []
        for i, layer in enumerate(self.layers):
            carry, x_sbd = layer(x_sbd, None if carries is None else carries[i], remat=self.remat)
            found.append(carry)
            if not deterministic and self.dropout:
                key, shape = self.make_rng("dropout"), x_sbd.shape[1:]
                x_sbd = x_sbd * dropout_mask(key, self.dropout, shape, x_sbd.dtype)
        return tuple(found), x_sbd

    def _frame_at(self, seen: Seen, frame: Frame, first: Any, count: int) -> Frame:
        """The frame of `count` steps from `first` on [batch, steps]."""
        center, scale = (jnp.repeat(part[:, None], count, axis=1) for part in frame)
        if self.residual_lag:
            before = jax.lax.dynamic_slice_in_dim(seen.z, first - self.residual_lag, count, axis=1)
            center = center + scale * before
        return Frame(center, scale)


def frame_of(values: Array, observed: Array, scaling: ValueScaling) -> Frame:
    """The frame of each window, from what was observed of its history.

    >>> values, observed = jnp.array([[1.0, 3.0, 0.0]]), jnp.array([[True, True, False]])
    >>> [float(part[0]) for part in frame_of(values, observed, "standard")]
    [2.0, 1.0]

    Args:
      values: [batch, time].
      observed: which of them are not missing [batch, time].
      scaling: "mean_absolute", "standard", or "none".
    """
    count = jnp.maximum(jnp.sum(observed, axis=1), 1)

    def mean(of: Array) -> Array:
        return jnp.sum(jnp.where(observed, of, 0), axis=1) / count

    zero = jnp.zeros(len(values))
    if scaling == "none":
        return Frame(zero, zero + 1)
    size = mean(jnp.abs(values))
    size = jnp.where(size > _TINY, size, 1)
    if scaling == "mean_absolute":
        return Frame(zero, size)
    center = mean(values)
    deviation = jnp.sqrt(mean((values - center[:, None]) ** 2))
    # A history that does not move says nothing of how far values move.
    return Frame(center, jnp.where(deviation > 1e-3 * size, deviation, size))


def apply(network: Forecaster, params: Any, *arguments: Any, **options: Any) -> Any:
    """Applies the network to parameters: as it is called, or what the `method` of options gives."""
    return network.apply({"params": params}, *arguments, **options)


def sample_paths(
    network: Forecaster,
    head: ForecastHead,
    params: Any,
    batch: Mapping[str, Array],
    key: Array,
    paths: int,
) -> Array:
    """Paths of the horizon drawn step by step, each value read by the next [batch, paths, horizon].

    Args:
      network: an autoregressive one.
      head: how values are distributed.
      params: of the network.
      batch: windows; what their values are in the horizon is not looked at.
      key: randomness.
      paths: how many are drawn for each window.
    """
    seen, frame = cast(tuple[Seen, Frame], apply(network, params, batch, method="look"))
    carries = apply(network, params, seen, method="begin")
    # Rows of one window stand behind one another; what is before the horizon is computed once.
    carries, seen, frame = jax.tree.map(
        lambda leaf: jnp.repeat(leaf, paths, axis=0), (carries, seen, frame)
    )
    horizon = seen.z.shape[1] - network.horizon

    def step(state: tuple[Any, Seen], h: Array) -> tuple[tuple[Any, Seen], Array]:
        carries, seen = state
        carries, raw, at = apply(network, params, carries, seen, frame, h, method="advance")
        values = head.sample(jax.random.fold_in(key, h), raw, at)
        z = (values - frame.center) / frame.scale
        seen = seen._replace(
            z=seen.z.at[:, horizon + h].set(z), observed=seen.observed.at[:, horizon + h].set(1)
        )
        return (carries, seen), values

    _, values = jax.lax.scan(step, (carries, seen), jnp.arange(network.horizon))
    return jnp.moveaxis(values, 0, -1).reshape(-1, paths, network.horizon)
