"""What a stranger may have put into the folder of a run, by name: `(run's folder) -> None`."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.training.digests import json_digest

DEEP = "[" * 200_000
HUGE = "9" * 20_000  # digits
METADATA = "meta/metadata"


def replaced(name: str, content: str | bytes):
    """A file with other content."""

    def change(workdir: Path) -> None:
        path = workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def edited(name: str, **fields: Any):
    """A JSON file in which fields, `a__b` for b in a, have other values."""

    def change(workdir: Path) -> None:
        content = json.loads((workdir / name).read_text())
        for field, value in fields.items():
            *sections, last = field.split("__")
            section = content
            for each in sections:
                section = section[each]
            section[last] = value
        (workdir / name).write_text(json.dumps(content))

    return change


def metadata(**fields: Any):
    """The metadata of every checkpoint, with other values and a digest that fits them."""

    def change(workdir: Path) -> None:
        for step in (workdir / "checkpoints").iterdir():
            found = json.loads((step / METADATA).read_text())["content"] | fields
            found = {name: value for name, value in found.items() if value is not ...}
            whole = {"content": found, "digest": json_digest(found)}
            (step / METADATA).write_text(json.dumps(whole))

    return change


def metadata_text(text: str):
    """The metadata of every checkpoint, as this text."""

    def change(workdir: Path) -> None:
        for step in (workdir / "checkpoints").iterdir():
            (step / METADATA).write_text(text)

    return change


def pipe(name: str):
    """A pipe in place of a file: who reads it waits for ever."""

    def change(workdir: Path) -> None:
        path = workdir / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)

    return change


def folder(name: str):
    """A folder in place of a file."""

    def change(workdir: Path) -> None:
        (workdir / name).unlink(missing_ok=True)
        (workdir / name).mkdir()

    return change


def link(name: str):
    """A link to what stands outside, in place of a file or folder."""

    def change(workdir: Path) -> None:
        outside = workdir.parent / "outside"
        path = workdir / name
        if path.is_dir():
            shutil.move(path, outside)
        else:
            path.unlink(missing_ok=True)
            outside.write_text("mine")
        path.symlink_to(outside)

    return change


def array_bomb(path: Path) -> None:
    """An archive of an array that says it holds 10^12 numbers, and holds eight."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    with zipfile.ZipFile(path, "w") as archive, archive.open("inputs.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)  # pyright: ignore
        file.write(bytes(64))


def zip_bomb(path: Path) -> None:
    """An archive of a kilobyte or so for every megabyte of zeros in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs.npy", bytes(1 << 28))


def object_array(path: Path) -> None:
    """An archive of an array of Python objects, as pickle keeps them."""
    np.savez(path, inputs=np.array([{}], object))  # pyright: ignore
