"""The plain network: what it says behind the last step is what it says there at every step."""

import jax
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.sequence_model import SequenceModel, apply

CELLS = (lj.lstm, lj.slstm, lj.mlstm, lj.min_lstm, lj.qrnn)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
def test_the_last_output_is_that_of_the_last_step(cell):
    options = {"outputs": 3, "cell": cell, "hidden_size": 8, "num_layers": 2, "symbols": 5}
    every, last = (SequenceModel(every_step=each, **options) for each in (True, False))
    symbols, lengths = np.arange(21).reshape(3, 7) % 5, np.array([7, 3, 1])
    params = last.init(jax.random.key(0), symbols, lengths)["params"]
    said = apply(every, params, symbols, lengths)[np.arange(3), lengths - 1]
    np.testing.assert_allclose(apply(last, params, symbols, lengths), said, atol=1e-5)

    def cost(params, network, pick):
        return (pick(apply(network, params, symbols, lengths)) ** 2).sum()

    gradients = (
        jax.grad(cost)(params, every, lambda y: y[np.arange(3), lengths - 1]),
        jax.grad(cost)(params, last, lambda y: y),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *gradients)


def test_remat_of_a_last_output_takes_little_memory():
    def temporary(remat):
        network = SequenceModel(
            outputs=1, cell=lj.lstm, hidden_size=16, every_step=False, remat=remat
        )
        inputs, lengths = np.zeros((2, 4096, 2), np.float32), np.array([4096, 4096])
        params = network.init(jax.random.key(0), inputs[:, :1], lengths)["params"]
        grad = jax.grad(lambda p, x: apply(network, p, x, lengths).sum())
        compiled = jax.jit(grad).lower(params, inputs).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary("sqrt") < temporary("none") / 10
