"""`lstm-jax status`: how a run is, or all runs of a folder, while they train or after."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lstm_jax.cli.arguments import parse, workdir
from lstm_jax.records import figure_text, time_text
from lstm_jax.run_status import find_runs, read_status


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax status",
        description="The state of a run, running or not, or a table of all runs of a folder.",
    )
    parser.add_argument(
        "--workdir", required=True, type=workdir, help="the folder of a run, or of several"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object, or a list of several"
    )
    options, _ = parse(parser, arguments)
    runs = find_runs(options.workdir)
    single = runs == [options.workdir]
    found = [read_status(run) for run in runs]
    if options.json:
        print(json.dumps(found[0] if single else found))
    elif single:
        for name, text in _lines(found[0]):
            print(f"{name:<12}{text}")
    else:
        names = [str(run.relative_to(options.workdir)) for run in runs]
        _print_table(names, found)
    return 0


def _lines(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines for one run: a name and what there is to say."""
    yield "state", _state(status)
    if status["step"] is not None:
        yield "step", _step(status)
    for split, values in status["last"].items():
        yield split, _figures(status, values)
    if status["best"] is not None:
        yield "best", f"{_value(status, status['best']['value'])} at step {status['best']['step']}"
    result, metric = status.get("result") or {}, status["metric"] or {"name": ""}
    if (test := result.get(f"test/{metric['name']}")) is not None:
        yield "test", f"{_value(status, test)} {metric['label']} at step {result.get('best_step')}"
    if status["speed"]:
        yield "speed", _speed(status["speed"])
    if status["seconds"] is not None:
        left = status["seconds_left"]
        yield (
            "time",
            time_text(status["seconds"])
            + ("" if left is None else f", about {time_text(left)} left"),
        )
    if status["checkpoint"] is not None:
        at, age = status["checkpoint"]["step"], time_text(status["checkpoint"]["age"])
        yield "checkpoint", f"step {at}, written {age} ago"
    for warning in status["warnings"]:
        yield "warning", f"step {warning['step']}: {warning['text']}"


def _state(status: Mapping[str, Any]) -> str:
    text = status["state"]
    if status["reason"]:
        text += f" ({status['reason']})"
    if status["state"] in ("running", "starting") and status["pid"]:
        text += f", process {status['pid']} on {status['host']}"
    if status["age"] is not None:
        text += f", last heard of {time_text(status['age'])} ago"
    return text


def _step(status: Mapping[str, Any]) -> str:
    step, total = status["step"], status["total"]
    return f"{step:,} of {total:,} ({step / total:.0%})" if total else f"{step:,}"


def _figures(status: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    metric = status["metric"] or {"name": "loss", "label": "loss", "decimals": 3}
    shown = []
    if values.get("loss") is not None and metric["name"] != "loss":
        shown.append(f"loss {values['loss']:.3f}")
    if values.get(metric["name"]) is not None:
        shown.append(f"{_value(status, values[metric['name']])} {metric['label']}")
    return f"{', '.join(shown) or 'no figure'} at step {values['step']:,}"


def _value(status: Mapping[str, Any], value: float | None) -> str:
    decimals = status["metric"]["decimals"] if status["metric"] else 3
    return "-" if value is None else figure_text(value, decimals)


def _speed(speed: Mapping[str, float | None]) -> str:
    shown = []
    for name, value in speed.items():
        if value is None:
            continue
        if name == "step_seconds":
            shown.append(f"{1000 * value:.1f} ms a step")
        elif name == "input_wait":
            shown.append(f"{value:.0%} of it waiting for data")
        elif name == "model_flops_per_second":
            shown.append(f"{value / 1e12:.3g} TFLOP/s")
        elif name == "model_flops_utilization":
            shown.append(f"{value:.1%} of the peak")
        elif name.endswith("_per_second"):
            shown.append(f"{value:,.0f} {name.removesuffix('_per_second')} a second")
    return ", ".join(shown)


def _print_table(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> None:
    header = ("run", "state", "step", "best", "speed", "left", "heard", "warnings")
    rows = [header, *(_row(name, status) for name, status in zip(names, found, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _row(name: str, status: Mapping[str, Any]) -> tuple[str, ...]:
    best, left, age = status["best"], status["seconds_left"], status["age"]
    units = (
        f"{value:,.0f} {key.removesuffix('_per_second')}/s"
        for key, value in status["speed"].items()
        if key.endswith("_per_second") and key != "model_flops_per_second" and value is not None
    )
    return (
        name,
        status["state"],
        "-" if status["step"] is None else _step(status),
        "-" if best is None else f"{_value(status, best['value'])} {status['metric']['label']}",
        next(units, "-"),
        "-" if left is None else time_text(left),
        "-" if age is None else f"{time_text(age)} ago",
        str(len(status["warnings"]) or ""),
    )
