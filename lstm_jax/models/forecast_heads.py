"""Heads of a forecaster by name: from numbers of the network to a distribution of each value.

A head reads `raw` [..., size] and a `Frame`, and says how values in their own unit are distributed.
Costs are those of values in units of the frame's scale, so that large series count as small ones.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from lstm_jax.cells import Array
from lstm_jax.config import PositiveFloat, PositiveInt, Range, register
from lstm_jax.errors import ConfigError

_LEAST = 1e-3  # of a scale parameter, in units of the frame: a likelihood has no bound without


class Frame(NamedTuple):
    """Where zero and one of the network lie among the values, as arrays of JAX or NumPy.

    Attributes:
      center: the value that is zero for the network [...].
      scale: what is one for the network [...].
    """

    center: Any
    scale: Any


class ForecastHead(NamedTuple):
    """A distribution of a value.

    Attributes:
      size: numbers that it needs of the network.
      cost: `(raw, frame, values) -> costs`; of a distribution nats, of quantiles twice the mean
        pinball loss.
      sample: `(key, raw, frame) -> values`.
      quantiles: `(raw, frame, levels) -> values` [..., levels], in NumPy.
      counts: whether it is of counts from zero on, for which the frame's center must be zero.
    """

    size: int
    cost: Callable[[Array, Frame, Array], Array]
    sample: Callable[[Array, Array, Frame], Array]
    quantiles: Callable[[np.ndarray, Frame, Sequence[float]], np.ndarray]
    counts: bool = False


@register("forecast_head")
def gaussian() -> ForecastHead:
    """A normal distribution.

        y = center + scale * (m + s * n),   n ~ N(0, 1),   s = softplus(r)

    D. Salinas, V. Flunkert and J. Gasthaus, "DeepAR", arXiv 1704.04110, section 3.1.

    >>> head, frame = gaussian(), Frame(np.float32(10), np.float32(2))
    >>> [round(float(q), 3) for q in head.quantiles(np.zeros(2), frame, (0.5, 0.9))]
    [10.0, 11.779]
    """

    def cost(raw: Array, frame: Frame, values: Array) -> Array:
        location, spread = raw[..., 0], _positive(raw[..., 1])
        n = ((values - frame.center) / frame.scale - location) / spread
        return 0.5 * n**2 + jnp.log(spread) + 0.5 * jnp.log(2 * jnp.pi)

    def sample(key: Array, raw: Array, frame: Frame) -> Array:
        n = jax.random.normal(key, raw.shape[:-1])
        return frame.center + frame.scale * (raw[..., 0] + _positive(raw[..., 1]) * n)

    def quantiles(raw: np.ndarray, frame: Frame, levels: Sequence[float]) -> np.ndarray:
        from scipy.special import ndtri

        z = raw[..., :1] + _positive_array(raw[..., 1:2]) * ndtri(np.asarray(levels))
        return _framed(frame, z)

    return ForecastHead(2, cost, sample, quantiles)


@register("forecast_head")
def student_t(*, least_freedom: Annotated[PositiveFloat, Range(1)] = 2.0) -> ForecastHead:
    """Student's t distribution, whose tails are as heavy as the data ask for.

        y = center + scale * (m + s * t),   t ~ t(v),   s = softplus(r),   v = least + softplus(q)

    The forecast of large errors costs it less than a normal one; gluonts' DeepAR has it by default.

    >>> head, frame = student_t(), Frame(np.float32(0), np.float32(1))
    >>> low, high = head.quantiles(np.zeros(3), frame, (0.1, 0.9))
    >>> bool(np.isclose(low, -high))
    True

    Args:
      least_freedom: degrees of freedom are above this; from 2 on the variance is finite.
    """

    def parameters(raw: Array) -> tuple[Array, Array, Array]:
        return raw[..., 0], _positive(raw[..., 1]), least_freedom + jax.nn.softplus(raw[..., 2])

    def cost(raw: Array, frame: Frame, values: Array) -> Array:
        location, spread, freedom = parameters(raw)
        t = ((values - frame.center) / frame.scale - location) / spread
        tail = 0.5 * (freedom + 1) * jnp.log1p(t**2 / freedom)
        norm = gammaln(0.5 * freedom) - gammaln(0.5 * (freedom + 1))
        return tail + norm + 0.5 * jnp.log(jnp.pi * freedom) + jnp.log(spread)

    def sample(key: Array, raw: Array, frame: Frame) -> Array:
        location, spread, freedom = parameters(raw)
        return frame.center + frame.scale * (location + spread * jax.random.t(key, freedom))

    def quantiles(raw: np.ndarray, frame: Frame, levels: Sequence[float]) -> np.ndarray:
        from scipy.special import stdtrit

        freedom = least_freedom + _softplus_array(raw[..., 2:3])
        t = stdtrit(freedom, np.asarray(levels))
        return _framed(frame, raw[..., :1] + _positive_array(raw[..., 1:2]) * t)

    return ForecastHead(3, cost, sample, quantiles)


@register("forecast_head")
def negative_binomial() -> ForecastHead:
    """The negative binomial distribution, for counts such as sales.

        mean m = scale * softplus(r),   a = softplus(q) / sqrt(scale),   variance m + a m^2

    D. Salinas et al., arXiv 1704.04110, section 3.1, with its scaling of section 3.3.

    >>> head, frame = negative_binomial(), Frame(np.float32(0), np.float32(10))
    >>> head.quantiles(np.zeros(2), frame, (0.1, 0.5, 0.9)).tolist()
    [2.0, 6.0, 13.0]
    """

    def parameters(raw: Array, frame: Frame) -> tuple[Array, Array]:
        mean = frame.scale * _positive(raw[..., 0])
        return mean, jnp.sqrt(frame.scale) / _positive(raw[..., 1])  # the latter is 1 / a

    def cost(raw: Array, frame: Frame, values: Array) -> Array:
        mean, r = parameters(raw, frame)
        choose = gammaln(values + r) - gammaln(values + 1) - gammaln(r)
        return -(choose - r * jnp.log1p(mean / r) + values * jnp.log(mean / (mean + r)))

    def sample(key: Array, raw: Array, frame: Frame) -> Array:
        mean, r = parameters(raw, frame)
        keys = jax.random.split(key)
        rate = jax.random.gamma(keys[0], r) * mean / r
        # Poisson needs this kind of key; the largest rates are those of a normal distribution.
        poisson_key = jax.random.key(jax.random.bits(keys[1]), impl="threefry2x32")
        return jax.random.poisson(poisson_key, rate).astype(jnp.float32)

    def quantiles(raw: np.ndarray, frame: Frame, levels: Sequence[float]) -> np.ndarray:
        from scipy.stats import nbinom

        scale = np.asarray(frame.scale)[..., None]
        mean = scale * _positive_array(raw[..., :1])
        r = np.sqrt(scale) / _positive_array(raw[..., 1:2])
        return nbinom.ppf(np.asarray(levels), r, r / (r + mean))

    return ForecastHead(2, cost, sample, quantiles, counts=True)


@register("forecast_head")
def quantiles(*, count: PositiveInt = 9) -> ForecastHead:
    """Quantiles themselves, at the levels 1 / (count + 1), ..., that never cross.

    The median, and from it sums of softplus to both sides. The cost is twice the mean of the
    pinball loss over the levels (R. Koenker and G. Bassett, 1978), whose mean over all levels is
    the CRPS, and which the weighted quantile loss of an evaluation is made of. Between the levels
    the quantile function is straight, beyond the outer ones constant.

    >>> head, frame = quantiles(count=3), Frame(np.float32(0), np.float32(1))
    >>> [round(float(q), 3) for q in head.quantiles(np.zeros(3), frame, (0.25, 0.5, 0.625))]
    [-0.201, 0.0, 0.101]

    Args:
      count: how many, an odd number.

    Raises:
      ConfigError: the number is even.
    """
    if count % 2 == 0:
        raise ConfigError(f"count: needs an odd number, so that the median is one, got {count}")
    own = np.arange(1, count + 1) / (count + 1)
    half = count // 2

    def points(raw: Array) -> Array:
        median = raw[..., half : half + 1]
        # At the start the levels stand about as close as those of a normal distribution.
        steps = jax.nn.softplus(raw - 1.5)
        below = -jnp.cumsum(steps[..., :half][..., ::-1], axis=-1)[..., ::-1]
        above = jnp.cumsum(steps[..., half + 1 :], axis=-1)
        return median + jnp.concatenate([below, jnp.zeros_like(median), above], axis=-1)

    def cost(raw: Array, frame: Frame, values: Array) -> Array:
        levels = jnp.asarray(own, jnp.float32)
        error = ((values - frame.center) / frame.scale)[..., None] - points(raw)
        return 2 * jnp.mean(jnp.maximum(levels * error, (levels - 1) * error), axis=-1)

    def sample(key: Array, raw: Array, frame: Frame) -> Array:
        at = jax.random.uniform(key, raw.shape[:-1]) * (count + 1) - 1
        low = jnp.clip(jnp.floor(at), 0, max(count - 2, 0)).astype(jnp.int32)
        high = jnp.minimum(low + 1, count - 1)
        found = points(raw)
        left = jnp.take_along_axis(found, low[..., None], -1)[..., 0]
        right = jnp.take_along_axis(found, high[..., None], -1)[..., 0]
        share = jnp.clip(at - low, 0, 1)
        return frame.center + frame.scale * (left + share * (right - left))

    def at_levels(raw: np.ndarray, frame: Frame, levels: Sequence[float]) -> np.ndarray:
        found = np.asarray(points(cast(Array, jnp.asarray(raw))))
        place = np.clip(np.asarray(levels) * (count + 1) - 1, 0, count - 1)
        low = np.minimum(place.astype(int), max(count - 2, 0))
        high = np.minimum(low + 1, count - 1)
        z = found[..., low] + (place - low) * (found[..., high] - found[..., low])
        return _framed(frame, z)

    return ForecastHead(count, cost, sample, at_levels)


def _positive(raw: Array) -> Array:
    return jax.nn.softplus(raw) + _LEAST


def _softplus_array(raw: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, raw)


def _positive_array(raw: np.ndarray) -> np.ndarray:
    return _softplus_array(raw) + _LEAST


def _framed(frame: Frame, z: np.ndarray) -> np.ndarray:
    center, scale = (np.asarray(part)[..., None] for part in frame)
    return center + scale * z
