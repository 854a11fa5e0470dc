"""Parameters of the recurrent cells of Flax, linen and nnx, in and out."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from lstm_jax.cells import Array, Params
from lstm_jax.interop.arrays import reorder, to_jax
from lstm_jax.interop.checks import require_only, require_plain
from lstm_jax.interop.layers import Kind, layers_of, map_layers
from lstm_jax.interop.weights import RecurrentWeights

# What Flax calls the gates, in our order; their names end linen's i? (input) and h? (hidden).
GATE_NAMES: dict[Kind, tuple[str, ...]] = {
    "lstm": ("i", "f", "g", "o"),
    "gru": ("z", "r", "n"),
    "rnn": ("",),
}
SWAP_GATES = (1, 0, 2)  # nnx's GRU has r z n in one kernel, ours z r h


def from_linen(cells: Any) -> RecurrentWeights:
    """The weights of linen's LSTMCell, OptimizedLSTMCell, GRUCell or SimpleCell.

    The activations are not among the parameters: they are taken for those Flax has by default.

    >>> import flax.linen as nn, jax
    >>> cell, x = nn.OptimizedLSTMCell(features=2), jnp.ones((1, 3))
    >>> carry = cell.initialize_carry(jax.random.key(0), x.shape)
    >>> weights = from_linen(cell.init(jax.random.key(1), carry, x)["params"])
    >>> weights.kind, weights.hidden_size
    ('lstm', 2)

    Args:
      cells: the parameters of one cell, or layers of them, each of one or two directions.

    Raises:
      ValueError: a name is missing or unknown, or a shape does not fit.
    """
    layers = layers_of(cells)
    names = set(layers[0][0])
    kind: Kind = "lstm" if "hf" in names else "gru" if "hn" in names else "rnn"
    return RecurrentWeights.of(kind, map_layers(lambda one: _read_linen(kind, one), layers))


def to_linen(weights: RecurrentWeights) -> tuple[tuple[dict[str, dict[str, Array]], ...], ...]:
    """The parameters of linen's cells, layer by layer, each a tuple of directions.

    Of a GRU's second bias linen holds the part inside the reset gate, the rest is added to the
    first.

    >>> import lstm_jax as lj, jax
    >>> params = lj.lstm(hidden_size=2).init(jax.random.key(0), 3)
    >>> sorted(to_linen(RecurrentWeights.of("lstm", params))[0][0])
    ['hf', 'hg', 'hi', 'ho', 'if', 'ig', 'ii', 'io']

    Raises:
      ValueError: linen's cells cannot hold a parameter or an option; it is named.
    """
    return map_layers(
        lambda params: _write_linen(weights.kind, _plain(weights.kind, params)), weights.layers
    )


def from_nnx(cells: Any) -> RecurrentWeights:
    """The weights of nnx's LSTMCell, OptimizedLSTMCell, GRUCell or SimpleCell.

    >>> from flax import nnx
    >>> weights = from_nnx(nnx.GRUCell(3, 2, rngs=nnx.Rngs(0)))
    >>> weights.kind, weights.hidden_size
    ('gru', 2)

    Args:
      cells: one cell, or layers of them, each of one or two directions; instead of a cell also
        its parameters as `nnx.to_pure_dict` gives them.

    Raises:
      ValueError: a name is missing or unknown, a shape does not fit, or the cell computes
        something else than ours.
    """
    layers = map_layers(_open_nnx, layers_of(cells))
    kind = _nnx_kind(layers[0][0])
    return RecurrentWeights.of(kind, map_layers(lambda one: _read_nnx(kind, one), layers))


def to_nnx(
    weights: RecurrentWeights, *, optimized: bool = False
) -> tuple[tuple[dict[str, Any], ...], ...]:
    """The parameters of nnx's cells; `nnx.update(cell, to_nnx(weights)[0][0])` loads them.

    >>> from flax import nnx
    >>> cell = nnx.SimpleCell(3, 2, rngs=nnx.Rngs(0))
    >>> sorted(to_nnx(from_nnx(cell))[0][0])
    ['dense_h', 'dense_i']

    Args:
      weights: what to write.
      optimized: for nnx.OptimizedLSTMCell instead of nnx.LSTMCell.

    Raises:
      ValueError: nnx's cells cannot hold a parameter or an option; it is named. A GRU of nnx has
        no bias inside the reset gate: the one of `weights` must be zero.
    """
    return map_layers(
        lambda params: _write_nnx(weights.kind, _plain(weights.kind, params), optimized),
        weights.layers,
    )


def _read_linen(kind: Kind, params: Mapping[str, Any]) -> Params:
    gates = GATE_NAMES[kind]
    require_only(dict(params), {p + g for g in gates for p in "ih"}, f"our {kind}")

    def joined(prefix: str, leaf: str) -> Array:
        names = [prefix + gate for gate in gates]
        return jnp.concatenate([_leaf(params, name, leaf) for name in names], axis=-1)

    kernels = {"kernel": joined("i", "kernel"), "recurrent_kernel": joined("h", "kernel")}
    if kind == "lstm":
        return kernels | {"bias": joined("h", "bias")}
    if kind == "rnn":
        return kernels | {"bias": joined("i", "bias")}
    inside = _leaf(params, "hn", "bias")
    outside = jnp.zeros(2 * inside.shape[-1], inside.dtype)
    return kernels | {"bias": jnp.stack([joined("i", "bias"), jnp.concatenate([outside, inside])])}


def _write_linen(kind: Kind, params: Params) -> dict[str, dict[str, Array]]:
    gates = GATE_NAMES[kind]

    def parts(name: str, values: Array, leaf: str) -> dict[str, dict[str, Array]]:
        blocks = jnp.split(values, len(gates), axis=-1)
        return {name + gate: {leaf: block} for gate, block in zip(gates, blocks, strict=True)}

    written = parts("i", params["kernel"], "kernel")
    hidden = parts("h", params["recurrent_kernel"], "kernel")
    if kind == "gru":
        outside, inside = _gru_biases(params["bias"])
        hidden["hn"]["bias"] = inside
        biases = parts("i", outside, "bias")
    else:
        biases = parts("h" if kind == "lstm" else "i", params["bias"], "bias")
    written |= hidden
    for name, leaf in biases.items():
        written[name] |= leaf
    return written


def _open_nnx(cell: Any) -> Mapping[str, Any]:
    from flax import nnx

    if not isinstance(cell, nnx.Module):
        return cell
    if getattr(cell, "residual", False):
        raise ValueError("a SimpleCell with residual=True is not our rnn")
    for name, default in (("activation_fn", nnx.tanh), ("gate_fn", nnx.sigmoid)):
        function = getattr(cell, name, default)
        if function is not default:
            raise ValueError(f"{name} must be {default.__name__}, got {function}")
    return nnx.to_pure_dict(nnx.state(cell, nnx.Param))


def _nnx_kind(params: Mapping[str, Any]) -> Kind:
    if "dense_h" not in params:
        return "lstm"
    rows, columns = _leaf(params, "dense_h", "kernel").shape
    kinds: dict[int, Kind] = {4 * rows: "lstm", 3 * rows: "gru", rows: "rnn"}
    if columns not in kinds:
        raise ValueError(
            f"dense_h.kernel has {columns} columns for hidden size {rows}: "
            "the number of gates must be 4 (LSTM), 3 (GRU) or 1 (SimpleCell)"
        )
    return kinds[columns]


def _read_nnx(kind: Kind, params: Mapping[str, Any]) -> Params:
    if "dense_h" not in params:
        return _read_linen(kind, {name.rstrip("_"): leaf for name, leaf in params.items()})
    require_only(dict(params), {"dense_i", "dense_h"}, f"our {kind}")
    kernel, recurrent = (_leaf(params, name, "kernel") for name in ("dense_i", "dense_h"))
    bias = _leaf(params, "dense_h" if kind == "lstm" else "dense_i", "bias")
    if kind == "gru":
        kernel, recurrent, bias = (reorder(x, SWAP_GATES) for x in (kernel, recurrent, bias))
        bias = jnp.stack([bias, jnp.zeros_like(bias)])
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}


def _write_nnx(kind: Kind, params: Params, optimized: bool) -> dict[str, Any]:
    if kind == "lstm" and not optimized:
        linen = _write_linen(kind, params)
        return {"if_" if name == "if" else name: leaf for name, leaf in linen.items()}
    kernel, recurrent, bias = (params[n] for n in ("kernel", "recurrent_kernel", "bias"))
    if kind == "lstm":
        return {"dense_i": {"kernel": kernel}, "dense_h": {"kernel": recurrent, "bias": bias}}
    if kind == "gru":
        bias, inside = _gru_biases(bias)
        if inside.any():
            raise ValueError(
                "bias inside the reset gate is not zero; nnx.GRUCell cannot hold it (linen's can)"
            )
        kernel, recurrent, bias = (reorder(x, SWAP_GATES) for x in (kernel, recurrent, bias))
    return {"dense_i": {"kernel": kernel, "bias": bias}, "dense_h": {"kernel": recurrent}}


def _gru_biases(bias: Array) -> tuple[Array, Array]:
    """What stands outside the reset gate [3 * hidden], and inside it [hidden]."""
    first, second = bias
    outside, inside = jnp.split(second, [2 * (second.shape[-1] // 3)])
    return first.at[: outside.shape[-1]].add(outside), inside


def _plain(kind: Kind, params: Params) -> Params:
    """The params, if Flax has a cell that computes the same."""
    require_plain(kind, params, "a cell of Flax")
    if kind == "gru" and params["bias"].ndim == 1:
        raise ValueError("a cell of Flax cannot hold a GRU with reset_after=False")
    return {name: jnp.asarray(values) for name, values in params.items()}


def _leaf(params: Mapping[str, Any], name: str, leaf: str) -> Array:
    if name not in params or leaf not in params[name]:
        raise ValueError(f"{name}.{leaf} is missing")
    return to_jax(f"{name}.{leaf}", params[name][leaf])
