"""Data that changed under a run: other batches would follow, so the run does not go on."""

from lstm_jax.cli.main import main
from tests.runs import command, unfinished


def test_data_that_changed_under_a_run_are_noticed(tmp_path, capfd):
    book = tmp_path / "book.txt"
    book.write_text("all happy families are alike. " * 200)
    own = [f"--config.data.path={book}", "--config.train.duration=50 steps"]
    assert main(command(tmp_path / "run", *own)) == 0
    workdir = unfinished(tmp_path / "run", tmp_path / "copy")
    book.write_text("every unhappy family is unhappy. " * 200)
    capfd.readouterr()
    assert main(command(workdir, *own)) == 2
    error = capfd.readouterr().err
    assert "the data are not those that the run was trained on" in error
    assert f"changed: {book}" in error
