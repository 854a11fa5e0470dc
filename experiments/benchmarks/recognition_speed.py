"""Speech recognition: a training step of lstm_jax beside a torch program of the same network.

    python experiments/benchmarks/recognition_speed.py --path=DIR      # a folder like LJSpeech's
    python experiments/benchmarks/recognition_speed.py                 # generated tones
    python experiments/benchmarks/recognition_speed.py --torch_wait=passive      # beside other work

The network of `configs/audio/asr_ctc.py` (two convolutions over time, two bidirectional layers of
LSTM-160), its batches of 12 recordings, CTC, gradients clipped by their norm, AdamW; no dropout and
no masks, so that both compute the same. Both begin with the same weights and see the same batches
in turns. Reported are frames a second, padding not counted, medians over the rounds, and the losses
of the first step, which agree.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from options import parser, set_torch_wait
from report import header, markdown, save
from training_steps import Step, jax_training, turns

from lstm_jax.models.speech_recognizer import SpeechRecognizer
from lstm_jax.tasks.task import Learner
from lstm_jax.training import build_experiment, load_config

_CONFIG = Path(__file__).resolve().parents[2] / "configs/audio/asr_ctc.py"
_CLIP, _RATE = 1.0, 1e-3


def main() -> None:
    """Runs the benchmark, prints the table and keeps it."""
    made = parser(__doc__ or "")
    made.add_argument("--path", type=Path, help="a folder of recordings; else generated tones")
    made.add_argument("--batches", type=int, default=8, help="how many batches are timed")
    made.add_argument("--torch_wait", choices=["active", "passive"], default="active")
    options = made.parse_args()
    set_torch_wait(options.torch_wait)
    load = os.getloadavg()[0]
    learner, network, batches = _subject(options)
    params = learner.init(jax.random.key(0))
    ours, theirs = _ours(learner, params), _theirs(network, params)
    first = ours(batches[0]), theirs(batches[0])
    frames = float(sum(batch["features_lengths"].sum() for batch in batches))
    speed = [frames / taken for taken in turns(ours, theirs, batches, options.rounds)]
    shapes = sorted({batch["features"].shape[1] for batch in batches})
    import torch

    rows = [
        ["training, frames/s", "lstm_jax", "torch", "ratio"],
        [
            "convolutions, bidirectional LSTM-160 twice, CTC",
            *(f"{s:,.0f}" for s in speed),
            f"{speed[0] / speed[1]:.2f}",
        ],
    ]
    settings = {
        "recordings": "generated tones" if options.path is None else "a folder of recordings",
        "settings": f"medians of {options.rounds} rounds over {len(batches)} batches of "
        f"{len(batches[0]['valid'])}, {shapes} frames long",
        "losses of the first step": f"{first[0]:.5f} and {first[1]:.5f}",
        "torch": f"{torch.get_num_threads()} threads, --torch_wait={options.torch_wait}",
    }
    text = "# Speech recognition beside torch\n\n" + header(__file__, load, settings)
    save(f"{text}\n{markdown(rows)}\n", options.out, "recognition_speed")


def _subject(options: Any) -> tuple[Learner, SpeechRecognizer, list[Any]]:
    """The learner, its network, and batches whose features are on their scale already."""
    source = "data.source=generated_speech"
    where = source if options.path is None else f"data.path={options.path}"
    # The n-gram takes no part in training.
    config = load_config(str(_CONFIG), [where, "search.ngram_order=0"])
    task = build_experiment(config).task
    with tempfile.TemporaryDirectory() as folder:
        learner, dataset = task.prepare(Path(folder))
        network = task.recognizer(Path(folder)).network
        scale = task.recognizer(Path(folder)).scale
    count = min(options.batches, len(dataset.train))
    batches = [dataset.train.at(0, index) for index in range(count)]
    return learner, network, [{**batch, **_scale(scale)} for batch in batches]


def _scale(scale: Any) -> dict[str, np.ndarray]:
    return {"mean": scale.mean, "deviation": scale.deviation}


def _ours(learner: Learner, params: Any) -> Step:
    optimizer = optax.chain(optax.clip_by_global_norm(_CLIP), optax.adamw(_RATE, weight_decay=0.01))
    return jax_training(
        lambda params, batch: learner.loss(params, (), batch, None)[0], params, optimizer
    )


def _theirs(network: SpeechRecognizer, params: Any) -> Step:
    """The same in torch: padded and turned round, since packed sequences are slower on CPUs."""
    import torch
    from torch.nn import functional
    from torch_translation import set_cell, set_weight

    fronts, norms, layers = torch.nn.ModuleList(), torch.nn.ModuleList(), torch.nn.ModuleList()
    for i, stride in enumerate(network.strides):
        kernel, norm = params[f"front_{i}"]["kernel"], params[f"norm_{i}"]
        fronts.append(torch.nn.Conv1d(*kernel.shape[1:], network.width, stride))
        norms.append(torch.nn.LayerNorm(network.channels, eps=1e-6))
        set_weight(fronts[-1].weight, np.transpose(kernel, (2, 1, 0)))
        set_weight(fronts[-1].bias, params[f"front_{i}"]["bias"])
        set_weight(norms[-1].weight, norm["scale"])
        set_weight(norms[-1].bias, norm["bias"])
    for i in range(network.num_layers):
        for direction in ("forward", "backward"):
            cell = params[f"layer_{i}"]["cell"][direction]
            layers.append(torch.nn.LSTM(len(cell["kernel"]), network.hidden_size))
            set_cell(layers[-1], "_l0", cell)
    output = torch.nn.Linear(2 * network.hidden_size, network.symbols)
    set_weight(output.weight, params["output"]["kernel"].T)
    set_weight(output.bias, params["output"]["bias"])
    model = torch.nn.ModuleList([fronts, norms, layers, output])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01, fused=True)

    def convolve(x: Any, lengths: Any) -> tuple[Any, Any]:
        for front, norm, stride in zip(fronts, norms, network.strides, strict=True):
            there = torch.arange(x.shape[1])[:, None] < lengths[:, None, None]
            x = (x * there).transpose(1, 2)
            x = functional.pad(x, network._padding(x.shape[2], stride))
            x, lengths = functional.relu(norm(front(x).transpose(1, 2))), -(-lengths // stride)
        return x.transpose(0, 1), lengths

    def turn(x: Any, turned: Any) -> Any:
        return x.gather(0, turned[..., None].expand(-1, -1, x.shape[2]))

    def work(batch: Any) -> float:
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        features = (tensors["features"] - tensors["mean"]) / tensors["deviation"]
        x, steps = convolve(features, tensors["features_lengths"].long())
        time = torch.arange(len(x))[:, None]
        turned = torch.where(time < steps, steps - 1 - time, time)
        for forward, backward in _pairs(layers):
            behind = turn(backward(turn(x, turned))[0], turned)
            x = torch.cat([forward(x)[0], behind], -1)
        log_p, counts = output(x).log_softmax(-1), tensors["labels_lengths"].long()
        labels, chosen = tensors["labels"].long(), tensors["valid"]
        nats = functional.ctc_loss(log_p, labels, steps, counts, reduction="none")
        cost = nats[chosen].sum() / counts[chosen].sum()
        optimizer.zero_grad()
        cost.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        return float(cost.detach())

    return work


def _pairs(layers: Sequence[Any]) -> Any:
    return zip(layers[::2], layers[1::2], strict=True)


if __name__ == "__main__":
    main()
