"""Config fields of Optax's optimisers, from the parameters of their signatures."""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import jax.numpy as jnp

from lstm_jax.config import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Seed,
)
from lstm_jax.config import Rate as Decay

_Dtype = Literal["float32", "bfloat16", "float16"]
_OpenDecay = Annotated[float, Range(0, 1, open_low=True, open_high=True)]
_DECAYS = ("b1", "b2", "b3", "beta", "beta3", "decay", "rho", "momentum", "adam_b1", "adam_b2")

# What neither the annotation nor the default tells: any number may stand there, a text is one of
# a few, a name that is a type.
_TYPES: dict[str, Any] = {
    "learning_rate": PositiveFloat,  # also where Optax takes None
    "f_min": float,
    "lower_bound": float,
    "optimism": float | None,
    "variant": Literal["sps", "sps+"],
    "mu_dtype": _Dtype | None,
    "state_dtype": _Dtype | None,
    "accumulator_dtype": _Dtype | None,
    "dtype_momentum": _Dtype,
}
# The schedule warms up, the seed is the older name of the key, and the others are no numbers.
_LEFT_OUT = ("warmup_steps", "seed", "weight_dimension_numbers", "muon_weight_dimension_numbers")


class Mapped(NamedTuple):
    """A field, and where its value goes in Optax's call.

    Attributes:
      argument: the parameter that takes it.
      annotation: its type.
      default: its default.
      place: in the parameter, where that is a pair.
      zero_is_none: whether Optax says None for what is switched off.
    """

    argument: str
    annotation: Any
    default: Any
    place: int | None = None
    zero_is_none: bool = False

    def give(self, arguments: dict[str, Any], value: Any) -> None:
        """Puts the value of the field among the arguments."""
        if self.place is not None:
            value = (*arguments.get(self.argument, ()), value)  # fields of a pair come in order
        elif self.zero_is_none:
            value = value or None
        elif "dtype" in self.argument and value is not None:
            value = jnp.dtype(value)
        arguments[self.argument] = value


def mapped_fields(
    name: str, parameters: Mapping[str, inspect.Parameter], own: Mapping[str, Any]
) -> dict[str, Mapped]:
    """The fields of an optimiser, by name, in the order of its signature.

    A parameter that a config cannot hold (a mask, a function, another optimiser) is left at its
    default.

    Args:
      name: of the optimiser.
      parameters: of its signature.
      own: defaults in place of Optax's.
    """
    fields: dict[str, Mapped] = {}
    for key, parameter in parameters.items():
        default = own.get(key, parameter.default)
        if key == "betas":
            for i, beta in enumerate(default):
                fields[f"b{i + 1}"] = Mapped(key, Decay, beta, i)
        elif key == "key":
            fields["seed"] = Mapped(key, Seed, 0)
        elif key == "momentum" and default is None:
            fields[key] = Mapped(key, Decay, 0.0, zero_is_none=True)
        elif key not in _LEFT_OUT and not key.endswith("mask"):
            annotation = _annotation(name, parameter, default)
            if annotation is not None:
                fields[key] = Mapped(key, annotation, _as_text(default))
    return fields


def _annotation(name: str, parameter: inspect.Parameter, default: Any) -> Any:
    """The type of a field by the parameter's name, annotation and default; None for no field."""
    key = parameter.name
    given = get_args(parameter.annotation)
    if key in _TYPES:
        return _TYPES[key]
    if get_origin(parameter.annotation) is Literal:
        return parameter.annotation
    if key == "b1" and name.startswith("schedule_free"):
        return _OpenDecay  # the average is divided by it
    if default is None:
        default = 0.0 if float in given else None
    found: Any = None
    if isinstance(default, bool):
        return bool
    if isinstance(default, int):
        found = PositiveInt if default else NonNegativeInt
    elif isinstance(default, float):
        found = _float(key, default)
    return found | None if found is not None and type(None) in given else found


def _float(key: str, default: float) -> Any:
    if key in _DECAYS and default < 1:
        return Decay
    positive = key.endswith("learning_rate") or (key.startswith("eps") and default > 0)
    return PositiveFloat if positive else NonNegativeFloat


def _as_text(default: Any) -> Any:
    """A default as a config holds it: types by name."""
    return jnp.dtype(default).name if isinstance(default, type) else default
