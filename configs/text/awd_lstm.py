"""The AWD-LSTM of S. Merity, N. S. Keskar and R. Socher (arXiv 1708.02182) for files of your own.

Command: lstm-jax train --config=configs/text/awd_lstm.py --workdir=runs/awd
           --config.data.path=DIR/train.txt --config.data.validation_path=DIR/valid.txt
           --config.data.test_path=DIR/test.txt
Files:   those of the Penn Treebank as T. Mikolov prepared them, or of WikiText-2 with `:wikitext2`:
         a sentence a line, words between spaces, rare words already `<unk>`; a line's end is a word
Result:  not run here, for want of these files. The paper, after fine-tuning: 57.3 on the Penn
         Treebank's test text and 65.8 on that of WikiText-2
Differs: no weight decay (the paper's is 1.2e-6); held-out text is read as one stream
Then:    fine-tuning starts from the run and averages at once: the same command with another workdir
         and --config.init_from.workdir=runs/awd --config.averaging=swa
         --config.averaging.start="1 step" --config.averaging.every="1 step"
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:wikitext2` has that text's rates; `:smoke` runs the same code in seconds."""
    if mode not in ("", "wikitext2", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there are: wikitext2, smoke")
    files = {
        "source": "text_file",
        "path": ("data/penn/train.txt",),
        "validation_path": ("data/penn/valid.txt",),
        "test_path": ("data/penn/test.txt",),
    }
    config = experiment(
        task="language_model",
        seed=0,  # of initialisation, dropout and samples
        data={
            **({"source": "python_docs"} if mode == "smoke" else files),
            "tokenizer": {"name": "words", "min_count": 1},
            "batch_size": 80 if mode == "wikitext2" else 20,  # streams side by side
            "window": 70,  # words between two updates, most of the time
            "random_windows": True,  # and the learning rate follows their lengths
        },
        model={
            "cell": {"name": "lstm", "initializer": "torch_uniform", "forget_bias": 0.0},
            "embedding_size": 400,  # size of a word's vector
            "hidden_size": 1150,  # memory cells of a layer
            "last_size": 400,  # and of the last one, whose output meets the words' vectors
            "num_layers": 3,
            "tie_embedding": True,
            "regularization": {
                "words": 0.1,  # shares that are dropped
                "input": 0.65 if mode == "wikitext2" else 0.4,
                "hidden": 0.2 if mode == "wikitext2" else 0.25,
                "output": 0.4,
                "weights": 0.5,
                "activation": 2.0,  # penalties
                "temporal_activation": 1.0,
            },
        },
        optimizer={"name": "sgd", "learning_rate": 30.0},
        schedule={"name": "constant"},
        averaging={"name": "nt_asgd", "patience": 5},  # evaluations
        train={
            "duration": "750 epochs" if mode == "wikitext2" else "500 epochs",
            "report_every": "200 steps",
            "evaluate_every": "1 epoch",
            "checkpoint_every": "1 epoch",
            "gradient_clip_norm": 0.25,  # global norm
            "gate_statistics": False,
        },
        sample={"prompt": "the ", "length": 100, "temperature": 1.0},
    )
    if mode == "smoke":
        config.data.tokenizer.min_count = 3
        config.data.batch_size = 4
        config.data.window = 14
        config.data.evaluation_batch_size = 16
        config.model.embedding_size = 8
        config.model.hidden_size = 12
        config.model.last_size = 8
        config.train.duration = "30 steps"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "5 steps"
        config.train.checkpoint_every = "10 steps"
        config.sample.length = 10
    return config
