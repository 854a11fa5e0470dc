"""Clips with sentences: what is said is what is seen, tables are read as they are."""

import numpy as np
import pytest

from lstm_jax.data.caption_batches import CaptionBatches
from lstm_jax.data.captioned_clips import captioned_videos, digit_stories, stroke_stories
from lstm_jax.data.clip_batches import ClipBatches
from lstm_jax.data.stories import DIGITS, STORIES, draw_story, sentence
from lstm_jax.data.video_files import FrameSize
from lstm_jax.errors import ConfigError, UserError
from tests.data.test_video_files import write_video

_SEEN = {(0, -1): "left", (0, 1): "right", (-1, 0): "up", (1, 0): "down"}


@pytest.mark.parametrize("story", STORIES)
def test_a_clip_shows_what_its_sentence_says(story):
    image = np.full((4, 4), 255, np.uint8)
    for seed in range(5):
        clip = draw_story(np.random.default_rng(seed), story, image, 12, 32)[..., 0] == 255
        assert (clip.sum(axis=(1, 2)) == 16).all()
        corners = np.stack([clip.any(axis=2).argmax(1), clip.any(axis=1).argmax(1)], axis=-1)
        steps = np.diff(corners, axis=0)
        if len(story) == 1:
            turn = np.sign(steps[:-1, 1] * steps[1:, 0] - steps[:-1, 0] * steps[1:, 1]).sum()
            assert story == (("clockwise" if turn > 0 else "anticlockwise"),)
        else:
            ways = [_SEEN[tuple(np.sign(part.sum(axis=0)))] for part in (steps[:5], steps[6:])]
            assert tuple(ways) == story


def test_sentences_name_the_digit_that_moves(monkeypatch):
    def read(split, data_dir):
        assert data_dir == "here"
        return np.arange(10, 20, dtype=np.uint8)[:, None, None] + np.zeros(
            (10, 28, 28), np.uint8
        ), np.arange(10)

    monkeypatch.setattr("lstm_jax.data.captioned_clips.read_digits", read)
    clips = digit_stories(data_dir="here", size=60, held_out=8).read()
    for row, label in enumerate(clips["train"].labels):
        digit = int(clips["train"].load(row).max()) - 10
        assert label.split()[2] == DIGITS[digit]
    assert [len(clips[split].names) for split in clips] == [60, 8, 8]
    assert len({label.split(" ", 3)[3] for label in clips["train"].labels}) > 8
    assert clips["validation"].labels != clips["test"].labels


def test_batches_hold_each_clip_with_its_sentence():
    clips = stroke_stories(size=40).read()["test"]
    targets = [np.arange(1, 3 + row % 4, dtype=np.int32) for row in range(10)]
    made = ClipBatches(clips, np.zeros(10, np.int32), FrameSize(16, 16, 1), 8, batch_size=4, seed=1)
    batches = CaptionBatches(made, targets, clips.labels)
    seen = []
    for i in range(len(batches)):
        batch = batches.at(2, i)
        for row in np.flatnonzero(batch["valid"]):
            number = int(batch["rows"][row])
            np.testing.assert_array_equal(batch["source"][row], clips.load(number))
            length = batch["target_lengths"][row]
            np.testing.assert_array_equal(batch["target"][row, :length], targets[number])
            seen.append(number)
        assert not batch["target_lengths"][~batch["valid"]].any()
    assert sorted(seen) == list(range(10))
    other = CaptionBatches(made, targets[::-1], clips.labels)
    assert other.fingerprint() != batches.fingerprint()


def test_a_table_names_videos_beside_it(tmp_path):
    pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
    lines = []
    for i in range(6):
        pixels = np.full((4, 32, 32, 3), 40 * i, np.uint8)
        write_video(tmp_path / f"{i}.avi", pixels)
        lines += [f"{i}.avi\tit is {i}", f"{i}.avi\tbrightness {i}"]
    table = tmp_path / "captions.tsv"
    table.write_text("\n".join(lines))
    source = captioned_videos(path=(str(table),), frames=2, height=16, width=16, color="grey",
                              test_share=0.3)  # fmt: skip
    found = source.read()
    assert sum(len(clips.names) for clips in found.values()) == 12
    for clips in found.values():
        for row, label in enumerate(clips.labels):
            assert abs(int(clips.load(row)[0, 0, 0, 0]) - 40 * int(label.split()[-1])) <= 2
    names = [set(clips.names) for clips in found.values()]
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    table.write_text("0.avi\tit is\nnone.avi\tit is not\n1.avi\tit is\n")
    with pytest.raises(UserError, match=r"none\.avi"):
        source.read()
    for line in ("1.avi it is", "1.avi\t", "\tit is", "1.avi\tit\tis"):
        table.write_text(f"0.avi\tit is\r\n\r\n{line}\r\n")
        message = r"data\.path: .*captions\.tsv, line 3: is not a file, a tab and a sentence$"
        with pytest.raises(UserError, match=message):
            source.read()
    with pytest.raises(ConfigError, match="path"):
        captioned_videos(path=())


def test_there_are_as_many_sentences_as_digits_times_stories():
    assert len({sentence(digit, story) for digit in range(10) for story in STORIES}) == 140
