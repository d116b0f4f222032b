"""Checkpoints: they come back as they were, two are kept, a damaged one is told and passed over, a full disk is one line."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.job import JobState
from nst_jax.optimize.loop import init_state
from nst_jax.optimize.solver import SOLVERS, SolverSpec
from nst_jax.runs import checkpoint, state_arrays
from nst_jax.runs.checkpoint import _WRITER, Checkpoints, discard, latest
from tests import logged


def position(step: int, solver: str = "lbfgs") -> JobState:
    image = jnp.asarray(np.random.default_rng(step).random((1, 16, 20, 3), np.float32))
    state = jax.tree.map(np.array, init_state(image, solver=SolverSpec(solver), terms=("content", "tv")))
    return JobState(1, 7, step, {"steps": 0.1, "total": 2.5}, ("by step 3 a step had no descent",), state)


def shapes(solver: str = "lbfgs") -> Any:
    return lambda stage: init_state.eval_shape(jnp.zeros((1, 16, 20, 3)), solver=SolverSpec(solver), terms=("content", "tv"))


def read(folder: Path, metrics_bytes: int = 100) -> tuple[int | None, int, list[str]]:
    """The step and the length of metrics.jsonl of the newest checkpoint, and what was said."""
    with logged() as said:
        found = latest(folder, shapes(), metrics_bytes, "")
    return (found[0].step, found[1], said) if found else (None, 0, said)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_position_comes_back_as_it_was(tmp_path: Path, solver: str):
    folder, written = tmp_path / "checkpoints", position(5, solver)
    Checkpoints(folder, 0.0).write(written, 17)
    found = latest(folder, shapes(solver), 17, "")
    assert found is not None
    again, length = found
    assert length == 17
    assert again._replace(state=None) == written._replace(state=None)  # pyright: ignore[reportArgumentType]
    jax.tree.map(np.testing.assert_array_equal, again.state, written.state)
    assert jax.tree.structure(again.state) == jax.tree.structure(written.state)


def test_the_last_two_are_kept_and_what_a_killed_process_left_is_removed(tmp_path: Path):
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder, 0.0)
    for step in (1, 2, 30):
        checkpoints.write(position(step), 0)
    (folder / "nst_jax-00000040.unfinished").mkdir()
    (folder / "nst_jax-00000041.unfinished.orbax-checkpoint-tmp").mkdir()
    assert read(folder) == (30, 0, [])
    checkpoints.write(position(31), 0)
    assert names(folder) == ["nst_jax-00000030", "nst_jax-00000031"]
    discard(folder)
    assert read(folder) == (None, 0, [])


@pytest.mark.parametrize("name", ["[1] test", "a**b", "a*b", "a?b", "{a,b}", "gs:", os.fsdecode(b"x\xff")])
def test_a_path_is_text_and_no_pattern(tmp_path: Path, name: str):
    (tmp_path / "axb").mkdir()  # which the patterns would match
    folder = tmp_path / name / "checkpoints"
    folder.parent.mkdir()
    for step in (1, 2, 3):
        Checkpoints(folder, 0.0).write(position(step), 0)
    assert read(folder) == (3, 0, [])
    assert names(folder) == ["nst_jax-00000002", "nst_jax-00000003"]


def test_nothing_that_others_made_is_touched(tmp_path: Path):
    folder, outside = tmp_path / "checkpoints", tmp_path / "outside"
    for path in (folder / "best", folder / "20240101", outside / "photos"):
        path.mkdir(parents=True)
    (folder / "notes.txt").touch()
    (folder / "nst_jax-00000099").symlink_to(outside)
    checkpoints = Checkpoints(folder, 0.0)
    for step in (1, 2, 3):
        checkpoints.write(position(step), 0)
    assert read(folder) == (3, 0, [])
    discard(folder)
    assert names(folder) == ["20240101", "best", "notes.txt", "nst_jax-00000099"]
    assert names(outside) == ["photos"]
    (tmp_path / "link").symlink_to(outside)
    discard(tmp_path / "link")
    assert names(outside) == ["photos"]
    with pytest.raises(InputError):
        Checkpoints(tmp_path / "link", 0.0).write(position(1), 0)
    assert names(outside) == ["photos"]


@pytest.mark.parametrize("error", [OSError(5, "input/output error"), MemoryError(), ImportError("orbax")])
def test_a_checkpoint_that_cannot_be_read_now_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    Checkpoints(tmp_path, 0.0).write(position(8), 0)

    def refuse() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(state_arrays, "_checkpointer", refuse)
        with pytest.raises(InputError, match="nst_jax-00000008"):
            read(tmp_path)
    assert read(tmp_path) == (8, 0, [])


def test_a_checkpoint_of_another_state_or_other_settings_is_kept(tmp_path: Path):
    Checkpoints(tmp_path, 0.0, "mine").write(position(8), 0)
    for template, settings, what in ((shapes("adam"), "mine", "version"), (shapes(), "others", "settings")):
        with pytest.raises(InputError, match=what):
            latest(tmp_path, template, 0, settings)
    assert latest(tmp_path, shapes(), 0, "mine") is not None


@pytest.mark.parametrize("format_", [2, 99])
def test_a_checkpoint_of_another_format_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: int):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", format_)
        Checkpoints(tmp_path, 0.0).write(position(8), 0)
    if format_ == 2:  # it had its record elsewhere
        (tmp_path / "nst_jax-00000008/nst_jax.json").unlink()
        (tmp_path / "nst_jax-00000008/_CHECKPOINT_METADATA").write_text('{"custom_metadata": {"record": "{}"}}')
    with pytest.raises(InputError, match="of this version"):
        read(tmp_path)
    assert names(tmp_path) == ["nst_jax-00000008"]


def test_an_edited_record_is_damage(tmp_path: Path):
    Checkpoints(tmp_path, 0.0).write(position(8), 0)
    file = tmp_path / "nst_jax-00000008/nst_jax.json"
    file.write_text(file.read_text().replace('\\"left\\": 7', '\\"left\\": 6'))
    assert '\\"left\\": 6' in file.read_text()
    step, _, said = read(tmp_path)
    assert (step, len(said)) == (None, 1)


def test_one_that_ends_before_its_record_is_written_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "checkpoints"
    Checkpoints(folder, 0.0).write(position(1), 0)

    def ended(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "atomic_write", ended)
        with pytest.raises(KeyboardInterrupt):
            Checkpoints(folder, 0.0).write(position(2), 0)
    assert read(folder) == (1, 0, [])
    Checkpoints(folder, 0.0).write(position(3), 0)
    assert names(folder) == ["nst_jax-00000001", "nst_jax-00000003"]


def test_one_is_written_each_so_many_seconds(tmp_path: Path):
    asked: list[int] = []

    def ask() -> JobState:
        asked.append(1)
        return position(len(asked))

    for every_s, count in ((0.0, 0), (1000.0, 0), (1e-9, 1)):
        checkpoints = Checkpoints(tmp_path, every_s)
        checkpoints.offer(ask, 3)
        checkpoints.wait()
        assert len(asked) == count
    assert read(tmp_path) == (1, 3, [])


def test_none_is_begun_while_the_last_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoints = Checkpoints(tmp_path, 1e-9)
    gate = _WRITER.submit(lambda: signal.sigtimedwait([], 0.3))  # the writer is busy
    checkpoints.offer(lambda: position(1), 0)
    checkpoints.offer(lambda: position(2), 0)
    gate.result()
    checkpoints.wait()
    assert names(tmp_path) == ["nst_jax-00000001"]


def damage(path: Path, how: str) -> None:
    files = [file for file in path.rglob("*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    if how == "gone":
        largest.unlink()
    elif how == "cut":
        for file in files:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif how == "flipped":
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 4
        largest.write_bytes(data)
    elif how == "empty":
        for file in files:
            file.write_bytes(b"")
    else:
        shutil.rmtree(path)
        path.mkdir()


@pytest.mark.parametrize("how", ["gone", "cut", "flipped", "empty", "hollow"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(tmp_path: Path, how: str, capfd):
    checkpoints = Checkpoints(tmp_path, 0.0)
    for step in (8, 9):
        checkpoints.write(position(step), step)
    damage(tmp_path / "nst_jax-00000009", how)
    step, length, (said,) = read(tmp_path)
    assert capfd.readouterr().err == ""  # Orbax's threads print pages about files that they cannot read
    assert (step, length) == (8, 8)
    assert re.fullmatch(r"checkpoint of step 9 is damaged \([^\n]+\): going back to the one before, or the beginning", said)
    assert names(tmp_path) == ["nst_jax-00000008", "nst_jax-00000009.damaged"]


def test_without_a_whole_one_there_is_none(tmp_path: Path):
    assert read(tmp_path / "checkpoints") == (None, 0, [])
    Checkpoints(tmp_path, 0.0).write(position(8), 101)
    step, _, said = read(tmp_path, metrics_bytes=100)  # a log that lost rows
    assert (step, len(said)) == (None, 1)


def test_a_full_disk_is_one_line_and_the_last_good_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoints = Checkpoints(tmp_path, 0.0)
    checkpoints.write(position(1), 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"^\S+ must be writable, got 'no space left on device'; [^\n]+$"):
        checkpoints.write(position(2), 0)
    assert read(tmp_path) == (1, 0, [])


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="needs POSIX")
def test_a_disk_without_room_for_more_files_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (checkpoints := Checkpoints(tmp_path, 0.0)).write(position(1), 0)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_files=1000, f_favail=9))
    with pytest.raises(InputError, match=r"^\S+ must be writable, got 'no space left on device'; [^\n]+$"):
        checkpoints.write(position(2), 0)
    assert read(tmp_path) == (1, 0, [])


REFUSED = """
import resource, signal
from tests.test_checkpoint import *
checkpoints = Checkpoints(Path(sys.argv[1]), 0.0)
checkpoints.write(position(1), 0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    checkpoints.write(position(2), 0)
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs the limits of POSIX")
def test_a_system_that_refuses_in_the_middle_is_one_line_too(tmp_path: Path):
    command = [sys.executable, "-c", REFUSED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    assert re.fullmatch(r"\S+ must be writable, got 'file too large'; [^\n]+\n", done.stdout)
    assert read(tmp_path) == (1, 0, [])
