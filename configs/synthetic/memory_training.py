"""What the configs of this folder share: the section `train`, and what makes a run a smoke test."""


def training(duration, *, evaluate_every, checkpoint_every="500 steps"):
    """The section `train`."""
    return {
        "duration": duration,
        "report_every": "50 steps",
        "evaluate_every": evaluate_every,
        "checkpoint_every": checkpoint_every,
        "gradient_clip_norm": 1.0,  # global norm
        "writers": (),
        "gate_statistics": False,  # pictures at the end show the gates
    }


def shorten(config):
    """Leaves 40 steps of a run, and few examples to judge it by."""
    config.data.evaluation_examples = 64
    config.train.duration = "40 steps"
    config.train.report_every = "10 steps"
    config.train.evaluate_every = "20 steps"
