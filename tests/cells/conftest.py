"""Tests of cells compile many small programs and run each once: they are compiled in haste."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _compiled_in_haste():
    """As JAX's own tests are: a third of the time is saved, and what is computed is the same."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
