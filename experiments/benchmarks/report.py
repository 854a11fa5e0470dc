"""Results as Markdown and pictures, with what one needs to know to judge or repeat them."""

import argparse
import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from contestants import Size
from peers import torch_settings
from timing import Times

PACKAGES = ("lstm_jax", "jax", "flax", "torch", "dm-haiku", "equinox", "keras")


def header(script: str, load: float, settings: Mapping[str, object]) -> str:
    """Command, date, machine, versions and settings, a line each.

    Args:
      script: the script's file.
      load: of the machine before the benchmark began (`os.getloadavg`).
      settings: what else to say.
    """
    # The folder of the results says nothing about them.
    words = zip(sys.argv, sys.argv[1:], strict=False)
    given = [word for before, word in words if "--out" not in (before, word.partition("=")[0])]
    command = shlex.join(["python", f"experiments/benchmarks/{Path(script).name}", *given])
    lines = {
        "command": f"`{command}`",
        "date": datetime.date.today(),
        "machine": f"{machine()}; load average {load:.1f} before the run",
        "versions": versions(),
    }
    return "".join(f"- {name}: {value}\n" for name, value in {**lines, **settings}.items())


def machine() -> str:
    """The CPU, how many cores of it this process may use, and the GPU if there is one."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        cpu = models[0] if models else cpu
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    device = jax.devices()[0]
    return f"{cpu}, {cores} cores" + (f", {device.device_kind}" if device.platform != "cpu" else "")


def versions() -> str:
    """Of Python and of the libraries that are there."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def table(found: Times, sizes: Sequence[Size], base: str) -> str:
    """Milliseconds and ratio to the base by size; geometric mean and worst of the ratios."""
    rows = [["", *map(str, sizes), "geometric mean", "worst"]]
    for name, times in found.items():
        ratios = np.divide(times, found[base])
        cells = [
            "–" if np.isnan(r) else f"{number(t)} ({r:.2f})"
            for t, r in zip(times, ratios, strict=True)
        ]
        summary = "–", "–"
        if not np.isnan(ratios).any():
            worst = int(np.argmax(ratios))
            summary = f"{np.exp(np.mean(np.log(ratios))):.2f}", f"{ratios[worst]:.2f}"
        rows.append([name, *cells, *summary])
    return markdown(rows)


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its header."""
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def bars(results: Mapping[str, Times], sizes: Sequence[Size], base: str, path: Path) -> None:
    """A picture of the ratios to the base, a group of bars a size: down is faster."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(results), 1, figsize=(12, 4.5 * len(results)), layout="constrained", squeeze=False
    )
    colours = pyplot.get_cmap("tab20")
    for ax, (title, found) in zip(axes[:, 0], results.items(), strict=True):
        width = 0.8 / len(found)
        ax.set_yscale("log", base=2)
        ax.yaxis.set_major_formatter("{x:g}")
        for k, (name, times) in enumerate(found.items()):
            places, ratios = np.arange(len(sizes)) + k * width, np.divide(times, found[base])
            ax.bar(places, ratios - 1, width, bottom=1, label=name, color=colours(k % 20))
        ax.axhline(1, color="k", lw=0.8)
        ax.set_xticks(np.arange(len(sizes)) + 0.4 - width / 2, [str(size) for size in sizes])
        ax.set(title=title, ylabel=f"time / {base}", xlabel="batch, time, input, hidden")
    axes[-1, 0].legend(ncols=5, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def save(text: str, folder: Path, name: str) -> Path:
    """Writes the text as NAME.md, prints it, and gives the place for NAME.png beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text)
    print(text)
    return folder / f"{name}.png"


def layer_settings(options: argparse.Namespace, contestants: Iterable[str]) -> dict[str, str]:
    """Lines of the header for a benchmark of one layer."""
    waits = {
        "active": "its idle threads spin for a while (its default), fair on a quiet machine",
        "passive": "its idle threads sleep, which is slower at small sizes",
    }
    precision = jax.config.values["jax_default_matmul_precision"] or "default"
    lines = {
        "settings": f"{options.dtype}, medians of {options.rounds} rounds, "
        f"{options.pause * 1e3:g} ms of rest before each turn",
        "jax": f"on {jax.default_backend()}, matrix products in {precision} precision",
    }
    if any(name.startswith("torch") for name in contestants):
        wait = f"`--torch_wait={options.torch_wait}`: {waits[options.torch_wait]}"
        lines["torch"] = f"{torch_settings()}; {wait}"
    return lines
