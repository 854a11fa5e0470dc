"""`lstm-jax predict`: what a trained model makes of lines of text, or of a file of series."""

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.cli.arguments import parse, require_devices, use_compilation_cache, workdir
from lstm_jax.cli.pictures import written
from lstm_jax.errors import UserError

_CHUNK = 1024  # lines answered at once; a task may put those of like lengths together


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax predict",
        description="What a trained model makes of lines of text, one line for each, in order; or "
        "of a file, or a folder of sounds or videos, as CSV.",
    )
    add = parser.add_argument
    add("--workdir", required=True, type=workdir, help="the folder of the run")
    add(
        "--input",
        default="-",
        help="lines in UTF-8, - (default) for the standard input; or a file like those that the "
        "run was trained on, or a folder of sounds or videos",
    )
    add("--checkpoint", default="best", help="best (default), latest, or the number of a step")
    add(
        "--output",
        type=Path,
        help="folder of the pictures, if the task predicts some; predicted/ in that of the run",
    )
    add("--json", action="store_true", help="print a JSON object a line, else tabs, or CSV")
    options, _ = parse(parser, arguments)
    require_devices()
    use_compilation_cache()

    from lstm_jax.training import Run

    run = Run.load(options.workdir)
    task = run.experiment.task
    predict, predict_file = (getattr(task, name, None) for name in ("predict", "predict_file"))
    if predict is None and predict_file is None:
        raise UserError(f"{run.folder}: the task {run.config.task} predicts nothing")
    if predict is None and options.input == "-":
        raise UserError(f"--input: the task {run.config.task} needs a file")
    lines = _lines(options.input) if predict is not None else iter(())
    params = run.restore_params(task.restore(run.assets), options.checkpoint).trees["params"]
    if predict is None:
        assert predict_file is not None
        records = predict_file(run.assets, params, options.input)
        folder = options.output or run.folder / "predicted" / Path(options.input).stem
        _print_table(written(records, folder), options.json)
        return 0
    while chunk := list(itertools.islice(lines, _CHUNK)):
        for record in predict(run.assets, params, chunk):
            print(_json(record) if options.json else _text(record))
        sys.stdout.flush()
    return 0


def _print_table(records: Iterator[Mapping[str, Any]], as_json: bool) -> None:
    """Prints records that have the same names, as CSV with a header row or as JSON."""
    writer = None
    for record in records:
        if as_json:
            print(_json(record))
            continue
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(record), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: _number(value) for name, value in record.items()})


def _number(value: Any) -> Any:
    """Seven digits, which is what single precision has."""
    return f"{value:.7g}" if isinstance(value, float) else value


def _lines(name: str) -> Iterator[str]:
    """The lines, read as they are needed; only line feeds end one, with a carriage return or not.

    Raises:
      UserError: the file cannot be read, or, at its line, is not UTF-8.
    """
    if name == "-":
        return _decoded("the standard input", sys.stdin.buffer)
    try:
        return _decoded(name, Path(name).expanduser().open("rb"))
    except OSError as error:
        raise UserError(f"--input: cannot read {name} ({error.strerror})") from None


def _decoded(name: str, file: Any) -> Iterator[str]:
    with file:
        for number, line in enumerate(file, start=1):
            encoding = "utf-8-sig" if number == 1 else "utf-8"
            try:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)
            except UnicodeDecodeError as error:
                raise UserError(
                    f"--input: {name}, line {number}, is not UTF-8 ({error.reason}); "
                    "convert it, for instance with iconv"
                ) from None


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _text(record: Mapping[str, Any]) -> str:
    values = (f"{v:.4f}" if isinstance(v, float) else str(v) for v in record.values())
    return "\t".join(values)
