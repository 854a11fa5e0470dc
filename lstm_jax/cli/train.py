"""`lstm-jax train`: from a config file to a result, or on from where a run stopped."""

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax train",
        description="Train a model. The same command on the same workdir goes on where it stopped.",
        epilog="Any field of the config: --config.FIELD=VALUE. "
        "lstm-jax config --config=... lists them.",
    )
    parser.add_argument("--config", help="a config file, PATH.py or PATH.py:MODE")
    parser.add_argument("--workdir", required=True, type=workdir, help="the folder of the run")
    parser.add_argument("--profile", help="steps to profile, as steps:10-20")
    parser.add_argument(
        "--dry_run", action="store_true", help="tell what the run needs, and whether it fits"
    )
    options, overrides = parse(parser, arguments, overrides=True)
    require_devices()
    use_compilation_cache()

    from lstm_jax.training import Console, Interrupted, Run, load_config, train
    from lstm_jax.training.profiling import ProfileRange

    profile = None if options.profile is None else ProfileRange.parse(options.profile)
    own = options.workdir / "config.json"
    if options.config is None and not own.exists():
        raise UserError(f"{options.workdir} holds no run to go on with: give --config")
    spec = options.config or str(own)
    config = load_config(spec, overrides)
    if options.dry_run:
        return _dry_run(config)
    run = Run.open(options.workdir, config)
    console = Console()
    finished = run.result() is not None
    try:
        result = train(run, console, profile)
    except Interrupted as stopped:
        _draw(run)
        command = shlex.join(["lstm-jax", "train", *arguments])
        console.say(f"saved step {stopped.step}; to go on: {command}")
        return 128 + stopped.signal
    if not finished:
        _draw(run)
    _show(run, console, result)
    return 0


def _dry_run(config: Any) -> int:
    """Says what the run needs; the workdir is not touched."""
    import tempfile
    from pathlib import Path

    from lstm_jax.training import build_experiment
    from lstm_jax.training.dry_run import dry_run

    with tempfile.TemporaryDirectory() as assets:
        for line in dry_run(build_experiment(config), Path(assets)):
            print(line)
    return 0


def _draw(run: Any) -> None:
    from lstm_jax.reports import draw_learning_curve

    draw_learning_curve(run)


def _show(run: Any, console: Any, result: dict[str, Any]) -> None:
    task = run.experiment.task
    metric = task.restore(run.assets).metrics[0]
    suffix = f"/{metric.name}"
    ours = {k.removesuffix(suffix): v for k, v in result.items() if k.endswith(suffix)}
    if result["sample"]:
        console.say(f"\n{'-' * 30} sample {'-' * 30}\n{result['sample'].strip()}\n{'-' * 68}\n")
    console.table(
        f"{run.folder.name}, step {result['best_step']} of {result['steps']}",
        metric,
        {"this model": ours, **result["baselines"]},
        list(ours),
    )
    folder = shlex.quote(str(run.folder))
    console.say(
        f"trained for {result['seconds']:.0f} s; in {run.folder}: result.json, metrics.jsonl,"
    )
    console.say("figures/learning_curve.png, checkpoints/, tensorboard/\nnext:")
    for command, what in {
        "evaluate": "the figures of any split and checkpoint, --json for programs",
        **task.commands(),
    }.items():
        console.say(f"  lstm-jax {command} --workdir={folder}   # {what}")
