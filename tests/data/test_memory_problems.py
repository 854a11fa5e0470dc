"""Memory problems: targets are what the sequence says, batches what their numbers say."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.config import find
from lstm_jax.data.memory_problem import ArrayBatches, Sizes, most_frequent
from lstm_jax.data.pixel_sequences import as_sequences
from lstm_jax.errors import ConfigError, UserError

SIZES = Sizes(
    batch_size=64,
    evaluation_batch_size=50,
    epoch_batches=3,
    evaluation_examples=120,
    lengths=(30,),
    seed=7,
)
TFDS = Path(os.environ.get("LSTM_JAX_TFDS", Path(__file__).parents[3] / "shared" / "tfds"))
DRAWN = {
    "adding": {"length": 21},
    "copy_memory": {"delay": 9, "copied": 4},
    "temporal_order": {"length": 40},
    "parity": {"max_length": 20},
    "modular_counting": {"max_length": 20, "every_step": False},
    "dyck": {"max_length": 20, "max_depth": 3},
}


def make(name, sizes=SIZES, **options):
    return find("memory_problem", name)(**options).make(sizes)


def first(name, split="train", **options):
    return make(name, **options)[split][0]


def rows(batch):
    """Inputs of the valid steps of every example, with its target."""
    lengths = batch["lengths"]
    return [(x[:n], t) for x, t, n in zip(batch["inputs"], batch["targets"], lengths, strict=True)]


def test_the_sum_is_that_of_the_marked_numbers_one_in_each_half():
    batch = first("adding", length=21)
    numbers, marks = np.moveaxis(batch["inputs"], -1, 0)
    assert (marks[:, :10].sum(1) == 1).all()
    assert (marks[:, 10:].sum(1) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(1), batch["targets"], rtol=1e-6)


def test_what_is_copied_is_what_was_shown():
    batch = first("copy_memory", delay=9, copied=4)
    inputs, targets = batch["inputs"], batch["targets"]
    assert inputs.shape == (64, 17)
    np.testing.assert_array_equal(inputs[:, :4], targets[:, -4:])
    assert (targets[:, :-4] == 8).all()
    assert (np.argwhere(inputs == 9)[:, 1] == 12).all()  # one step before the first is asked for
    assert (batch["asked"].sum(1) == 4).all()


@pytest.mark.parametrize("relevant", [2, 3])
def test_the_class_is_the_order_of_the_relevant_symbols(relevant):
    for symbols, target in rows(first("temporal_order", length=100, relevant=relevant)):
        assert 100 <= len(symbols) <= 110
        assert (symbols[0], symbols[-1]) == (6, 7)
        places = np.flatnonzero((symbols == 4) | (symbols == 5))
        bits = symbols[places] - 4
        assert len(bits) == relevant
        assert target == int("".join(map(str, bits)), 2)
        assert 10 <= places[0] <= 20
        assert (50 if relevant == 2 else 66) <= places[-1] <= (60 if relevant == 2 else 76)


def test_the_state_is_that_of_a_counter():
    for symbols, targets in rows(first("parity", max_length=20)):
        assert 3 <= len(symbols) <= 20
        count = 0
        for symbol, target in zip(symbols, targets, strict=False):
            count += symbol
            assert target == count % 2
    for symbols, target in rows(first("modular_counting", modulus=7, every_step=False)):
        assert target == sum(symbols) % 7


def test_the_state_is_that_of_a_stack():
    deepest = 0
    for symbols, targets in rows(first("dyck", kinds=3, max_depth=4, max_length=40)):
        stack = []
        for symbol, target in zip(symbols, targets, strict=False):
            if symbol < 3:
                stack.append(symbol)
            else:
                assert stack.pop() == symbol - 3
            deepest = max(deepest, len(stack))
            assert target == (stack[-1] + 1 if stack else 0)
    assert deepest == 4


@pytest.mark.parametrize("name", DRAWN)
def test_a_batch_is_a_function_of_its_numbers(name):
    one, same = (make(name, **DRAWN[name]) for _ in range(2))
    other = make(name, SIZES._replace(seed=8), **DRAWN[name])
    for split, batches in one.items():
        for array in ("inputs", "targets", "lengths"):
            np.testing.assert_array_equal(batches[1][array], same[split][1][array])
        assert batches.fingerprint() == same[split].fingerprint()
        assert not np.array_equal(batches[0]["inputs"], batches[1]["inputs"])
        # Those that a run is judged by are the same whatever it is trained on.
        equal = np.array_equal(batches[0]["inputs"], other[split][0]["inputs"])
        assert equal == (split != "train")
    train = one["train"]
    np.testing.assert_array_equal(train.at(0, 2)["inputs"], train[2]["inputs"])
    assert not np.array_equal(train.at(0, 0)["inputs"], train.at(1, 0)["inputs"])
    splits = [one[split][0]["inputs"] for split in ("validation", "test")]
    assert not np.array_equal(*splits)


@pytest.mark.parametrize("name", DRAWN)
def test_held_out_examples_are_as_many_as_were_asked_for(name):
    splits = make(name, **DRAWN[name])
    assert len(splits["train"]) == 3
    for split in ("validation", "test", "length_30"):
        assert len(splits[split]) == 3
        valid = [splits[split][i]["valid"].sum() for i in range(3)]
        assert valid == [50, 50, 20]
    longer = splits["length_30"][0]
    least = 30 + 8 if name == "copy_memory" else 30
    assert longer["lengths"].min() >= least
    assert longer["lengths"].max() <= least + (3 if name == "temporal_order" else 0)


@pytest.mark.parametrize("name", DRAWN)
def test_baselines_are_those_of_the_papers(name):
    problem = find("memory_problem", name)(**DRAWN[name])
    figure = problem.baseline[1](problem.make(SIZES._replace(evaluation_examples=4000))["test"])
    known = {"adding": 1 / 6, "copy_memory": 4 * math.log(8) / 17, "temporal_order": 0.25,
             "parity": 0.5, "modular_counting": 0.2}  # fmt: skip
    if name in known:
        assert figure == pytest.approx(known[name], rel=0.1)
    assert 0 < figure < 1


def test_the_most_frequent_answer_counts_what_is_asked():
    batch = {
        "targets": np.array([[0, 0, 0, 1], [2, 2, 1, 1]]),
        "asked": np.array([[False, False, True, True], [True, False, True, True]]),
        "valid": np.array([True, False]),
    }
    assert most_frequent([batch]) == 0.5
    assert most_frequent([batch | {"valid": np.array([True, True])}]) == 0.6


def test_every_epoch_of_arrays_has_all_examples_in_another_order():
    batches = ArrayBatches({"targets": np.arange(10)}, batch_size=4, seed=3)
    epochs = []
    for epoch in range(2):
        seen = [batches.at(epoch, i) for i in range(len(batches))]
        epochs.append(np.concatenate([b["targets"][b["valid"]] for b in seen]))
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert not np.array_equal(*epochs)
    np.testing.assert_array_equal(batches.at(0, 1)["targets"], epochs[0][4:8])


def test_permuted_pixels_are_those_of_the_image():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 784)).astype(np.uint8)
    order = random.permutation(784)
    plain, permuted = (
        as_sequences({"images": images, "targets": np.zeros(2)}, o, 1)["inputs"][..., 0]
        for o in (None, order)
    )
    np.testing.assert_array_equal(permuted, plain[:, order])
    np.testing.assert_allclose(plain * 255, images, atol=1e-4)
    by_row = as_sequences({"images": images, "targets": np.zeros(2)}, None, 28)["inputs"]
    np.testing.assert_array_equal(by_row[0, 3], plain[0, 84:112])


@pytest.mark.skipif(not (TFDS / "mnist").is_dir(), reason="mnist of TFDS is not there")
def test_digits_of_mnist():
    sizes = SIZES._replace(batch_size=8, evaluation_batch_size=16, lengths=())
    options = {"data_dir": str(TFDS), "train": "train[:20]", "validation": "train[20:40]",
               "test": "test[:20]"}  # fmt: skip
    plain, permuted = (
        make("sequential_mnist", sizes, permuted=permuted, **options) for permuted in (False, True)
    )
    batch = plain["test"][0]
    assert batch["inputs"].shape == (16, 784, 1)
    assert (batch["inputs"].min(), batch["inputs"].max()) == (0, 1)
    assert [len(plain[split]) for split in ("train", "validation", "test")] == [3, 2, 2]
    # The order is one for all images and splits, and is not that of another seed.
    order = np.random.default_rng(0).permutation(784)
    for split in plain:
        np.testing.assert_array_equal(
            permuted[split][1]["inputs"], plain[split][1]["inputs"][:, order]
        )
    with pytest.raises(UserError, match=r"data\.dataset: TFDS cannot read nonsense of mnist"):
        make("sequential_mnist", sizes, **options | {"test": "nonsense"})


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match="min_length: must not be above max_length 5, got 9"):
        find("memory_problem", "dyck")(min_length=9, max_length=5)
    with pytest.raises(ConfigError, match="lengths: this problem needs at least 20, got 5"):
        make("temporal_order", SIZES._replace(lengths=(5,)))
    with pytest.raises(ConfigError, match="lengths: an image has one length alone"):
        make("sequential_mnist")
