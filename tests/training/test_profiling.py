"""Which steps are profiled, and that a profile is there to be read."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from lstm_jax.errors import UserError
from lstm_jax.training.profiling import Profiler, ProfileRange


@pytest.mark.parametrize("text", ["steps:20-10", "steps:0-3", "steps:0", "steps:-3"])
@pytest.mark.parametrize("text_of", [str, lambda text: text.replace("steps", "step")])
def test_bad_ranges_are_one_sentence(text, text_of):
    with pytest.raises(UserError, match=r"^--profile: must .* got 'step") as caught:
        ProfileRange.parse(text_of(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "10-20", "steps:", "steps:a-b", "steps:1-2-3", "steps:1,2"])
def test_what_names_no_steps_is_refused(text):
    with pytest.raises(UserError, match="as steps:10-20"):
        ProfileRange.parse(text)


@pytest.mark.parametrize(
    ("done", "total", "fits"), [(0, 20, True), (9, 20, True), (10, 20, False), (0, 19, False)]
)
def test_the_range_must_be_still_to_do(done, total, fits):
    steps = ProfileRange.parse("steps:10-20")
    if fits:
        steps.require_within(done, total)
    else:
        with pytest.raises(UserError, match=f"{done + 1} to {total}"):
            steps.require_within(done, total)


def spans(folder):
    """The numbers of the steps in the profile, by the annotation of each."""
    (path,) = folder.rglob("*.trace.json.gz")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return {int(e["args"]["step_num"]) for e in events if "step_num" in e.get("args", {})}


def test_the_profile_has_the_steps_of_the_range(tmp_path):
    said = []
    profiler = Profiler(tmp_path / "profile", ProfileRange(3, 5), said.append)
    step = jax.jit(lambda x: x @ x / 8)
    x = jnp.ones((64, 64))
    for number in range(1, 9):
        x = profiler.run(number, step, x)
        assert bool(said) == (number >= 5)
    profiler.close()
    assert spans(tmp_path / "profile") == {3, 4, 5}
    assert len(said) == 1
    assert str(tmp_path / "profile") in said[0]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_a_run_that_stops_within_the_range_leaves_its_profile(tmp_path):
    said = []
    profiler = Profiler(tmp_path, ProfileRange(1, 9), said.append)
    profiler.run(1, jnp.sin, 1.0)
    profiler.close()
    assert spans(tmp_path) == {1}
    # A run that goes back does step 1 again, and the profile is done.
    profiler.run(1, jnp.sin, 1.0)
    profiler.close()
    assert len(said) == 1


def test_without_a_range_nothing_is_written(tmp_path):
    profiler = Profiler(tmp_path, None, print)
    assert profiler.run(1, lambda a, b: a + b, 1, 2) == 3
    profiler.close()
    assert list(tmp_path.iterdir()) == []
