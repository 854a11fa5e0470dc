"""`lstm-jax evaluate`: figures of a trained model on a split of its data."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.errors import ConfigError, UserError, did_you_mean


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
    _add_text_options(parser.add_argument)
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
    if restored.meta.get("fingerprint") != dataset.fingerprint:
        text = "the data are not those that the run was trained on"
        print(f"lstm-jax evaluate: {run.folder}: {text}", file=sys.stderr)
    params = restored.trees["params"]
    if parts := _text_parts(options):
        from lstm_jax.tasks.language_model import language_model
        from lstm_jax.tasks.text_evaluation import evaluate_text

        task = run.experiment.task
        if not isinstance(task, language_model):
            raise UserError(
                f"--{', --'.join(parts)}: is for language models, and the task of {run.folder} is "
                f"{run.config.task}"
            )
        parts = {_KEYWORDS[name]: part for name, part in parts.items()}
        values = evaluate_text(task, run.assets, params, options.split, **parts)
    else:
        batches = dataset.splits[options.split]
        values = make_evaluate(learner)(params, batches, dataset.evaluation_batch_size)
    found = {"step": restored.step, "split": options.split, **values}
    if options.json:
        print(json.dumps(found))
    else:
        _print(found, learner.metrics)
    return 0


def _print(found: dict[str, Any], metrics: Sequence[Any]) -> None:
    print(f"step {found['step']}, {found['split']}:")
    for metric in metrics:
        if metric.name in found:
            print(f"  {metric.text(found[metric.name])}  {metric.label}")


# The options of each of what may stand beside a language model: name, type, what it is.
_TEXT_OPTIONS: dict[str, dict[str, tuple[Callable[[str], Any], str]]] = {
    "dynamic": {
        "dynamic": (str, "go on learning from the text that was read, by the rule sgd or rms"),
        "dynamic_rate": (float, "learning rate (0.002)"),
        "dynamic_decay": (float, "pull back to the parameters of the run (0.02)"),
        "dynamic_segment": (int, "symbols between two steps (5)"),
        "dynamic_epsilon": (float, "of rms (0.001)"),
    },
    "cache": {
        "cache": (int, "mix with a neural cache of this many states"),
        "cache_flatness": (float, "factor of the products of its states (0.3)"),
        "cache_weight": (float, "its share (0.1)"),
    },
    "ngram": {
        "ngram": (int, "mix with a Kneser-Ney n-gram of the training text of this order"),
        "ngram_weight": (float, "its share (0.2)"),
    },
}
_KEYWORDS = {"dynamic": "dynamic", "cache": "cache", "ngram": "counts"}
_FIRST_FIELDS = {"dynamic": "rule", "cache": "size", "ngram": "order"}


def _add_text_options(add: Callable[..., Any]) -> None:
    for options in _TEXT_OPTIONS.values():
        for name, (kind, text) in options.items():
            add(f"--{name}", type=kind, help=f"language models: {text}")


def _text_parts(options: argparse.Namespace) -> dict[str, Any]:
    """What was asked for beside a language model, checked, by the name of its first option.

    Raises:
      UserError: a value cannot be, or an option stands without the one it belongs to.
    """
    found = {}
    for part, names in _TEXT_OPTIONS.items():
        given = {name: getattr(options, name) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        if given and part not in given:
            raise UserError(f"--{next(iter(given))}: needs --{part} too")
        if given:
            found[part] = _make(part, given)
    return found


def _make(part: str, given: dict[str, Any]) -> Any:
    from lstm_jax.config import build, complete
    from lstm_jax.tasks.dynamic_evaluation import Dynamic
    from lstm_jax.tasks.neural_cache import Cache
    from lstm_jax.tasks.text_evaluation import Counts

    kind = {"dynamic": Dynamic, "cache": Cache, "ngram": Counts}[part]
    first = _FIRST_FIELDS[part]
    fields = {
        name.removeprefix(f"{part}_") if name != part else first: v for name, v in given.items()
    }
    try:
        return build(kind, complete(kind, fields))
    except ConfigError as error:
        flags = (p.replace(first, part, 1) if p.startswith(f"{first}:") else f"{part}_{p}"
                 for p in error.problems)  # fmt: skip
        raise UserError("; ".join(f"--{flag}" for flag in flags)) from None
