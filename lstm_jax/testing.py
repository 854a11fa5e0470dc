"""The contract of a cell, as a test: for the cells of this library and for yours.

from lstm_jax.testing import check_cell
check_cell(my_cell(hidden_size=8))
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.kernels import BACKENDS, lacking, request
from lstm_jax.recurrence import scan

_TIME, _BATCH = 11, 3


class _Case:
    """A cell with parameters, inputs, and everything a run over time may be given."""

    def __init__(self, cell: Cell, input_size: int, space: tuple[int, ...], seed: int):
        keys = jax.random.split(jax.random.key(seed), 6)
        self.cell, self.space, self.input_size = cell, space, input_size
        self.params: Params = cell.init(keys[0], input_size)
        shape = (_TIME, _BATCH, *space)
        self.xs = jax.random.normal(keys[1], (*shape, input_size))
        self.mask = jax.random.bernoulli(keys[2], 0.7, (_TIME, _BATCH))
        self.resets = jax.random.bernoulli(keys[3], 0.2, (_TIME, _BATCH))
        self.weights = jax.random.normal(keys[4], (*shape, cell.output_size))
        # A carry that has lived: the initial one is zeros, which hide mistakes.
        lead = jax.random.normal(keys[5], (3, _BATCH, *space, input_size))
        self.carry: Carry = scan(cell, self.params, None, lead, backend="reference")[0]

    def value_and_gradients(self, **options: Any) -> Any:
        """The outputs, the last carry, and the gradients in params, inputs and first carry."""

        def loss(params: Params, xs: Array, carry: Carry) -> tuple[Array, Any]:
            last, ys = scan(self.cell, params, carry, xs, **options)
            total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(last))
            return jnp.sum(ys * self.weights) + total, (last, ys)

        function = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
        return function(self.params, self.xs, self.carry)


def check_cell(
    cell: Cell,
    input_size: int = 4,
    *,
    space: tuple[int, ...] = (),
    tolerance: float = 1e-4,
    seed: int = 0,
) -> None:
    """Checks that a cell keeps every promise that `lstm_jax.scan` and the modules rely on.

    That its parameters are nested dicts of float arrays; that the carry keeps its shapes and types;
    that jit, vmap, batches of any shape and no batch at all give the same; that `scan` equals a
    Python loop; that every backend and every remat equals the reference in value and gradient with
    masks, resets and in reverse; that padding changes nothing; that gradients over a long sequence
    are finite; and, if it declares them, that project, recur and update make up its step.

    >>> import lstm_jax as lj
    >>> check_cell(lj.lstm(hidden_size=5))

    Args:
      cell: the cell.
      input_size: size of the last axis of its input.
      space: the axes between batch and channels, for a convolutional cell.
      tolerance: how far floats may differ, relative and absolute.
      seed: of parameters and inputs.

    Raises:
      AssertionError: a promise is broken; the message says which.
    """
    case = _Case(cell, input_size, space, seed)
    for check in _CHECKS:
        check(case, tolerance)


def _assert_close(what: str, actual: Any, expected: Any, tolerance: float) -> None:
    structures = jax.tree.structure(actual), jax.tree.structure(expected)
    assert structures[0] == structures[1], f"{what}: {structures[0]} is not {structures[1]}"
    flat, _ = jax.tree_util.tree_flatten_with_path(actual)
    for (path, a), b in zip(flat, jax.tree.leaves(expected), strict=True):
        name = f"{what} {jax.tree_util.keystr(path)}"
        assert a.shape == b.shape, f"{name}: shape {a.shape} is not {b.shape}"
        scale = max(1.0, float(jnp.max(jnp.abs(b), initial=0.0)))
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * scale, err_msg=name, equal_nan=False
        )


def _check_params(case: _Case, tolerance: float) -> None:
    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for name, child in node.items():
                assert isinstance(name, str), f"params{path}: the key {name!r} is not a str"
                walk(child, f"{path}[{name!r}]")
        else:
            assert isinstance(node, jax.Array), f"params{path}: {type(node).__name__} is no array"
            assert jnp.issubdtype(node.dtype, jnp.floating), f"params{path}: {node.dtype}"

    assert isinstance(case.params, dict), "params must be a dict"
    walk(case.params, "")
    again = case.cell.init(jax.random.split(jax.random.key(0), 6)[0], case.input_size)
    assert jax.tree.structure(again) == jax.tree.structure(case.params)


def _check_carry(case: _Case, tolerance: float) -> None:
    before = case.cell.initial_carry(case.params, (_BATCH, *case.space))
    after, y = case.cell.step(case.params, before, case.xs[0])
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert old.shape == new.shape, f"carry: {old.shape} becomes {new.shape}"
        assert old.dtype == new.dtype, f"carry: {old.dtype} becomes {new.dtype}"
    assert jax.tree.structure(before) == jax.tree.structure(after), "carry: another structure"
    expected = (_BATCH, *case.space, case.cell.output_size)
    assert y.shape == expected, f"y: shape {y.shape} is not {expected}"


def _check_step_batches(case: _Case, tolerance: float) -> None:
    step = case.cell.step
    expected = step(case.params, case.carry, case.xs[0])
    _assert_close("jit", jax.jit(step)(case.params, case.carry, case.xs[0]), expected, tolerance)
    mapped = jax.vmap(step, (None, 0, 0))(case.params, case.carry, case.xs[0])
    _assert_close("vmap", mapped, expected, tolerance)
    one = jax.tree.map(lambda leaf: leaf[0], case.carry)
    alone = step(case.params, one, case.xs[0, 0])
    _assert_close("no batch", alone, jax.tree.map(lambda leaf: leaf[0], expected), tolerance)
    two = jax.tree.map(lambda leaf: leaf[None], (case.carry, case.xs[0]))
    more = step(case.params, *two)
    _assert_close("two batch axes", jax.tree.map(lambda x: x[0], more), expected, tolerance)


def _check_loop(case: _Case, tolerance: float) -> None:
    carry, ys, carries = case.carry, [], []
    for x in case.xs:
        carry, y = case.cell.step(case.params, carry, x)
        ys.append(y)
        carries.append(carry)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)
    actual = scan(case.cell, case.params, case.carry, case.xs, return_carries=True)
    _assert_close("scan against a loop", actual, (carry, (jnp.stack(ys), stacked)), tolerance)


def _options(case: _Case) -> Iterator[dict[str, Any]]:
    yield {}
    yield {"mask": case.mask, "reverse": True}
    yield {"mask": case.mask, "resets": case.resets}


def _check_backends(case: _Case, tolerance: float) -> None:
    for options in _options(case):
        asked = request(case.cell, case.params, case.carry, case.xs, **options)
        names = [name for name in BACKENDS if lacking(name, case.cell, asked) is None]
        if case.cell.over_time is not None:
            names.append("auto")
        names.remove("reference")
        expected = case.value_and_gradients(backend="reference", **options)
        for name in names:
            actual = case.value_and_gradients(backend=name, **options)
            given = [
                key for key, value in options.items() if value is not None and value is not False
            ]
            _assert_close(f"backend {name} with {given}", actual, expected, tolerance)


def _check_remat(case: _Case, tolerance: float) -> None:
    expected = case.value_and_gradients(mask=case.mask)
    for remat in ("step", "sqrt", 4):
        actual = case.value_and_gradients(mask=case.mask, remat=remat)
        _assert_close(f"remat {remat}", actual, expected, tolerance)
    backwards = case.value_and_gradients(reverse=True)
    actual = case.value_and_gradients(reverse=True, remat="sqrt")
    _assert_close("remat in reverse", actual, backwards, tolerance)


def _check_padding(case: _Case, tolerance: float) -> None:
    fits = case.mask.reshape(case.mask.shape + (1,) * case.cell.input_axes)

    def run(xs: Array) -> Any:
        return scan(case.cell, case.params, case.carry, xs, mask=case.mask)

    for padding in (1e30, jnp.nan):
        changed = jax.tree.leaves(run(jnp.where(fits, case.xs, padding)))
        for a, b in zip(changed, jax.tree.leaves(run(case.xs)), strict=True):
            np.testing.assert_array_equal(a, b, err_msg="padding changed a result")
    gradient = jax.grad(lambda xs: jnp.sum(run(xs)[1] * case.weights))(case.xs)
    assert not jnp.where(fits, 0, gradient).any(), "a masked input has a gradient"


def _check_vmap(case: _Case, tolerance: float) -> None:
    def run(carry: Carry, xs: Array, mask: Array) -> Any:
        return scan(case.cell, case.params, carry, xs, mask=mask)

    mapped = jax.vmap(run, (0, 1, 1), (0, 1))(case.carry, case.xs, case.mask)
    _assert_close("vmap of scan", mapped, run(case.carry, case.xs, case.mask), tolerance)


def _check_long(case: _Case, tolerance: float) -> None:
    xs = jnp.tile(case.xs[:8], (64, *[1] * (case.xs.ndim - 1)))

    def loss(params: Params) -> Array:
        return jnp.sum(scan(case.cell, params, None, xs)[1] ** 2)

    gradients = jax.jit(jax.grad(loss))(case.params)
    for path, leaf in jax.tree_util.tree_flatten_with_path(gradients)[0]:
        name = jax.tree_util.keystr(path)
        assert jnp.isfinite(leaf).all(), f"the gradient in {name} is not finite after 512 steps"


def _check_gates(case: _Case, tolerance: float) -> None:
    cell = case.cell
    if cell.project is None or cell.recur is None or cell.update is None:
        return
    x = case.xs[0]
    z, r = cell.project(case.params, x), cell.recur(case.params, case.carry)
    expected = cell.step(case.params, case.carry, x)
    parts = cell.update(case.params, case.carry, z, r)
    _assert_close("update(project, recur)", parts, expected, tolerance)
    double = cell.recur(case.params, jax.tree.map(lambda leaf: 2 * leaf, case.carry))
    _assert_close("recur is not linear:", double, 2 * r, tolerance)
    if cell.fast_update is not None:
        fast = cell.fast_update(case.params, case.carry, z, r)
        _assert_close("fast_update", fast, parts, tolerance)


_CHECKS: tuple[Callable[[_Case, float], None], ...] = (
    _check_params,
    _check_carry,
    _check_step_batches,
    _check_gates,
    _check_loop,
    _check_backends,
    _check_remat,
    _check_padding,
    _check_vmap,
    _check_long,
)
