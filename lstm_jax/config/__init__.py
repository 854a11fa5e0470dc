"""Configs that are checked whole before any work begins. See docs/configs.md."""

from lstm_jax.config.build import build, values_of
from lstm_jax.config.complete import complete
from lstm_jax.config.describe import Description, describe
from lstm_jax.config.files import (
    difference,
    load_json,
    load_python,
    to_json,
    write_atomically,
)
from lstm_jax.config.overrides import apply_overrides
from lstm_jax.config.registry import find, import_parts, names, register, without_imports
from lstm_jax.config.schema import Field, fields
from lstm_jax.config.types import (
    Duration,
    Fraction,
    Interval,
    LayerCount,
    NonNegativeFloat,
    NonNegativeInt,
    Pattern,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Range,
    Rate,
    Seed,
    part_of,
    parts_of,
)

__all__ = [
    "Description",
    "Duration",
    "Field",
    "Fraction",
    "Interval",
    "LayerCount",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Pattern",
    "PositiveFloat",
    "PositiveFraction",
    "PositiveInt",
    "Range",
    "Rate",
    "Seed",
    "apply_overrides",
    "build",
    "complete",
    "describe",
    "difference",
    "fields",
    "find",
    "import_parts",
    "load_json",
    "load_python",
    "names",
    "part_of",
    "parts_of",
    "register",
    "to_json",
    "values_of",
    "without_imports",
    "write_atomically",
]
