"""A run that starts from another run's parameters, whole or by name."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.errors import ConfigError
from lstm_jax.tasks import Learner
from lstm_jax.training.parameter_groups import by_path, parameter_paths

_SHOWN = 12  # paths in a line


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitFrom:
    """Another run whose parameters this one starts from.

    A parameter is taken if the other run has one of its path and shape. Paths are those of
    checkpoints, such as `layer_0/cell/kernel`.

    Attributes:
      workdir: the folder of the other run; None to start anew.
      checkpoint: best, latest or the number of a step.
      take: patterns of the paths to take, regular expressions; all of them if none is named.
    """

    workdir: str | None = None
    checkpoint: str = "best"
    take: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        for pattern in self.take:
            try:
                re.compile(pattern)
            except re.error as error:
                problems.append(f"take: {pattern!r} is no regular expression ({error})")
        if self.take and self.workdir is None:
            problems.append("take: needs a workdir to take from")
        if problems:
            raise ConfigError(problems)

    def wanted(self, path: str) -> bool:
        """Whether the parameter of a path shall be taken."""
        return not self.take or any(re.search(pattern, path) for pattern in self.take)


def start_from(
    learner: Learner, options: InitFrom, load: Callable[[], Any]
) -> tuple[Learner, list[str]]:
    """The learner whose `init` yields the other run's parameters, and lines that say which.

    >>> own = Learner(lambda key: {"a": jnp.zeros(2), "b": jnp.zeros(3)}, *[None] * 4)
    >>> other = {"a": jnp.ones(2), "b": jnp.ones(4), "c": jnp.ones(1)}
    >>> learner, lines = start_from(own, InitFrom(workdir="runs/x"), lambda: other)
    >>> print(*lines, learner.init(jax.random.key(0)), sep="\\n")
    from runs/x taken: a
    of another shape, not taken: b (3,), there (4,)
    not taken, since nothing here has the name: c
    {'a': Array([1., 1.], dtype=float32), 'b': Array([0., 0., 0.], dtype=float32)}

    Args:
      learner: the learner.
      options: what to take.
      load: reads the parameters of the other run.

    Raises:
      ConfigError: nothing is taken, or a pattern takes nothing.
    """
    theirs = _flat(load())
    own = _flat(jax.eval_shape(learner.init, jax.random.key(0)))
    fitting = {p for p in own if p in theirs and own[p].shape == theirs[p].shape}
    taken = sorted(path for path in fitting if options.wanted(path))
    _require(options, taken, own, theirs)

    def init(key: jax.Array) -> Any:
        def choose(path: str, leaf: Any) -> Any:
            return jnp.asarray(theirs[path], leaf.dtype) if path in taken else leaf

        return by_path(learner.init(key), choose)

    return learner._replace(init=init), _lines(options, taken, own, theirs)


def _flat(tree: Any) -> dict[str, Any]:
    return dict(zip(parameter_paths(tree), jax.tree.leaves(tree), strict=True))


def _require(
    options: InitFrom, taken: list[str], own: Mapping[str, Any], theirs: Mapping[str, Any]
) -> None:
    for pattern in options.take:
        if not any(re.search(pattern, path) for path in taken):
            shapes = _differing({p for p in own if re.search(pattern, p)}, own, theirs)
            why = f"shapes differ: {shapes}" if shapes else f"there are: {_short(sorted(theirs))}"
            raise ConfigError(f"init_from.take: {pattern!r} takes no parameter; {why}")
    if not taken:
        raise ConfigError(
            f"init_from: no parameter of {options.workdir} has the name and the shape of one here; "
            f"there: {_short(sorted(theirs))}; here: {_short(sorted(own))}"
        )


def _lines(
    options: InitFrom, taken: list[str], own: Mapping[str, Any], theirs: Mapping[str, Any]
) -> list[str]:
    """What was taken, what has another shape, and what is left, there and here."""
    differing = _differing(set(own) - set(taken), own, theirs)
    alone = sorted(set(theirs) - set(own))
    unwanted = sorted(p for p in own if p in theirs and not options.wanted(p))
    lines = [f"from {options.workdir} taken: {_short(taken)}"]
    if differing:
        lines.append(f"of another shape, not taken: {differing}")
    if unwanted:
        lines.append(f"not taken, since no pattern names it: {_short(unwanted)}")
    if alone:
        lines.append(f"not taken, since nothing here has the name: {_short(alone)}")
    anew = sorted(p for p in own if p not in theirs)
    if anew:
        lines.append(f"made anew: {_short(anew)}")
    return lines


def _differing(paths: set[str], own: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    both = sorted(p for p in paths if p in theirs and np.shape(theirs[p]) != own[p].shape)
    return _short([f"{p} {own[p].shape}, there {np.shape(theirs[p])}" for p in both])


def _short(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
