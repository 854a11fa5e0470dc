"""`lstm-jax sweep`: a search over hyperparameters, resumable, and what it found."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.errors import UserError

_ACTIONS = ("run", "status", "best", "export")


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax sweep",
        usage="lstm-jax sweep [run | status | best | export] --workdir=FOLDER [options]",
        description="Search over fields of a config with Optuna; every trial is an ordinary run. "
        "The same command goes on where it stopped; started twice, two processes share the trials.",
        epilog="Fields that are the same in all trials: --config.FIELD=VALUE. See docs/sweeps.md.",
    )
    parser.add_argument("--workdir", required=True, type=workdir, help="the folder of the search")
    parser.add_argument("--config", help="a config file, PATH.py or PATH.py:MODE")
    parser.add_argument(
        "--sweep", help="a file that says what is searched, PATH.py or PATH.py:MODE"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="dimensions",
        metavar="FIELD=DISTRIBUTION",
        help="uniform(a,b), loguniform(a,b), integer(a,b), log_integer(a,b) or choice(a,b,...)",
    )
    parser.add_argument("--trials", type=int, help="how many in all (default 20; of a grid, all)")
    parser.add_argument("--sampler", help="tpe (default), random, cmaes, nsga2 or grid")
    parser.add_argument("--pruner", help="none (default), median, asha, hyperband or pbt")
    parser.add_argument("--metric", help="on validation; several with commas between them")
    parser.add_argument("--seed", type=int, default=0, help="of the sampler")
    parser.add_argument(
        "--engine",
        default="process",
        help="how trials run: process (default), population, ray or auto",
    )
    parser.add_argument("--population", type=int, help="population: trials of one program (all)")
    parser.add_argument("--address", help="ray: HOST:PORT of the head; default: that of this host")
    parser.add_argument("--resources", help="ray: what a trial takes, as cpu=4 or cpu=4,gpu=1")
    parser.add_argument("--jobs", type=int, help="trials at a time (default 1; ray: all that fit)")
    parser.add_argument(
        "--output", type=Path, help="best: a config file; export: a .csv or .parquet"
    )
    parser.add_argument("--json", action="store_true", help="status, best: print JSON")
    # Taken by hand: an override with a space in it looks like a position to argparse.
    action, arguments = "run", list(arguments)
    if arguments and not arguments[0].startswith("-"):
        action = arguments.pop(0)
    if action not in _ACTIONS:
        raise UserError(f"there is no {action!r}; there are: {', '.join(_ACTIONS)}")
    options, overrides = parse(parser, arguments, overrides=True)
    if action == "run":
        return _run(options, overrides)
    return {"status": _status, "best": _best, "export": _export}[action](options)


def _run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
    from lstm_jax.sweeps.report import draw_report, trial_line

    require_devices()
    use_compilation_cache()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    study, search, run = _open(options, overrides)
    failed = 0

    def tell(trial: Any) -> None:
        nonlocal failed
        failed += trial.state.name == "FAIL"
        print(trial_line(trial, search.objectives), flush=True)

    try:
        run(study, search, tell)
    finally:
        draw_report(study, search.objectives, search.folder)
    _print_best(study, search.objectives, search.folder)
    if failed:
        print(f"lstm-jax sweep: {failed} trials failed: lstm-jax sweep status", file=sys.stderr)
    return 0


def _interrupt(number: int, frame: Any) -> None:
    del number, frame
    raise KeyboardInterrupt


def _open(options: argparse.Namespace, overrides: Sequence[str]) -> tuple[Any, Any, Any]:
    """The study, what is searched, and what runs it; all checked before there is a folder."""
    from lstm_jax.sweeps.engines import Options, find_engine
    from lstm_jax.sweeps.search import Search, require_space
    from lstm_jax.sweeps.space import describe_space, grid
    from lstm_jax.sweeps.study import choose_objectives, keep_settings, open_study, optuna
    from lstm_jax.training import build_experiment, load_config

    optuna()
    prepare = find_engine(options.engine)
    asked = _asked(options, overrides)
    folder = options.workdir
    search = Search(
        folder, asked.config, tuple(overrides_of(asked)), tuple(options.parts), asked.space, (), 0
    )
    require_space(search, lambda texts: build_experiment(load_config(search.config, texts)))
    points = grid(asked.space) if asked.sampler == "grid" else None
    with tempfile.TemporaryDirectory() as assets:  # the data are read once before any trial
        experiment = build_experiment(load_config(search.config, search.overrides))
        learner, _ = experiment.prepare(Path(assets))
    objectives = choose_objectives(asked.metric, learner.metrics)
    if len(objectives) > 1 and asked.pruner != "none":
        raise UserError(f"--pruner: {asked.pruner} needs a single metric, got {len(objectives)}")
    trials = len(points) if points is not None else asked.trials or 20
    search = search._replace(
        objectives=objectives, trials=trials, sampler=asked.sampler, seed=options.seed
    )
    run = prepare(
        search,
        Options(options.jobs, options.address, options.resources, options.population, asked.pruner),
    )
    settings = {
        "config": asked.config,
        "overrides": list(search.overrides),
        "space": describe_space(asked.space),
        "objectives": [list(objective) for objective in objectives],
        "sampler": asked.sampler,
        "pruner": asked.pruner,
        "seed": options.seed,
        "trials": trials,
    }
    keep_settings(folder, settings)
    study = open_study(folder, objectives, pruner=asked.pruner)
    for point in points or []:
        study.enqueue_trial(point, skip_if_exists=True)
    return study, search, run


def overrides_of(asked: Any) -> list[str]:
    """The fields that are the same in all trials, as texts."""
    return [f"{field}={value}" for field, value in asked.overrides.items()]


def _asked(options: argparse.Namespace, overrides: Sequence[str]) -> Any:
    """What the file asks for, with what the command line says put over it."""
    from lstm_jax.sweeps.files import Sweep, load_sweep
    from lstm_jax.sweeps.space import parse_dimension
    from lstm_jax.sweeps.study import PRUNERS, SAMPLERS

    if options.sweep is None and options.config is None:
        raise UserError("a search needs --config and --set, or --sweep")
    asked = Sweep("", {}) if options.sweep is None else load_sweep(options.sweep)
    said = dict(text.split("=", 1) for text in overrides)
    asked = asked._replace(
        config=options.config or asked.config,
        space={**asked.space, **dict(map(parse_dimension, options.dimensions))},
        overrides={**asked.overrides, **said},
        trials=asked.trials if options.trials is None else options.trials,
        sampler=options.sampler or asked.sampler,
        pruner=options.pruner or asked.pruner,
        metric=tuple(options.metric.split(",")) if options.metric else asked.metric,
    )
    for name, allowed in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if getattr(asked, name) not in allowed:
            from lstm_jax.errors import did_you_mean

            value = getattr(asked, name)
            raise UserError(f"--{name}: there is no {value!r}; {did_you_mean(value, allowed)}")
    for name, engine in (("address", "ray"), ("resources", "ray"), ("population", "population")):
        if options.engine != engine and getattr(options, name) is not None:
            raise UserError(f"--{name}: is for --engine={engine}, got {options.engine}")
    if asked.pruner == "pbt" and options.engine != "population":
        raise UserError(f"--pruner: pbt is for --engine=population, got {options.engine}")
    if options.seed < 0:
        raise UserError(f"--seed: must be 0 or more, got {options.seed}")
    for name in ("trials", "jobs", "population"):
        value = asked.trials if name == "trials" else getattr(options, name)
        if value is not None and not 1 <= value <= 1_000_000:
            raise UserError(f"--{name}: must be 1 or more, got {value}")
    return asked


def _status(options: argparse.Namespace) -> int:
    from lstm_jax.sweeps.report import draw_report, rows_of, trial_line
    from lstm_jax.sweeps.study import load_study, read_objectives

    objectives = read_objectives(options.workdir)
    study = load_study(options.workdir)
    if options.json:
        print(json.dumps(rows_of(study, objectives)))
        return 0
    for trial in study.get_trials(deepcopy=False):
        print(trial_line(trial, objectives))
    draw_report(study, objectives, options.workdir)
    _print_best(study, objectives, options.workdir)
    return 0


def _print_best(study: Any, objectives: Sequence[Any], folder: Path) -> None:
    from lstm_jax.sweeps.report import trial_line

    best = study.best_trials
    if not best:
        print("no trial has a result yet")
        return
    print("best:" if len(objectives) == 1 else "best, none of which is beaten in all metrics:")
    for trial in best:
        print(f"  {trial_line(trial, objectives)}")
    picture = "sweep.png, " if (folder / "sweep.png").exists() else ""
    print(f"in {folder}: {picture}a folder for every trial; lstm-jax sweep best writes its config")


def _best(options: argparse.Namespace) -> int:
    from lstm_jax.sweeps.report import row_of, trial_line
    from lstm_jax.sweeps.study import load_study, read_objectives

    objectives = read_objectives(options.workdir)
    trials = load_study(options.workdir).best_trials
    if not trials:
        raise UserError(f"{options.workdir}: no trial has a result yet")
    best, run = trials[0], options.workdir / f"trial_{trials[0].number:04d}"
    if options.json:
        print(json.dumps(row_of(best, objectives)))
    else:
        print(trial_line(best, objectives))
    if options.output is not None:
        if options.output.suffix != ".json":
            raise UserError(f"--output: must end in .json, got {options.output}")
        options.output.write_text((run / "config.json").read_text(encoding="utf-8"))
        if not options.json:
            print(f"lstm-jax train --config={options.output} --workdir=...")
    return 0


def _export(options: argparse.Namespace) -> int:
    from lstm_jax.sweeps.report import rows_of
    from lstm_jax.sweeps.study import load_study, read_objectives
    from lstm_jax.sweeps.tables import write_csv, write_table

    rows = rows_of(load_study(options.workdir), read_objectives(options.workdir))
    if options.output is None:
        write_csv(rows, sys.stdout)
    else:
        write_table(rows, options.output)
        print(f"{len(rows)} trials in {options.output}")
    return 0
