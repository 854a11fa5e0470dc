"""Folders of videos and of recordings: time and memory of an epoch, by how many files there are.

    python experiments/benchmarks/media_reading.py
    python experiments/benchmarks/media_reading.py --files=50,400 --processes=0,2,4

Generated videos (48 frames of 320 by 240, MPEG-4) become clips of 16 frames of 112 by 112 in
batches of 16, of which 32 MiB are kept; generated recordings (16-bit WAV, 4 s at 44,100 Hz) become
log-mel features at 16,000 Hz in a cache on disk, from which they are read in batches. Every line is
a process of its own, which reads all files twice: time is that of both epochs with the look at all
files before; memory is the most that was resident of it, and of the greatest of the processes that
read for it.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

_DIFFERENT = 8  # videos; the others are copies


def main() -> None:
    """Runs the benchmark, prints the table and keeps it."""
    # Processes that read import this file: it imports nothing that they do not need.
    from options import parser
    from report import header, markdown, save

    made = parser(__doc__ or "")
    made.add_argument("--files", type=_numbers, default=[50, 400], help="how many there are")
    made.add_argument("--processes", type=_numbers, default=[0, 2], help="that read")
    options = made.parse_args()
    load = os.getloadavg()[0]
    rows = [["files", "processes", "seconds", "MiB of the run", "MiB of a reading process"]]
    for kind, write in (("videos", _write_videos), ("recordings", _write_recordings)):
        for count in options.files:
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder) / "files/some", count)
                for processes in options.processes:
                    seconds, own, other = _in_a_process(kind, folder, processes)
                    # No child reads with 0: what there is of children are the program's own.
                    last = f"{other:.0f}" if processes else "–"
                    rows.append(
                        [f"{count} {kind}", str(processes), f"{seconds:.1f}", f"{own:.0f}", last]
                    )
    text = "# Reading folders of media\n\n" + header(__file__, load, {})
    save(f"{text}\n{markdown(rows)}\n", options.out, "media_reading")


def _in_a_process(kind: str, folder: str, processes: int) -> tuple[float, float, float]:
    command = [sys.executable, __file__, "--one", kind, folder, str(processes)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return tuple(json.loads(found.stdout))


def _write_videos(folder: Path, count: int) -> None:
    import av

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(min(count, _DIFFERENT)):
        with av.open(str(folder / f"{number}.avi"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.height, stream.width, stream.pix_fmt = 240, 320, "yuv420p"
            image = random.integers(0, 256, (24, 32, 3), np.uint8).repeat(10, 0).repeat(10, 1)
            for step in range(48):
                frame = av.VideoFrame.from_ndarray(np.roll(image, 3 * step, 1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    for number in range(_DIFFERENT, count):
        shutil.copy(folder / f"{number % _DIFFERENT}.avi", folder / f"{number}.avi")


def _write_recordings(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(44_100)
            file.writeframes(random.integers(-3000, 3000, 4 * 44_100).astype("<i2").tobytes())


def _read_videos(folder: Path, processes: int) -> tuple[float, float, float]:
    from lstm_jax.data.clip_batches import ClipBatches
    from lstm_jax.data.clips import clip_folders

    began = time.perf_counter()
    source = clip_folders(path=(str(folder / "files"),), processes=processes)
    clips = source.read_file("--input", folder / "files/some")
    labels = np.zeros(len(clips.names), np.int32)
    batches = ClipBatches(
        clips, labels, source.size, source.frames, batch_size=16, seed=0, memory=32 * 2**20
    )
    for epoch in range(2):
        for index in range(len(batches)):
            batches.at(epoch, index)
    return _taken(began)


def _read_recordings(folder: Path, processes: int) -> tuple[float, float, float]:
    from lstm_jax.data.audio_features import AudioFeatures
    from lstm_jax.data.audio_files import AudioFile
    from lstm_jax.data.audio_inputs import AudioReading, read_inputs
    from lstm_jax.data.bucketing import BucketedBatches
    from lstm_jax.data.utterances import Utterance

    features = AudioFeatures()
    began = time.perf_counter()
    files = sorted((folder / "files/some").iterdir())
    recordings = [Utterance("", AudioFile(file), str(file)) for file in files]
    reading = AudioReading(cache=str(folder / f"cache{processes}"), processes=processes)
    found = read_inputs(recordings, features, reading).sequences
    batches = BucketedBatches({"features": found}, {}, batch_size=16, bounds=(400,), seed=0)
    for epoch in range(2):
        for index in range(len(batches)):
            batches.at(epoch, index)
    return _taken(began)


_READERS: dict[str, Callable[[Path, int], tuple[float, float, float]]] = {
    "videos": _read_videos,
    "recordings": _read_recordings,
}


def _taken(began: float) -> tuple[float, float, float]:
    """Seconds, and MiB of this process and of the greatest that it began."""
    import multiprocessing

    seconds = time.perf_counter() - began
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = [Path(f"/proc/{child.pid}/status") for child in multiprocessing.active_children()]
    most = [
        int(line.split()[1]) / 1024
        for status in children
        for line in status.read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return seconds, own, max(most, default=0.0)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(_READERS[sys.argv[2]](Path(sys.argv[3]), int(sys.argv[4]))))
    else:
        main()
