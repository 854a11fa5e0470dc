"""Flax modules around any cell: `lstm_jax.flax.linen`."""
