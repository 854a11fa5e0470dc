"""Text classification: a training step of lstm_jax beside a torch program of the same model.

    python experiments/benchmarks/classifier_speed.py
    python experiments/benchmarks/classifier_speed.py --torch_wait=passive      # beside other work

A bidirectional LSTM-128 on vectors of 128, its outputs pooled (largest and mean), two classes, a
vocabulary of 20,000, texts as long as film reviews in batches of 32, AdamW, no dropout. Both begin
with the same weights and see the same batches in turns; symbols are drawn and mean nothing.
Reported are symbols a second, padding not counted, medians over the rounds, and the losses of the
first step, which agree. Making a batch is timed too, beside a step.
"""

import os
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from options import parser, set_torch_wait
from report import header, markdown, save
from training_steps import Step, jax_training, turns

import lstm_jax as lj
from lstm_jax.data.bucketing import BucketedBatches, best_bounds, longest_of
from lstm_jax.data.loader import endless
from lstm_jax.models.classifier import apply
from lstm_jax.models.text_classifier import TextClassifier, TextDropout

_VOCABULARY, _SIZE = 20_000, 128


def main() -> None:
    """Runs the benchmark, prints the table and keeps it."""
    made = parser(__doc__ or "")
    made.add_argument("--batches", type=int, default=12, help="how many batches are timed")
    made.add_argument("--texts", type=int, default=2000, help="how many texts there are")
    made.add_argument("--torch_wait", choices=["active", "passive"], default="active")
    options = made.parse_args()
    set_torch_wait(options.torch_wait)
    load = os.getloadavg()[0]
    data = _texts(options.texts)
    batches = [data[i] for i in range(min(options.batches, len(data)))]
    network = TextClassifier(
        vocabulary_size=_VOCABULARY, classes=2, cell=lj.lstm, embedding_size=_SIZE,
        hidden_size=_SIZE, pooling=("max", "mean"), dropout=TextDropout(output=0.0),
    )  # fmt: skip
    one = jnp.ones((1, 1), jnp.int32)
    params = network.init(jax.random.key(0), one, jnp.ones(1, jnp.int32))["params"]
    ours, theirs = _ours(network, params), _theirs(params)
    first = ours(batches[0]), theirs(batches[0])
    symbols = float(sum(batch["tokens_lengths"].sum() for batch in batches))
    taken = turns(ours, theirs, batches, options.rounds)
    speed = [symbols / seconds for seconds in taken]
    waiting = _batch_seconds(data) * len(batches) / taken[0]
    import torch

    rows = [
        ["training, symbols/s", "lstm_jax", "torch", "ratio"],
        ["bidirectional LSTM-128", *(f"{s:,.0f}" for s in speed), f"{speed[0] / speed[1]:.2f}"],
    ]
    settings = {
        "settings": f"medians of {options.rounds} rounds over {len(batches)} batches of 32",
        "losses of the first step": f"{first[0]:.5f} and {first[1]:.5f}",
        "making a batch": f"{waiting:.2%} of a step of lstm_jax",
        "torch": f"{torch.get_num_threads()} threads, --torch_wait={options.torch_wait}",
    }
    text = "# Classification beside torch\n\n" + header(__file__, load, settings)
    save(f"{text}\n{markdown(rows)}\n", options.out, "classifier_speed")


def _texts(count: int) -> BucketedBatches:
    random = np.random.default_rng(0)
    lengths = np.minimum(random.lognormal(5.35, 0.6, count) + 10, 400).astype(int)
    texts = [random.integers(1, _VOCABULARY, n).astype(np.int32) for n in lengths]
    labels = random.integers(0, 2, count).astype(np.int32)
    bounds = best_bounds(longest_of({"tokens": texts}), 6)
    return BucketedBatches(
        {"tokens": texts}, {"labels": labels}, batch_size=32, bounds=bounds, seed=0
    )


def _batch_seconds(data: BucketedBatches) -> float:
    loader = endless(data)
    next(loader)
    began = time.perf_counter()
    for _ in range(len(data)):
        next(loader)
    return (time.perf_counter() - began) / len(data)


def _ours(network: TextClassifier, params: Any) -> Step:
    def loss(params: Any, batch: Any) -> Any:
        logits = apply(network, params, batch["tokens"], batch["tokens_lengths"])
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])
        return jnp.sum(nats * batch["valid"]) / jnp.sum(batch["valid"])

    return jax_training(loss, params, optax.adamw(1e-3))


def _theirs(params: Any) -> Step:
    """The same in torch: padded and turned round, since packed sequences are slower on CPUs."""
    import torch
    from torch.nn import functional
    from torch_translation import set_cell, set_weight

    embedding = torch.nn.Embedding(_VOCABULARY, _SIZE)
    forward, backward = torch.nn.LSTM(_SIZE, _SIZE), torch.nn.LSTM(_SIZE, _SIZE)
    output = torch.nn.Linear(4 * _SIZE, 2)
    set_weight(embedding.weight, params["embedding"]["embedding"])
    set_cell(forward, "_l0", params["layer_0"]["cell"]["forward"])
    set_cell(backward, "_l0", params["layer_0"]["cell"]["backward"])
    set_weight(output.weight, params["output"]["kernel"].T)
    set_weight(output.bias, params["output"]["bias"])
    model = torch.nn.ModuleList([embedding, forward, backward, output])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)

    def work(batch: Any) -> float:
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        tokens, lengths = tensors["tokens"].long().T, tensors["tokens_lengths"].long()
        steps = torch.arange(len(tokens))[:, None]
        mask = (steps < lengths)[..., None]
        turned = torch.where(steps < lengths, lengths - 1 - steps, steps)
        there = turned[..., None].expand(-1, -1, _SIZE)
        behind = backward(embedding(tokens.gather(0, turned)))[0].gather(0, there)
        ys = torch.cat([forward(embedding(tokens))[0], behind], -1)
        largest = torch.where(mask, ys, -torch.inf).amax(0)
        mean = torch.where(mask, ys, 0.0).sum(0) / lengths.clamp(min=1)[:, None]
        logits = output(torch.cat([largest, mean], -1))
        chosen = tensors["valid"]
        cost = functional.cross_entropy(logits[chosen], tensors["labels"].long()[chosen])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        return float(cost.detach())

    return work


if __name__ == "__main__":
    main()
