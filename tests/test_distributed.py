"""Several processes that run one job: the picture of one, one record, and what happens when one of them dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.distributed import initialize
from nst_jax.errors import InputError
from nst_jax.images.files import read_image, write_image
from nst_jax.runs.folder import RunFolder

JOB = [
    *("content.path=content.png", "style.path=style.png", "loss=gatys"),
    *("loss.content_layers=[relu2_1]", "loss.style_layers=[relu1_1]"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with two pictures; the content is high and narrow, for as many rows with few pixels."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    write_image("content.png", generator.random((1, 256, 64, 3), np.float32))
    write_image("style.png", generator.random((1, 32, 32, 3), np.float32))


def command(folder: Path, *settings: str) -> list[str]:
    return [sys.executable, "-m", "nst_jax.run", *JOB, f"run.dir={folder}", *settings]


BEGUN: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    for process in BEGUN:
        process.kill()
        process.communicate()
    BEGUN.clear()


def start(*commands: list[str]) -> list[subprocess.Popen[str]]:
    """Each command in a process with two devices, as torchrun would start them."""
    number = len(commands)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(number), "JAX_NUM_CPU_DEVICES": "2"}
    BEGUN.extend(
        subprocess.Popen(
            arguments,
            env=os.environ | shared | {"RANK": str(rank), "JAX_ENABLE_COMPILATION_CACHE": "0"},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank, arguments in enumerate(commands)
    )  # fmt: skip
    return BEGUN[-number:]


def wait_for(event: Callable[[], Any], processes: list[subprocess.Popen[str]]) -> None:
    """Until something has happened, or a process has ended."""
    while not event():
        for process in processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def test_two_processes_paint_the_picture_of_one_and_the_first_keeps_the_record(tmp_path: Path):
    # The first scale is made by each process for itself, the second by both.
    job = ["scales=[64,256]", "steps=[2,3]", "optimizer=adam"]
    alone = subprocess.run(
        command(tmp_path / "alone", *job),
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "4"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    both = start(*[command(tmp_path / "both", *job, "scale.hosts=auto")] * 2)
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert "loss" in ends[0][0]
    assert "loss" not in ends[1][0]  # gloo says who is there
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["alone", "both"]
    one, two = (read_image(RunFolder(tmp_path / name).result).pixels for name in ("alone", "both"))
    assert np.abs(one - two).max() <= 2 / 255
    assert len(RunFolder(tmp_path / "both").read_metrics()) == 5


def test_processes_with_other_settings_end_before_a_step(tmp_path: Path):
    job = command(tmp_path / "run", "size=64", "steps=1", "scale.hosts=auto")
    both = start(job, [*job, "loss.style_weight=50"])
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [2, 2], ends
    assert all("error: all processes must have the same settings" in err for _, err in ends)
    assert not RunFolder(tmp_path / "run").result.exists()


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_dies_the_others_end_and_the_run_goes_on_from_its_checkpoint(tmp_path: Path, victim: int):
    folder = RunFolder(tmp_path / "run")
    job = ["scales=[64,128]", "steps=[2,100000]", "scale.devices=4"]
    both = start(*[command(folder.path, *job, "run.checkpoint_every_s=0.5", "scale.hosts=auto")] * 2)
    wait_for(lambda: [path for path in folder.checkpoints.glob("nst_jax-*") if path.name[8:].isdigit()], both)
    both[victim].send_signal(signal.SIGKILL)
    _, said = both[1 - victim].communicate(timeout=120)
    assert both[1 - victim].returncode in (1, -signal.SIGABRT)
    # Without the first process, at whose address all have met, JAX may end the others by itself.
    assert "another process of the job has ended" in said or (victim == 0 and "another task died" in said)
    before = len(folder.read_metrics())
    going_on = start(*[[sys.executable, "-m", "nst_jax.run", f"--resume={folder.path}"]] * 2)
    wait_for(lambda: len(folder.read_metrics()) > before + 5, going_on)
    for process in going_on:
        process.send_signal(signal.SIGINT)  # as a terminal does
    _, said = going_on[0].communicate(timeout=120)
    assert going_on[0].returncode == 130
    assert going_on[1].wait(120) == 0
    assert "going on from step" in said


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "scale.hosts=auto must be started by srun, or with MASTER_ADDR"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "must all be set, the last three to numbers, got 'MASTER_ADDR'"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "x"}, "got invalid literal for int"),
    ],
)
def test_who_the_others_are_must_be_said(environment: dict[str, str], message: str):
    with pytest.raises(InputError, match=message):
        initialize("auto", environment)


def test_one_process_joins_nobody():
    initialize("off", {"WORLD_SIZE": "2"})
    initialize(False, {"WORLD_SIZE": "2"})
    initialize("auto", {}, needed=False)
    with pytest.raises(InputError, match=r"scale.hosts must be one of auto, off; got 'all'"):
        initialize("all")
