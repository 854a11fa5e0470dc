"""Videos read as a whole: the frames of the file, no more memory than is allowed."""

import numpy as np
import pytest

from lstm_jax.data.video_sources import video_file
from lstm_jax.errors import UserError
from tests.data.test_video_files import write_video

pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")


def test_a_video_is_its_frames_and_fits_into_memory(tmp_path):
    levels = np.arange(10, 250, 10, np.uint8)
    pixels = np.broadcast_to(levels[:, None, None, None], (24, 64, 256, 3))
    path = str(write_video(tmp_path / "a.avi", np.ascontiguousarray(pixels)))
    frames = video_file(path=path, height=16, width=64).read()
    assert frames.shape == (24, 16, 64, 1)
    np.testing.assert_allclose(frames[:, 8, 8, 0], levels, atol=2)
    with pytest.raises(UserError, match=r"data\.path: the 24 frames of .* need 2 MiB .*; 1 are"):
        video_file(path=path, height=64, width=256, color="rgb", memory=1).read()
