"""The options of the LSTM against torch and against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from tests.cells.naive import assert_follows, noisy, sigmoid
from tests.cells.torch_reference import CLOSE, assert_equals_torch, with_one_bias


def reference(*, options=(), clip=np.inf, gate=sigmoid, squash=np.tanh, show=None):
    """One step, written from the equations of the options."""

    def step(params, carry, x):
        c, h = carry
        z = norm(x @ params["kernel"], params, "kernel_norm")
        z = z + norm(h @ params["recurrent_kernel"], params, "recurrent_norm") + params["bias"]
        size = len(c)
        z_i = z[: -3 * size]
        z_f, z_g, z_o = np.split(z[-3 * size :], 3)
        p = params.get("peephole_kernel", np.zeros(3 * size))
        p_f, p_o = p[-2 * size : -size], p[-size:]
        f = gate(z_f + p_f * c)
        i = 1 - f if "coupled" in options else gate(z_i + p[:size] * c)
        c = np.clip(f * c + i * squash(z_g), -clip, clip)
        h = gate(z_o + p_o * c) * (show or squash)(norm(c, params, "cell_norm"))
        h = h @ params["projection_kernel"] if "projection_kernel" in params else h
        return lj.LSTMCarry(c, h), h

    return step


def norm(z, params, name):
    """Layer normalisation where the cell has one of this name."""
    if name not in params:
        return z
    scaled = (z - z.mean()) / np.sqrt(z.var() + 1e-5)
    return scaled * params[name]["gamma"] + params[name].get("beta", 0)


def hard_sigmoid(z):
    return np.clip(z / 6 + 0.5, 0, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, reference()),
        ({"peepholes": True}, reference()),
        ({"coupled_gates": True}, reference(options="coupled")),
        ({"coupled_gates": True, "peepholes": True}, reference(options="coupled")),
        ({"cell_clip": 0.3}, reference(clip=0.3)),
        ({"gate_activation": "hard_sigmoid"}, reference(gate=hard_sigmoid)),
        ({"activation": "relu"}, reference(squash=lambda z: np.maximum(z, 0))),
        ({"activation": "hard_tanh"}, reference(squash=lambda z: np.clip(z, -1, 1))),
        ({"activation": "identity"}, reference(squash=lambda z: z)),
        ({"output_activation": "identity"}, reference(show=lambda z: z)),
        (
            {"activation": "relu", "output_activation": "tanh"},
            reference(squash=lambda z: np.maximum(z, 0), show=np.tanh),
        ),
        ({"layer_norm": True, "coupled_gates": True}, reference(options="coupled")),
        ({"layer_norm": True, "peepholes": True, "projection_size": 2}, reference()),
        (
            {
                "layer_norm": True,
                "peepholes": True,
                "projection_size": 3,
                "coupled_gates": True,
                "cell_clip": 0.5,
                "gate_activation": "hard_sigmoid",
                "activation": "hard_tanh",
            },
            reference(
                options="coupled",
                clip=0.5,
                gate=hard_sigmoid,
                squash=lambda z: np.clip(z, -1, 1),
            ),
        ),
    ],
)
def test_options_follow_their_equations_in_value_and_derivative(options, expected):
    assert_follows(lj.lstm(4, **options), expected, input_size=3)


@pytest.mark.parametrize(("hidden", "projection"), [(8, 3), (5, 1)])
def test_projection_equals_torch_in_value_and_gradient(hidden, projection):
    cell = lj.lstm(hidden, projection_size=projection)
    assert cell.output_size == projection
    assert_equals_torch(
        cell,
        lambda torch: torch.nn.LSTM(4, hidden, proj_size=projection),
        lambda p: with_one_bias(p) | {"weight_hr_l0": p["projection_kernel"].T},
        time=9,
        batch=3,
        input_size=4,
    )


@pytest.mark.parametrize("peepholes", [False, True])
def test_layer_norm_equals_a_loop_over_torch_layer_norms(peepholes):
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    cell = lj.lstm(6, layer_norm=True, peepholes=peepholes)
    params = noisy(cell.init(jax.random.key(1), 4), seed=1)
    xs = jax.random.normal(jax.random.key(2), (7, 3, 4))
    weights = jax.random.normal(jax.random.key(3), (7, 3, 6))

    def norm(x, gamma, beta=None):
        layer = torch.nn.LayerNorm(x.shape[-1:], elementwise_affine=False)
        return layer(x) * gamma + (0 if beta is None else beta)

    theirs = jax.tree.map(lambda a: torch.tensor(np.asarray(a), requires_grad=True), params)
    p_i, p_f, p_o = theirs["peephole_kernel"].split(6) if peepholes else (0, 0, 0)
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    h = c = torch.zeros(3, 6)
    expected = []
    for x_t in x:
        z = norm(x_t @ theirs["kernel"], **theirs["kernel_norm"])
        z = z + norm(h @ theirs["recurrent_kernel"], **theirs["recurrent_norm"]) + theirs["bias"]
        i, f, g, o = z.split(6, dim=-1)
        c, before = None, c
        c = (f + p_f * before).sigmoid() * before + (i + p_i * before).sigmoid() * g.tanh()
        h = (o + p_o * c).sigmoid() * norm(c, **theirs["cell_norm"]).tanh()
        expected.append(h)
    expected = torch.stack(expected)
    (expected * torch.tensor(np.asarray(weights))).sum().backward()

    def loss(params, xs):
        ys = lj.scan(cell, params, None, xs)[1]
        return jnp.sum(ys * weights), ys

    (_, ys), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, xs)
    np.testing.assert_allclose(ys, expected.detach(), **CLOSE)
    np.testing.assert_allclose(grads[1], x.grad, rtol=1e-3, atol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b.grad, rtol=1e-3, atol=1e-4), grads[0], theirs
    )


def test_layer_norm_does_not_see_the_scale_of_its_inputs():
    cell = lj.lstm(8, layer_norm=True)
    params = cell.init(jax.random.key(0), 5)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 5))
    scaled = lj.scan(cell, params, None, 1000 * xs)[1]
    np.testing.assert_allclose(scaled, lj.scan(cell, params, None, xs)[1], atol=1e-4)


def test_a_projection_goes_with_every_other_option():
    cell = lj.lstm(
        6, projection_size=2, layer_norm=True, peepholes=True, coupled_gates=True, cell_clip=0.01
    )
    params = noisy(cell.init(jax.random.key(0), 3), seed=1)
    carry, ys = lj.scan(cell, params, None, jax.random.normal(jax.random.key(1), (5, 4, 3)))
    assert ys.shape == (5, 4, 2)
    np.testing.assert_array_equal(carry.hidden, ys[-1])
    assert abs(carry.cell).max() == jnp.float32(0.01)


def test_the_initial_carry_can_be_learned():
    cell = lj.lstm(4, projection_size=3, learn_initial_carry=True)
    params = cell.init(jax.random.key(0), 2)
    params |= {"initial_cell": jnp.arange(4.0), "initial_hidden": jnp.arange(3.0)}
    carry = cell.initial_carry(params, (5,))
    np.testing.assert_array_equal(carry.cell, np.tile(np.arange(4), (5, 1)))
    np.testing.assert_array_equal(carry.hidden, np.tile(np.arange(3), (5, 1)))
    xs = jax.random.normal(jax.random.key(1), (6, 5, 2))
    grads = jax.grad(lambda p: lj.scan(cell, p, None, xs)[1].sum())(params)
    assert grads["initial_cell"].all()
    assert grads["initial_hidden"].all()


def test_chrono_biases_take_the_place_of_the_forget_bias():
    params = lj.lstm(500, chrono_max=50, forget_bias=7.0).init(jax.random.key(0), 1)
    i, f, g, o = params["bias"].reshape(4, 500)
    assert f.min() >= 0
    assert f.max() <= np.log(49)
    np.testing.assert_array_equal(i, -f)
    assert not g.any()
    assert not o.any()
    # exp(f) is uniform in [1, 49]: its mean is 25, with a standard error of 0.62
    assert abs(np.exp(f).mean() - 25) < 2
    coupled = lj.lstm(500, chrono_max=50, coupled_gates=True).init(jax.random.key(0), 1)
    np.testing.assert_array_equal(coupled["bias"].reshape(3, 500)[0], f)


def test_torch_uniform_draws_what_torch_draws():
    torch = pytest.importorskip("torch", reason="torch, the reference, is not installed")
    torch.manual_seed(0)
    theirs = torch.nn.LSTM(30, 100, proj_size=20)
    cell = lj.lstm(100, projection_size=20, initializer="torch_uniform", forget_bias=0.0)
    params = cell.init(jax.random.key(0), 30)
    for ours, reference in (
        (params["kernel"], theirs.weight_ih_l0),
        (params["recurrent_kernel"], theirs.weight_hh_l0),
        (params["projection_kernel"], theirs.weight_hr_l0),
        (params["bias"], theirs.bias_ih_l0 + theirs.bias_hh_l0),
    ):
        reference = reference.detach().numpy()
        assert ours.size == reference.size
        np.testing.assert_allclose(ours.std(), reference.std(), rtol=0.1)
        np.testing.assert_allclose(abs(ours).max(), abs(reference).max(), rtol=0.1)


def test_lecun_orthogonal_has_the_variance_of_one_input():
    params = lj.lstm(64, initializer="lecun_orthogonal").init(jax.random.key(0), 100)
    np.testing.assert_allclose(params["kernel"].var(), 1 / 100, rtol=0.05)
    gate = params["recurrent_kernel"][:, :64]
    np.testing.assert_allclose(gate @ gate.T, np.eye(64), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"projection_size": 0}, "projection_size must be at least 1, got 0"),
        ({"chrono_max": 1}, "chrono_max must be at least 2, got 1"),
        ({"cell_clip": 0.0}, "cell_clip must be greater than 0, got 0.0"),
        ({"output_activation": "gelu"}, "output_activation must be one of 'tanh'.*, got 'gelu'"),
        ({"activation": "gelu"}, "activation must be one of 'tanh'.*, got 'gelu'"),
        ({"gate_activation": "tanh"}, "gate_activation must be one of 'sigmoid'.*, got 'tanh'"),
        ({"initializer": "ones"}, "initializer must be one of 'glorot_orthogonal'.*, got 'ones'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        lj.lstm(**{"hidden_size": 3, **options})
