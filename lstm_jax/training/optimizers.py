"""All optimisers of Optax by name, each driven by a schedule of its peak learning rate.

Fields, their defaults and their meaning are read from the signatures and docstrings of the Optax
that is installed, so that they are its own and a newer Optax brings what it adds.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import optax
import optax.contrib

from lstm_jax.config import register
from lstm_jax.config.schema import argument_comments
from lstm_jax.training.optimizer_fields import Mapped, mapped_fields
from lstm_jax.training.parameter_groups import decayed

# What a step of training cannot give, or what is no optimiser by itself.
EXCLUDED = {
    "dpsgd": "needs the gradient of every example",
    "lbfgs": "its line search evaluates the loss many times a step",
    "optimistic_adam": "takes no schedule; optimistic_adam_v2 does",
    "schedule_free": "wraps an optimiser; schedule_free_adamw and schedule_free_sgd are whole",
    "sophia": "needs the curvature of the loss",
}
# Their rate is a number, so that the schedule scales what they yield.
_RATE_IS_A_NUMBER = ("polyak_sgd", "rprop", "sm3")
_MASKS = ("mask", "weight_decay_mask")

# Rates where Optax has none; 0.001 for the others.
_LEARNING_RATES = {
    "adadelta": 1.0,
    "adafactor": 1e-2,
    "adagrad": 1e-2,
    "fromage": 1e-2,
    "lars": 1.0,
    "lion": 1e-4,
    "madgrad": 1e-2,
    "muon": 2e-2,
    "noisy_sgd": 0.1,
    "optimistic_gradient_descent": 0.1,
    "sgd": 1.0,
    "sign_sgd": 1e-4,
    "signum": 1e-4,
    "sm3": 0.1,
}
# Where a default is not that of Optax: weight decay is asked for, never assumed.
OWN_DEFAULTS: dict[str, dict[str, Any]] = {"adamw": {"weight_decay": 0.0}}
_COMMENTS = {
    "learning_rate": "peak rate.",
    "max_learning_rate": "largest rate, at the peak of the schedule.",
    "b1": "decay of the mean of gradients.",
    "b2": "decay of the mean of squared gradients.",
    "eps": "added to a denominator.",
    "eps_root": "added under the root.",
    "momentum": "decay of the running sum of updates; 0 for none.",
    "nesterov": "look ahead along the momentum.",
    "seed": "of the noise.",
    "weight_decay": "pull of parameters to zero, times the rate.",
    "mu_dtype": "type in which the mean of gradients is kept; that of the parameters if None.",
}


class Entry(NamedTuple):
    """An optimiser of Optax as a part.

    Attributes:
      make: Optax's function.
      factory: the registered function.
      fields: its config fields.
      mask: the name of Optax's argument that says what is decayed; None if it has none.
    """

    make: Callable[..., Any]
    factory: Callable[..., optax.GradientTransformation]
    fields: dict[str, Mapped]
    mask: str | None


def takes_decay_mask(optimizer: Callable[..., Any]) -> bool:
    """Whether an optimiser says by its signature that it can be told what to decay."""
    return "decay_mask" in inspect.signature(optimizer).parameters


def averages_by_itself(optimizer: Callable[..., Any]) -> bool:
    """Whether it keeps an average of parameters, so that nothing may change its updates."""
    name = getattr(getattr(optimizer, "func", optimizer), "__name__", "")
    return name.startswith("schedule_free")


def _makers() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Optax's functions of a learning rate: name, function, and the name of the rate."""
    for module in (optax, optax.contrib):
        for name, make in sorted(vars(module).items()):
            # Some are others with an argument filled in.
            is_function = inspect.isfunction(make) or isinstance(make, functools.partial)
            if not is_function or name.startswith(("_", "scale_by_")):
                continue
            parameters = inspect.signature(make).parameters
            rate = next((n for n in ("learning_rate", "max_learning_rate") if n in parameters), "")
            if rate and name not in EXCLUDED:
                yield name, make, rate


def _entry(name: str, make: Callable[..., Any], rate: str) -> Entry:
    parameters = inspect.signature(make).parameters
    own = dict(OWN_DEFAULTS.get(name, {}))
    if parameters[rate].default in (inspect.Parameter.empty, None):
        own[rate] = _LEARNING_RATES.get(name, 1e-3)
    fields = mapped_fields(name, parameters, own)
    mask = next((m for m in _MASKS if m in parameters), None)

    def optimizer(*given: Any, **values: Any) -> Any:
        bound = inspect.signature(optimizer).bind(*given, **values)
        bound.apply_defaults()
        return _make(name, make, rate, fields, mask, bound.arguments)

    _describe(optimizer, name, _docstring(make, fields), fields, mask is not None)
    return Entry(make, optimizer, fields, mask)


def _make(
    name: str,
    make: Callable[..., Any],
    rate: str,
    fields: Mapping[str, Mapped],
    mask: str | None,
    settings: Mapping[str, Any],
) -> optax.GradientTransformation:
    """Calls Optax with the fields, and with the schedule for its rates."""
    arguments: dict[str, Any] = {} if mask is None else {mask: settings["decay_mask"]}
    for key, field in fields.items():
        field.give(arguments, settings[key])
    schedule = settings["schedule"]
    if name in _RATE_IS_A_NUMBER:
        return optax.chain(make(**arguments), optax.scale_by_schedule(schedule))
    for key in (rate, "adam_learning_rate"):
        if arguments.get(key) is not None:
            arguments[key] = _rate(schedule, arguments[key])
    return make(**arguments)


def _describe(
    optimizer: Any, name: str, doc: str, fields: Mapping[str, Mapped], masked: bool
) -> None:
    """Gives a function the name, docstring and signature that the config system reads."""
    from_program = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("schedule", from_program, annotation=optax.Schedule)]
    if masked:
        parameters.append(
            inspect.Parameter("decay_mask", from_program, default=decayed, annotation=Any)
        )
    parameters += [
        inspect.Parameter(
            key, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation
        )
        for key, field in fields.items()
    ]
    optimizer.__name__ = optimizer.__qualname__ = name
    optimizer.__doc__ = doc
    optimizer.__annotations__ = {p.name: p.annotation for p in parameters}
    optimizer.__signature__ = inspect.Signature(parameters)


def _rate(schedule: optax.Schedule, peak: float) -> optax.Schedule:
    return lambda step: peak * schedule(step)


def _docstring(make: Callable[..., Any], fields: dict[str, Mapped]) -> str:
    """The first line of Optax's docstring, and a sentence for every field."""
    doc = inspect.getdoc(getattr(make, "func", make)) or ""
    given = argument_comments(doc)
    lines = [doc.partition("\n")[0], "", "Args:"]
    for name, field in fields.items():
        comment = _COMMENTS.get(name) or _plain(given.get(field.argument, ""))
        lines.append(f"  {name}: {comment}")
    return "\n".join(lines)


def _plain(comment: str) -> str:
    """The first sentence, without the marks of Sphinx."""
    comment = re.sub(r":\w+:`([^`]*)`|``?([^`]*)``?", r"\1\2", comment)
    return re.split(r"(?<=[a-z)]\.)\s", comment)[0]


ENTRIES: dict[str, Entry] = {name: _entry(name, make, rate) for name, make, rate in _makers()}
for _one in ENTRIES.values():
    register("optimizer")(_one.factory)
