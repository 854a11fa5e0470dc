"""Pictures of where a network keeps what it remembers: its gates and its memory over time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Cell, Params, gates
from lstm_jax.cells.precision import computing_in
from lstm_jax.data.memory_problem import MemoryProblem
from lstm_jax.models.sequence_model import SequenceModel, apply
from lstm_jax.recurrence import scan

_MOST_UNITS = 512  # rows of a picture
_KEEPS = ("forget", "update")  # gates that say how long a memory cell holds, the latter inverted


class Trace(NamedTuple):
    """What happens in a layer over one example.

    Attributes:
      gates: the activated gates at every step [time, units], by name; none if they are not known.
      memory: the carry after every step [time, units], by the names of its fields.
      outputs: of the layer [time, features].
    """

    gates: dict[str, np.ndarray]
    memory: dict[str, np.ndarray]
    outputs: np.ndarray


def trace_layers(network: SequenceModel, params: Params, inputs: np.ndarray) -> list[Trace]:
    """What happens in every layer over one example, without dropout.

    Args:
      network: the model.
      params: its parameters.
      inputs: symbols [time], or vectors [time, features].
    """
    x_tbf = network.vectors(jnp.asarray(inputs)[None])
    cell = computing_in(network.cell(network.hidden_size), network.dtype)
    traces = []
    for i in range(network.num_layers):
        traces.append(_trace(cell, params[f"layer_{i}"]["cell"], x_tbf))
        x_tbf = jnp.asarray(traces[-1].outputs)[:, None]
    return traces


def _trace(cell: Cell, params: Params, x_tbf: Array) -> Trace:
    _, (ys, carries) = scan(cell, params, None, x_tbf, backend="reference", return_carries=True)
    first = cell.initial_carry(params, (1,))
    before = jax.tree.map(
        lambda start, after: jnp.concatenate([start[None].astype(after.dtype), after[:-1]]),
        first,
        carries,
    )
    found = gates(cell, params, before, x_tbf)
    return Trace(
        {name: np.asarray(gate[:, 0], np.float32) for name, gate in found.items()},
        {name: _flat(leaf) for name, leaf in _named(carries).items()},
        np.asarray(ys[:, 0], np.float32),
    )


def _named(carry: Any) -> dict[str, Array]:
    """The arrays of a carry, by the name of the field that holds each."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(carry)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _flat(leaf: Array) -> np.ndarray:
    return np.asarray(leaf[:, 0], np.float32).reshape(leaf.shape[0], -1)[:, :_MOST_UNITS]


def order_of_units(trace: Trace) -> np.ndarray | None:
    """The units of a layer, from the one that forgets least to the one that forgets most.

    None where no gate says how much is kept.

    >>> forget = np.array([[0.1, 0.9, 0.5]])
    >>> order_of_units(Trace({"forget": forget}, {}, forget)).tolist()
    [1, 2, 0]
    """
    for name in _KEEPS:
        if name in trace.gates:
            kept = trace.gates[name].mean(axis=0)
            return np.argsort(kept if name == "update" else -kept, kind="stable")
    return None


def draw_memory(
    problem: MemoryProblem,
    network: SequenceModel,
    params: Params,
    batch: Mapping[str, np.ndarray],
    folder: Path,
) -> None:
    """Draws `memory_layer_0.png`, ... for the first example of a batch.

    From top to bottom: the input; the gates, from 0 to 1; what the memory holds; the answers. The
    units are sorted by how much they keep on average, those that forget least first.

    Args:
      problem: what is asked.
      network: the model.
      params: its parameters.
      batch: as the problem makes them.
      folder: where the pictures go.
    """
    length = int(batch["lengths"][0])
    inputs = np.asarray(batch["inputs"][0][:length])
    outputs = np.asarray(
        apply(network, params, batch["inputs"][:1, :length], batch["lengths"][:1]), np.float32
    )[0]
    for i, trace in enumerate(trace_layers(network, params, inputs)):
        figure = _figure(problem, trace, inputs, outputs, batch)
        figure.savefig(folder / f"memory_layer_{i}.png", dpi=110)


def _figure(
    problem: MemoryProblem,
    trace: Trace,
    inputs: np.ndarray,
    outputs: np.ndarray,
    batch: Mapping[str, np.ndarray],
) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    maps = {**{f"{name} gate": gate for name, gate in trace.gates.items()}, **trace.memory}
    heights = [1, *[2] * len(maps), *[1] * problem.every_step]
    figure = Figure(figsize=(11, 1 + 0.9 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    _draw_inputs(axes[0], problem, inputs)
    order = order_of_units(trace)
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=False):
        known = order if order is not None and len(order) == values.shape[1] else slice(None)
        image = _draw_map(ax, values[:, known], name.endswith(" gate"))
        figure.colorbar(image, ax=ax, pad=0.01)
        ax.set_ylabel(name.replace("_", " "))
    target = np.asarray(batch["targets"][0])
    if problem.every_step:
        _draw_answers(axes[-1], outputs, target[: len(inputs)], batch["asked"][0][: len(inputs)])
        axes[0].set_title("the first example of the test split")
    else:
        said = f"{outputs[0]:.3f}" if not problem.classes else f"class {outputs.argmax()}"
        right = f"{target:.3f}" if not problem.classes else f"class {int(target)}"
        axes[0].set_title(f"the first example of the test split: {right}, answered with {said}")
    axes[-1].set_xlabel("step")
    axes[-1].set_xlim(-0.5, len(inputs) - 0.5)
    return figure


def _draw_inputs(ax: Any, problem: MemoryProblem, inputs: np.ndarray) -> None:
    if problem.symbols:
        ax.plot(inputs, ".", ms=3, color="black")
        ax.set_ylabel("symbol")
        return
    if problem.input_size > 2:
        ax.imshow(inputs.T, aspect="auto", cmap="gray", interpolation="nearest")
        ax.set_ylabel("input")
        return
    for feature, (color, width) in zip(inputs.T, (("0.7", 0.6), ("C3", 1.5)), strict=False):
        ax.plot(feature, color=color, lw=width)
    ax.set_ylabel("input")


def _draw_map(ax: Any, values: np.ndarray, is_gate: bool) -> Any:
    """A row a unit, a column a step; a gate in one colour, a memory in two, around zero."""
    largest = max(float(np.abs(values).max()), 1e-6)
    # A pixel a step, as long as there are pixels: what lies between two steps is no value.
    how = "nearest" if len(values) <= 1500 else "antialiased"
    scale = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    if not is_gate:
        scale = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    return ax.imshow(values.T, aspect="auto", interpolation=how, **scale)


def _draw_answers(ax: Any, outputs: np.ndarray, targets: np.ndarray, asked: np.ndarray) -> None:
    steps = np.arange(len(targets))
    chosen = outputs.argmax(axis=-1)
    wrong = asked & (chosen != targets)
    ax.plot(steps[asked], targets[asked], "o", ms=5, mfc="none", color="0.6", label="right")
    ax.plot(steps[asked], chosen[asked], ".", ms=4, color="black", label="answered")
    ax.plot(steps[wrong], chosen[wrong], "x", ms=6, color="C3", label="wrong")
    ax.legend(fontsize="small", loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)
    ax.set_ylabel("answer")
