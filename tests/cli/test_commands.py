"""The command line as a user types it: what it prints, writes and refuses."""

import json
import subprocess
import sys
import time

import pytest

from lstm_jax.cli.main import main
from lstm_jax.training.writers import read_metrics
from tests.conftest import CHAR_LM

SMOKE = f"--config={CHAR_LM}:smoke"


def run(capsys, *arguments):
    capsys.readouterr()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_help_answers_without_importing_jax():
    code = (
        "import sys; from lstm_jax.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('jax', 'flax', 'numpy', 'grain')))"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train" in done.stdout
    assert time.monotonic() - began < 10


def test_training_leaves_what_it_promises(smoke_run):
    files = {path.name for path in smoke_run.iterdir()}
    assert files >= {
        "config.json", "metrics.jsonl", "tensorboard", "checkpoints", "figures", "result.json"
    }  # fmt: skip
    assert (smoke_run / "figures/learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    result = json.loads((smoke_run / "result.json").read_text())
    assert result["steps"] == 40
    assert result["test/bits_per_character"] < 5.5
    assert set(result["baselines"]) == {
        "xz -9", "xz -9, after the training text", "5-gram, Kneser-Ney"
    }  # fmt: skip
    lines = read_metrics(smoke_run)
    assert [(line["step"], line["split"]) for line in lines] == [
        (10, "train"), (20, "train"), (20, "validation"),
        (30, "train"), (40, "train"), (40, "validation"),
    ]  # fmt: skip
    assert lines[0]["bits_per_character"] > lines[-1]["bits_per_character"]


def test_a_finished_run_shows_its_result_again(smoke_run, capsys):
    before = (smoke_run / "metrics.jsonl").read_text()
    code, out, _ = run(capsys, "train", SMOKE, f"--workdir={smoke_run}")
    assert code == 0
    assert "is finished" in out
    assert "5-gram, Kneser-Ney" in out
    assert (smoke_run / "metrics.jsonl").read_text() == before
    # The run's own config is enough.
    assert run(capsys, "train", f"--workdir={smoke_run}")[0] == 0


def test_another_config_on_the_workdir_is_refused_with_the_difference(smoke_run, capsys):
    before = (smoke_run / "config.json").read_text()
    code, _, err = run(
        capsys, "train", SMOKE, f"--workdir={smoke_run}", "--config.model.hidden_size=17"
    )
    assert code == 2
    assert "model.hidden_size: 16 -> 17" in err
    assert (smoke_run / "config.json").read_text() == before


def test_evaluate_agrees_with_the_result(smoke_run, capsys):
    result = json.loads((smoke_run / "result.json").read_text())
    code, out, _ = run(capsys, "evaluate", f"--workdir={smoke_run}", "--json")
    assert code == 0
    values = json.loads(out)
    assert values["step"] == result["best_step"]
    assert values["bits_per_character"] == result["test/bits_per_character"]
    code, out, _ = run(
        capsys, "evaluate", f"--workdir={smoke_run}", "--split=validation", "--checkpoint=40"
    )
    assert code == 0
    assert f"{result['validation/bits_per_character']:.3f}  bits per character" in out


def test_generate_repeats_with_its_seed(smoke_run, capsys):
    command = ["generate", f"--workdir={smoke_run}", "--length=50", "--prompt=The ", "--top_k=9"]
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert out.startswith("The ")
    assert len(out) == 4 + 50 + 1
    assert run(capsys, *command)[1] == out
    assert run(capsys, *command, "--seed=1")[1] != out
    assert run(capsys, *command, "--samples=2")[1].count("--- sample") == 2


def test_generate_needs_no_data(smoke_run, capsys, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("never the same river twice. " * 60)
    own = ["--config.data.source=text_file", f"--config.data.path={book}"]
    own.append("--config.train.duration=9 steps")
    workdir = f"--workdir={tmp_path / 'run'}"
    assert run(capsys, "train", SMOKE, workdir, *own)[0] == 0
    book.unlink()
    code, out, err = run(capsys, "generate", workdir, "--length=20", "--prompt=neverÄ")
    assert code == 0
    assert out.startswith("neverÄ")
    assert "1 symbol(s) of the prompt are unknown" in err


def test_config_prints_every_field(capsys):
    code, out, _ = run(capsys, "config", SMOKE, "--config.model.dropout=0.25")
    assert code == 0
    assert "model.dropout = 0.25" in out
    assert "float in [0, 1)" in out
    code, out, _ = run(capsys, "config", SMOKE, "--json")
    assert json.loads(out)["model"]["hidden_size"] == 16


def test_config_shows_the_fields_of_one_that_still_needs_a_value(capsys):
    incomplete = (SMOKE, "--config.data.source=text_file")
    code, out, err = run(capsys, "config", *incomplete)
    assert code == 2
    assert err.startswith("lstm-jax config: data.path: has no default and needs a value")
    assert len(err.splitlines()) == 1
    assert "data.path = None" in out
    assert "model.hidden_size = 16" in out
    assert run(capsys, "config", *incomplete, "--json")[1] == ""
    code, out, _ = run(capsys, "config", *incomplete, "--config.model.hidden_size=-3")
    assert (code, out) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.model.hiden_size=3"], "did you mean hidden_size?"),
        (["--config.model.hidden_size=-3"], "model.hidden_size: must be int >= 1, got -3"),
        (["--config.model.hidden_size"], "--config.model.hidden_size needs a value"),
        (["--config.train.duration=soon"], 'a duration such as "2000 steps"'),
        (["--config.data.source=text_file"], "data.path: has no default and needs a value"),
        (
            ["--config.data.source=text_file", "--config.data.path=/no/such.txt"],
            "cannot read /no/such.txt",
        ),
        (["--config.data.batch_size=99999"], "the training text is too short"),
        (["--workdirs=x"], "there is no option --workdirs; did you mean --workdir"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(capsys, tmp_path, arguments, message):
    code, _, err = run(capsys, "train", SMOKE, f"--workdir={tmp_path / 'run'}", *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_what_is_no_run_of_ours_is_left_alone(capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"mine": 1}')
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/picture.jpg").write_text("mine too")
    code, _, err = run(capsys, "train", SMOKE, f"--workdir={tmp_path}")
    assert code == 2
    assert "is not the config of a run" in err
    assert (tmp_path / "config.json").read_text() == '{"mine": 1}'
    assert (tmp_path / "assets/picture.jpg").exists()
    assert "is empty" in run(capsys, "train", SMOKE, "--workdir=")[2]


def test_a_second_process_on_the_workdir_is_refused(capsys, tmp_path):
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = run(capsys, "train", SMOKE, f"--workdir={tmp_path}")
    assert code == 2
    assert "another process is training this run" in err


def test_evaluate_says_that_the_data_changed(capsys, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("call me ishmael. " * 100)
    workdir = f"--workdir={tmp_path / 'run'}"
    own = ["--config.data.source=text_file", f"--config.data.path={book}"]
    own.append("--config.train.duration=2 steps")
    assert run(capsys, "train", SMOKE, workdir, *own)[0] == 0
    book.write_text("call me maybe. " * 100)
    code, out, err = run(capsys, "evaluate", workdir)
    assert code == 0
    assert "bits per character" in out
    assert "not those that the run was trained on" in err


def test_a_platform_that_is_not_there_is_a_sentence(tmp_path):
    import os

    done = subprocess.run(
        [sys.executable, "-m", "lstm_jax.cli.main", "train", SMOKE, f"--workdir={tmp_path}"],
        env={**os.environ, "JAX_PLATFORMS": "rocm"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "JAX finds no device (JAX_PLATFORMS='rocm')" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_start_that_failed_does_not_bind_the_workdir(capsys, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    assert run(capsys, "train", SMOKE, workdir, "--config.data.batch_size=99999")[0] == 2
    assert run(capsys, "train", SMOKE, workdir, "--config.train.duration=2 steps")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--workdir=/no/such"], "/no/such holds no run"),
        (["evaluate", "--workdir={run}", "--split=tests"], "did you mean test?"),
        (["evaluate", "--workdir={run}", "--checkpoint=7"], "no checkpoint of step 7"),
        (["evaluate", "--workdir={run}", "--checkpoint=last"], "must be best, latest or a step"),
        (["generate", "--workdir={run}", "--top_p=0"], "--top_p: must be in (0, 1]"),
        (["generate", "--workdir={run}", "--temperature=-1"], "--temperature: must be at least 0"),
        (["config", "--config=/no/such.py"], "cannot read '/no/such.py'"),
    ],
)
def test_other_commands_refuse_in_a_sentence(smoke_run, capsys, arguments, message):
    code, _, err = run(capsys, *(word.format(run=smoke_run) for word in arguments))
    assert code == 2
    assert message in err
