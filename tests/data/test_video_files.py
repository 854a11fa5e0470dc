"""Video files: the frames are those that were written, and what is no video is told."""

import re
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.data.video_files import (
    FrameSize,
    count_frames,
    read_clip,
    read_frames,
    spread_evenly,
    usable,
)
from lstm_jax.errors import UserError

av = pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
FRAMES, HEIGHT, WIDTH = 12, 48, 64
SIZE = FrameSize(16, 16, 1)


def write_video(path: Path, pixels: np.ndarray, codec: str = "ffv1") -> Path:
    """Frames [time, height, width, 3] as a file, lossless."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def turned(file: Path, a: int, b: int, c: int, d: int) -> Path:
    """The file with another matrix in its track's header: x' = ax + cy and y' = bx + dy."""
    content = bytearray(file.read_bytes())
    # Of a header of version 0: type, version, times, number, duration, layer, volume; then nine
    # numbers of 32 bits, row by row.
    at = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    content[at : at + 36] = struct.pack(
        ">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30
    )
    file.write_bytes(content)
    return file


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def video(tmp_path_factory, pixels):
    return write_video(tmp_path_factory.mktemp("video") / "good.avi", pixels)


@pytest.fixture(scope="module")
def bad(tmp_path_factory, video):
    """A folder of files that are no whole videos."""
    folder = tmp_path_factory.mktemp("bad")
    content = video.read_bytes()
    (folder / "cut.avi").write_bytes(content[: len(content) // 2])
    (folder / "empty.avi").write_bytes(b"")
    (folder / "text.avi").write_text("no video at all\n" * 100)
    (folder / "notes.txt").write_text("FFmpeg would draw this text as a video\n" * 100)
    (folder / "list.avi").write_text(f"ffconcat version 1.0\nfile '{video}'\n")
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return folder


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [((1, 0, 0, 1), "left"), ((0, 1, -1, 0), "top"), ((-1, 0, 0, -1), "right"),
     ((0, -1, 1, 0), "bottom")],
)  # fmt: skip
def test_frames_are_as_a_film_is_shown_and_not_as_a_phone_was_held(tmp_path, matrix, shown):
    pixels = np.zeros((3, 32, 64, 3), np.uint8)
    pixels[:, :, :32] = 250  # the left half is bright
    file = turned(write_video(tmp_path / "phone.mp4", pixels, codec="mpeg4"), *matrix)
    upright = shown in ("top", "bottom")
    size = FrameSize(64, 32, 1) if upright else FrameSize(32, 64, 1)
    (frame,) = read_clip("x", file, size, [1])
    half = np.rot90(frame[..., 0], 1 if upright else 0)  # the top to the left
    bright = half.mean(axis=0) > 125
    expected = np.arange(64) < 32
    np.testing.assert_array_equal(bright, expected if shown in ("left", "top") else ~expected)
    np.testing.assert_array_equal(frame, list(read_frames("x", file, size))[1])


def test_frames_are_those_that_were_written(video, pixels):
    frames = np.stack(list(read_frames("--input", video, FrameSize(HEIGHT, WIDTH))))
    np.testing.assert_array_equal(frames, pixels)
    assert count_frames("--input", video) == FRAMES


def test_a_frame_is_scaled_to_cover_and_its_middle_is_taken(tmp_path):
    wide = np.zeros((1, 40, 80, 3), np.uint8)
    wide[:, :, 20:60] = 200  # the middle half, which alone remains of a square
    wide[:, :10, 20:60] = 100
    (frame,) = read_frames("--input", write_video(tmp_path / "a.avi", wide), FrameSize(8, 8))
    np.testing.assert_allclose(frame[2:], 200, atol=2)
    np.testing.assert_allclose(frame[:2], 100, atol=2)


def test_a_clip_is_the_chosen_frames(video):
    frames = np.stack(list(read_frames("--input", video, SIZE)))
    chosen = [0, 3, 3, 11]
    np.testing.assert_array_equal(read_clip("--input", video, SIZE, chosen), frames[chosen])
    with pytest.raises(UserError, match=r"good\.avi breaks off: frame 12 is needed"):
        read_clip("--input", video, SIZE, [0, 12])


@pytest.mark.parametrize("count", [1, 7, 16, 100])
def test_evenly_spread_frames_rise_and_are_there(count):
    numbers = spread_evenly(count, 16)
    assert (np.diff(numbers) >= 0).all()
    assert numbers[0] >= 0
    assert numbers[-1] < count
    assert len(set(numbers)) == min(count, 16)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cut.avi", r"is truncated: \d of its 12 frames are there"),
        ("empty.avi", "is empty"),
        ("text.avi", r"is no video that can be read \(Invalid data"),
        ("notes.txt", r"is no video that can be read \(it is none of avi,mov"),
        ("list.avi", r"is no video that can be read \(it is none of avi,mov"),
        ("sound.wav", r"is no video that can be read \(it is none of avi,mov"),
        ("none.avi", r"is no video that can be read \(No such file"),
        ("", r"is no video that can be read \(Is a directory"),
    ],
)
def test_what_is_no_video_is_told_in_a_sentence(bad, name, why):
    with pytest.raises(UserError, match=rf"^data\.path: {re.escape(str(bad / name))} {why}"):
        count_frames("data.path", bad / name)


def test_broken_files_are_refused_or_skipped_and_counted(bad, video):
    files = [video, *sorted(bad.iterdir())]
    with pytest.raises(UserError, match=r"cut\.avi is truncated.*data\.broken=skip"):
        usable("data.path", files, "refuse")
    found, notes = usable("data.path", files, "skip")
    assert found == {video: FRAMES}
    assert re.search(r"^6 of 7 files were skipped: .*cut\.avi is truncated.*and 3 more$", *notes)
    with pytest.raises(UserError, match=r"^data\.path: none of 6 files can be read; .*cut\.avi"):
        usable("data.path", files[1:], "skip")
    assert usable("data.path", [video], "refuse") == ({video: FRAMES}, [])


def test_a_long_video_takes_the_memory_of_a_frame(tmp_path):
    import tracemalloc

    moving = np.zeros((60, 240, 320, 3), np.uint8)
    file = write_video(tmp_path / "long.mp4", moving, "mpeg4")
    tracemalloc.start()
    assert sum(1 for _ in read_frames("--input", file, FrameSize(240, 320))) == 60
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * moving[0].nbytes
