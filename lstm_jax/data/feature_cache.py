"""Arrays on disk, found by what they were made of: many processes may write and read at once."""

import hashlib
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.errors import UserError

_DIGEST = 32  # bytes of SHA-256, which stand before the array


class FeatureCache:
    """A folder of arrays by key.

    A file is written under another name and then renamed, so that a reader finds all of it or
    nothing, and of two writers of one key, who write the same, the last one stays. What was torn
    all the same (power that failed, a disk that forgot) does not fit its digest and counts as
    absent. Nothing that is read is run.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = FeatureCache(Path(folder))
    ...     cache.put("0123", np.arange(3))
    ...     cache.get("0123"), cache.get("4567")
    (array([0, 1, 2]), None)
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, key: str) -> np.ndarray | None:
        """The array of a key; None if there is none that is whole.

        Raises:
          UserError: the folder cannot be read.
        """
        try:
            content = self._file(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._trouble("read", error) from None
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            return None
        try:
            return np.lib.format.read_array(io.BytesIO(content[_DIGEST:]), allow_pickle=False)
        except (ValueError, EOFError):
            return None

    def put(self, key: str, array: np.ndarray) -> None:
        """Keeps an array.

        Raises:
          UserError: the folder cannot be written.
        """
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        content = stream.getvalue()
        file = self._file(key)
        temporary = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
            with open(handle, "wb") as stream:
                stream.write(hashlib.sha256(content).digest() + content)
            os.replace(temporary, file)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise self._trouble("write", error) from None

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.features"

    def _trouble(self, verb: str, error: OSError) -> UserError:
        return UserError(f"data.reading.cache: cannot {verb} {self.folder} ({error.strerror})")


class Cached(Sequence):
    """The arrays of some keys, read when they are asked for, so that they need no memory."""

    def __init__(self, cache: FeatureCache, keys: list[str]):
        self._cache, self._keys = cache, keys
        self._last: tuple[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: Any) -> Any:
        key = self._keys[index]
        # A batch asks for the length first, and for the values right after.
        last = self._last
        if last is not None and last[0] == key:
            return last[1]
        found = self._cache.get(key)
        if found is None:
            raise UserError(
                f"data.reading.cache: what was in {self._cache.folder} is gone or damaged: start "
                "again, and it is made anew"
            )
        self._last = (key, found)
        return found
