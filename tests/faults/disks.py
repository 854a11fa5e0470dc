"""Disks without room, and states to save on them."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp


def fill(disk: Path, leave: int = 0) -> Path:
    """Takes all room but some bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(b"\0" * (shutil.disk_usage(disk).free - leave))
    return filler


def trees(value=0.0):
    noise = jax.random.normal(jax.random.key(0), (64, 1024))  # zeros would take no room
    return {"params": {"w": noise + value}, "training": {"step": jnp.int32(7)}}
