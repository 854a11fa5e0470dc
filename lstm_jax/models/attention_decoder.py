"""A recurrent decoder that looks at the outputs of an encoder: all steps at once, or one."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params, glorot_uniform
from lstm_jax.cells.noisy_cells import dropout_mask
from lstm_jax.kernels import Remat
from lstm_jax.models.attention import Memory, Score, attend, init_attention, remember
from lstm_jax.recurrence import scan

AttentionKind = Literal["dot", "general", "concat", "bahdanau"]


class DecoderState(NamedTuple):
    """What a decoder remembers between two symbols.

    Attributes:
      carries: those of its layers, arrays [batch, ...].
      fed: what the next step reads beside its symbol [batch, size]: the attentional vector with
        input feeding, the output of the last layer as the query of Bahdanau's attention.
    """

    carries: tuple[Carry, ...]
    fed: Array


class AttentionDecoder(NamedTuple):
    """Recurrent layers, attention, and the attentional vector that the softmax reads.

        general, dot, concat    h_t = layers([y_t, a_{t-1} if fed]),  c_t = attend(h_t)
        bahdanau                c_t = attend(h_{t-1}),  h_t = layers([y_t, c_t])
        in all                  a_t = tanh(W [c_t, h_t])

    M. Luong et al., arXiv 1508.04025 ("input feeding" is its section 3.3); D. Bahdanau et al.,
    arXiv 1409.0473. Where nothing is fed, no step needs what attention found before it: the layers
    run over all steps by the fastest backend, and attention for all steps is two products. Layers
    start from `tanh(W m)` of the mean m of the memory (R. Sennrich et al., arXiv 1703.04357).

    Attributes:
      cells: the layers, the first one nearest to the symbols.
      attention: the score, and in "bahdanau" also what it is a score of.
      input_feeding: whether the attentional vector is read by the next step.
      size: of the attentional vector.
      dropout: share dropped of what layers and softmax read, the same units at all steps.
      dtype: type of the products.
    """

    cells: Sequence[Cell]
    attention: AttentionKind
    input_feeding: bool
    size: int
    dropout: float = 0.0
    dtype: str = "float32"

    @property
    def is_serial(self) -> bool:
        """Whether a step reads what attention found at the step before it."""
        return self.input_feeding or self.attention == "bahdanau"

    def init(self, key: Array, input_size: int, memory_size: int) -> Params:
        """The parameters.

        Params: `layer_0`, ...; `attention`; `bridge_kernel` [memory, all that layers start from];
        `output_kernel` [memory + output, size].

        Raises:
          ValueError: the score does not fit the sizes.
        """
        keys = iter(jax.random.split(key, len(self.cells) + 3))
        output_size = self.cells[-1].output_size
        params: Params = {}
        size = input_size + self._fed_size(memory_size)
        for i, cell in enumerate(self.cells):
            params[f"layer_{i}"] = cell.init(next(keys), size)
            size = cell.output_size
        score: Score = "concat" if self.attention == "bahdanau" else self.attention
        attention = init_attention(next(keys), score, output_size, memory_size, self.size)
        bridged = sum(_bridged_sizes(self._initial(params, 1)))
        return params | {
            "attention": attention,
            "bridge_kernel": glorot_uniform(next(keys), (memory_size, bridged)),
            "output_kernel": glorot_uniform(next(keys), (memory_size + output_size, self.size)),
        }

    def begin(self, params: Params, values: Array, mask: Array) -> tuple[Memory, DecoderState]:
        """The memory of encoder outputs [batch, source, memory], and the state before BEGIN."""
        batch = len(values)
        memory = remember(self._low(params["attention"]), self._low(values), mask)
        count = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
        mean = jnp.sum(values * mask[:, :, None], axis=1) / count
        carries = _bridge(self._initial(params, batch), jnp.tanh(mean @ params["bridge_kernel"]))
        if self.attention == "bahdanau":  # the first query is what the last layer starts from
            fed = getattr(carries[-1], "hidden", jnp.zeros((batch, self.cells[-1].output_size)))
        else:
            fed = jnp.zeros((batch, self._fed_size(values.shape[-1])))
        return memory, DecoderState(carries, fed)

    def run(
        self,
        params: Params,
        memory: Memory,
        state: DecoderState,
        xs: Array,
        *,
        key: Array | None = None,
        remat: Remat = "none",
    ) -> tuple[Array, Array]:
        """Attentional vectors [batch, time, size] and weights [batch, time, source] of all steps.

        Args:
          params: the parameters.
          memory: what `begin` made of the sources.
          state: that of `begin`.
          xs: the embedded symbols before each step [batch, time, input].
          key: of the dropout; without it nothing is dropped.
          remat: as of `lstm_jax.scan`.
        """
        masks = self._masks(key, len(xs), xs.shape[-1] + self._fed_size(memory.values.shape[-1]))
        xs_tbi = jnp.swapaxes(xs, 0, 1)
        if self.is_serial:
            return self._run_serially(params, memory, state, xs_tbi, masks, remat)
        for i, cell in enumerate(self.cells):
            read = xs_tbi * jnp.swapaxes(masks.layers[i], 0, 1)
            _, xs_tbi = scan(cell, params[f"layer_{i}"], state.carries[i], read, remat=remat)
        return self._look(params, memory, jnp.swapaxes(xs_tbi, 0, 1), masks)

    def step(
        self, params: Params, memory: Memory, state: DecoderState, x: Array
    ) -> tuple[DecoderState, Array, Array]:
        """One step for some hypotheses of each source.

        Args:
          params: the parameters.
          memory: what `begin` made of the sources.
          state: arrays [batch, hypotheses, ...].
          x: the embedded symbols [batch, hypotheses, input].

        Returns:
          The state, vectors [batch, hypotheses, size] and weights [batch, hypotheses, source].
        """
        return self._step(params, memory, self._masks(None, 1, 1), state, x)

    def _run_serially(
        self,
        params: Params,
        memory: Memory,
        state: DecoderState,
        xs_tbi: Array,
        masks: "_Masks",
        remat: Remat,
    ) -> tuple[Array, Array]:
        def advance(state: DecoderState, x_bi: Array) -> tuple[DecoderState, tuple[Array, Array]]:
            state, vectors, weights = self._step(params, memory, masks, state, x_bi[:, None])
            return state, (vectors[:, 0], weights[:, 0])

        body = advance if remat == "none" else jax.checkpoint(advance)
        _, found = jax.lax.scan(body, hypotheses(state, 1), xs_tbi)
        vectors, weights = (jnp.swapaxes(leaf, 0, 1) for leaf in found)
        return vectors, weights

    def _step(
        self, params: Params, memory: Memory, masks: "_Masks", state: DecoderState, x: Array
    ) -> tuple[DecoderState, Array, Array]:
        found = None
        if self.attention == "bahdanau":
            found = attend(self._low(params["attention"]), self._low(state.fed), memory)
            x = jnp.concatenate([x, found[0].astype(x.dtype)], axis=-1)
        elif self.input_feeding:
            x = jnp.concatenate([x, state.fed], axis=-1)
        carries = []
        for i, cell in enumerate(self.cells):
            new, x = cell.step(params[f"layer_{i}"], state.carries[i], x * masks.layers[i])
            carries.append(new)
        vectors, weights = self._look(params, memory, x, masks, found)
        fed = x if self.attention == "bahdanau" else vectors if self.input_feeding else state.fed
        return DecoderState(tuple(carries), fed), vectors, weights

    def _look(
        self, params: Params, memory: Memory, outputs: Array, masks: "_Masks", found: Any = None
    ) -> tuple[Array, Array]:
        """The attentional vectors of outputs, and where they look."""
        query = self._low(outputs * masks.output)
        context, weights = found or attend(self._low(params["attention"]), query, memory)
        both = jnp.concatenate([context, query], axis=-1) @ self._low(params["output_kernel"])
        return jnp.tanh(both.astype(jnp.float32)) * masks.vector, weights

    def _initial(self, params: Params, batch: int) -> tuple[Carry, ...]:
        return tuple(
            cell.initial_carry(params[f"layer_{i}"], (batch,)) for i, cell in enumerate(self.cells)
        )

    def _fed_size(self, memory_size: int) -> int:
        return memory_size if self.attention == "bahdanau" else self.size * self.input_feeding

    def _masks(self, key: Array | None, batch: int, input_size: int) -> "_Masks":
        if key is None or not self.dropout:
            one = jnp.ones((1, 1, 1))
            return _Masks((one,) * len(self.cells), one, one)
        sizes = [input_size, *(cell.output_size for cell in self.cells), self.size]
        keys = jax.random.split(key, len(sizes))
        *layers, output, vector = (
            dropout_mask(k, self.dropout, (batch, 1, size), jnp.float32)
            for k, size in zip(keys, sizes, strict=True)
        )
        return _Masks(tuple(layers), output, vector)

    def _low(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype), tree)


class _Masks(NamedTuple):
    """What is dropped: of the input of each layer, of the output, of the attentional vector."""

    layers: Sequence[Array]
    output: Array
    vector: Array


def hypotheses(tree: Any, count: int) -> Any:
    """Arrays [batch, ...] as arrays [batch, count, ...] for so many hypotheses that begin alike."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], count, axis=1), tree)


def _bridged(carry: Carry) -> list[str]:
    """The fields of a carry that a decoder starts from the source: those of an LSTM or a GRU."""
    return [name for name in ("cell", "hidden") if name in getattr(carry, "_fields", ())]


def _bridged_sizes(carries: Sequence[Carry]) -> list[int]:
    return [getattr(carry, name).shape[-1] for carry in carries for name in _bridged(carry)]


def _bridge(carries: Sequence[Carry], start: Array) -> tuple[Carry, ...]:
    """The carries with their bridged fields taken from `start`, one beside the other."""
    ends = list(itertools.accumulate(_bridged_sizes(carries)))
    parts = iter(jnp.split(start, ends[:-1], axis=-1))
    return tuple(
        carry._replace(**{name: next(parts) for name in names}) if names else carry
        for carry, names in zip(carries, map(_bridged, carries), strict=True)
    )
