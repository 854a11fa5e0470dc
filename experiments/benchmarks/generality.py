"""What a general recurrence costs: other cells than the LSTM, on the sizes of layer_speed.py.

    python experiments/benchmarks/generality.py
    python experiments/benchmarks/generality.py --rounds=5 --sizes=0,1 --torch_wait=passive

GRU, LSTM with layer norm, LSTM with peepholes, a cell as a user writes it, and the LSTM with
examples of different lengths, each with the backend that `auto` takes and with `reference`, the
plain scan of the cell's step. Ratios are to the plain scan of the plain LSTM; where torch is
installed, the GRU is compared with torch.nn.GRU too. A cell of other gates does other work: read
its `auto` against its own `reference` for what the backend brings.

Takes about three minutes on two cores: one to compile, and 15 s a round.
"""

import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from contestants import Contestant, Layer, automatic, ours
from options import add_layer_options, parser, set_torch_wait, suffix
from peers import installed
from report import bars, header, layer_settings, save, table
from timing import Times, measure

import lstm_jax as lj


class LeakyCarry(NamedTuple):
    """The memory of the leaky integrator."""

    hidden: jax.Array


def leaky(hidden_size: int, leak: float = 0.9) -> lj.Cell:
    """A user's cell, that of docs/cells.md: h' = leak * h + (1 - leak) * tanh(W x + U h + b)."""

    def init(key, input_size):
        one, two = jax.random.split(key)
        return {
            "kernel": jax.random.normal(one, (input_size, hidden_size)) / input_size**0.5,
            "recurrent_kernel": jax.random.normal(two, (hidden_size,) * 2) / hidden_size**0.5,
            "bias": jnp.zeros(hidden_size),
        }

    def update(params, carry, z, r):
        hidden = leak * carry.hidden + (1 - leak) * jnp.tanh(z + r)
        return LeakyCarry(hidden), hidden

    return lj.gated_cell(
        init=init,
        # Zeros of the parameters' dtype, so that the cell runs in any.
        initial_carry=lambda params, batch: LeakyCarry(
            jnp.zeros((*batch, hidden_size), params["bias"].dtype)
        ),
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=update,
        output_size=hidden_size,
    )


CELLS: dict[str, Callable[[int], lj.Cell]] = {
    "lstm": lj.lstm,
    "gru": lj.gru,
    "layer-norm lstm": functools.partial(lj.lstm, layer_norm=True),
    "peephole lstm": functools.partial(lj.lstm, peepholes=True),
    "leaky integrator": leaky,
    "masked lstm": lj.lstm,
}
MASKED = {"masked lstm"}
BASE, TORCH = "lstm, reference", "torch GRU"


def main() -> None:
    """Runs the benchmark, prints the tables, and keeps them with the picture."""
    made = parser(__doc__ or "")
    add_layer_options(made)
    options = made.parse_args()
    set_torch_wait(options.torch_wait)
    load = os.getloadavg()[0]

    contestants = our_cells() | installed([TORCH])
    results = measure(contestants, options)

    layers = [Layer(size, True, options.dtype) for size in options.sizes]
    settings = layer_settings(options, contestants)
    for name, cell_of in CELLS.items():
        settings[f"`auto` for {name}"] = automatic(cell_of, layers, masked=name in MASKED)
    text = f"# Cells, milliseconds (ratio to {BASE})\n\n{header(__file__, load, settings)}"
    for title, found in results.items():
        text += f"\n## {title}\n\n{table(found, options.sizes, BASE)}\n"
        if TORCH in found:
            text += f"\nRatio to {TORCH}:\n\n{table(grus(found), options.sizes, TORCH)}\n"
    picture = save(text, options.out, f"generality{suffix(options)}")
    bars(results, options.sizes, BASE, picture)


def our_cells() -> dict[str, Contestant]:
    """Every cell with `auto` and with `reference`."""
    return {
        f"{name}, {backend}": ours(cell_of, backend, masked=name in MASKED)
        for name, cell_of in CELLS.items()
        for backend in ("auto", "reference")
    }


def grus(found: Times) -> Times:
    """The contestants that are a GRU."""
    return {name: times for name, times in found.items() if name == TORCH or "gru" in name}


if __name__ == "__main__":
    main()
