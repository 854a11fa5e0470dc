"""Checkpoints: what is kept, what is noticed."""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.errors import UserError
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.digests import leaf_digests


def trees(value=0.0):
    return {
        "params": {"w": jax.random.normal(jax.random.key(9), (64, 8)) + value, "b": jnp.arange(5)},
        "training": {"key": jax.random.key(3), "step": jnp.int32(7)},
    }


def save_all(folder, scores, **options):
    checkpoints = Checkpoints(folder, **options)
    for step, score in scores.items():
        checkpoints.save(step, trees(float(step)), {"data": {"next": step}}, score)
        checkpoints.wait()
    return checkpoints


def flip_a_bit(file: Path) -> bytes:
    content = file.read_bytes()
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 4
    file.write_bytes(changed)
    return content


def largest_file(folder: Path) -> Path:
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


def test_what_was_saved_comes_back(tmp_path):
    checkpoints = save_all(tmp_path / "c", {10: 2.0})
    restored = checkpoints.resume(trees())
    assert restored.step == 10
    assert restored.meta["data"] == {"next": 10}
    assert leaf_digests(restored.trees) == leaf_digests(trees(10.0))
    only_params = checkpoints.best({"params": trees()["params"]})
    assert set(only_params.trees) == {"params"}
    checkpoints.close()


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_no_damage(tmp_path, score, capsys):
    checkpoints = save_all(tmp_path / "c", {1: 2.0, 2: score})
    assert checkpoints.latest(trees()).step == 2
    assert Checkpoints(tmp_path / "c").best(trees()).step == 1
    assert capsys.readouterr().err == ""


def test_the_latest_and_the_best_are_kept_and_nan_is_never_best(tmp_path):
    scores = {1: 3.0, 2: 1.0, 3: math.nan, 4: 2.0, 5: None, 6: 2.5, 7: None}
    checkpoints = save_all(tmp_path / "c", scores)
    assert checkpoints.steps() == [2, 6, 7]
    assert checkpoints.best(trees()).step == 2
    assert checkpoints.latest(trees()).step == 7
    checkpoints.close()


def test_a_flipped_bit_is_noticed_and_the_step_before_is_used(tmp_path, capsys):
    folder = tmp_path / "c"
    save_all(folder, {1: 3.0, 2: 2.0}).close()
    flip_a_bit(largest_file(folder / "2" / "params"))
    checkpoints = Checkpoints(folder)
    with pytest.raises(UserError, match="checkpoint 2"):
        checkpoints.restore(2, trees())
    assert checkpoints.best(trees()).step == 1
    assert (folder / "2").exists(), "a look must not change anything"
    assert checkpoints.resume(trees()).step == 1
    assert "set aside" in capsys.readouterr().err
    assert (tmp_path / "damaged_checkpoints" / "2").exists()
    checkpoints.save(2, trees(2.5), {}, None)
    assert checkpoints.latest(trees()).step == 2
    checkpoints.close()


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGE = {
    "flipped": flipped,
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "gone": lambda content: None,
}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "flipped" else pytest.mark.long)
        for name in DAMAGE
    ],
)
def test_damage_of_any_file_is_noticed_or_harmless(tmp_path, capfd, damage):
    folder = tmp_path / "c"
    save_all(folder, {1: 3.0}).close()
    expected, noticed = leaf_digests(trees(1.0)), set()
    for file in sorted(f for f in (folder / "1").rglob("*") if f.is_file()):
        content = file.read_bytes()
        damaged = DAMAGE[damage](content)
        file.unlink()
        if damaged is not None:
            file.write_bytes(damaged)
        try:
            restored = Checkpoints(folder).restore(1, trees())
            assert leaf_digests(restored.trees) == expected, file
            assert restored.meta["data"] == {"next": 1}, file
        except UserError as error:
            noticed.add(str(error).removeprefix(f"checkpoint 1 in {folder} is damaged: "))
        file.write_bytes(content)
    parts = {re.match("[a-z]+", what).group() for what in noticed}
    assert parts == {"params", "training", "meta"}, noticed
    printed = capfd.readouterr()
    assert printed.out + printed.err == "", "the storage must not print pages of its own"


def test_the_damaged_leaf_is_named(tmp_path):
    folder = tmp_path / "c"
    save_all(folder, {1: 3.0}).close()
    file = largest_file(folder / "1" / "params")  # the values of w alone fill it
    content = file.read_bytes()
    for damage in ("flipped", "cut", "gone"):
        file.unlink(missing_ok=True)
        if (damaged := DAMAGE[damage](content)) is not None:
            file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"is damaged: params/w( \(.*\))?$"):
            Checkpoints(folder).restore(1, trees())


def test_an_empty_step_is_set_aside_and_what_a_killed_save_left_is_removed(tmp_path, capsys):
    folder = tmp_path / "c"
    save_all(folder, {1: 3.0}).close()
    (folder / "2").mkdir()
    left = folder / "3.orbax-checkpoint-tmp"
    (left / "params.orbax-checkpoint-tmp").mkdir(parents=True)
    checkpoints = Checkpoints(folder)
    assert checkpoints.latest(trees()).step == 1
    assert left.exists(), "a look must not change anything: the save may be under way"
    assert checkpoints.resume(trees()).step == 1
    assert (tmp_path / "damaged_checkpoints" / "2").exists()
    assert not left.exists()
    assert "checkpoint 2" in capsys.readouterr().err
    checkpoints.save(2, trees(2.0), {}, None)
    checkpoints.save(3, trees(3.0), {}, None)
    assert checkpoints.latest(trees()).step == 3
    checkpoints.close()


def test_the_same_step_damaged_twice_is_kept_twice(tmp_path):
    folder = tmp_path / "c"
    checkpoints = save_all(folder, {1: 3.0})
    for _ in range(2):
        checkpoints.save(2, trees(2.0), {}, None)
        checkpoints.wait()
        (folder / "2" / "meta" / "metadata").write_text("{")
        assert checkpoints.resume(trees()).step == 1
    assert {f.name for f in (tmp_path / "damaged_checkpoints").iterdir()} == {"2", "2.1"}
    checkpoints.close()


def test_a_checkpoint_of_another_model_is_refused_and_not_set_aside(tmp_path):
    folder = tmp_path / "c"
    save_all(folder, {1: 3.0, 2: 2.0}).close()
    wider = trees()
    wider["params"]["w"] = jnp.zeros((64, 16))
    with pytest.raises(
        UserError, match=r"params/w is float32 \(64, 8\) there and float32 \(64, 16"
    ):
        Checkpoints(folder).resume(wider)
    more = trees()
    more["training"]["momentum"] = jnp.zeros(3)
    with pytest.raises(UserError, match=r"training/momentum is absent there"):
        Checkpoints(folder).resume(more)
    assert Checkpoints(folder).steps() == [1, 2]


def test_a_step_is_saved_as_it_was_when_it_was_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    state = trees()
    expected = leaf_digests(state)
    checkpoints.save(1, state, {}, None)
    jax.jit(lambda w: w + 1, donate_argnums=0)(state["params"]["w"])  # the next step overwrites
    assert leaf_digests(checkpoints.latest(trees()).trees) == expected
    checkpoints.close()


def test_a_save_passes_a_transfer_guard(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    state = trees()
    with jax.transfer_guard("disallow"):
        checkpoints.save(1, state, {}, None)
    assert leaf_digests(checkpoints.latest(trees()).trees) == leaf_digests(state)
    checkpoints.close()


def test_scores_outlive_the_process(tmp_path):
    save_all(tmp_path / "c", {1: 1.0, 2: 2.0, 3: 3.0}).close()
    again = save_all(tmp_path / "c", {4: None, 5: None, 6: 4.0})
    assert again.steps() == [1, 5, 6]
    assert again.best(trees()).step == 1
    again.close()


def test_when_every_step_is_damaged_nothing_is_thrown_away(tmp_path):
    folder = tmp_path / "c"
    save_all(folder, {1: 3.0}).close()
    flip_a_bit(largest_file(folder / "1" / "params"))
    checkpoints = Checkpoints(folder)
    with pytest.raises(UserError, match="nothing was changed: checkpoint 1"):
        checkpoints.resume(trees())
    assert (folder / "1").exists()
    assert not (tmp_path / "damaged_checkpoints").exists()
    checkpoints.close()


def test_an_absent_step_is_told_with_those_there_are(tmp_path):
    checkpoints = save_all(tmp_path / "c", {1: 3.0})
    with pytest.raises(UserError, match="no checkpoint of step 5; there are: 1"):
        checkpoints.restore(5, trees())
    assert Checkpoints(tmp_path / "empty").resume(trees()) is None
    checkpoints.close()


def test_digests_see_value_type_and_shape():
    base = {"x": np.zeros(4, np.float32)}
    others = [np.zeros(4, np.int32), np.zeros((2, 2), np.float32), np.float32([0, 0, 0, -0.0])]
    for other in others:
        assert leaf_digests({"x": other}) != leaf_digests(base)
