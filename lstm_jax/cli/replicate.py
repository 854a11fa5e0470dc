"""`lstm-jax replicate`: a config trained with several seeds, and what its figures come to."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

from lstm_jax.cli.arguments import parse, workdir
from lstm_jax.errors import UserError

_SEEDS = ("seed", "data.seed", "data.window_seed")  # initialisation, dropout, order of the data


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax replicate",
        description="Train a config once for each of several seeds; mean, deviation and 95 % "
        "confidence interval of its figures. The same command goes on where it stopped.",
        epilog="Any field of the config: --config.FIELD=VALUE. lstm-jax compare sets two side by "
        "side.",
    )
    parser.add_argument("--config", required=True, help="a config file, PATH.py or PATH.py:MODE")
    parser.add_argument(
        "--workdir", required=True, type=workdir, help="run i goes to its folder seed_i"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default 5), from 0 on")
    parser.add_argument(
        "--vary",
        help="the fields that take the seed, with commas between them; those of initialisation and "
        "of the order of the data, if not given",
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument("--split", default="test", help="whose figures are told (default test)")
    options, overrides = parse(parser, arguments, overrides=True)
    for name in ("seeds", "jobs"):
        if not 1 <= getattr(options, name) <= 10_000:
            raise UserError(f"--{name}: must be from 1 to 10,000, got {getattr(options, name)}")

    planned = _plan(options, overrides)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    return _replicate(options, planned)


def _interrupt(number: int, frame: Any) -> None:
    del number, frame
    raise KeyboardInterrupt


def _plan(options: argparse.Namespace, overrides: Sequence[str]) -> list[Any]:
    """The runs; the config of the first is checked whole, before anything is trained."""
    from lstm_jax.sweeps import Planned
    from lstm_jax.training import build_experiment, load_config

    config = load_config(options.config, overrides)
    varied = options.vary.split(",") if options.vary else [f for f in _SEEDS if _has(config, f)]
    runs = [
        Planned(
            f"seed {seed}",
            options.workdir / f"seed_{seed}",
            options.config,
            (*overrides, *(f"{field}={seed}" for field in varied)),
            tuple(options.parts),
        )
        for seed in range(options.seeds)
    ]
    build_experiment(load_config(options.config, runs[0].overrides))
    return runs


def _has(config: Any, path: str) -> bool:
    *sections, last = path.split(".")
    for name in sections:
        config = config[name]
    return last in config


def _replicate(options: argparse.Namespace, planned: Sequence[Any]) -> int:
    from lstm_jax.records import figure_text, time_text
    from lstm_jax.sweeps import read_finished, train_all

    failed = []

    def tell(run: Any, code: int) -> None:
        found = read_finished([run.folder])
        if code or not found:
            failed.append(run.name)
            print(f"{run.name}: failed ({run.last_line()}); see {run.log}", flush=True)
            return
        metric = found[0].metric
        value = figure_text(found[0].figure(options.split, None), metric["decimals"])
        taken = time_text(found[0].result.get("seconds", 0))
        print(f"{run.name}: {options.split} {metric['label']} {value}, {taken}", flush=True)

    done = {run.folder for run in read_finished([run.folder for run in planned])}
    if done:
        print(f"{len(done)} of {len(planned)} runs are finished", flush=True)
    train_all([run for run in planned if run.folder not in done], options.jobs, tell)
    finished = read_finished([run.folder for run in planned])
    if finished:
        _report(options, planned, finished)
    if failed:
        print(f"lstm-jax replicate: {', '.join(failed)} failed", file=sys.stderr)
        return 2
    return 0


def _report(options: argparse.Namespace, planned: Sequence[Any], finished: Sequence[Any]) -> None:
    """Prints a line a figure, and keeps all of it in replicates.json and a picture."""
    from lstm_jax.config import write_atomically
    from lstm_jax.records import figure_text
    from lstm_jax.sweeps import spread
    from lstm_jax.sweeps.figures import draw_replicates

    split = f"{options.split}/"
    names = [key.removeprefix(split) for key in finished[0].result if key.startswith(split)]
    figures = {
        f"{split}{name}": spread([run.figure(options.split, name) for run in finished])
        for name in names
    }
    found = {
        "config": options.config,
        "runs": [run.folder.name for run in finished],
        "overrides_of_the_first": list(planned[0].overrides),
        "baselines": finished[0].result.get("baselines", {}),
        **{name: figure.as_json() for name, figure in figures.items()},
    }
    write_atomically(options.workdir / "replicates.json", json.dumps(found, indent=2) + "\n")
    metric = finished[0].metric
    for name, figure in figures.items():
        text = [figure_text(value, metric["decimals"]) for value in figure[:4]]
        line = f"{name}: {text[0]}"
        if len(finished) > 1:
            line += f" ± {text[1]} (95 % interval of the mean {text[2]} to {text[3]})"
        print(line)
    own = f"{options.split}/{metric['name']}"
    if own in figures:
        path = options.workdir / "replicates.png"
        draw_replicates({options.workdir.name: figures[own].values}, metric, options.split, path)
    print(f"in {options.workdir}: replicates.json, replicates.png, a folder for every run")
