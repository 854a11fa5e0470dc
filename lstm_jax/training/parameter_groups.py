"""Parameters treated in ways of their own: rates, clipping, freezing and weight decay by path."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from lstm_jax.config import Interval
from lstm_jax.errors import ConfigError

_NO_WEIGHTS = re.compile(r"bias|norm|scale|gain|initial_")
_FROZEN = "frozen"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterGroups:
    """Groups of parameters, each named by a regular expression found in a parameter's path.

    Paths are those of checkpoints, such as `layer_0/recurrent_kernel`. Weight decay acts on
    matrices alone: not on biases, nor on gains of norms, nor on other vectors.

    >>> groups = ParameterGroups(learning_rates=("embedding=0.1",), frozen=("layer_0/",))
    >>> groups.labels({"embedding": {"weight": 1}, "layer_0": {"kernel": 2}, "softmax": 3})
    {'embedding': {'weight': '0.1'}, 'layer_0': {'kernel': 'frozen'}, 'softmax': '1.0'}

    Attributes:
      learning_rates: "pattern=factor" of the learning rate; the first that matches counts.
      clip_norms: "pattern=norm": gradients of these parameters whose joint norm is larger are
        scaled down to it, before the norm of all is looked at.
      frozen: patterns of parameters that stay as they are.
      unfreeze: "pattern=interval", such as "layer_0/=1 epoch": these parameters stay as they are
        until then; the first that matches counts (J. Howard and S. Ruder, arXiv 1801.06146).
      no_decay: patterns of further parameters without weight decay, such as "embedding".
      decay_biases: whether biases, gains and other vectors decay too.
    """

    learning_rates: tuple[str, ...] = ()
    clip_norms: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    unfreeze: tuple[str, ...] = ()
    no_decay: tuple[str, ...] = ()
    decay_biases: bool = False

    def __post_init__(self) -> None:
        problems = []
        for field in ("learning_rates", "clip_norms"):
            problems += _problems(field, getattr(self, field), _number_problem)
        for field in ("frozen", "no_decay"):
            problems += _problems(field, getattr(self, field), _pattern_problem)
        problems += _problems("unfreeze", self.unfreeze, _interval_problem)
        if problems:
            raise ConfigError(problems)

    def check(self, params: Any) -> None:
        """Raises a ConfigError for every pattern that matches no parameter, with their paths."""
        paths = parameter_paths(params)
        problems = []
        for field in ("learning_rates", "clip_norms", "unfreeze", "frozen", "no_decay"):
            for text in getattr(self, field):
                pattern = text if field in ("frozen", "no_decay") else text.rpartition("=")[0]
                if not any(re.search(pattern, path) for path in paths):
                    problems.append(
                        f"groups.{field}: {pattern!r} matches no parameter; "
                        f"there are: {', '.join(paths)}"
                    )
        if paths and all(_found(self.frozen, path) for path in paths):
            problems.append("groups.frozen: every parameter is frozen")
        if problems:
            raise ConfigError(problems)

    def labels(self, params: Any) -> Any:
        """The factor of the learning rate of every parameter as a text, or "frozen"."""
        return by_path(params, lambda path, _: self._label(path))

    def decay_mask(self, params: Any) -> Any:
        """Whether each parameter decays."""
        if self.decay_biases:
            return by_path(params, lambda path, _: not _found(self.no_decay, path))
        return by_path(
            params, lambda path, leaf: _is_weight(path, leaf) and not _found(self.no_decay, path)
        )

    def freeze(self) -> list[optax.GradientTransformation]:
        """No gradient of frozen parameters: it would count in the norm of all."""
        return [optax.masked(optax.set_to_zero(), _matches(self.frozen))] if self.frozen else []

    def clip(self) -> list[optax.GradientTransformation]:
        """The clipping of each group."""
        return [
            optax.masked(optax.clip_by_global_norm(norm), _matches((pattern,)))
            for pattern, norm in map(_split, self.clip_norms)
        ]

    def optimizer(
        self,
        make: Callable[[float], optax.GradientTransformation],
        steps: Callable[[str], int] = int,
    ) -> optax.GradientTransformation:
        """The optimiser of all groups.

        Args:
          make: an optimiser from the factor of its learning rate.
          steps: the number of steps of an interval.
        """
        if not self.unfreeze:
            return self._with_rates(make)
        pairs = [text.rpartition("=")[::2] for text in self.unfreeze]
        # Behind the optimiser, which meanwhile learns how large these gradients are.
        held = _hold({pattern: steps(interval) for pattern, interval in pairs})
        return optax.chain(self._with_rates(make), held)

    def _with_rates(
        self, make: Callable[[float], optax.GradientTransformation]
    ) -> optax.GradientTransformation:
        if not self.learning_rates and not self.frozen:
            return make(1.0)
        factors = {1.0, *(factor for _, factor in map(_split, self.learning_rates))}
        transforms: dict[Any, Any] = {str(factor): make(factor) for factor in sorted(factors)}
        transforms[_FROZEN] = optax.set_to_zero()
        return optax.partition(transforms, self.labels)

    def _label(self, path: str) -> str:
        if _found(self.frozen, path):
            return _FROZEN
        for pattern, factor in map(_split, self.learning_rates):
            if re.search(pattern, path):
                return str(factor)
        return str(1.0)


class HoldState(NamedTuple):
    """How many updates there were."""

    step: jax.Array


def _hold(until: Mapping[str, int]) -> optax.GradientTransformation:
    """No update of the parameters of a pattern before its step."""

    def begin(path: str) -> int:
        return next((step for pattern, step in until.items() if re.search(pattern, path)), 0)

    def init(params: Any) -> HoldState:
        del params
        return HoldState(jnp.int32(0))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, HoldState]:
        del params
        held = by_path(updates, lambda path, u: jnp.where(state.step >= begin(path), u, 0))
        return held, HoldState(state.step + 1)

    return optax.GradientTransformation(init, update)


def decayed(params: Any) -> Any:
    """Whether each parameter decays where nothing else is said: matrices that are no biases.

    >>> import jax.numpy as jnp
    >>> decayed({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2), "norm": {"scale": jnp.ones(2)}})
    {'bias': False, 'kernel': True, 'norm': {'scale': False}}
    """
    return by_path(params, _is_weight)


def parameter_paths(params: Any) -> list[str]:
    """The path of every parameter."""
    return [_path(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]


def by_path(params: Any, function: Callable[[str, Any], Any]) -> Any:
    """A tree of `function(path, parameter)`."""
    return jax.tree_util.tree_map_with_path(lambda keys, leaf: function(_path(keys), leaf), params)


def _path(keys: Any) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def _is_weight(path: str, leaf: Any) -> bool:
    return leaf.ndim > 1 and not _NO_WEIGHTS.search(path)


def _found(patterns: Sequence[str], path: str) -> bool:
    return any(re.search(pattern, path) for pattern in patterns)


def _matches(patterns: Sequence[str]) -> Callable[[Any], Any]:
    return lambda params: by_path(params, lambda path, _: _found(patterns, path))


def _split(text: str) -> tuple[str, float]:
    pattern, _, number = text.rpartition("=")
    return pattern, float(number)


def _problems(field: str, texts: Sequence[Any], problem: Callable[[str], str]) -> list[str]:
    found = ((text, problem(text) if isinstance(text, str) else "is no text") for text in texts)
    return [f"{field}: {text!r} {what}" for text, what in found if what]


def _number_problem(text: str) -> str:
    try:
        pattern, number = _split(text)
    except ValueError:
        return 'must be a pattern and a number, such as "embedding=0.1"'
    if not (math.isfinite(number) and number > 0):
        return "needs a number above 0 (`frozen` keeps parameters as they are)"
    return _pattern_problem(pattern)


def _interval_problem(text: str) -> str:
    pattern, _, interval = text.rpartition("=")
    (allowed,) = get_args(Interval)[1:]
    if not pattern or not allowed.holds(interval):
        return f'must be a pattern and {allowed}, such as "layer_0/=1 epoch"'
    return _pattern_problem(pattern)


def _pattern_problem(pattern: str) -> str:
    if not pattern:
        return "has no pattern"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is no regular expression ({error})"
    return ""
