"""Translation: training and beam search of lstm_jax beside a torch program of the same model.

    python experiments/benchmarks/translation_speed.py --pairs=DIR/train.tsv     # the real pairs
    python experiments/benchmarks/translation_speed.py --run=runs/translate      # a trained model
    python experiments/benchmarks/translation_speed.py --torch_wait=passive      # beside other work

Both start from the same weights and see the same batches, and take turns: a training step a batch
(cross-entropy with smoothed labels, clipping, AdamW), then a beam search over batches of sources.
Without `--pairs` lengths are drawn and symbols mean nothing. Without `--run` weights are random and
no translation ends before its limit, one and a half times its source and ten symbols; with it, they
are those of the run, and so are the model's sizes. Reported are target symbols and sentences a
second, medians over the rounds, and how many translations both programs found alike.
"""

import argparse
import functools
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from options import parser, set_torch_wait
from report import header, markdown, save

import lstm_jax as lj
from lstm_jax.data.bucketing import BucketedBatches, best_bounds, longest_of
from lstm_jax.models.seq2seq import Seq2Seq
from lstm_jax.tasks.translation import TranslationLoss, train_loss
from lstm_jax.tasks.translator import search

_MODELS = (
    ("input feeding", 8000, {"hidden_size": 512, "input_feeding": True}),
    ("no input feeding", 8000, {"hidden_size": 512}),
    ("of translate_en_de.py", 4000, {"hidden_size": 384, "copying": True}),
)
_ALPHA = 0.6
_PAIRS = 2048  # as many as take part


def main() -> None:
    """Runs the benchmark, prints the tables and keeps them."""
    made = parser(__doc__ or "")
    add = made.add_argument
    add("--pairs", type=Path, help="a file of pairs with a tab between; else generated numbers")
    add("--run", type=Path, help="the folder of a run, whose parameters and tokenizer are taken")
    add("--batch", type=int, default=64, help="pairs in a training step")
    add("--batches", type=int, default=12, help="how many batches of each kind are timed")
    add("--torch_wait", choices=["active", "passive"], default="active", help="as in layer_speed")
    options = made.parse_args()
    set_torch_wait(options.torch_wait)
    load = os.getloadavg()[0]
    sections = {}
    for name, network, params, pairs in _subjects(options):
        sections[name] = _measure(network, params, pairs, options)
    rows = [["model", "", "lstm_jax", "torch", "ratio"]]
    for name, found in sections.items():
        for what, (ours, theirs) in found.items():
            rows.append([name, what, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}"])
    import torch

    settings = {
        "pairs": "generated numbers" if options.pairs is None else f"{_PAIRS} of a file of pairs",
        "model": "one layer each of encoder and decoder, general attention, tied softmax",
        "settings": f"medians of {options.rounds} rounds over {options.batches} batches",
        "torch": f"{torch.get_num_threads()} threads, --torch_wait={options.torch_wait}",
    }
    text = "# Translation beside torch\n\n" + header(__file__, load, settings)
    save(f"{text}\n{markdown(rows)}\n", options.out, "translation_speed")


def _subjects(options: argparse.Namespace) -> Any:
    """Name, network, parameters and pairs of what is measured."""
    if options.run is not None:
        from lstm_jax.training import Run

        run = Run.load(options.run)
        task = run.experiment.task
        tokenizer = task.tokenizer(run.assets)
        params = run.restore_params(task.restore(run.assets), "best").trees["params"]
        network = task.network(tokenizer)
        yield _name("the run", params), network, params, _pairs(options, tokenizer, len(tokenizer))
        return
    for title, symbols, extra in _MODELS:
        tokenizer = None
        if options.pairs is not None:
            from lstm_jax.data.tokenizers import bpe

            texts = options.pairs.read_text(encoding="utf-8").replace("\t", "\n").split("\n")
            tokenizer = bpe(texts, size=symbols)
        network = Seq2Seq(
            vocabulary_size=symbols + 3, cell=lj.lstm, embedding_size=256, dropout=0.3, **extra
        )
        one = jnp.ones((1, 1), jnp.int32)
        params = network.init(jax.random.key(0), one, jnp.ones(1, jnp.int32), one)["params"]
        yield _name(title, params), network, params, _pairs(options, tokenizer, symbols)


def _name(title: str, params: Any) -> str:
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    return f"{title}, {size / 1e6:.1f} M parameters"


def _pairs(
    options: argparse.Namespace, tokenizer: Any, symbols: int
) -> dict[str, list[np.ndarray]]:
    """Sources and targets as numbers, without END."""
    random = np.random.default_rng(0)
    if options.pairs is None:
        lengths = np.clip(random.lognormal(2.8, 0.6, _PAIRS), 2, 100).astype(int)
        more = np.clip(lengths * random.normal(1.2, 0.2, _PAIRS), 1, 120).astype(int)
        return {
            name: [random.integers(1, symbols, n).astype(np.int32) for n in sizes]
            for name, sizes in (("source", lengths), ("target", more))
        }
    lines = options.pairs.read_text(encoding="utf-8").splitlines()
    chosen = [lines[i].split("\t") for i in random.permutation(len(lines))[:_PAIRS]]
    kept = [[tokenizer.encode(text).ids for text in pair[:2]] for pair in chosen]
    kept = [pair for pair in kept if max(map(len, pair)) <= 100 and min(map(len, pair)) > 0]
    return {"source": [source for source, _ in kept], "target": [target for _, target in kept]}


def _measure(
    network: Seq2Seq, params: Any, pairs: Mapping[str, list[np.ndarray]], options: Any
) -> dict[str, tuple[float, float]]:
    from torch_translation import TorchSeq2Seq

    end = np.array([network.vocabulary_size - 1], np.int32)
    with_end = {**pairs, "target": [np.concatenate([t, end]) for t in pairs["target"]]}
    bounds = best_bounds(longest_of(with_end), 8, multiple=4)
    train = BucketedBatches(with_end, {}, batch_size=options.batch, bounds=bounds, seed=0)
    batches = [train[i] for i in range(min(options.batches, len(train)))]
    sources = BucketedBatches({"source": pairs["source"]}, {}, batch_size=32, bounds=bounds, seed=0)
    searched = [sources[i] for i in range(min(options.batches, len(sources)))]
    model = TorchSeq2Seq(
        params, feeding=network.input_feeding, copying=network.copying, dropout=network.dropout
    )
    symbols = float(sum(batch["target_lengths"].sum() for batch in batches))
    sentences = float(sum(batch["valid"].sum() for batch in searched))
    result = {}
    for beam, what in ((5, "beam of five"), (1, "greedy")):
        ours, theirs = _our_search(network, params, beam), _torch_search(model, beam)
        result[f"{what}, sentences/s"] = _turns(
            functools.partial(_each, ours, searched), functools.partial(_each, theirs, searched),
            sentences, options.rounds,
        )  # fmt: skip
        result[f"{what}, translations in both"] = _alike(ours, theirs, searched)
    ours, theirs = _our_training(network, params), _torch_training(model, network)
    result["training, target symbols/s"] = _turns(
        functools.partial(_each, ours, batches), functools.partial(_each, theirs, batches),
        symbols, options.rounds,
    )  # fmt: skip
    return dict(reversed(result.items()))


def _each(work: Callable[[Any], Any], batches: Any) -> None:
    for batch in batches:
        work(batch)


def _alike(ours: Any, theirs: Any, batches: Any) -> tuple[float, float]:
    """How many translations are the same in both, and of how many."""
    pairs = [
        pair
        for batch in batches
        for pair in zip(
            np.array(ours(batch), object)[batch["valid"]],
            np.array(theirs(batch), object)[batch["valid"]],
            strict=True,
        )
    ]
    return sum(one == other for one, other in pairs), len(pairs)


def _turns(
    ours: Callable[[], None], theirs: Callable[[], None], amount: float, rounds: int
) -> tuple[float, float]:
    """Amounts a second, after one round for each that is not counted."""
    ours(), theirs()
    taken: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for work, times in zip((ours, theirs), taken, strict=True):
            time.sleep(0.05)  # idle threads of the one before spin for some milliseconds
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return amount / statistics.median(taken[0]), amount / statistics.median(taken[1])


def _our_training(network: Seq2Seq, params: Any) -> Callable[[Any], None]:
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, batch: Any) -> Any:
        params, optimizer_state, key = state
        key, own = jax.random.split(key)

        def loss(params: Any) -> Any:
            return train_loss(network, TranslationLoss(), 0.0, params, (), batch, own)[0]

        gradients = jax.grad(loss)(params)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, key

    state = [(jax.tree.map(jnp.array, params), optimizer.init(params), jax.random.key(0))]

    def work(batch: Any) -> None:
        state[0] = jax.block_until_ready(step(state[0], batch))

    return work


def _torch_training(model: Any, network: Seq2Seq) -> Callable[[Any], None]:
    import torch
    from torch_translation import tensors

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def work(batch: Any) -> None:
        model.train()
        optimizer.zero_grad()
        model.loss(tensors(batch), network.vocabulary_size - 2).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return work


def _limits(lengths: np.ndarray) -> np.ndarray:
    return np.ceil(lengths * 1.5).astype(np.int32) + 10


def _our_search(network: Seq2Seq, params: Any, beam: int) -> Callable[[Any], Any]:
    def work(batch: Any) -> list[list[int]]:
        lengths, length = batch["source_lengths"], int(_limits(batch["source"].shape[1]))
        limits = _limits(lengths)
        found = search(network, beam, length, params, batch["source"], lengths, limits, _ALPHA, 0.0)
        tokens, sizes = np.asarray(found.tokens), np.asarray(found.lengths)
        return [tokens[i, : sizes[i]].tolist() for i in range(len(sizes))]

    return work


def _torch_search(model: Any, beam: int) -> Callable[[Any], Any]:
    import torch

    def work(batch: Any) -> list[list[int]]:
        model.eval()
        lengths = batch["source_lengths"]
        source, at_least_one = torch.from_numpy(batch["source"]).long(), np.maximum(lengths, 1)
        limits = torch.from_numpy(_limits(lengths)).long()
        return model.translate(source, torch.from_numpy(at_least_one).long(), limits, beam, _ALPHA)

    return work


if __name__ == "__main__":
    main()
