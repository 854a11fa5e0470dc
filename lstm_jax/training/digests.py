"""Digests of arrays: the storage below does not notice a flipped bit."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def named_leaves(tree: Any) -> dict[str, Any]:
    """Every leaf of a pytree by its path.

    >>> list(named_leaves({"params": {"kernel": 1, "bias": 2}}))
    ['params/bias', 'params/kernel']
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def leaf_digests(tree: Any) -> dict[str, str]:
    """SHA-256 of every leaf of a pytree, over its dtype, shape and bytes, by its path.

    They do not depend on the devices that an array is spread over.
    """
    return {name: _digest(leaf) for name, leaf in named_leaves(tree).items()}


def leaf_shapes(tree: Any) -> dict[str, str]:
    """The type and shape of every leaf of a pytree, by its path.

    >>> leaf_shapes({"params": {"bias": np.zeros(3, np.float32)}})
    {'params/bias': 'float32 (3,)'}
    """
    return {name: f"{x.dtype} {tuple(x.shape)}" for name, x in named_leaves(tree).items()}


def _digest(leaf: Any) -> str:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.ascontiguousarray(leaf)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    # Without a copy: the view has the bytes of types, as bfloat16, that no buffer can name.
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def json_digest(content: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
