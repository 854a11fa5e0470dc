"""Digests of arrays: the storage below does not notice a flipped bit."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def leaf_digests(tree: Any) -> dict[str, str]:
    """SHA-256 of every leaf of a pytree, over its dtype, shape and bytes, by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): _digest(x) for path, x in leaves
    }


def _digest(leaf: Any) -> str:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.ascontiguousarray(leaf)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


def json_digest(content: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
