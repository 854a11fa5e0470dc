"""`lstm-jax debug`: a step whose numbers went wrong, done again with checks on."""

import argparse
from collections.abc import Sequence

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax debug",
        description="Do a step whose loss or gradient was not finite again, and tell where.",
    )
    parser.add_argument("--workdir", required=True, type=workdir, help="the folder of the run")
    parser.add_argument("--step", type=int, help="one of the steps kept in debug/ (the last one)")
    options, _ = parse(parser, arguments)
    require_devices()
    use_compilation_cache()

    from lstm_jax.training import Run
    from lstm_jax.training.diagnosis import saved_steps
    from lstm_jax.training.replay import replay

    run = Run.load(options.workdir)
    kept = saved_steps(run.folder)
    step = kept[-1] if options.step is None else options.step
    if step not in kept:
        raise UserError(f"--step: {step} was not kept; there are: {', '.join(map(str, kept))}")
    for line in replay(run, step):
        print(line)
    return 0
