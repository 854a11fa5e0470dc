"""Numbers of a config that a compiled program reads as inputs.

A config's objects are built of plain numbers, and checked. `substitute` puts a `TracedNumber` in
the place of some of them, so that what is traced from the objects reads these numbers anew at
every call. Arithmetic with one gives another, or an array where the other side is one.

Python code may also ask a number something that shapes the program: `if rate == 0`. The answer must
be the same for all numbers that may ever stand there; it is sought at the ends of the interval, or
among the options. Where they differ `Divides` is raised, and where a plain number is needed (a
size) `ShapesProgram`, of which it is a kind.
"""

import copy
import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Number = int | float


class ShapesProgram(Exception):
    """A number decides what the program is, and so cannot be one of its inputs."""


class Divides(ShapesProgram):
    """Some of its values make one program, some another."""


@jax.tree_util.register_pytree_node_class
class TracedNumber:
    """A number that differs between calls of one program.

    >>> rate = TracedNumber((0.1, 0.5), jnp.float32(0.25))
    >>> rate > 0, float(1 - rate.value), float((1 - rate).value)
    (True, 0.75, 0.75)
    >>> rate > 0.3
    Traceback (most recent call last):
    ...
    lstm_jax.sweeps.traced.Divides: its values make different programs

    Args:
      corners: all that must be decided alike: the ends of an interval, or the options.
      value: the number of this call, a scalar.
    """

    __array_ufunc__ = None  # numpy leaves operators to us

    def __init__(self, corners: Sequence[Number], value: Any):
        self.corners = tuple(corners)
        self.value = value

    def tree_flatten(self) -> tuple[tuple[Any], tuple[Number, ...]]:
        """It may be an argument of an inner `jit`."""
        return (self.value,), self.corners

    @classmethod
    def tree_unflatten(cls, corners: tuple[Number, ...], values: tuple[Any]) -> "TracedNumber":
        """The inverse."""
        return cls(corners, values[0])

    def __jax_array__(self) -> Any:
        return self.value

    @property
    def dtype(self) -> Any:
        """Of the scalar."""
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the scalar."""
        return ()

    @property
    def ndim(self) -> int:
        """Of the scalar."""
        return 0

    def astype(self, dtype: Any) -> Any:
        """The scalar in another type."""
        return self.value.astype(dtype)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> Any:
        if self is other:
            return True
        return self._ask(operator.eq, other) if _is_number(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return not self == other

    def __lt__(self, other: Any) -> Any:
        return self._ask(operator.lt, other)

    def __le__(self, other: Any) -> Any:
        return self._ask(operator.le, other)

    def __gt__(self, other: Any) -> Any:
        return self._ask(operator.gt, other)

    def __ge__(self, other: Any) -> Any:
        return self._ask(operator.ge, other)

    def __bool__(self) -> bool:
        return self._ask(operator.ne, 0)

    def __add__(self, other: Any) -> Any:
        return self._with(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        return self._with(operator.add, other, swap=True)

    def __sub__(self, other: Any) -> Any:
        return self._with(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(operator.sub, other, swap=True)

    def __mul__(self, other: Any) -> Any:
        return self._with(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        return self._with(operator.mul, other, swap=True)

    def __truediv__(self, other: Any) -> Any:
        return self._with(operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(operator.truediv, other, swap=True)

    def __pow__(self, other: Any) -> Any:
        return self._with(operator.pow, other)

    def __rpow__(self, other: Any) -> Any:
        return self._with(operator.pow, other, swap=True)

    def __neg__(self) -> "TracedNumber":
        return TracedNumber([-corner for corner in self.corners], -self.value)

    def __abs__(self) -> "TracedNumber":
        return TracedNumber([abs(corner) for corner in self.corners], jnp.abs(self.value))

    def __round__(self) -> "TracedNumber":
        # Python and XLA both round a half to the even neighbour.
        return TracedNumber(
            [round(corner) for corner in self.corners],
            jnp.round(self.value).astype(jnp.int32),
        )

    def __float__(self) -> float:
        raise ShapesProgram("the program needs it before it is compiled")

    def __int__(self) -> int:
        raise ShapesProgram("the program needs it before it is compiled")

    __index__ = __int__

    def _ask(self, question: Callable[[Any, Any], Any], other: Any) -> Any:
        if not _is_number(other):
            return question(self.value, jnp.asarray(other))
        pairs = [(a, b) for a in self.corners for b in _corners(other)]
        answers = {bool(question(a, b)) for a, b in pairs}
        if len(answers) > 1:
            raise Divides("its values make different programs")
        return answers.pop()

    def _with(self, function: Callable[[Any, Any], Any], other: Any, *, swap: bool = False) -> Any:
        value = other.value if isinstance(other, TracedNumber) else other
        result = function(value, self.value) if swap else function(self.value, value)
        if not _is_number(other):
            return result
        pairs = [(a, b) for a in self.corners for b in _corners(other)]
        try:
            corners = [function(b, a) if swap else function(a, b) for a, b in pairs]
        except ArithmeticError:
            raise ShapesProgram("one of its values divides by zero") from None
        return TracedNumber(corners, result)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | TracedNumber)


def _corners(value: Any) -> Sequence[Number]:
    return value.corners if isinstance(value, TracedNumber) else (value,)


def substitute(built: Any, numbers: Mapping[str, Any]) -> Any:
    """A copy of a built config with other numbers in some of its fields, unchecked.

    >>> from lstm_jax.training.early_stopping import EarlyStopping
    >>> substitute(EarlyStopping(patience=2), {"patience": 3}).patience
    3

    Args:
      built: dataclasses and partial functions, one within another, as the config system builds.
      numbers: by the path of the field, as `optimizer.learning_rate`.

    Raises:
      ShapesProgram: no such field is kept in what was built.
    """
    for path, number in numbers.items():
        built = _replaced(built, path.split("."), number)
    return built


def _replaced(built: Any, names: Sequence[str], number: Any) -> Any:
    name, rest = names[0], names[1:]
    if isinstance(built, functools.partial):
        if name not in built.keywords:
            return _inline(built, names, number)
        inner = _replaced(built.keywords[name], rest, number) if rest else number
        return functools.partial(built.func, *built.args, **{**built.keywords, name: inner})
    if not dataclasses.is_dataclass(built):
        raise ShapesProgram("what is built of it keeps no number")
    if not any(field.name == name for field in dataclasses.fields(built)):
        return _inline(built, names, number)
    inner = _replaced(getattr(built, name), rest, number) if rest else number
    return _with(built, name, inner)


def _inline(built: Any, names: Sequence[str], number: Any) -> Any:
    """A field of a part whose fields stand beside its name."""
    parts = (
        built.keywords
        if isinstance(built, functools.partial)
        else {field.name: getattr(built, field.name) for field in dataclasses.fields(built)}
    )
    for name, part in parts.items():
        if isinstance(part, functools.partial) or dataclasses.is_dataclass(part):
            try:
                return _with(built, name, _replaced(part, names, number))
            except ShapesProgram:
                continue
    raise ShapesProgram("what is built of it keeps no number")


def _with(built: Any, name: str, value: Any) -> Any:
    if isinstance(built, functools.partial):
        return functools.partial(built.func, *built.args, **{**built.keywords, name: value})
    copied = copy.copy(built)
    # Past `__post_init__`, which looked at the plain numbers.
    object.__setattr__(copied, name, value)
    return copied
