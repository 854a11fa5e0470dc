"""A word language model on the Brown corpus, split as by Y. Bengio et al. (JMLR 3, 2003).

Command: lstm-jax train --config=configs/text/word_lm_brown.py --workdir=runs/brown
Data:    the corpus in data/brown: train.txt (800,001 words), validation.txt and test.txt
Result:  240.7 perplexity on the test text (263.2 on the validation text), where an interpolated
         Kneser-Ney trigram has 327.6; the paper's network mixed with a trigram has about 252.
         In so few epochs `:dropout` (229.4) and `:none` (230.5) are ahead.
         experiments/text/word_lm_brown has all, and what the network reaches beside a cache
Time:    70 minutes on one of two CPU cores that other work kept busy; 4,000 to 5,400 words a second
         where they were free (Python 3.11, jax 0.10.2)
"""

from lstm_jax.training import experiment

# What the rows of the ablation set to zero.
DROPOUT = {"words": 0.0, "weights": 0.0, "activation": 0.0, "temporal_activation": 0.0}
NONE = {**DROPOUT, "input": 0.0, "output": 0.0}
MODES = ("none", "dropout", "smoke")


def get_config(mode: str = ""):
    """`:none` and `:dropout` leave things out; `:smoke` runs the same code in seconds."""
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    brown = {
        "source": "text_file",
        "path": ("data/brown/train.txt",),  # words, a sentence a line
        "validation_path": ("data/brown/validation.txt",),
        "test_path": ("data/brown/test.txt",),
    }
    config = experiment(
        task="language_model",
        seed=0,  # of initialisation, dropout and samples
        data={
            **({"source": "python_docs"} if mode == "smoke" else brown),
            "steps": ("one_line",),  # no line breaks: words alone are predicted
            # Words seen three times or fewer in all of the corpus are one, as in the paper.
            "tokenizer": {"name": "words", "min_count": 4},
            "vocabulary_from": "all",
            "batch_size": 20,  # streams side by side
            "window": 50,  # words between two updates, most of the time
            "random_windows": mode not in ("none", "dropout"),
        },
        model={
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "embedding_size": 192,  # size of a word's vector
            "hidden_size": 192,  # memory cells; the layer's output meets the words' vectors
            "num_layers": 1,
            "tie_embedding": True,
            "head": {
                "name": "adaptive_softmax",
                "cutoffs": ("500", "1500", "4000", "9000"),  # numbers of words, by frequency
                "bias": True,
            },
            "regularization": {
                "words": 0.05,  # shares that are dropped
                "input": 0.25,
                "output": 0.25,
                "weights": 0.25,
                "activation": 1.0,  # penalties
                "temporal_activation": 0.5,
                **{"none": NONE, "dropout": DROPOUT}.get(mode, {}),
            },
        },
        optimizer={"name": "adamw", "learning_rate": 3e-3, "b2": 0.99, "weight_decay": 0.0},
        schedule={"name": "warmup_cosine", "warmup": 0.04, "end": 0.02},  # shares of run and peak
        averaging="none" if mode in ("none", "dropout") else {"name": "nt_asgd", "patience": 2},
        early_stopping={"patience": 3},  # evaluations
        train={
            "duration": "5 epochs",
            "report_every": "100 steps",
            "evaluate_every": "0.5 epochs",
            "checkpoint_every": "200 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
        sample={"prompt": "The", "length": 60, "temperature": 0.8},
    )
    if mode == "smoke":
        config.data.batch_size = 4
        config.data.window = 14
        config.data.evaluation_batch_size = 16
        config.model.embedding_size = 8
        config.model.hidden_size = 8
        config.model.head.cutoffs = ("100", "400")
        config.train.duration = "30 steps"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "5 steps"
        config.train.checkpoint_every = "10 steps"
        config.sample.length = 10
    return config
