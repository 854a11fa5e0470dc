"""Two cells over the same sequence, one from each end."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.cells.checks import require_choices


class BidirectionalCarry(NamedTuple):
    """The carries of both directions: after the last step, and after the first."""

    forward: Carry
    backward: Carry


def bidirectional(
    forward: Cell | SequenceMap,
    backward: Cell | SequenceMap | None = None,
    *,
    merge: Literal["concat", "sum", "mean"] = "concat",
) -> SequenceMap:
    """Runs one cell from the first step to the last and another from the last to the first.

        y[t] = merge(forward over x[0..t], backward over x[T-1..t])

    M. Schuster and K. Paliwal, "Bidirectional Recurrent Neural Networks", 1997. With `lengths` or
    a mask the backward cell starts at the last valid step. With `resets` no direction sees across
    the beginning of a reset step, so that sequences packed into one stay apart.

    Params: `forward`, `backward`.

    >>> import lstm_jax as lj
    >>> layer = bidirectional(lj.lstm(8))
    >>> params = layer.init(jax.random.key(0), input_size=3)
    >>> carry, ys = lj.scan(layer, params, None, jnp.ones((5, 2, 3)))
    >>> ys.shape, carry.backward.hidden.shape
    ((5, 2, 16), (2, 8))

    Args:
      forward: the cell of the first direction.
      backward: the cell of the second; None for another like the first.
      merge: how the two outputs are put together; their sizes must agree unless by "concat".

    Raises:
      ValueError: there is no such merge, the outputs have different sizes and are not
        concatenated, or the inputs have different numbers of axes.
    """
    require_choices(("concat", "sum", "mean"), merge=merge)
    backward = forward if backward is None else backward
    axes = forward.input_axes, backward.input_axes
    if axes[0] != axes[1]:
        raise ValueError(f"directions need inputs of as many axes, got {axes[0]} and {axes[1]}")
    sizes = forward.output_size, backward.output_size
    if merge != "concat" and sizes[0] != sizes[1]:
        raise ValueError(
            f"merge={merge!r} needs outputs of one size, got {sizes[0]} and {sizes[1]}"
        )

    def init(key: Array, input_size: int) -> Params:
        one, two = jax.random.split(key)
        return {
            "forward": forward.init(one, input_size),
            "backward": backward.init(two, input_size),
        }

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> BidirectionalCarry:
        return BidirectionalCarry(
            forward.initial_carry(params["forward"], batch_shape),
            backward.initial_carry(params["backward"], batch_shape),
        )

    def over_time(scan: Any, params: Params, carry: Carry, xs: Array, key: Array | None) -> Any:
        keys = (None, None) if key is None else jax.random.split(key)
        before = (None, None) if carry is None else carry
        options = dict(scan.keywords)
        reverse = options.pop("reverse", False)
        resets = options.pop("resets", None)

        def run(cell: Any, name: str, i: int, turned: bool, resets: Array | None) -> Any:
            turn = {"key": keys[i], "reverse": turned, "resets": resets}
            return scan.func(cell, params[name], before[i], xs, **turn, **options)

        one, ys_one = run(forward, "forward", 0, reverse, resets)
        two, ys_two = run(backward, "backward", 1, not reverse, _from_behind(resets, reverse))
        return BidirectionalCarry(one, two), _merge(merge, ys_one, ys_two)

    return SequenceMap(
        init,
        initial_carry,
        over_time,
        sum(sizes) if merge == "concat" else sizes[0],
        forward.input_axes,
    )


def _from_behind(resets: Array | None, reverse: bool) -> Array | None:
    """The resets of the other direction: each beginning is reached at the step before it."""
    if resets is None:
        return None
    never = jnp.zeros_like(resets[:1])
    return jnp.concatenate([never, resets[:-1]] if reverse else [resets[1:], never])


def _merge(how: str, a: Array, b: Array) -> Array:
    if how == "concat":
        return jnp.concatenate([a, b], axis=-1)
    return a + b if how == "sum" else (a + b) / 2
