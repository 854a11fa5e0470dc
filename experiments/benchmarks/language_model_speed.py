"""Training a language model: lstm_jax beside a torch program of the same model, in turns.

    python experiments/benchmarks/language_model_speed.py
    python experiments/benchmarks/language_model_speed.py --torch_wait=passive  # beside other work

Two models on the text that every Python carries: characters, as configs/text/char_lm.py has them,
and words with an adaptive softmax, as configs/text/word_lm_brown.py without what torch's layers do
not have (weight drop, dropout of words, tied clusters). A step is all of it on both sides: the
batch, forward and backward with the carry of the step before, clipping, AdamW. Ours is the step of
the training loop, fed by its loader; the time until a batch is ready is told by itself.

Takes about two minutes on two cores.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from options import parser, set_torch_wait, suffix
from report import header, markdown, save

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.data.loader import endless
from lstm_jax.training import build_experiment, load_config
from lstm_jax.training.setup import set_up

CONFIGS = Path(__file__).resolve().parents[2] / "configs/text"
_WORDS = (
    "data.source=python_docs",
    "data.random_windows=False",
    "data.tokenizer.min_count=1",
    "model.tie_embedding=False",
    "model.head.cutoffs=500,1500,4000",
    *(f"model.regularization.{name}=0" for name in ("words", "input", "output", "weights")),
    "model.regularization.activation=0",
    "model.regularization.temporal_activation=0",
    "model.dropout=0.25",
    "averaging=none",
)
MODELS = {
    "characters": ("char_lm.py", ()),
    "words": ("word_lm_brown.py", _WORDS),
}
Step = Callable[[], float]  # seconds until its batch was ready; returns when it is done


def main() -> None:
    """Runs the benchmark, prints the table and keeps it."""
    made = parser(__doc__ or "")
    made.set_defaults(rounds=15)
    made.add_argument("--steps", type=int, default=5, help="timed steps in a turn")
    made.add_argument("--torch_wait", choices=["active", "passive"], default="active")
    made.add_argument("--models", default=",".join(MODELS), help="some of them")
    options = made.parse_args()
    options.dtype = "float32"
    set_torch_wait(options.torch_wait)
    load = os.getloadavg()[0]
    use_compilation_cache()

    rows = [
        ["", "symbols", "lstm_jax, symbols/s", "torch, symbols/s", "ratio", "waiting for input"]
    ]
    for name in options.models.split(","):
        rows.append([name, *measure(name, options.rounds, options.steps)])
    from peers import torch_settings

    settings = {
        "settings": f"medians of {options.rounds} rounds of {options.steps} steps each",
        "torch": f"{torch_settings()}, `--torch_wait={options.torch_wait}`",
    }
    text = f"# Training a language model\n\n{header(__file__, load, settings)}\n{markdown(rows)}\n"
    save(text, options.out, f"language_model_speed{suffix(options)}")


def measure(name: str, rounds: int, steps: int) -> list[str]:
    """A row of the table."""
    file, overrides = MODELS[name]
    config = load_config(str(CONFIGS / file), overrides)
    with tempfile.TemporaryDirectory() as folder:
        setup = set_up(build_experiment(config), Path(folder))
        symbols = jax.tree.leaves(setup.shapes.params["embedding"])[0].shape[0]
    contestants = {"ours": _ours(setup), "torch": _torch(config, setup.dataset, symbols)}
    seconds: dict[str, list[float]] = {who: [] for who in contestants}
    waits = []
    for step in contestants.values():
        step()
    for _ in range(rounds):
        for who, step in contestants.items():
            time.sleep(0.02)  # idle threads of the one before spin for a while
            step()
            began = time.perf_counter()
            waited = sum(step() for _ in range(steps))
            seconds[who].append((time.perf_counter() - began) / steps)
            if who == "ours":
                waits.append(waited / steps / seconds[who][-1])
    per_step = setup.dataset.units[1]
    ours, theirs = (per_step / statistics.median(seconds[who]) for who in ("ours", "torch"))
    waiting = f"{statistics.median(waits):.2%} of a step"
    return [f"{symbols:,}", f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}", waiting]


def _ours(setup: Any) -> Step:
    state, data = setup.first_state(), endless(setup.dataset.train)

    def step() -> float:
        nonlocal state
        began = time.perf_counter()
        batch = setup.place.put(next(data), setup.dataset.batch_size)
        waited = time.perf_counter() - began
        state = jax.block_until_ready(setup.train_step(state, batch))
        return waited

    return step


def _torch(config: Any, dataset: Any, symbols: int) -> Step:
    """The same model, optimiser and data, as one writes them with torch."""
    import torch

    model = config.model
    embedding = torch.nn.Embedding(symbols, model.embedding_size)
    layers = torch.nn.LSTM(
        model.embedding_size, model.hidden_size, model.num_layers,
        dropout=model.dropout if model.num_layers > 1 else 0.0,
    )  # fmt: skip
    drop = torch.nn.Dropout(model.dropout)
    if model.head.name == "adaptive_softmax":
        cutoffs = [int(cutoff) for cutoff in model.head.cutoffs]
        head: Any = torch.nn.AdaptiveLogSoftmaxWithLoss(
            model.hidden_size, symbols, cutoffs, model.head.div_value, model.head.bias
        )
    else:
        head = torch.nn.Linear(model.hidden_size, symbols)
    parameters = [p for module in (embedding, layers, head) for p in module.parameters()]
    options = config.optimizer
    optimizer = torch.optim.AdamW(
        parameters, options.learning_rate, (options.b1, options.b2), weight_decay=0.0
    )
    data, carry = endless(dataset.train), None

    def step() -> float:
        nonlocal carry
        began = time.perf_counter()
        batch = next(data)
        inputs, targets = (
            torch.from_numpy(batch[name].T.astype("int64")) for name in ("inputs", "targets")
        )
        waited = time.perf_counter() - began
        optimizer.zero_grad()
        x, after = layers(drop(embedding(inputs)), carry)
        x, y = drop(x).flatten(0, 1), targets.flatten()
        if model.head.name == "adaptive_softmax":
            loss = head(x, y).loss
        else:
            loss = torch.nn.functional.cross_entropy(head(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.train.gradient_clip_norm)
        optimizer.step()
        carry = tuple(part.detach() for part in after)
        return waited

    return step


if __name__ == "__main__":
    main()
