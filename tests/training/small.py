"""A language model so small that a step takes a millisecond."""

from pathlib import Path

TEXT = "the quick brown fox jumps over the lazy dog while a cat naps. well, well!\n" * 60


def small(folder: Path, **sections) -> dict:
    """Values of its config, with sections replaced or added to; its text is put into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.txt"
    text.write_text(TEXT)
    values = {
        "task": "language_model",
        "data": {
            "source": "text_file",
            "path": (str(text),),
            "batch_size": 16,
            "window": 8,
            "baselines": False,
        },
        "model": {"hidden_size": 16, "embedding_size": 8, "num_layers": 2},
        "optimizer": {"name": "adamw", "learning_rate": 1e-2},
        "schedule": {"name": "constant"},
        "train": {"duration": "8 steps", "report_every": "4 steps"},
        "sample": {"length": 0},
    }
    return {
        name: {**values.get(name, {}), **section} if isinstance(section, dict) else section
        for name, section in {**values, **sections}.items()
    }
