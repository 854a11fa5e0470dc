"""Clips: the class is in the order of the frames, folders are read as a user has them."""

import re

import numpy as np
import pytest

from lstm_jax.data.clip_batches import ClipBatches
from lstm_jax.data.clips import Clips, clip_folders, digit_motions, stroke_motions
from lstm_jax.data.motions import MOTIONS, draw_motion, motion_path
from lstm_jax.data.video_files import FrameSize
from lstm_jax.errors import ConfigError, UserError
from tests.data.test_video_files import write_video


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_path_has_the_shape_of_its_name(motion):
    for seed in range(20):
        path = motion_path(np.random.default_rng(seed), motion, 32)
        assert ((path >= 0) & (path <= 1)).all()
        down, right = np.diff(path, axis=0).T
        turn = np.sign(right[:-1] * down[1:] - down[:-1] * right[1:])
        seen = {
            "left": (right < 0).all() and not down.any(),
            "right": (right > 0).all() and not down.any(),
            "up": (down < 0).all() and not right.any(),
            "down": (down > 0).all() and not right.any(),
            "clockwise": (turn > 0).all(),
            "anticlockwise": (turn < 0).all(),
            "to and fro": (right > 0).any() and (right < 0).any() and not down.any(),
            "up and down": (down > 0).any() and (down < 0).any() and not right.any(),
        }
        assert [name for name, holds in seen.items() if holds] == [motion]


def test_one_shape_moves_and_one_stands_still():
    shapes = np.full((1, 4, 4), 255, np.uint8)
    clip = draw_motion(np.random.default_rng(3), "right", shapes, 9, 32)
    assert (clip == 255).all(axis=0).sum() == 16  # the one that stands still
    assert set((clip == 255).sum(axis=(1, 2, 3)).tolist()) <= set(range(16, 33))
    assert clip.dtype == np.uint8


def test_generated_clips_are_functions_of_split_and_number():
    one, two = (stroke_motions(size=40, side=16).read() for _ in range(2))
    for split in ("train", "validation", "test"):
        assert one[split].labels[:8] == list(MOTIONS)
        np.testing.assert_array_equal(one[split].load(5), two[split].load(5))
    assert (one["train"].load(5) != one["test"].load(5)).any()
    assert [len(one[split].names) for split in one] == [40, 10, 10]


def test_digits_of_a_split_are_its_own(monkeypatch):
    values = {"a": 10, "b": 20, "c": 30}

    def read(split, data_dir):
        assert data_dir == "here"
        return np.full((3, 28, 28), values[split], np.uint8), np.zeros(3)

    monkeypatch.setattr("lstm_jax.data.clips.read_digits", read)
    source = digit_motions(data_dir="here", train="a", validation="b", test="c", size=40)
    for split, clips in source.read().items():
        value = {"train": 10, "validation": 20, "test": 30}[split]
        assert set(np.unique(clips.load(7))) == {0, value}


def test_batches_hold_every_clip_once_and_nothing_behind_its_end():
    clips = Clips(
        [str(n) for n in range(7)],
        [""] * 7,
        lambda row: np.full((1 + row % 3, 2, 2, 1), row + 1, np.uint8),
    )
    labels = np.arange(7, dtype=np.int32)
    batches = ClipBatches(clips, labels, FrameSize(2, 2, 1), 4, batch_size=3, seed=5)
    orders = []
    for epoch in range(2):
        seen = []
        for i in range(len(batches)):
            batch = batches.at(epoch, i)
            assert batch["clips"].dtype == np.uint8
            for row in np.flatnonzero(batch["valid"]):
                number, length = int(batch["labels"][row]), int(batch["clips_lengths"][row])
                assert length == 1 + number % 3
                assert (batch["clips"][row, :length] == number + 1).all()
                assert not batch["clips"][row, length:].any()
                seen.append(number)
        assert sorted(seen) == list(range(7))
        orders.append(seen)
    assert orders[0] != orders[1]
    assert (
        batches.fingerprint()
        != ClipBatches(
            clips, labels[::-1], FrameSize(2, 2, 1), 4, batch_size=3, seed=5
        ).fingerprint()
    )


def test_no_more_clips_are_kept_than_memory_allows():
    loaded = []

    def load(row):
        loaded.append(row)
        return np.zeros((2, 4, 4, 1), np.uint8)

    clips = Clips(["a", "b", "c"], [""] * 3, load)
    labels = np.zeros(3, np.int32)

    def decoded(memory):
        loaded.clear()
        batches = ClipBatches(clips, labels, FrameSize(4, 4, 1), 2, batch_size=3, memory=memory)
        assert [len(batches[0]["clips"]) for _ in range(4)] == [3] * 4
        return len(loaded)

    assert decoded(3 * 32) == 3
    assert decoded(0) == decoded(2 * 32) == 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five videos of each of two classes: one grows brighter, the other darker."""
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    root = tmp_path_factory.mktemp("classes")
    for name, levels in (("dawn", range(20, 220, 20)), ("dusk", range(200, 0, -20))):
        (root / name).mkdir()
        for i in range(5):
            frames = np.array(list(levels), np.uint8)[:, None, None, None] + np.uint8(i)
            write_video(root / name / f"{i}.avi", np.tile(frames, (1, 32, 48, 3)))
    return root


def test_folders_of_classes_are_read(folder):
    source = clip_folders(path=(str(folder),), frames=4, height=8, width=8, color="grey")
    found = source.read()
    assert {split: len(clips.names) for split, clips in found.items()} == {
        "train": 7, "validation": 1, "test": 2,
    }  # fmt: skip
    names = [name for clips in found.values() for name in clips.names]
    assert len(set(names)) == 10
    for clips in found.values():
        for row, (name, label) in enumerate(zip(clips.names, clips.labels, strict=True)):
            assert f"/{label}/" in name
            levels = clips.load(row).mean(axis=(1, 2, 3))
            assert ((np.diff(levels) > 0) == (label == "dawn")).all()
    # Frames 1, 3, 6 and 8 of ten, the middle of every quarter.
    first = source.read_file("--input", folder / "dawn/0.avi").load(0)
    np.testing.assert_allclose(first.mean(axis=(1, 2, 3)), [40, 80, 140, 180], atol=3)
    short = clip_folders(path=(str(folder),), frames=30, height=8, width=8)
    assert short.read_file("--input", folder / "dusk").load(4).shape == (10, 8, 8, 3)


def test_processes_decode_the_same_batches_and_what_comes_next(folder, tmp_path):
    def batches(processes):
        source = clip_folders(path=(str(folder),), frames=4, height=8, width=8, processes=processes)
        clips = source.read()["train"]
        labels = np.arange(7, dtype=np.int32)
        return ClipBatches(clips, labels, source.size, 4, batch_size=3, seed=5, memory=2 * 768)

    one, other = batches(0), batches(2)
    assert one.fingerprint() == other.fingerprint()
    for epoch, index in ((0, 0), (0, 1), (0, 2), (1, 0), (0, 1)):
        for name, values in one.at(epoch, index).items():
            np.testing.assert_array_equal(values, other.at(epoch, index)[name])
    (tmp_path / "dawn").mkdir()
    (tmp_path / "dawn/a.avi").symlink_to(folder / "dawn/0.avi")
    (tmp_path / "dawn/b.avi").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"data.path: .*b.avi is no video.*data\.broken=skip"):
        clip_folders(path=(str(tmp_path),), processes=2).read()
    # What is gone after it was looked at is told when its batch comes.
    source = clip_folders(path=(str(tmp_path),), processes=2)
    clips = source.read_file("--input", tmp_path / "dawn/a.avi")
    (tmp_path / "dawn/a.avi").unlink()
    clips.begin([0])
    with pytest.raises(UserError, match=r"--input: .*a\.avi is no video that can be read"):
        clips.load(0)


def test_the_clips_of_the_next_batch_are_begun_and_kept_ones_are_not():
    begun = []
    load = lambda row: np.zeros((2, 4, 4, 1), np.uint8)  # noqa: E731
    clips = Clips(list("abcde"), [""] * 5, load, begin=begun.append)
    size, labels = FrameSize(4, 4, 1), np.zeros(5, np.int32)
    batches = ClipBatches(clips, labels, size, 2, batch_size=2, memory=2 * 32)
    for index in (0, 1, 2, 0):
        batches[index]
    assert begun == [[0, 1, 2, 3], [2, 3, 4], [4], [0, 1, 2]]
    trained = ClipBatches(clips.take([3, 4]), labels[:2], size, 2, batch_size=2, seed=0)
    trained.at(0, 0)
    assert sorted(begun[-1]) == [3, 3, 4, 4]


def test_folders_that_cannot_be_read_are_told(folder, tmp_path):
    def read(path, **options):
        return clip_folders(path=(str(path),), height=8, width=8, **options).read()

    with pytest.raises(ConfigError, match="path: names no file"):
        clip_folders(path=())
    with pytest.raises(UserError, match=r"data\.path: .*nowhere is no folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no folder; a folder for each class is needed"):
        read(folder / "dawn")
    (tmp_path / "empty/dawn").mkdir(parents=True)
    with pytest.raises(UserError, match="dawn holds no file"):
        read(tmp_path / "empty")
    (tmp_path / "mixed/dawn").mkdir(parents=True)
    (tmp_path / "mixed/dusk").symlink_to(folder / "dusk")
    (tmp_path / "mixed/dawn/notes.txt").write_text("these are the videos of dawn")
    for i in range(5):
        (tmp_path / f"mixed/dawn/{i}.avi").symlink_to(folder / f"dawn/{i}.avi")
    with pytest.raises(UserError, match=r"notes\.txt is no video .*data\.broken=skip"):
        read(tmp_path / "mixed")
    found = read(tmp_path / "mixed", broken="skip")
    assert sum(len(clips.names) for clips in found.values()) == 10
    assert re.match("1 of 11 files were skipped: .*notes.txt", found["train"].notes[0])


def test_predict_reads_folders_in_folders_and_has_no_field_to_set(folder, tmp_path):
    source = clip_folders(path=(str(folder),), height=8, width=8)
    (folder / "dawn/.hidden").write_text("no video")
    assert source.read_file("--input", folder).names == [
        str(folder / name / f"{i}.avi") for name in ("dawn", "dusk") for i in range(5)
    ]
    (tmp_path / "below").mkdir()
    with pytest.raises(UserError, match=f"--input: {tmp_path} holds no file$"):
        source.read_file("--input", tmp_path)
    (tmp_path / "below/empty.avi").touch()
    with pytest.raises(UserError, match=r"--input: .*empty\.avi is empty$"):
        source.read_file("--input", tmp_path)
