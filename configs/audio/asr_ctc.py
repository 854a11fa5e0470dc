"""Speech recognition with CTC: a bidirectional LSTM and an n-gram of the training transcripts.

Command: lstm-jax train --config=configs/audio/asr_ctc.py --workdir=runs/asr
           --config.data.path=DIR  (like LJSpeech: metadata.csv or train.csv, ..., and wavs/)
Result:  CER 0.316, WER 0.639 on the test split of asterisk_en (13 minutes to train on, one
         speaker), 0.150 and 0.365 on validation; without the language model 0.334 and 0.710 on
         the test. From there with recordings spliced from the words of those: CER 0.236, WER 0.500,
         0.121 and 0.312 on validation; without 0.247 and 0.613 (experiments/audio/asr_ctc)
Time:    22 minutes, and 30 with spliced ones, on one core (x86-64, Python 3.11, jax 0.10.2,
         2026-11-26)
Streams: --config=configs/audio/asr_ctc.py:streaming, in one direction; docs/speech.md
Spells:  --config=configs/audio/asr_ctc.py:attention, with a decoder with attention beside CTC
No data: --config=configs/audio/asr_ctc.py:smoke, on generated tones that spell letters
"""

from lstm_jax.training import experiment

MODES = ("attention", "streaming", "smoke", "smoke_attention", "smoke_streaming")


def get_config(mode: str = ""):
    """`:streaming` recognises while it hears, `:attention` spells; `:smoke...` run in seconds."""
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    smoke, streaming = mode.startswith("smoke"), mode.endswith("streaming")
    own = {} if smoke else {"path": "LJSpeech-1.1"}  # a folder like it
    config = experiment(
        task="speech_recognition",
        seed=0,  # of initialisation, dropout and masks
        data={
            "source": "generated_speech" if smoke else "speech_folder",
            **own,
            "steps": ("lowercase", "one_line"),
            "tokenizer": "characters",
            "features": {
                "sample_rate": 8000,  # Hz
                "mels": 40,
                "window_ms": 25.0,
                "hop_ms": 10.0,
                "normalization": "training",  # mean and deviation of all training frames
            },
            "speeds": (90, 100, 110),  # percent
            "batch_size": 12,  # recordings in a step
            "buckets": 5,  # lengths that compile
        },
        model={
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "channels": 128,
            "width": 5,  # frames
            # 20 milliseconds a step, since this speaker says 18 letters a second; in one direction
            # the network begins to learn far later with so many.
            "strides": (2, 2) if streaming else (2, 1),
            "hidden_size": 160,  # memory cells in each layer and direction
            "num_layers": 2,
            "bidirectional": not streaming,
            "dropout": 0.2,  # share of activations
        },
        augment={
            "time_masks": 1,
            "time_width": 25,  # frames
            "frequency_masks": 2,
            "frequency_width": 6,  # filters
            "noise": 0.15,  # deviations of the features
        },
        search={"beam_size": 16, "ngram_order": 8, "language_weight": 1.0, "bonus": 1.4},
        optimizer={"name": "adamw", "learning_rate": 3e-3, "weight_decay": 0.01},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        averaging={"name": "ema", "decay": 0.99},
        train={
            "duration": "50 epochs",  # each with every recording at three speeds
            "report_every": "100 steps",
            "evaluate_every": "5 epochs",
            "checkpoint_every": "300 steps",
            "gradient_clip_norm": 1.0,  # global norm
        },
    )
    if mode.endswith("attention"):
        config.decoder.num_layers = 1
        config.decoder.ctc_weight = 0.5  # share of the loss
        config.search.attention_weight = 0.5  # of a nat, for the texts in CTC's beam
    if smoke:
        _make_small(config)
    return config


def _make_small(config):
    config.data.size = 100
    config.data.speeds = (100,)
    config.data.features.mels = 20
    config.data.buckets = 1
    config.model.channels = 32
    config.model.strides = (2, 2)
    config.model.hidden_size = 32
    config.model.num_layers = 1
    config.decoder.hidden_size = 32
    config.decoder.embedding_size = 16
    config.search.beam_size = 4
    config.search.ngram_order = 3
    config.optimizer.learning_rate = 1e-2
    config.train.duration = "200 steps"
    config.train.report_every = "50 steps"
    config.train.evaluate_every = "200 steps"
    config.train.checkpoint_every = "100 steps"
