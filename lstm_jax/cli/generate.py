"""`lstm-jax generate`: text by a trained language model, written as it comes."""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax generate", description="Write text with a trained language model."
    )
    add = parser.add_argument
    add("--workdir", required=True, type=workdir, help="the folder of the run")
    add("--checkpoint", default="best", help="best (default), latest, or the number of a step")
    add("--prompt", default="", help="text to begin with (a line break, not shown)")
    add("--length", type=int, default=1000, help="symbols to write (1000)")
    add(
        "--temperature",
        type=float,
        default=0.7,
        help="below 1 safer, above 1 wilder, 0 greedy (0.7)",
    )
    add("--top_k", type=int, help="draw from this many likeliest symbols (all)")
    add(
        "--top_p", type=float, default=1.0, help="draw from the likeliest symbols of this share (1)"
    )
    add("--seed", type=int, default=0, help="the same seed writes the same text (0)")
    add("--samples", type=int, default=1, help="how many texts (1)")
    options, _ = parse(parser, arguments)
    _check(options)
    require_devices()
    use_compilation_cache()

    from lstm_jax.tasks.generation import generate, shown
    from lstm_jax.tasks.language_model import language_model
    from lstm_jax.training import Run

    run = Run.load(options.workdir)
    task = run.experiment.task
    if not isinstance(task, language_model):
        raise UserError(f"{run.folder} holds no language model: its task is {run.config.task}")
    vocabulary = task.vocabulary(run.assets)
    params = run.restore_params(task.restore(run.assets), options.checkpoint).trees["params"]
    prompt = task.clean(options.prompt)
    unknown = int((vocabulary.encode(prompt).ids == 0).sum())
    if unknown:
        text = f"{unknown} symbol(s) of the prompt are unknown"
        print(f"lstm-jax generate: {text}", file=sys.stderr)
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
    _print(shown(options.prompt, vocabulary), pieces, options.samples)
    return 0


def _check(options: argparse.Namespace) -> None:
    allowed = {
        "length": (options.length >= 0, "at least 0"),
        "temperature": (0 <= options.temperature < math.inf, "at least 0 and finite"),
        "top_k": (options.top_k is None or options.top_k >= 1, "at least 1"),
        "top_p": (0 < options.top_p <= 1, "in (0, 1]"),
        "seed": (0 <= options.seed < 2**32, "in [0, 2**32)"),
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
