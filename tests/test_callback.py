"""The observer that keeps the record: which rows are kept, what is said, and how Ctrl-C ends a run."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.job import JobState, StepInfo
from nst_jax.runs.callback import Recorder, interruptible
from nst_jax.runs.checkpoint import Checkpoints, latest
from nst_jax.runs.folder import RunFolder, create_run_folder


class Bar:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.said: list[str] = []

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        assert metrics["step"] == step
        self.steps.append(step)

    def say(self, text: str) -> None:
        self.said.append(text)


def report(first: int, last: int, *, messages: tuple[str, ...] = (), ends: bool = False) -> StepInfo:
    terms = {"loss": 3.0, "content": 1.0, "style": 2.0, "tv": 0.0, "seconds": 0.1}
    rows = [{"step": step, "scale": 0, "size": 16} | terms for step in range(first, last + 1)]
    picture = np.full((1, 16, 16, 3), last / 100, np.float32)
    return StepInfo(last, rows, list(messages), lambda: picture, ends, lambda: position(last))


def position(step: int) -> JobState:
    return JobState(0, 0, step, {"steps": 0.0, "total": 0.0}, (), np.full((4,), step))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return create_run_folder(tmp_path / "run", "")


def steps_in(folder: RunFolder) -> list[int]:
    return [row["step"] for row in folder.read_metrics()]


@pytest.mark.parametrize(("log_every", "kept"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [1, 3, 6, 7]), (100, [1, 7])])
def test_the_first_the_last_and_every_so_many_rows_are_kept(folder: RunFolder, log_every: int, kept: list[int]):
    recorder = Recorder(folder, Bar(), log_every)
    for chunk in (report(1, 1), report(2, 5), report(6, 7, ends=True)):
        assert recorder(chunk) is False
    assert steps_in(folder) == kept


def test_the_last_row_is_kept_once_when_it_is_due_anyway(folder: RunFolder):
    Recorder(folder, Bar(), 5)(report(1, 5, ends=True))
    assert steps_in(folder) == [1, 5]


def test_the_bar_hears_of_every_chunk_and_message(folder: RunFolder):
    bar = Bar()
    recorder = Recorder(folder, bar, 100)
    recorder(report(1, 4, messages=("first", "second")))
    recorder(report(5, 6))
    assert (bar.steps, bar.said) == ([4, 6], ["first", "second"])


def test_a_snapshot_each_so_many_steps(folder: RunFolder):
    recorder = Recorder(folder, Bar(), 1, range(2, 100, 2))
    for step in range(1, 6):
        recorder(report(step, step))
    assert list(folder.snapshots) == [2, 4]
    (folder.path / "snapshots" / "step-best.png").touch()  # a user's own
    assert list(folder.snapshots) == [2, 4]


def test_the_first_interrupt_asks_and_the_second_one_kills(folder: RunFolder):
    bar, before = Bar(), signal.getsignal(signal.SIGINT)
    recorder = Recorder(folder, bar, 100)
    with interruptible(recorder):
        assert recorder(report(1, 1)) is False
        os.kill(os.getpid(), signal.SIGINT)
        assert bar.said == []  # nothing is printed inside a handler
        assert recorder(report(2, 3)) is True
        advice = f"python -m nst_jax.run --resume {folder.path}"
        (said,) = bar.said
        assert said.startswith("stopped at step 3: ")
        assert "16 px" in said
        assert said.endswith(advice)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert steps_in(folder) == [1, 3]


def test_an_interrupt_after_the_last_step_changes_nothing(folder: RunFolder):
    bar = Bar()
    Recorder(folder, bar, 1, stop=True)(report(1, 2, ends=True))
    assert bar.said == []


def test_a_checkpoint_stands_before_the_row_that_only_the_interrupt_kept(folder: RunFolder):
    checkpoints = Checkpoints(folder.checkpoints, 0.0)
    recorder = Recorder(folder, Bar(), 2, checkpoints=checkpoints)
    recorder(report(1, 2))
    length = folder.metrics_bytes()
    recorder.stop = True
    recorder(report(3, 3))
    assert recorder.interrupted
    assert steps_in(folder) == [1, 2, 3]
    found = latest(folder.checkpoints, lambda stage: np.zeros(4, np.int64), folder.metrics_bytes(), "")
    assert found is not None
    assert (found[0].step, found[1]) == (3, length)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_clear_line(folder: RunFolder):
    (folder.path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        InputError, match=r"^[^\n]*metrics\.jsonl must be writable, got 'no space left on device'; free [^\n]*$"
    ):
        Recorder(folder, Bar(), 1)(report(1, 1))
