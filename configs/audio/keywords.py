r"""Which keyword was said? A convolution and a bidirectional LSTM on log-mel energies.

Command: lstm-jax train --config=configs/audio/keywords.py --workdir=runs/keywords \
             --config.data.path=speech_commands_v0.02
Result:  not measured: no set of keywords was at hand. `:smoke` tells generated rising, falling
         and steady tones apart, all 20 of its test split (16 s of CPU, x86-64, jax 0.10.2)
Own sounds: folders by class with .wav, .flac or .ogg files, as Speech Commands has them; its lists
         of what is held out are used where they are. Of TFDS, where TensorFlow is installed:
         --config.data.source=tfds_labelled_audio --config.data.dataset=speech_commands
         --config.data.validation=validation --config.data.test=test
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated tones."""
    if mode not in ("", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    values = {
        "task": "audio_classification",
        "seed": 0,  # of initialisation, dropout and augmentation
        "data": {
            "source": "audio_folders",
            "path": ("speech_commands_v0.02",),  # a folder for each class
            "reading": {"broken": "refuse", "may_be_silent": True},
            "batch_size": 64,
            "buckets": 2,  # lengths that compile
        },
        "features": {
            "kind": "log_mel",
            "sample_rate": 16_000,  # Hz
            "window_ms": 25.0,
            "hop_ms": 10.0,
            "mels": 40,
            "normalization": "utterance",
        },
        "model": {
            "filters": 64,  # of a convolution over time
            "width": 5,  # frames
            "stride": 2,  # frames
            "cell": {"name": "lstm"},
            "hidden_size": 96,  # memory cells in each direction
            "bidirectional": True,
            "pooling": ("mean", "max"),
            "dropout": {"input": 0.1, "output": 0.3},  # shares
        },
        "augmentation": {  # SpecAugment, in frames and features
            "time_masks": 1,
            "time_width": 15,
            "frequency_masks": 1,
            "frequency_width": 6,
        },
        "optimizer": {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 0.01},
        "schedule": {"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},
        "train": {
            "duration": "20 epochs",
            "report_every": "100 steps",
            "evaluate_every": "2 epochs",
            "checkpoint_every": "2 epochs",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    }
    if mode == "smoke":
        _make_small(values)
    return experiment(**values)


def _make_small(values):
    values["data"] = {"source": "generated_tones", "batch_size": 16, "buckets": 1}
    values["features"] = {"sample_rate": 8000, "mels": 24}
    values["model"] |= {"filters": 16, "hidden_size": 16}
    values["augmentation"] = {"time_masks": 1, "time_width": 5, "frequency_masks": 0}
    values["optimizer"]["learning_rate"] = 1e-2
    values["train"] |= {
        "duration": "10 epochs",
        "report_every": "20 steps",
        "evaluate_every": "5 epochs",
        "checkpoint_every": "50 steps",
    }
