"""What the benchmarks are told on the command line."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import jax
from contestants import Size

SIZES = [
    Size(batch=1, time=512, input=64, hidden=64),
    Size(batch=16, time=256, input=128, hidden=128),
    Size(batch=256, time=128, input=32, hidden=64),
    Size(batch=32, time=100, input=256, hidden=256),
    Size(batch=64, time=64, input=512, hidden=512),
    Size(batch=20, time=35, input=650, hidden=650),
    Size(batch=16, time=1024, input=768, hidden=768),
]
# The last size takes seconds a call on a CPU.
ON_CPU = SIZES[:-1]
RESULTS = Path(__file__).parent / "results"


def parser(doc: str) -> argparse.ArgumentParser:
    """What every benchmark takes; its help is the script's docstring."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=7, help="how often everything is timed")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return made


def add_layer_options(made: argparse.ArgumentParser) -> None:
    """What the benchmarks of one layer take."""
    known = "; ".join(f"{i}: {size}" for i, size in enumerate(SIZES))
    made.add_argument(
        "--sizes",
        type=_sizes,
        default=SIZES if jax.default_backend() == "gpu" else ON_CPU,
        help=f"by number, or as 16x256x128x128 (batch, time, input, hidden). {known}",
    )
    made.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    made.add_argument(
        "--torch_wait",
        choices=["active", "passive"],
        default="active",
        help="active: torch's idle threads spin for a while, its default, for a quiet machine; "
        "passive: they sleep, for a machine with other work",
    )
    made.add_argument(
        "--pause", type=float, default=0.02, help="seconds of rest before each contestant's turn"
    )


def set_torch_wait(policy: str) -> None:
    """Says how torch's idle threads wait; only before torch is imported."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        os.environ.pop(name, None)  # "active" is what torch does when told nothing
    if policy == "passive":
        os.environ.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="0")


def suffix(options: argparse.Namespace) -> str:
    """Keeps results of another platform, dtype or policy in files of their own."""
    parts = (
        ("cpu", jax.default_backend()),
        ("float32", options.dtype),
        ("active", options.torch_wait),
    )
    return "".join(f"_{value}" for usual, value in parts if value != usual)


def names(text: str) -> list[str]:
    """An option of names with commas between them."""
    return [name for name in text.split(",") if name]


def _sizes(text: str) -> Sequence[Size]:
    return [
        Size(*map(int, item.split("x"))) if "x" in item else SIZES[int(item)]
        for item in text.split(",")
    ]
