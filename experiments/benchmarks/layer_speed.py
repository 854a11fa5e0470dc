"""One LSTM layer: lstm_jax beside torch and the JAX libraries, in one interleaved run.

    python experiments/benchmarks/layer_speed.py                       # all sizes, all installed
    python experiments/benchmarks/layer_speed.py --torch_wait=passive  # where other work runs
    python experiments/benchmarks/layer_speed.py --rounds=5 --sizes=0,1 --peers=torch,linen
    python experiments/benchmarks/layer_speed.py --cells=gru,rnn       # cells of ours beside it
    python experiments/benchmarks/layer_speed.py --unroll=1,4,16  # so many steps in an iteration

Contestants of ours: `auto`, which takes the backend that the result names, and every backend that
can run the layer, by name. Peers, none of which the library needs: torch, flax (linen, nnx),
dm-haiku, equinox, keras. `floor` is the matrix products alone, by XLA. Reported are medians over
the rounds and ratios to torch (to `auto` where torch is absent). With a GPU, all run there.

Takes about two and a half minutes on two cores: one to compile, and 10 s a round.
"""

import os
from collections.abc import Sequence

from contestants import Contestant, Layer, automatic, backends, ours
from options import add_layer_options, names, parser, set_torch_wait, suffix
from peers import LSTMS, installed
from report import bars, header, layer_settings, save, table
from timing import measure

import lstm_jax as lj
from lstm_jax.config import find


def main() -> None:
    """Runs the benchmark, prints the tables, and keeps them with the picture."""
    made = parser(__doc__ or "")
    add_layer_options(made)
    made.add_argument("--peers", type=names, default=LSTMS, help=f"some of {','.join(LSTMS)}")
    made.add_argument("--cells", type=names, default=[], help="cells of ours beside the lstm")
    made.add_argument("--unroll", type=names, default=[], help="auto with so many steps in a loop")
    options = made.parse_args()
    set_torch_wait(options.torch_wait)
    load = os.getloadavg()[0]

    layers = [Layer(size, True, options.dtype) for size in options.sizes]
    contestants = our_lstm(layers) | installed(options.peers)
    contestants |= {name: ours(find("cell", name)) for name in options.cells}
    for count in options.unroll:
        contestants[f"auto, unroll {count}"] = ours(lj.lstm, unroll=int(count))
    base = "torch" if "torch" in contestants else "auto"
    results = measure(contestants, options)

    settings = layer_settings(options, contestants) | {"`auto` took": automatic(lj.lstm, layers)}
    text = f"# One LSTM layer, milliseconds (ratio to {base})\n\n"
    text += header(__file__, load, settings)
    for title, found in results.items():
        text += f"\n## {title}\n\n{table(found, options.sizes, base)}\n"
    picture = save(text, options.out, f"layer_speed{suffix(options)}")
    bars(results, options.sizes, base, picture)


def our_lstm(layers: Sequence[Layer]) -> dict[str, Contestant]:
    """`auto`, and every backend that can run the LSTM on one of the sizes."""
    found = [name for layer in layers for name in backends(lj.lstm, layer)]
    return {name: ours(lj.lstm, name) for name in ["auto", *dict.fromkeys(found)]}


if __name__ == "__main__":
    main()
