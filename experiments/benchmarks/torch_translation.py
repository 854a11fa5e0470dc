"""The translation model of `lstm_jax.models.seq2seq` as a torch program, with the same weights."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Read(NamedTuple):
    """A source that was read: outputs of the encoder, keys, what is no padding, and symbols."""

    memory: torch.Tensor
    keys: torch.Tensor
    mask: torch.Tensor
    source: torch.Tensor


class TorchSeq2Seq(nn.Module):
    """One bidirectional layer, one decoder layer, "general" attention, a tied softmax.

    Training sequences are padded, not packed, which is several times faster in torch on CPUs: the
    backward direction then begins in the padding. Without input
    feeding the decoder is one `nn.LSTM` over all steps, with it a loop over `nn.LSTMCell`.
    """

    def __init__(self, params: Mapping[str, Any], *, feeding: bool, copying: bool, dropout: float):
        super().__init__()
        self.feeding, self.copying = feeding, copying
        embedding, decoder = params["embedding"]["embedding"], params["decoder"]
        layer = decoder["layer_0"]
        size, hidden = embedding.shape[1], layer["recurrent_kernel"].shape[0]
        self.embedding = nn.Embedding(*embedding.shape)
        self.encoder = nn.LSTM(size, hidden // 2, bidirectional=True)
        self.decoder = nn.LSTMCell(2 * size, hidden) if feeding else nn.LSTM(size, hidden)
        self.bridge = nn.Linear(hidden, 2 * hidden, bias=False)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.output = nn.Linear(2 * hidden, size, bias=False)
        self.bias = nn.Parameter(_tensor(params["bias"]))
        self.dropout = nn.Dropout(dropout)
        if copying:
            self.gate = nn.Linear(size, 1)
            set_weight(self.gate.weight, params["gate_kernel"][None])
            set_weight(self.gate.bias, params["gate_bias"])
        set_weight(self.embedding.weight, embedding)
        cells = params["encoder_0"]["cell"]
        set_cell(self.encoder, "_l0", cells["forward"])
        set_cell(self.encoder, "_l0_reverse", cells["backward"])
        set_cell(self.decoder, "" if feeding else "_l0", layer)
        set_weight(self.bridge.weight, decoder["bridge_kernel"].T)
        set_weight(self.key.weight, decoder["attention"]["memory_kernel"].T)
        set_weight(self.output.weight, decoder["output_kernel"].T)

    def read(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[Read, Any]:
        """The source [batch, source], and the state of the decoder before its first step."""
        outputs = self._encode(self.dropout(self.embedding(source.T)), lengths)
        mask = torch.arange(source.shape[1]) < lengths[:, None]
        memory = self.dropout(outputs.transpose(0, 1)) * mask[:, :, None]
        mean = memory.sum(1) / lengths[:, None].clamp(min=1)
        cell, hidden = torch.tanh(self.bridge(mean)).chunk(2, dim=1)
        fed = memory.new_zeros(len(source), self.embedding.embedding_dim)
        return Read(memory, self.key(memory), mask, source), (hidden, cell, fed)

    def _encode(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if self.training:
            return self.encoder(x)[0]
        # Exact, so that translations can be compared; it costs little beside the search.
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.encoder(packed)[0], total_length=len(x))[0]

    def look(self, read: Read, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attentional vectors and weights for outputs [batch, time, hidden]."""
        outputs = self.dropout(outputs)
        scores = torch.bmm(outputs, read.keys.transpose(1, 2))
        weights = scores.masked_fill(~read.mask[:, None], -1e30).softmax(-1)
        context = torch.bmm(weights, read.memory)
        vectors = torch.tanh(self.output(torch.cat([context, outputs], -1)))
        return self.dropout(vectors), weights

    def vectors(self, read: Read, state: Any, inputs: torch.Tensor) -> Any:
        """Attentional vectors and weights of all steps of a target [batch, time]."""
        embedded = self.dropout(self.embedding(inputs))
        hidden, cell, fed = state
        if not self.feeding:
            start = hidden[None].contiguous(), cell[None].contiguous()
            outputs, _ = self.decoder(embedded.transpose(0, 1), start)
            return self.look(read, outputs.transpose(0, 1))
        found = []
        for x in embedded.unbind(1):
            hidden, cell = self.decoder(torch.cat([x, fed], 1), (hidden, cell))
            vector, weights = self.look(read, hidden[:, None])
            fed = vector[:, 0]
            found.append((vector, weights))
        vectors, weights = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return vectors, weights

    def loss(self, batch: Mapping[str, torch.Tensor], begin: int) -> torch.Tensor:
        """Cross-entropy per symbol with smoothed labels."""
        targets, lengths = batch["target"], batch["target_lengths"]
        inputs = torch.cat([torch.full_like(targets[:, :1], begin), targets[:, :-1]], 1)
        read, state = self.read(batch["source"], batch["source_lengths"])
        vectors, weights = self.vectors(read, state, inputs)
        mask = torch.arange(targets.shape[1]) < lengths[:, None]
        logits = functional.linear(vectors, self.embedding.weight, self.bias)
        if not self.copying:
            wanted = targets.masked_fill(~mask, -100).flatten()
            return functional.cross_entropy(logits.flatten(0, 1), wanted, label_smoothing=0.1)
        log_p = logits.log_softmax(-1)
        right = log_p.gather(2, targets[:, :, None])[..., 0]
        copied = (weights * (targets[:, :, None] == read.source[:, None])).sum(-1)
        right = self._mixed(self.gate(vectors)[..., 0], right, copied)
        return -((0.9 * right + 0.1 * log_p.mean(-1)) * mask).sum() / mask.sum()

    def _mixed(self, gate: torch.Tensor, log_p: torch.Tensor, copied: torch.Tensor) -> torch.Tensor:
        own, other = functional.logsigmoid(gate), functional.logsigmoid(-gate)
        return torch.logaddexp(own + log_p, other + torch.log(copied + 1e-30))

    @torch.inference_mode()
    def translate(
        self, source: torch.Tensor, lengths: torch.Tensor, limits: torch.Tensor, beam_size: int,
        alpha: float,
    ) -> list[list[int]]:  # fmt: skip
        """The best translation of each source, by the search of `lstm_jax.models.beam_search`."""
        batch, end = len(source), self.embedding.num_embeddings - 1
        read, state = self.read(source, lengths)
        hidden, cell, fed = (leaf.repeat_interleave(beam_size, 0) for leaf in state)
        rows = torch.arange(batch)[:, None]
        log_p = torch.full((batch, beam_size), -1e30)
        log_p[:, 0] = 0
        ended = torch.zeros(batch, beam_size, dtype=torch.bool)
        sizes = torch.zeros(batch, beam_size, dtype=torch.long)
        tokens = torch.full((batch, beam_size, int(limits.max())), end)
        last = torch.full((batch, beam_size), end - 1)
        for time in range(tokens.shape[2]):
            found, (hidden, cell, fed) = self._step(read, last, hidden, cell, fed)
            found[..., [0, end - 1]] = -1e30
            must = (time + 1 >= limits)[:, None, None] & (torch.arange(end + 1) != end)
            best, symbols = found.masked_fill(must, -1e30).topk(beam_size)
            best = (best + log_p[..., None]).clamp(min=-1e30)
            stays = torch.where(torch.arange(beam_size) == 0, log_p[..., None], -1e30)
            best = torch.where(ended[..., None], stays, best)
            symbols = torch.where(ended[..., None], end, symbols)
            sizes = torch.where(ended, sizes, time + 1)
            ranks = best / (((5 + sizes) / 6) ** alpha)[..., None]
            _, chosen = ranks.flatten(1).topk(beam_size)
            parents = chosen // beam_size
            last = symbols.flatten(1)[rows, chosen]
            tokens = tokens[rows, parents]
            tokens[:, :, time] = last
            log_p, sizes = best.flatten(1)[rows, chosen], sizes[rows, parents]
            ended = last == end
            flat = (rows * beam_size + parents).flatten()
            hidden, cell, fed = hidden[flat], cell[flat], fed[flat]
            scores = log_p / ((5 + sizes) / 6) ** alpha
            bound = log_p / ((5 + limits[:, None]) / 6) ** alpha
            best_end = torch.where(ended, scores, -1e30).max(1).values
            alive = ~ended & (log_p > -5e29)
            if not (alive & (bound > best_end[:, None])).any():
                break
        winner = torch.where(ended, scores, -1e30).argmax(1)
        chosen_sizes = sizes[torch.arange(batch), winner] - 1
        return [tokens[i, winner[i], : int(chosen_sizes[i])].tolist() for i in range(batch)]

    def _step(self, read: Read, last: torch.Tensor, hidden: Any, cell: Any, fed: Any) -> Any:
        x, shape = self.embedding(last).flatten(0, 1), last.shape
        if self.feeding:
            hidden, cell = self.decoder(torch.cat([x, fed], 1), (hidden, cell))
        else:
            _, (hidden, cell) = self.decoder(x[None], (hidden[None], cell[None]))
            hidden, cell = hidden[0], cell[0]
        vectors, weights = self.look(read, hidden.unflatten(0, shape))
        log_p = functional.linear(vectors, self.embedding.weight, self.bias).log_softmax(-1)
        if self.copying:
            places = read.source[:, None].expand(-1, shape[1], -1)
            copied = torch.zeros_like(log_p).scatter_add_(2, places, weights)
            log_p = self._mixed(self.gate(vectors), log_p, copied)
        return log_p, (hidden, cell, vectors.flatten(0, 1))


def tensors(batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """A batch for torch, whose indices are 64 bits wide."""
    return {name: torch.tensor(np.asarray(a)).long() for name, a in batch.items()}


def set_weight(parameter: torch.Tensor, value: Any) -> None:
    """Gives a parameter the values of ours, which have its shape."""
    with torch.no_grad():
        parameter.copy_(_tensor(value))


def set_cell(module: nn.Module, end: str, cell: Mapping[str, Any]) -> None:
    """Gates stand in the same order; torch has a second bias."""
    values: Sequence[tuple[str, Any]] = (
        ("weight_ih", cell["kernel"].T),
        ("weight_hh", cell["recurrent_kernel"].T),
        ("bias_ih", cell["bias"]),
        ("bias_hh", 0 * np.asarray(cell["bias"])),
    )
    for name, value in values:
        set_weight(getattr(module, name + end), value)


def _tensor(value: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(value))
