"""Sweeps for tests: the command line in this process, from any fixture."""

import contextlib
import csv
import io
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from nst_jax import run
from nst_jax.images.files import write_image
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder

TINY = [
    *("content.path=content.png", "style.path=style.png", "size=24", "steps=3", "hydra.sweep.dir=all"),
    *("loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]"),
]


def write_pictures(folder: Path) -> None:
    """Writes content.png, style.png and other.png, of the sizes of test_run.py, whose programs serve here too."""
    generator = np.random.default_rng(0)
    for name, width in (("content", 32), ("style", 24), ("other", 32)):
        write_image(folder / f"{name}.png", generator.random((1, 24, width, 3), np.float32))


def call(*arguments: str) -> tuple[int, str, str]:
    """`python -m nst_jax.run` in this process: its exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    patched = mock.patch.object(sys, "argv", ["run.py", *arguments]), mock.patch.dict(os.environ)
    with patched[0], patched[1], contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run.main()
    return code, out.getvalue(), err.getvalue()


def table(folder: Path | str = "all") -> list[dict[str, str]]:
    """The rows of table.csv."""
    return list(csv.DictReader(Path(folder, "table.csv").read_text().splitlines()))


def statuses(folder: Path | str = "all") -> list[str]:
    """The status of each member."""
    return [member["status"] for member in SweepFolder(Path(folder)).read()["members"]]


def last_rows(folder: Path | str = "all") -> list[dict[str, Any]]:
    """The last row of metrics of each member."""
    members = SweepFolder(Path(folder)).read()["members"]
    return [RunFolder(Path(folder, member["folder"])).read_metrics()[-1] for member in members]


def pictures(folder: Path | str = "all") -> dict[str, bytes]:
    """The bytes of each member's result."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).glob("*/result.png"))}


def interrupt(folder: Path | str, number: int) -> None:
    """Leaves of a finished member what `kill -9` leaves of a running one: no result, and no checkpoint."""
    sweep = SweepFolder(Path(folder))
    member = sweep.member(number)
    member.result.unlink()
    member.write_manifest(member.read_manifest() | {"status": "running"})
    sweep.note(number, "interrupted")
