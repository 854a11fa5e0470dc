"""How time, memory and compile time of an LSTM layer grow with the length of the sequence.

    python experiments/benchmarks/long_sequences.py
    python experiments/benchmarks/long_sequences.py --lengths=256,1024 --rounds=2

Value and gradient in the parameters (batch 4, input and hidden size 64), with remat "none" and
"sqrt", and by truncated back-propagation in windows of 256 steps. Memory is what the compiled
program takes beside its arguments and results (`memory_analysis().temp_size_in_bytes`). On a CPU it
is held against the operating system: by how much the peak of resident memory grows in a fresh
process while it runs the program once. The loss is of the last output alone, as a classifier's.
With a loss of every output, the outputs and their cotangents are there in full whatever else is not
kept, so that memory is linear; it stands beside the other.

Takes one to two minutes on two cores, and 2 GB of memory.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from options import parser
from report import header, markdown, number, save
from sequence_costs import COMPILATIONS, WAYS, Costs, Program, measure, resident

LENGTHS = [2**k for k in range(8, 17)]
FIELDS = {"time": "time, ms", "memory": "memory, MB", "compilation": "trace and compile, s"}
NAMES = {"none": 'remat "none"', "sqrt": 'remat "sqrt"', "windows": "windows of 256"}
Found = Mapping[Program, Costs]


def main() -> None:
    """Runs the benchmark, prints the tables, and keeps them with the picture."""
    made = parser(__doc__ or "")
    made.add_argument("--lengths", type=_numbers, default=LENGTHS, help="steps, with commas")
    options = made.parse_args()
    load = os.getloadavg()[0]
    jax.config.update("jax_enable_compilation_cache", False)  # compilation is what is timed

    found = measure(options.lengths, options.rounds)
    checked = options.lengths[-3::2]
    system = resident([program for program in found if program.length in checked])

    medians = f"float32, medians of {options.rounds} rounds and of {COMPILATIONS} compilations"
    text = f"# Length of the sequence\n\n{header(__file__, load, {'settings': medians})}\n"
    text += f"{table(found, system)}\n\n{slopes(found)}\n"
    platform = jax.default_backend()
    suffix = "" if platform == "cpu" else f"_{platform}"
    draw(found, save(text, options.out, f"long_sequences{suffix}"))


def table(found: Found, system: Mapping[Program, float]) -> str:
    """A row a program."""
    rows = [["length", "remat or windows", *FIELDS.values(), "memory, loss of every output, MB",
             "growth of resident memory, MB"]]  # fmt: skip
    for program, costs in found.items():
        measured = (getattr(costs, field) for field in (*FIELDS, "every"))
        checked = number(system[program]) if program in system else ""
        rows.append([f"{program.length:,}", program.way, *map(number, measured), checked])
    return markdown(rows)


def slopes(found: Found) -> str:
    """The fitted exponents."""
    rows = [["exponent of the length", *WAYS]]
    for field, title in FIELDS.items():
        fitted = (exponent(*curve(found, way, field)) for way in WAYS)
        rows.append([title, *(f"{value:.2f}" for value in fitted)])
    return markdown(rows) + "\n\nFitted to the longer half of the lengths."


def curve(found: Found, way: str, field: str) -> tuple[np.ndarray, np.ndarray]:
    """Lengths, and the cost of each."""
    points = [(p.length, getattr(costs, field)) for p, costs in found.items() if p.way == way]
    lengths, values = np.array(points).T
    return lengths, values


def exponent(lengths: np.ndarray, values: np.ndarray) -> float:
    """Of the length in the cost, by least squares of the logarithms over the longer half."""
    half = slice((len(lengths) - 1) // 2, None)
    return float(np.polyfit(np.log(lengths[half]), np.log(values[half]), 1)[0])


def draw(found: Found, path: Path) -> None:
    """Time, memory and compile time over the length, with lines of slope 1 and 1/2."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(14, 6), layout="constrained")
    for ax, (field, title) in zip(axes, FIELDS.items(), strict=True):
        for way, colour in zip(WAYS, ("C0", "C1", "C2"), strict=True):
            lengths, values = curve(found, way, field)
            label = f"{NAMES[way]}: exponent {exponent(lengths, values):.2f}"
            ax.loglog(lengths, values, "o-", color=colour, label=label)
            if field == "memory":
                label = f"{NAMES[way]}, a loss of every output"
                ax.loglog(*curve(found, way, "every"), ":", color=colour, label=label)
        ax.set(title=title, xlabel="length")
    guide(axes[0], *curve(found, "none", "time"), 1)
    guide(axes[1], *curve(found, "none", "memory"), 1)
    guide(axes[1], *curve(found, "sqrt", "memory"), 0.5)
    axes[2].set_ylim(0.01, 10)
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.12))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def guide(ax, lengths: np.ndarray, values: np.ndarray, slope: float) -> None:
    """A line of this slope a little below the last point."""
    line = 0.6 * values[-1] * (lengths / lengths[-1]) ** slope
    ax.loglog(lengths, line, "k--", lw=0.8, label=f"slope {slope:g}")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
