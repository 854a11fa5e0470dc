"""Translation from English to German by an LSTM encoder and decoder with attention.

Command: lstm-jax train --config=configs/text/translate_en_de.py --workdir=runs/translate
           --config.data.path=DIR/train.tsv --config.data.validation_path=DIR/validation.tsv
           --config.data.test_path=DIR/test.tsv
Result:  BLEU 34.28, chrF 58.8 on the test split of LibreOffice's texts, where the translation of
         the nearest training source has 26.3, and copying 7.5 (experiments/text/translate_en_de)
Time:    90 minutes on one core of a busy machine (x86-64, Python 3.11, jax 0.10.2, 2026-11-25)
No data: --config=configs/text/translate_en_de.py:smoke, on generated pairs
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated pairs."""
    config = experiment(
        task="translation",
        seed=0,  # of initialisation and dropout
        data={
            "source": "generated_pairs" if mode == "smoke" else "tsv_pairs",
            "tokenizer": {"name": "bpe", "size": 4000},  # one for both languages
            "max_length": 100,  # symbols of the longest training text
            "batch_size": 32,  # pairs in a step
            "buckets": 12,  # lengths to which batches are padded
        },
        model={
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "embedding_size": 256,  # of a symbol, and of what the softmax reads
            "hidden_size": 384,  # memory cells a layer; of the encoder, in both directions
            "attention": "general",
            "copying": True,  # names and placeholders go over as they are
            "dropout": 0.3,  # share of activations
            "token_dropout": 0.1,  # share of symbols
        },
        loss={"label_smoothing": 0.1},
        search={"beam_size": 5, "length_penalty": 0.6},
        optimizer={"name": "adamw", "learning_rate": 1.5e-3, "b2": 0.98, "weight_decay": 0.01},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        averaging={"name": "ema", "decay": 0.998},
        train={
            "duration": "18 epochs",
            "report_every": "100 steps",
            "evaluate_every": "2 epochs",
            "checkpoint_every": "1000 steps",
            "gradient_clip_norm": 1.0,  # global norm
        },
    )
    if mode == "smoke":
        config.data.tokenizer.size = 300
        config.data.batch_size = 16
        config.data.buckets = 2
        config.model.embedding_size = 16
        config.model.hidden_size = 32
        config.train.duration = "40 steps"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "20 steps"
        config.train.checkpoint_every = "20 steps"
    elif mode:
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    return config
