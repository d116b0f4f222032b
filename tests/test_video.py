"""The making-of: which steps become frames, and the films of snapshots of several sizes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst_jax.report import video as movie
from nst_jax.report.video import FRAMES, frame_steps, write_video
from nst_jax.runs.folder import RunFolder, create_run_folder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of two scales, whose result has odd sides."""
    folder = create_run_folder(tmp_path / "run", "")
    for step, (height, width) in {1: (16, 20), 2: (16, 20), 3: (33, 41), 4: (33, 41)}.items():
        folder.write_snapshot(step, np.full((1, height, width, 3), step / 5, np.float32))
    folder.write_result(np.full((1, 33, 41, 3), 1.0, np.float32), {})
    return folder


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=6))
def test_frames_are_few_in_order_and_end_each_scale(steps: list[int]):
    chosen = frame_steps(steps)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= FRAMES
    assert chosen[0] == 1
    assert {*np.cumsum(steps).tolist()} <= {*chosen}


def test_early_steps_are_seen_more_closely():
    gaps = np.diff(frame_steps([500]))
    assert np.mean(gaps[:10]) < 4 < 12 < np.mean(gaps[-10:])


def test_the_gif_has_every_frame_at_the_size_of_the_result_and_waits_at_the_end(folder: RunFolder):
    assert write_video(folder) == []
    with Image.open(folder.path / "making_of.gif") as film:
        assert (getattr(film, "n_frames"), film.size) == (5, (41, 33))  # noqa: B009
        seen, times = [], []
        for i in range(5):
            film.seek(i)
            seen.append(round(np.asarray(film.convert("RGB")).mean()))
            times.append(film.info["duration"])
    assert seen == [51, 102, 153, 204, 255]
    assert times == [80] * 4 + [80 * movie.HOLD]


def test_the_mp4_has_every_frame_at_even_sides(folder: RunFolder):
    av = pytest.importorskip("av")
    write_video(folder)
    with av.open(str(folder.path / "making_of.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert [frame.shape for frame in frames] == [(32, 40, 3)] * (5 + movie.HOLD - 1 + 1)
    np.testing.assert_allclose([frame.mean() for frame in frames[:5]], [51, 102, 153, 204, 255], atol=4)
    assert not list(folder.path.glob(".*"))


def test_without_the_encoder_there_is_a_gif_and_one_line(folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(movie, "has_pyav", lambda: False)
    (said,) = write_video(folder)
    assert "nst-jax[video]" in said
    assert (folder.path / "making_of.gif").exists()
    assert not (folder.path / "making_of.mp4").exists()


def test_a_large_result_makes_a_gif_of_bounded_size(folder: RunFolder):
    folder.write_result(np.zeros((1, 100, 1000, 3), np.float32), {})
    write_video(folder)
    with Image.open(folder.path / "making_of.gif") as film:
        assert film.size == (400, 40)
