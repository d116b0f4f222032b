"""The folder of a sweep: a folder for each member, and beside them its record.

    sweep.json           which settings are swept, the members with their overrides, and what has become of each
    table.csv            a row for each member: its settings, final losses, seconds, and scores if there are any
    contact_sheet.png    the pictures, along the swept settings
    report.html          all of it on one page, for a browser
    pareto.png           the content against the style loss

Every member says itself what has become of it, from whatever process it runs in: what is recorded survives any end.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from nst_jax.errors import InputError
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.grid import Grid
from nst_jax.system.atomic_write import atomic_write, os_errors_as_input
from nst_jax.system.records import strict_json

FORMAT = 1
# What may have become of a member. It waits until it says something else.
STATUSES = ("waiting", "done", "failed", "interrupted")


@dataclass(frozen=True)
class SweepFolder:
    """The record of a sweep; `create_sweep` makes a new one, `SweepFolder(path)` reads what is there."""

    path: Path

    @property
    def record(self) -> Path:
        """Where the members and their states are kept."""
        return self.path / "sweep.json"

    def read(self) -> dict[str, Any]:
        """What sweep.json says: format, directory (where it began), score, search, keys, grids, members.

        Raises:
            InputError: no such file, or another format.
        """
        try:
            record: dict[str, Any] = {**json.loads(self.record.read_text(encoding="utf-8"))}
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"sweep must be a folder with a sweep.json, got {self.path}; check the path") from error
        if record.get("format") != FORMAT:
            raise InputError(f"sweep must be of format {FORMAT}, got {record.get('format')} in {self.path}; use its nst_jax")
        return record

    def add(self, grid: Grid, folders: Sequence[str], *, go_on: bool = False) -> None:
        """Adds the members of a grid, each with its folder within this one; all of them wait.

        Args:
            grid: the members.
            folders: one for each of them.
            go_on: they belong to the grid that was added last, and not to one of their own.
        """
        with self._lock():
            record = self.read()
            first = len(record["members"])
            for folder, overrides in zip(folders, grid.members, strict=True):
                record["members"].append({"folder": folder, "overrides": overrides, "status": "waiting", "error": None})
            if not go_on or not record["grids"]:
                record["grids"].append({"keys": {}, "members": []})
            record["grids"][-1]["members"] += range(first, len(record["members"]))
            for keys in (record["keys"], record["grids"][-1]["keys"]):
                for key, values in grid.keys.items():
                    keys[key] = list(dict.fromkeys([*keys.get(key, []), *values]))
            self._write(record)

    def note(self, number: int, status: str, error: str | None = None) -> None:
        """Says what has become of a member: a word of `STATUSES`, and why if it failed."""
        with self._lock():
            record = self.read()
            record["members"][number] |= {"status": status, "error": error}
            self._write(record)

    def close(self) -> None:
        """The sweep has ended: who still waits was interrupted."""
        for number, member in enumerate(self.read()["members"]):
            if member["status"] == "waiting":
                self.note(number, "interrupted")
        Path(self._lock().lock_file).unlink(missing_ok=True)

    def member(self, number: int) -> RunFolder:
        """The run folder of a member."""
        return RunFolder(self.path / self.read()["members"][number]["folder"])

    def _lock(self) -> FileLock:
        return FileLock(self.path / ".sweep.lock")

    def _write(self, record: dict[str, Any]) -> None:
        atomic_write(self.record, (strict_json(record) + "\n").encode())  # its keys in their order: the last are the columns


def is_sweep(path: Path) -> bool:
    """Whether the folder holds a sweep."""
    return SweepFolder(path).record.is_file()


def create_sweep(path: Path, score: str = "", search: Mapping[str, Any] | None = None) -> SweepFolder:
    """Claims the folder for a sweep that has no members yet.

    Args:
        path: made if needed.
        score: of its members, see `nst_jax.sweeps.scoring.factors_of`.
        search: what `nst_jax.sweeps.search` is asked for; None for a sweep over every combination.

    Raises:
        InputError: there is a sweep already, or the folder cannot be written.
    """
    folder = SweepFolder(path)
    with os_errors_as_input(path):
        path.mkdir(parents=True, exist_ok=True)
        try:
            folder.record.touch(exist_ok=False)
        except FileExistsError as error:
            raise InputError(
                f"hydra.sweep.dir must be a folder without a sweep, got {path}; choose another, or move or delete that folder"
            ) from error
    asked = {"score": score, "search": search}
    folder._write({"format": FORMAT, "directory": os.getcwd(), **asked, "keys": {}, "grids": [], "members": []})
    return folder
