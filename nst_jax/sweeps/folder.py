"""The folder of a sweep: a folder for each member, and beside them the record and the summary.

    sweep.json           how the sweep was composed, its settings, and the overrides, folder and status of each member
    table.csv            one row per member: its settings, final losses, seconds, and scores if there are any
    contact_sheet.png    the pictures, laid out along the swept settings
    report.html          the whole sweep on one page, for a browser
    pareto.png           content loss against style loss

Each member records its own status, from whichever process runs it, so that the record survives any crash.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nst_jax.errors import InputError
from nst_jax.runs.folder import RunFolder, check_free, check_no_links
from nst_jax.runs.lock import run_lock
from nst_jax.sweeps.grid import Grid
from nst_jax.system.atomic_write import atomic_write, os_errors_as_input
from nst_jax.system.records import parse_json, strict_json

FORMAT = 2
FILES = ("sweep.json", "table.csv", "contact_sheet.png", "report.html", "pareto.png")
_MAX_BYTES = 1 << 26  # of sweep.json; a member takes about 1 kB


def check_name(name: str) -> str:
    """`name` if it can be the folder of a member: a plain name that leads nowhere else. Raises a ValueError otherwise."""
    if name.lower() in FILES or name.startswith(".") or not re.fullmatch(r"[^/\\:\x00-\x1f\x7f]{1,200}", name):
        raise ValueError("the plain name of a folder")
    return name


def check_override(text: str) -> str:
    """`text` unless it holds a resolver, of the environment, say, also a nested one. Raises a ValueError otherwise."""
    if re.search(r"\$\{.*:", text, re.DOTALL):
        raise ValueError("a setting without resolvers such as ${oc.env:HOME}")
    return text


def _check_key(key: str) -> str:
    if key in ("member", "folder", "status", "error"):  # columns of the table
        raise ValueError("a setting")
    return key


Name = Annotated[str, Field(max_length=4096)]
Key = Annotated[Name, AfterValidator(_check_key)]
Override = Annotated[str, Field(max_length=1 << 20), AfterValidator(check_override)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class MemberRecord(_Record):
    """A member: its folder within the sweep's, its settings, the sha256 of its config, its status, and why it failed."""

    folder: Annotated[str, AfterValidator(check_name)]
    overrides: list[Override]
    sha256: Name
    status: Literal["waiting", "done", "failed", "interrupted"]
    error: str | None


class GridRecord(_Record):
    """The swept settings of a grid with their values, and the numbers of its members."""

    keys: dict[Key, list[Override]]
    members: list[Annotated[int, Field(ge=0)]]


class SearchRecord(_Record):
    """The settings of a search: see `nst_jax.sweeps.search`."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    at_once: Annotated[int, Field(ge=1, le=1_000_000)]
    fixed: list[Override]
    chosen: dict[Name, dict[Name, Any]]


class Composition(_Record):
    """Where Hydra found the configs: the config's name, the folder in place of the package's own, and further folders."""

    config_name: Name
    config_path: Name | None
    config_dirs: list[Name]


class SweepRecord(_Record):
    """sweep.json; `directory` is the working directory that relative paths refer to."""

    format: Literal[2]
    directory: Name
    composition: Composition
    score: Name
    search: SearchRecord | None
    keys: dict[Key, list[Override]]
    grids: list[GridRecord]
    members: list[MemberRecord]


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep and its record; `create_sweep` makes a new one, `SweepFolder(path)` refers to an existing one."""

    path: Path

    @property
    def record(self) -> Path:
        """The path of sweep.json."""
        return self.path / "sweep.json"

    def read(self) -> dict[str, Any]:
        """Reads sweep.json, a `SweepRecord`.

        Raises:
            InputError: the file is missing or damaged, or a member's folder leads out of the sweep's.
        """
        try:
            if not self.record.is_file() or self.record.stat().st_size > _MAX_BYTES:
                raise OSError("no such file, or too large")
            text = self.record.read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"sweep must be a folder with a sweep.json, got {self.path}; check the path") from error
        record = parse_json(SweepRecord, text, f"sweep.json in {self.path}")
        folders = [member["folder"] for member in record["members"]]
        if len({*folders}) < len(folders):
            raise InputError(f"members in {self.record} must have folders of their own, got {folders}; the file is damaged")
        if any(number >= len(folders) for grid in record["grids"] for number in grid["members"]):
            raise InputError(f"grids in {self.record} must hold members of the sweep, got others; the file is damaged")
        for folder in folders:
            if (self.path / folder).is_symlink():
                raise InputError(f"member {folder} must be a folder in {self.path}, got a symbolic link; put the folder there")
        return record

    def add(self, grid: Grid, folders: Sequence[str], hashes: Sequence[str] = (), *, same_grid: bool = False) -> None:
        """Adds the members of a grid, all of them waiting.

        Args:
            grid: the members.
            folders: the name of each member's folder.
            hashes: the sha256 of each member's config.
            same_grid: they continue the grid that was added last.
        """
        with self._changed() as record:
            first = len(record["members"])
            for i, (folder, overrides) in enumerate(zip(folders, grid.members, strict=True)):
                sha256 = hashes[i] if hashes else ""
                record["members"].append(
                    {"folder": folder, "overrides": overrides, "sha256": sha256, "status": "waiting", "error": None}
                )
            if not same_grid or not record["grids"]:
                record["grids"].append({"keys": {}, "members": []})
            record["grids"][-1]["members"] += range(first, len(record["members"]))
            for keys in (record["keys"], record["grids"][-1]["keys"]):
                for key, values in grid.keys.items():
                    keys[key] = list(dict.fromkeys([*keys.get(key, []), *values]))

    def note(self, number: int, status: Literal["done", "failed", "interrupted"], error: str | None = None) -> None:
        """Records the status of a member, and why it failed."""
        with self._changed() as record:
            record["members"][number] |= {"status": status, "error": error}

    def close(self) -> None:
        """Marks the members that still wait as interrupted: the sweep has ended."""
        with self._changed() as record:
            for member in record["members"]:
                if member["status"] == "waiting":
                    member["status"] = "interrupted"

    def member(self, number: int) -> RunFolder:
        """The run folder of a member."""
        return RunFolder(self.path / self.read()["members"][number]["folder"])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keeps other processes from running the sweep. Raises an InputError if one does, or if a file of it is a link."""
        check_no_links(self.path, FILES)
        with run_lock(self.path):
            yield

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """The record, which is written at the end of the block; other processes wait until then."""
        lock = self.path / ".sweep.lock"
        with FileLock(lock):
            record = self.read()
            yield record
            atomic_write(
                self.record, (strict_json(record) + "\n").encode()
            )  # its keys in their order: the last are the columns
            lock.unlink(missing_ok=True)  # while it is held: whoever waits for it sees that it is gone


def is_sweep(path: Path) -> bool:
    """Whether the folder holds a sweep."""
    return SweepFolder(path).record.is_file()


def create_sweep(
    path: Path,
    score: str = "",
    search: Mapping[str, Any] | None = None,
    composition: Mapping[str, Any] | None = None,
    folders: Sequence[str] = (),
) -> SweepFolder:
    """Creates the folder of a sweep without members.

    Args:
        path: created if needed.
        score: the score of its members, see `nst_jax.sweeps.scoring.factors_of`.
        search: a `SearchRecord`; None for a sweep over all combinations.
        composition: a `Composition`; None for the configs of the package.
        folders: names that the first members will take.

    Raises:
        InputError: the folder holds a file or folder that the sweep would write, or is not writable.
    """
    folder = SweepFolder(path)
    composition = composition or {"config_name": "config", "config_path": None, "config_dirs": []}
    record: Mapping[str, Any] = {
        **{"format": FORMAT, "directory": os.getcwd(), "composition": composition, "score": score, "search": search},
        **{"keys": {}, "grids": [], "members": []},
    }
    with os_errors_as_input(path, "choose another hydra.sweep.dir"):
        path.mkdir(parents=True, exist_ok=True)
        check_free(path, (*FILES, *folders), "hydra.sweep.dir")
        folder.record.touch(exist_ok=False)
    atomic_write(folder.record, (strict_json(record) + "\n").encode())
    return folder
