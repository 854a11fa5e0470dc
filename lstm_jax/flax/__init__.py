"""Flax modules around any cell: `lstm_jax.flax.linen` and `lstm_jax.flax.nnx`."""
