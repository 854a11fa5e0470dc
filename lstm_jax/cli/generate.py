"""`lstm-jax generate`: text by a trained language model, written as it comes."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_jax.cli.arguments import parse, use_compilation_cache
from lstm_jax.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax generate", description="Write text with a trained language model."
    )
    add = parser.add_argument
    add("--workdir", required=True, type=Path, help="the folder of the run")
    add("--checkpoint", default="best", help="best (default), latest, or the number of a step")
    add("--prompt", default="\n", help="text to begin with")
    add("--length", type=int, default=1000, help="symbols to write (1000)")
    add("--temperature", type=float, default=0.7, help="below 1 bolder, above 1 wilder, 0 greedy")
    add("--top_k", type=int, help="draw from this many likeliest symbols")
    add("--top_p", type=float, default=1.0, help="draw from the likeliest symbols of this share")
    add("--seed", type=int, default=0, help="the same seed writes the same text")
    add("--samples", type=int, default=1, help="how many texts")
    options, _ = parse(parser, arguments)
    _check(options)
    use_compilation_cache()

    from lstm_jax.tasks.generation import generate
    from lstm_jax.tasks.language_model import language_model
    from lstm_jax.training import Run

    run = Run.load(options.workdir)
    task = run.experiment.task
    if not isinstance(task, language_model):
        raise UserError(f"{run.folder} holds no language model: its task is {run.config.task}")
    vocabulary = task.vocabulary(run.assets)
    _, params = run.restore_params(task.restore(run.assets), options.checkpoint)
    prompt = task.clean(options.prompt)
    unknown = int((vocabulary.encode(prompt).ids == 0).sum())
    if unknown:
        print(f"lstm-jax generate: {unknown} symbols of the prompt are unknown", file=sys.stderr)
    pieces = generate(
        task.network(vocabulary),
        params,
        vocabulary,
        prompt=prompt,
        length=options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        samples=options.samples,
    )
    _print(options.prompt, pieces, options.samples)
    return 0


def _check(options: argparse.Namespace) -> None:
    allowed = {
        "length": (options.length >= 0, "at least 0"),
        "temperature": (options.temperature >= 0, "at least 0"),
        "top_k": (options.top_k is None or options.top_k >= 1, "at least 1"),
        "top_p": (0 < options.top_p <= 1, "in (0, 1]"),
        "seed": (0 <= options.seed < 2**63, "at least 0"),
        "samples": (options.samples >= 1, "at least 1"),
    }
    for name, (holds, text) in allowed.items():
        if not holds:
            raise UserError(f"--{name}: must be {text}, got {getattr(options, name)}")


def _print(prompt: str, pieces: Iterator[list[str]], samples: int) -> None:
    if samples == 1:
        # One text streams as it is written.
        sys.stdout.write(prompt)
        for (piece,) in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
        return
    for i, texts in enumerate(zip(*pieces, strict=True), start=1):
        print(f"--- sample {i} ---\n{prompt}{''.join(texts)}")
