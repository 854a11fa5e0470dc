"""Weights of torch's nn.LSTM, nn.GRU and nn.RNN, in and out; torch need not be installed."""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Params
from lstm_jax.interop.arrays import reorder, to_jax, to_numpy
from lstm_jax.interop.checks import GATES, require_axes, require_plain, require_shape
from lstm_jax.interop.files import require_file
from lstm_jax.interop.layers import Kind
from lstm_jax.interop.weights import RecurrentWeights

NAME = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)(_reverse)?")
SWAP_GATES = (1, 0, 2)  # torch's GRU has r z n, ours z r h: the same exchange there and back


def from_torch(source: Any, *, prefix: str = "", activation: str = "tanh") -> RecurrentWeights:
    """The weights of an nn.LSTM, nn.GRU or nn.RNN, with its layers, directions and `proj_size`.

    torch computes W x + b_ih + U h + b_hh. Our LSTM and RNN have one bias, the sum of the two;
    our GRU keeps both. Without biases ours are zero.

    >>> state = {"weight_ih_l0": np.ones((8, 3), "f"), "weight_hh_l0": np.ones((8, 2), "f")}
    >>> weights = from_torch(state)
    >>> weights.kind, weights.hidden_size, weights.layers[0][0]["kernel"].shape
    ('lstm', 2, (3, 8))

    Args:
      source: a module; or its state, names to arrays (of torch, numpy or jax); or the path of a
        .safetensors file that holds them, read with the package safetensors.
      prefix: what stands before the names, as "encoder.rnn."; all else is then left alone.
      activation: of an RNN given without its module, "tanh" or "relu": its weights do not tell.

    Raises:
      ValueError: a weight is missing, unknown or of a shape that does not fit; it is named.
    """
    if isinstance(source, (str, os.PathLike)):
        source = _read_safetensors(source)
    elif not isinstance(source, Mapping):
        if not hasattr(source, "state_dict"):
            raise ValueError(f"source must be a module, a state or a path, got {source!r}")
        inner = dict(source.named_modules()).get(prefix.rstrip("."))
        activation = getattr(inner, "nonlinearity", activation)
        source = source.state_dict()
    names = [name for name in source if name.startswith(prefix)]
    _require_known(source, names, prefix)
    state = {name: _to_jax(name, source[name]) for name in names}
    layout = _layout(state, prefix)
    layers = []
    input_size = state[f"{prefix}weight_ih_l0"].shape[-1]
    for layer in range(layout.layers):
        suffixes = (f"_l{layer}", f"_l{layer}_reverse")[: layout.directions]
        layers.append(tuple(_read(layout, state, suffix, input_size) for suffix in suffixes))
        input_size = layout.directions * layout.output_size
    return RecurrentWeights.of(layout.kind, layers, activation if layout.kind == "rnn" else "tanh")


def to_torch(
    weights: RecurrentWeights, *, prefix: str = "", bias: bool = True
) -> dict[str, np.ndarray]:
    """The state of the torch module with these weights, as numpy arrays under torch's names.

    `module.load_state_dict({k: torch.from_numpy(v) for k, v in to_torch(weights).items()})` loads
    it; `safetensors.numpy.save_file(to_torch(weights), path)` writes it. The bias of an LSTM or
    RNN stands whole in `bias_ih`, `bias_hh` is zero: from ours to torch and back is exact, and
    torch's own two biases come back as their sum in the first.

    >>> state = {"weight_ih_l0": np.ones((8, 3), "f"), "weight_hh_l0": np.ones((8, 2), "f")}
    >>> sorted(to_torch(from_torch(state)))
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']

    Args:
      weights: what to write.
      prefix: what to put before the names.
      bias: whether the module has biases; without, those of `weights` must be zero.

    Raises:
      ValueError: torch's modules cannot hold a parameter, or layers of unlike sizes; it is named.
    """
    _require_alike(weights)
    state: dict[str, np.ndarray] = {}
    for layer, directions in enumerate(weights.layers):
        for suffix, params in zip(("", "_reverse"), directions, strict=False):
            for name, values in _write(weights.kind, params, bias).items():
                state[f"{prefix}{name}_l{layer}{suffix}"] = to_numpy(values)
    return state


def _read_safetensors(path: str | os.PathLike) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ImportError(
            f"reading {os.fspath(path)} needs the package safetensors: pip install safetensors"
        ) from error
    try:
        with safe_open(os.fspath(require_file(path)), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, TypeError, AttributeError, KeyError) as error:  # or numpy lacks a type
        raise ValueError(
            f"{os.fspath(path)} cannot be read as safetensors ({error}); "
            "load what torch.save wrote with torch, and give its state"
        ) from error


def _to_jax(name: str, values: Any) -> Array:
    if not hasattr(values, "detach"):
        return to_jax(name, values)
    tensor = values.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":  # numpy has no such type; through float32 is exact
        return to_jax(name, tensor.float().numpy()).astype(jnp.bfloat16)
    return to_jax(name, tensor.numpy())


def _require_known(source: Mapping[str, Any], names: list[str], prefix: str) -> None:
    """Raises ValueError if a name is none of a recurrent module, with the prefixes there are."""
    unknown = [name for name in names if NAME.fullmatch(name.removeprefix(prefix)) is None]
    if names and not unknown:
        return
    what = f"no name begins with {prefix!r}" if prefix else "the state is empty"
    if unknown:
        what = f"{unknown[0]!r} is no weight of a torch LSTM, GRU or RNN"
    ends = [(name, re.search(NAME.pattern + "$", name)) for name in source]
    prefixes = sorted({name[: end.start()] for name, end in ends if end} - {prefix})
    there = f"; there are {', '.join(map(repr, prefixes))}" if prefixes else ""
    raise ValueError(f"{what}; `prefix` chooses one module of a larger state{there}")


class _Layout(NamedTuple):
    prefix: str
    kind: Kind
    hidden_size: int
    output_size: int
    layers: int
    directions: int
    weights: tuple[str, ...]


def _layout(state: Mapping[str, Array], prefix: str) -> _Layout:
    """What the names and the first layer tell of the module."""
    found = [match for name in state if (match := NAME.fullmatch(name.removeprefix(prefix)))]
    weights = tuple(sorted({match[1] for match in found} | {"weight_ih", "weight_hh"}))
    projected = "weight_hr" in weights
    rows = _matrix(state, f"{prefix}weight_ih_l0").shape[0]
    recurrent = _matrix(state, f"{prefix}weight_hh_l0")
    last = _matrix(state, f"{prefix}weight_hr_l0") if projected else recurrent
    return _Layout(
        prefix=prefix,
        kind=_kind(f"{prefix}weight_ih_l0", rows, last.shape[-1], projected),
        hidden_size=last.shape[-1],
        output_size=recurrent.shape[-1],
        layers=1 + max(int(match[2]) for match in found),
        directions=2 if any(match[3] for match in found) else 1,
        weights=weights,
    )


def _kind(name: str, rows: int, hidden_size: int, projected: bool) -> Kind:
    for kind, gates in GATES.items():
        if rows == gates * hidden_size and (kind == "lstm" or not projected):
            return kind
    allowed = "4, an LSTM with weight_hr" if projected else "4 (LSTM), 3 (GRU) or 1 (RNN)"
    raise ValueError(
        f"{name} has {rows} rows for hidden size {hidden_size}: "
        f"the number of gates must be {allowed}"
    )


def _get(state: Mapping[str, Array], name: str) -> Array:
    if name not in state:
        raise ValueError(f"{name} is missing")
    return state[name]


def _matrix(state: Mapping[str, Array], name: str) -> Array:
    require_axes(name, _get(state, name), 2)
    return state[name]


def _read(layout: _Layout, state: Mapping[str, Array], suffix: str, input_size: int) -> Params:
    rows = GATES[layout.kind] * layout.hidden_size
    shapes = {
        "weight_ih": (rows, input_size),
        "weight_hh": (rows, layout.output_size),
        "weight_hr": (layout.output_size, layout.hidden_size),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    weight = {name: _get(state, layout.prefix + name + suffix) for name in layout.weights}
    for name, values in weight.items():
        require_shape(layout.prefix + name + suffix, values, shapes[name])
    zeros = jnp.zeros(rows, weight["weight_ih"].dtype)
    biases = [weight.get("bias_ih", zeros), weight.get("bias_hh", zeros)]
    kernels = [weight["weight_ih"].T, weight["weight_hh"].T]
    if layout.kind == "gru":
        kernels, biases = ([reorder(x, SWAP_GATES) for x in both] for both in (kernels, biases))
    params = {
        "kernel": kernels[0],
        "recurrent_kernel": kernels[1],
        "bias": jnp.stack(biases) if layout.kind == "gru" else biases[0] + biases[1],
    }
    if "weight_hr" in weight:
        params["projection_kernel"] = weight["weight_hr"].T
    return params


def _require_alike(weights: RecurrentWeights) -> None:
    """Raises ValueError if not all layers and directions have the sizes of the first."""
    if weights.merge != "concat" and weights.bidirectional:
        raise ValueError(f"torch concatenates directions, it cannot hold merge={weights.merge!r}")
    sizes = [tuple(one["recurrent_kernel"].shape for one in layer) for layer in weights.layers]
    for layer, own in enumerate(sizes):
        if own != sizes[0][:1] * len(sizes[0]):
            raise ValueError(
                "all layers of a torch module have one size and the same directions, but "
                f"recurrent kernels have shapes {sizes[0]} in layer 0, {own} in layer {layer}"
            )


def _write(kind: Kind, params: Params, bias: bool) -> dict[str, Array]:
    optional = ("projection_kernel",) if kind == "lstm" else ()
    require_plain(kind, params, f"torch's {kind.upper()}", *optional)
    if kind == "gru" and params["bias"].ndim == 1:
        raise ValueError("torch's GRU cannot hold one with reset_after=False")
    kernels = [params["kernel"], params["recurrent_kernel"]]
    biases = (
        list(params["bias"]) if kind == "gru" else [params["bias"], jnp.zeros_like(params["bias"])]
    )
    if kind == "gru":
        kernels, biases = ([reorder(x, SWAP_GATES) for x in both] for both in (kernels, biases))
    written = {"weight_ih": kernels[0].T, "weight_hh": kernels[1].T}
    if bias:
        written |= {"bias_ih": biases[0], "bias_hh": biases[1]}
    elif np.any(np.asarray(params["bias"])):
        raise ValueError("bias is not zero; a torch module with bias=False cannot hold it")
    if "projection_kernel" in params:
        written["weight_hr"] = params["projection_kernel"].T
    return written
