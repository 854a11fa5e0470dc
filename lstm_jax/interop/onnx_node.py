"""What an ONNX node says, checked: its attributes, and its arrays as our params."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Params
from lstm_jax.errors import did_you_mean
from lstm_jax.interop.arrays import reorder, to_jax, to_numpy
from lstm_jax.interop.checks import GATES, require_only, require_shape
from lstm_jax.interop.layers import Kind, hidden_size_of

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
WEIGHTS = ("W", "R", "B", "P")
KINDS: dict[str, Kind] = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
DEFAULT_ACTIVATIONS: dict[Kind, tuple[str, ...]] = {
    "lstm": ("Sigmoid", "Tanh", "Tanh"),
    "gru": ("Sigmoid", "Tanh"),
    "rnn": ("Tanh",),
}
ATTRIBUTES = ("hidden_size", "direction", "layout", "clip", "activations")
ATTRIBUTES += ("activation_alpha", "activation_beta")
OWN_ATTRIBUTE: dict[Kind, tuple[str, ...]] = {
    "lstm": ("input_forget",),
    "gru": ("linear_before_reset",),
    "rnn": (),
}
# Gates in ONNX: i o f g, z r h; peepholes i o f. Ours: i f g o, z r h; peepholes i f o.
FROM_ONNX: dict[Kind, tuple[int, ...]] = {"lstm": (0, 2, 3, 1), "gru": (0, 1, 2), "rnn": (0,)}
TO_ONNX: dict[Kind, tuple[int, ...]] = {"lstm": (0, 3, 1, 2), "gru": (0, 1, 2), "rnn": (0,)}
SWAP_PEEPHOLES = (0, 2, 1)


class Options(NamedTuple):
    """The attributes of a node, with defaults, checked."""

    kind: Kind
    hidden_size: int
    direction: str
    activations: tuple[str, ...]  # of all directions, one after the other
    alphas: Sequence[float]
    betas: Sequence[float]
    clip: float | None
    input_forget: bool
    linear_before_reset: bool
    batch_first: bool

    @property
    def directions(self) -> int:
        """How many directions the node has."""
        return DIRECTIONS[self.direction]

    @property
    def is_ours(self) -> bool:
        """Whether a cell of ours computes this, with nothing put in its place."""
        own = [DEFAULT_ACTIVATIONS[self.kind] * self.directions]
        if self.kind == "rnn":
            own.append(("Relu",) * self.directions)
        return self.clip is None and self.activations in own


def options_of(op_type: str, attributes: Mapping[str, Any], weights: Mapping[str, Any]) -> Options:
    """The attributes of a node, which may hold strings or bytes.

    Raises:
      ValueError: an attribute is unknown or its value does not fit; it is named.
    """
    if op_type not in KINDS:
        raise ValueError(f"op_type must be one of {', '.join(KINDS)}, got {op_type!r}")
    kind = KINDS[op_type]
    allowed = ATTRIBUTES + OWN_ATTRIBUTE[kind]
    for name in attributes:
        if name not in allowed:
            raise ValueError(f"{op_type} has no attribute {name}; {did_you_mean(name, allowed)}")
    require_only(weights, {"W", "R"}, f"a node {op_type}", "B", "P")
    hidden_size = np.shape(weights["R"])[-1]
    if attributes.get("hidden_size", hidden_size) != hidden_size:
        raise ValueError(
            f"hidden_size is {attributes['hidden_size']}, but R has shape {np.shape(weights['R'])}"
        )
    direction = _text(attributes.get("direction", "forward"))
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    return Options(
        kind=kind,
        hidden_size=hidden_size,
        direction=direction,
        activations=_activations(kind, attributes, DIRECTIONS[direction]),
        alphas=attributes.get("activation_alpha", ()),
        betas=attributes.get("activation_beta", ()),
        clip=attributes.get("clip"),
        input_forget=bool(attributes.get("input_forget", 0)),
        linear_before_reset=bool(attributes.get("linear_before_reset", 0)),
        batch_first=bool(attributes.get("layout", 0)),
    )


def _activations(kind: Kind, attributes: Mapping[str, Any], directions: int) -> tuple[str, ...]:
    default = DEFAULT_ACTIVATIONS[kind] * directions
    names = tuple(_text(name) for name in attributes.get("activations", default))
    if kind == "rnn" and len(names) == 2:  # ONNX's own default has two, also for one direction
        names = names[:directions]
    if len(names) != len(default):
        raise ValueError(f"activations must be {len(default)} names, got {len(names)}: {names}")
    return names


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def arrays_of(options: Options, weights: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays W, R, B and, if there is one, P, of the shapes they must have.

    Raises:
      ValueError: a shape does not fit; the array is named.
    """
    directions, hidden_size = options.directions, options.hidden_size
    rows = GATES[options.kind] * hidden_size
    arrays = {name: to_jax(name, values) for name, values in weights.items()}
    shapes = {
        "W": (directions, rows, arrays["W"].shape[-1]),
        "R": (directions, rows, hidden_size),
        "B": (directions, 2 * rows),
        "P": (directions, 3 * hidden_size),
    }
    for name, values in arrays.items():
        require_shape(name, values, shapes[name])
    if "P" in arrays and options.kind != "lstm":
        raise ValueError("P (peepholes) belongs to an LSTM alone")
    return {"B": jnp.zeros(shapes["B"], arrays["W"].dtype)} | arrays


def read_params(
    options: Options, arrays: Mapping[str, Array], direction: int, coupled: bool
) -> Params:
    """Our params of one direction; with `coupled` those of an LSTM with `coupled_gates`.

    ONNX then has f = 1 - sigmoid(i), ours is i = 1 - sigmoid(f): the one is the other negated.
    """
    order = FROM_ONNX[options.kind]
    input_bias, recurrent_bias = jnp.split(arrays["B"][direction], 2)
    two_biases = options.kind == "gru" and options.linear_before_reset
    bias = jnp.stack([input_bias, recurrent_bias]) if two_biases else input_bias + recurrent_bias
    params = {
        "kernel": reorder(arrays["W"][direction].T, order),
        "recurrent_kernel": reorder(arrays["R"][direction].T, order),
        "bias": reorder(bias, order),
    }
    if "P" in arrays:
        params["peephole_kernel"] = reorder(arrays["P"][direction], SWAP_PEEPHOLES)
    return {name: _couple(name, values) for name, values in params.items()} if coupled else params


def write_params(kind: Kind, params: Params) -> dict[str, np.ndarray]:
    """W, R, B and, with peepholes, P of one direction.

    Raises:
      ValueError: ONNX has no place for a parameter; it is named.
    """
    optional = ("peephole_kernel",) if kind == "lstm" else ()
    names = {"kernel", "recurrent_kernel", "bias"}
    require_only(params, names, f"a node of ONNX for our {kind}", *optional)
    if is_coupled(kind, params):
        params = {name: _uncouple(name, jnp.asarray(one)) for name, one in params.items()}
    order = TO_ONNX[kind]
    bias = reorder(params["bias"], order)
    second = jnp.zeros_like(bias)
    if bias.ndim == 2:
        bias, second = bias
    written = {
        "W": reorder(params["kernel"], order).T,
        "R": reorder(params["recurrent_kernel"], order).T,
        "B": jnp.concatenate([bias, second]),
    }
    if "peephole_kernel" in params:
        written["P"] = reorder(params["peephole_kernel"], SWAP_PEEPHOLES)
    return {name: to_numpy(values) for name, values in written.items()}


def is_coupled(kind: Kind, params: Params) -> bool:
    """Whether these are params of an LSTM with `coupled_gates`."""
    return kind == "lstm" and params["kernel"].shape[-1] == 3 * hidden_size_of(params)


def _couple(name: str, values: Array) -> Array:
    """From gates i f g o to f g o, and from peepholes i f o to f o."""
    first, _, *rest = jnp.split(values, 3 if name == "peephole_kernel" else 4, axis=-1)
    return jnp.concatenate([-first, *rest], axis=-1)


def _uncouple(name: str, values: Array) -> Array:
    """Back, with both gates: also a reader that knows no `input_forget` computes the same."""
    first, *rest = jnp.split(values, 2 if name == "peephole_kernel" else 3, axis=-1)
    return jnp.concatenate([-first, first, *rest], axis=-1)
