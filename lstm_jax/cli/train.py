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
    options, overrides = parse(parser, arguments, overrides=True)
    require_devices()
    use_compilation_cache()

    from lstm_jax.training import Console, Interrupted, Run, load_config, train

    own = options.workdir / "config.json"
    if options.config is None and not own.exists():
        raise UserError(f"{options.workdir} holds no run to go on with: give --config")
    spec = options.config or str(own)
    run = Run.open(options.workdir, load_config(spec, overrides))
    console = Console()
    finished = run.result() is not None
    try:
        result = train(run, console)
    except Interrupted as stopped:
        _draw(run)
        command = shlex.join(["lstm-jax", "train", *arguments])
        console.say(f"saved step {stopped.step}; to go on: {command}")
        return 128 + stopped.signal
    if not finished:
        _draw(run)
    _show(run, console, result)
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
