"""NumPy's archives of arrays, read so that a stranger's can only fail."""

import math
import zipfile
from pathlib import Path

import numpy as np


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `numpy.savez` wrote.

    No memory is taken that the file does not fill: what is compressed, what claims to be larger
    than it is, and what only pickle could read are refused.

    Raises:
      OSError, ValueError or zipfile.BadZipFile: it is not there, or no such file.
    """
    with zipfile.ZipFile(path) as archive:
        return {
            member.filename.removesuffix(".npy"): _read(archive, member)
            for member in archive.infolist()
        }


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    name = member.filename
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"{name} is compressed")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is of version {version}")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        content = file.read()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which only pickle could read")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{name} has not the size of shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C").copy()
