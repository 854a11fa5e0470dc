"""What a run would need."""

import jax.numpy as jnp

from lstm_jax.cli.main import main
from lstm_jax.training.flops import count_flops
from tests.conftest import CHAR_LM


def test_a_dry_run_tells_and_leaves_nothing(tmp_path, capsys):
    workdir = tmp_path / "run"
    assert main(["train", f"--config={CHAR_LM}:smoke", f"--workdir={workdir}", "--dry_run"]) == 0
    output = capsys.readouterr().out
    for text in ("parameters; 40 steps", "layer_0", "activations", "optimiser", "it fits: "):
        assert text in output
    assert not workdir.exists()


def test_what_does_not_fit_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 150_000 if name == "SC_PHYS_PAGES" else 1)
    command = ["train", f"--config={CHAR_LM}:smoke", f"--workdir={tmp_path}", "--dry_run"]
    assert main(command) == 2, "parameters find room, what else a step needs does not"
    assert "lstm-jax train: it does not fit: " in capsys.readouterr().err


def test_a_model_beyond_all_memory_is_refused_before_it_is_made(tmp_path, capsys):
    command = ["train", f"--config={CHAR_LM}:smoke", f"--workdir={tmp_path / 'run'}"]
    assert main([*command, "--config.model.hidden_size=600000000"]) == 2
    told = capsys.readouterr().err
    assert "the model with its optimizer's state and its gradient does not fit: " in told
    assert main([*command, "--config.model.num_layers=2000000000"]) == 2
    assert "model.num_layers: must be int in [1, 1000]" in capsys.readouterr().err


def test_operations_of_products_convolutions_and_branches():
    import jax

    x, w = jnp.ones((4, 8)), jnp.ones((8, 6))
    forward = 2 * 4 * 8 * 6
    assert count_flops(lambda x, w: x @ w, x, w).products == forward
    gradient = jax.grad(lambda x, w: (x @ w).sum() ** 2, (0, 1))
    assert count_flops(gradient, x, w).products == 3 * forward
    image, kernel = jnp.ones((2, 3, 8, 8)), jnp.ones((5, 3, 3, 3))
    convolve = lambda a, b: jax.lax.conv(a, b, (1, 1), "SAME")  # noqa: E731
    assert count_flops(convolve, image, kernel).products == 2 * (2 * 5 * 8 * 8) * 3 * 9
    branch = lambda x, w: jax.lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: x @ w * 2)  # noqa: E731
    assert count_flops(branch, x, w).products == forward
