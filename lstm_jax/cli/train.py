"""`lstm-jax train`: from a config file to a result, or on from where a run stopped."""

import argparse
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
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
    _add_processes(parser)
    options, overrides = parse(parser, arguments, overrides=True)

    from lstm_jax.training.distributed import Address, join

    join(
        Address(options.coordinator, options.num_processes, options.process_id),
        options.process_timeout,
    )
    require_devices()
    use_compilation_cache()
    return _as_one(lambda: _train(options, overrides, arguments))


def _add_processes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "several processes",
        "On TPU pods and under SLURM the processes find each other; else each is told where it "
        "stands. See docs/clusters.md.",
    )
    group.add_argument("--coordinator", help="HOST:PORT of process 0, the same for all")
    group.add_argument("--num_processes", type=int, help="how many there are")
    group.add_argument("--process_id", type=int, help="which one this is, from 0")
    group.add_argument(
        "--process_timeout",
        type=int,
        default=100,
        help="seconds after which a silent process counts as lost (default 100); three times as "
        "long the start waits for all",
    )


def _as_one(function: Callable[[], int]) -> int:
    """Runs one of several processes; one that fails alone ends at once, before the others wait.

    The first process speaks for all; the others say what befell them alone, and who they are.
    """
    import jax

    from lstm_jax.training.distributed import leave, name_of_this
    from lstm_jax.training.faults import NonFinite
    from lstm_jax.training.processes import Agreed, is_first

    if jax.process_count() == 1:
        return function()
    try:
        return function()
    except (Agreed, NonFinite):
        if is_first():
            raise
        return 2
    except (UserError, OSError) as error:
        text, code = str(error), 2
    except jax.errors.JaxRuntimeError as error:
        text, code = _of_the_devices(error), 2
    except KeyboardInterrupt:
        text, code = "stopped at once", 130
    except Exception:
        text, code = traceback.format_exc(), 1
    print(f"lstm-jax train: {name_of_this()}: {text}", file=sys.stderr)
    leave(code)


def _of_the_devices(error: Exception) -> str:
    return (
        f"the devices of all processes cannot go on together ({str(error).splitlines()[0]}); if "
        "another process ended, it says why, and the same command on all of them goes on from the "
        "last step saved"
    )


def _train(options: argparse.Namespace, overrides: Sequence[str], arguments: Sequence[str]) -> int:
    from lstm_jax.training import Interrupted, Run, load_config, train
    from lstm_jax.training.processes import is_first, together
    from lstm_jax.training.profiling import ProfileRange

    profile = None if options.profile is None else ProfileRange.parse(options.profile)
    config = together(lambda: load_config(_spec(options), overrides))
    if options.dry_run:
        return _dry_run(config)
    run = Run.open(options.workdir, config)
    console = _console()
    finished = is_first() and run.result() is not None
    try:
        result = train(run, console, profile)
    except Interrupted as stopped:
        if not is_first():
            return 128 + stopped.signal
        _draw(run)
        command = shlex.join(["lstm-jax", "train", *arguments])
        console.say(f"saved step {stopped.step}; to go on: {command}")
        return 128 + stopped.signal
    if is_first():
        if not finished:
            _draw(run)
        _show(run, console, result)
    return 0


def _spec(options: argparse.Namespace) -> str:
    own = options.workdir / "config.json"
    if options.config is None and not own.exists():
        raise UserError(f"{options.workdir} holds no run to go on with: give --config")
    return options.config or str(own)


def _console() -> Any:
    """What a person sees; of several processes, the first one shows it."""
    import rich.console

    from lstm_jax.training import Console
    from lstm_jax.training.processes import is_first

    return Console() if is_first() else Console(rich.console.Console(quiet=True))


def _dry_run(config: Any) -> int:
    """Says what the run needs; the workdir is not touched."""
    import tempfile
    from pathlib import Path

    from lstm_jax.training import build_experiment
    from lstm_jax.training.dry_run import dry_run
    from lstm_jax.training.processes import is_first

    with tempfile.TemporaryDirectory() as assets:
        for line in dry_run(build_experiment(config), Path(assets)):
            if is_first():
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
        console.say(f"  lstm-jax {command} --workdir={folder}{_parts(run)}   # {what}")


def _parts(run: Any) -> str:
    """The option that names the modules of parts of one's own, which no stored config may."""
    from lstm_jax.training.experiment import own_modules

    return "".join(f" --parts={module}" for module in own_modules(run.config))
