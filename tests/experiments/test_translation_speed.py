"""The translation benchmark compares two programs of the same model."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.seq2seq import Seq2Seq
from lstm_jax.tasks.translation import TranslationLoss, train_loss
from lstm_jax.tasks.translator import search

BENCHMARKS = Path(__file__).resolve().parents[2] / "experiments/benchmarks"
SOURCE = np.asarray(jax.random.randint(jax.random.key(0), (6, 7), 1, 11))
LENGTHS = np.array([7, 5, 3, 2, 1, 6])
TARGET = np.asarray(jax.random.randint(jax.random.key(1), (6, 5), 1, 11))
BATCH = {
    "source": SOURCE, "source_lengths": LENGTHS,
    "target": TARGET, "target_lengths": np.array([5, 4, 3, 2, 1, 5]),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({}, marks=pytest.mark.long),
        {"input_feeding": True},
        pytest.param({"copying": True}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_both_programs_have_one_loss_and_find_the_same_translations(kind, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    program = importlib.import_module("torch_translation")
    network = Seq2Seq(vocabulary_size=13, cell=lj.lstm, embedding_size=6, hidden_size=8, **kind)
    one = jnp.ones((1, 1), jnp.int32)
    params = network.init(jax.random.key(2), one, jnp.ones(1, jnp.int32), one)["params"]
    params = jax.tree.map(lambda leaf: 2 * leaf, params)  # decided enough to differ by source
    model = program.TorchSeq2Seq(
        params, feeding="input_feeding" in kind, copying="copying" in kind, dropout=0.0
    ).eval()
    theirs = model.loss(program.tensors(BATCH), 11).item()
    batch = jax.tree.map(jnp.asarray, BATCH)
    ours, *_ = train_loss(network, TranslationLoss(), 0.0, params, (), batch, jax.random.key(0))
    assert float(ours) == pytest.approx(theirs, rel=1e-4)
    limits = LENGTHS + 3
    found = search(network, 3, 10, params, SOURCE, LENGTHS, limits, 0.6, 0.0)
    expected = model.translate(
        torch.tensor(SOURCE).long(), torch.tensor(LENGTHS), torch.tensor(limits), 3, 0.6
    )
    rows = zip(np.asarray(found.tokens), np.asarray(found.lengths), strict=True)
    assert [tokens[:length].tolist() for tokens, length in rows] == expected
    assert len({tuple(tokens) for tokens in expected}) > 1
