"""The network: torch's figures with the same weights, one step as all, each pair by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.attention_decoder import hypotheses
from lstm_jax.models.seq2seq import Seq2Seq

SOURCE = jax.random.randint(jax.random.key(0), (3, 6), 1, 11)
LENGTHS = jnp.array([6, 3, 1])
INPUTS = jax.random.randint(jax.random.key(1), (3, 5), 1, 11)
TARGETS = jax.random.randint(jax.random.key(2), (3, 5), 1, 11)
COUNTED = jnp.ones((3, 5), bool)
KINDS = [
    {"attention": "dot"},
    {"attention": "general", "input_feeding": True},
    {"attention": "concat", "copying": True},
    {"attention": "bahdanau", "decoder_layers": 2},
    {"attention": "general", "cell": lj.gru, "encoder_layers": 2, "tie_embedding": False},
]


def _name(options):
    """The options in words that are the same in every process."""
    return "-".join(f"{k}={getattr(v, '__name__', v)}" for k, v in options.items())


@functools.partial(jax.jit, static_argnames=("model", "method", "deterministic"))
def apply(model, variables, *arguments, **options):
    return model.apply(variables, *arguments, **options)


@functools.cache
def variables_of(model):
    variables = jax.jit(model.init)(jax.random.key(3), SOURCE, LENGTHS, INPUTS)
    # Away from zeros, such as those of biases, where mistakes are not seen.
    leaves, structure = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(4), len(leaves))
    moved = [
        leaf + 0.3 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


def make(**options):
    options = {"cell": lj.lstm, "embedding_size": 6, "hidden_size": 8, **options}
    model = Seq2Seq(vocabulary_size=11, **options)
    return model, variables_of(model)


def likelihood(model, variables, source=SOURCE, lengths=LENGTHS, inputs=INPUTS, **options):
    vectors, weights = apply(model, variables, source, lengths, inputs, **options)
    return apply(
        model, variables, source, vectors, weights, TARGETS, COUNTED, method="log_likelihood"
    )


@pytest.mark.parametrize("options", KINDS, ids=_name)
def test_step_by_step_is_all_steps_at_once_and_so_is_the_likelihood_of_the_targets(options):
    model, variables = make(**options)
    vectors, weights = apply(model, variables, SOURCE, LENGTHS, INPUTS)
    read, state = apply(model, variables, SOURCE, LENGTHS, method="encode")
    expected = apply(model, variables, read, vectors, weights, method="log_probabilities")
    state = hypotheses(state, 2)
    for t in range(5):
        last = jnp.stack([INPUTS[:, t], (INPUTS[:, t] + 1) % 11], axis=1)
        state, log_p, looked = apply(model, variables, read, state, last, method="step")
        state = jax.tree.map(lambda leaf: leaf[:, [0, 0]], state)  # on with the true symbol
        np.testing.assert_allclose(log_p[:, 0], expected[:, t], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(looked[:, 0], weights[:, t], rtol=1e-4, atol=1e-5)
        assert not np.allclose(log_p[:, 1], expected[:, t])
        np.testing.assert_allclose(jnp.exp(log_p).sum(-1), 1, rtol=1e-5)
    at_target = np.take_along_axis(np.asarray(expected), np.asarray(TARGETS)[..., None], -1)
    right, _ = likelihood(model, variables)
    np.testing.assert_allclose(right, at_target[..., 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", KINDS[1:4], ids=_name)
def test_a_pair_by_itself_is_a_pair_in_a_batch_whatever_the_padding(options):
    model, variables = make(**options)
    right, _ = likelihood(model, variables)
    padded = jnp.where(jnp.arange(6) < LENGTHS[:, None], SOURCE, 7)
    np.testing.assert_array_equal(likelihood(model, variables, padded)[0], right)
    vectors, weights = apply(model, variables, SOURCE[1:2, :3], LENGTHS[1:2], INPUTS[1:2])
    alone, _ = apply(
        model,
        variables,
        SOURCE[1:2, :3],
        vectors,
        weights,
        TARGETS[1:2],
        COUNTED[1:2],
        method="log_likelihood",
    )
    np.testing.assert_allclose(alone[0], right[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", KINDS[1:4], ids=_name)
def test_no_step_sees_the_inputs_behind_it(options):
    model, variables = make(**options)
    vectors, _ = apply(model, variables, SOURCE, LENGTHS, INPUTS)
    for t in range(1, 5):
        changed = INPUTS.at[:, t].set((INPUTS[:, t] + 1) % 11)
        other, _ = apply(model, variables, SOURCE, LENGTHS, changed)
        np.testing.assert_array_equal(other[:, :t], vectors[:, :t])
        assert not np.allclose(other[:, t], vectors[:, t])


@pytest.mark.parametrize("feeding", [False, True])
def test_figures_are_those_of_a_torch_program_with_the_same_weights(feeding):
    torch = pytest.importorskip("torch")
    model, variables = make(attention="general", input_feeding=feeding)
    p = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), variables["params"])
    embedding = p["embedding"]["embedding"]
    encoder = torch.nn.LSTM(6, 4, bidirectional=True, batch_first=True)
    names = {"forward": "l0", "backward": "l0_reverse"}
    _load(encoder, {names[way]: cell for way, cell in p["encoder_0"]["cell"].items()})
    decoder = torch.nn.LSTMCell(12 if feeding else 6, 8)
    _load(decoder, {"": p["decoder"]["layer_0"]})
    source, inputs = (torch.tensor(np.asarray(a), dtype=torch.long) for a in (SOURCE, INPUTS))
    lengths = torch.tensor(np.asarray(LENGTHS), dtype=torch.long)
    packed = torch.nn.utils.rnn.pack_padded_sequence(embedding[source], lengths, batch_first=True)
    memory, _ = torch.nn.utils.rnn.pad_packed_sequence(encoder(packed)[0], batch_first=True)
    start = torch.tanh(memory.sum(1) / lengths[:, None] @ p["decoder"]["bridge_kernel"])
    cell, hidden = start[:, :8], start[:, 8:]
    keys = memory @ p["decoder"]["attention"]["memory_kernel"]
    fed, expected = torch.zeros(3, 6), []
    for t in range(5):
        x = embedding[inputs[:, t]]
        hidden, cell = decoder(torch.cat([x, fed], 1) if feeding else x, (hidden, cell))
        scores = torch.einsum("bh,bsh->bs", hidden, keys)
        scores = scores.masked_fill(torch.arange(6) >= lengths[:, None], -torch.inf)
        context = torch.einsum("bs,bsm->bm", torch.softmax(scores, 1), memory)
        fed = torch.tanh(torch.cat([context, hidden], 1) @ p["decoder"]["output_kernel"])
        expected.append(torch.log_softmax(fed @ embedding.T + p["bias"], -1))
    targets = torch.tensor(np.asarray(TARGETS), dtype=torch.long)[..., None]
    expected = torch.stack(expected, 1).gather(2, targets)[..., 0].detach()
    right, _ = likelihood(model, variables)
    np.testing.assert_allclose(right, expected, rtol=1e-4, atol=1e-5)


def _load(module, cells):
    """Puts cells of ours, by the suffix of their names, into a module of torch."""
    for suffix, cell in cells.items():
        end = f"_{suffix}" if suffix else ""
        with_data = {
            f"weight_ih{end}": cell["kernel"].T,
            f"weight_hh{end}": cell["recurrent_kernel"].T,
            f"bias_ih{end}": cell["bias"],
            f"bias_hh{end}": 0 * cell["bias"],
        }
        for name, value in with_data.items():
            getattr(module, name).data = value.contiguous()


def test_copying_takes_symbols_from_where_the_decoder_looks():
    model, variables = make(copying=True)
    params = {**variables["params"], "gate_bias": jnp.array([-50.0])}
    params["gate_kernel"] = jnp.zeros(6)
    read, state = apply(model, {"params": params}, SOURCE, LENGTHS, method="encode")
    state = hypotheses(state, 1)
    _, log_p, weights = apply(model, {"params": params}, read, state, INPUTS[:, :1], method="step")
    expected = np.zeros((3, 11))
    for i in range(3):
        for j in range(int(LENGTHS[i])):
            expected[i, int(SOURCE[i, j])] += float(weights[i, 0, j])
    np.testing.assert_allclose(jnp.exp(log_p[:, 0]), expected, rtol=1e-4, atol=1e-6)


def test_dropout_acts_in_training_only_and_needs_no_key_without():
    plain, variables = make()
    dropping, _ = make(dropout=0.5, token_dropout=0.3)
    np.testing.assert_array_equal(
        likelihood(plain, variables)[0], likelihood(dropping, variables)[0]
    )
    noise = {"deterministic": False, "rngs": {"dropout": jax.random.key(5)}}
    one, again = (likelihood(dropping, variables, **noise)[0] for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, likelihood(plain, variables)[0])


@pytest.mark.parametrize("options", [KINDS[0], KINDS[1]], ids=_name)
def test_scheduled_sampling_feeds_what_the_model_finds_likeliest(options):
    model, variables = make(**options)
    rngs = {"sampling": jax.random.key(6)}
    plain = likelihood(model, variables)[0]
    never = likelihood(model, variables, sampled_share=jnp.float32(0), rngs=rngs)[0]
    np.testing.assert_allclose(never, plain, rtol=1e-5)
    always = likelihood(model, variables, sampled_share=jnp.float32(1), rngs=rngs)[0]
    vectors, weights = apply(model, variables, SOURCE, LENGTHS, INPUTS)
    read, _ = apply(model, variables, SOURCE, LENGTHS, method="encode")
    log_p = apply(model, variables, read, vectors, weights, method="log_probabilities")
    found = jnp.concatenate([INPUTS[:, :1], jnp.argmax(log_p, -1)[:, :-1]], axis=1)
    np.testing.assert_allclose(
        always, likelihood(model, variables, inputs=found)[0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("options", [KINDS[0], KINDS[1]], ids=_name)
def test_remat_and_low_precision_change_rounding_alone(options):
    plain, variables = make(**options)
    remat, _ = make(**options, remat="step")
    low, _ = make(**options, dtype="bfloat16")

    def gradient(model):
        return jax.jit(jax.grad(lambda v: likelihood(model, v)[0].sum()))(variables)

    for one, two in zip(
        jax.tree.leaves(gradient(plain)), jax.tree.leaves(gradient(remat)), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
    rounded = likelihood(low, variables)[0]
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, likelihood(plain, variables)[0], atol=0.2)
