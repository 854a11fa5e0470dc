"""`lstm-jax evaluate`: figures of a trained model on a split of its data."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.errors import UserError, did_you_mean


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax evaluate", description="Figures of a trained model on a split of its data."
    )
    parser.add_argument("--workdir", required=True, type=workdir, help="the folder of the run")
    parser.add_argument(
        "--checkpoint", default="best", help="best (default), latest, or the number of a step"
    )
    parser.add_argument("--split", default="test", help="train, validation or test (default)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, _ = parse(parser, arguments)
    require_devices()
    use_compilation_cache()

    from lstm_jax.training import Run
    from lstm_jax.training.evaluation import make_evaluate

    run = Run.load(options.workdir)
    learner, dataset = run.experiment.prepare(run.assets)
    if options.split not in dataset.splits:
        raise UserError(
            f"--split: there is no split {options.split!r}; "
            f"{did_you_mean(options.split, dataset.splits)}"
        )
    restored = run.restore_params(learner, options.checkpoint)
    if restored.meta["fingerprint"] != dataset.fingerprint:
        text = "the data are not those that the run was trained on"
        print(f"lstm-jax evaluate: {run.folder}: {text}", file=sys.stderr)
    batches = dataset.splits[options.split]
    values = make_evaluate(learner)(
        restored.trees["params"], batches, dataset.evaluation_batch_size
    )
    found = {"step": restored.step, "split": options.split, **values}
    if options.json:
        print(json.dumps(found))
    else:
        _print(found, learner.metrics)
    return 0


def _print(found: dict[str, Any], metrics: Sequence[Any]) -> None:
    print(f"step {found['step']}, {found['split']}:")
    for metric in metrics:
        print(f"  {found[metric.name]:.{metric.decimals}f}  {metric.label}")
