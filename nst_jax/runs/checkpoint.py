"""Checkpoints of a run, from which a killed run continues to the same bytes.

    checkpoints/nst_jax-00000120/                the solver's state as Orbax writes it
    checkpoints/nst_jax-00000120/nst_jax.json    the rest of the job's state, and the hash of every file

A checkpoint is written under another name (`_UNFINISHED`), and renamed once nst_jax.json is in it. The hashes are checked
before Orbax reads a file, since it overlooks some damage and prints pages about other. The last two checkpoints are kept. Only
folders of these names are removed, and no link is followed.
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nst_jax.errors import InputError
from nst_jax.job import JobState
from nst_jax.runs.state_arrays import check_space, os_error, plain_path, restore, save
from nst_jax.system.atomic_write import atomic_write, os_errors_as_input

_log = logging.getLogger(__name__)

FORMAT = 3  # raised when the meaning of the metadata changes: checkpoints of other formats cannot be resumed
_OTHER_VERSION = (
    "checkpoint of step {} must be of this version of nst_jax, got another; it is kept:"
    " continue with the version that wrote it, or begin a new run"
)
KEPT = 2
_NAME = re.compile(r"nst_jax-\d{8,}")
_UNFINISHED = re.compile(_NAME.pattern + r"\.unfinished(\.orbax-checkpoint-tmp.*)?")
_OWN = re.compile(rf"{_NAME.pattern}(\.damaged(-\d+)?)?|{_UNFINISHED.pattern}")
_RECORD = "nst_jax.json"
# What the system says of a file that is damaged or missing; any other refusal may pass.
_DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ESPIPE, errno.ENXIO, errno.ELOOP)
# One for all runs of the process: Orbax fails where two of its threads save at once.
_WRITER = ThreadPoolExecutor(1)


class Checkpoints:
    """Writes the checkpoints of one run in a background thread; the job waits only for a copy of the state in memory."""

    def __init__(self, folder: Path, every_s: float, settings: str = "", plan: Any = None) -> None:
        """Writes to `folder`.

        Args:
            folder: of the checkpoints.
            every_s: interval in seconds; 0 writes only when `write` is called.
            settings: hash of the settings of the run.
            plan: how it is executed, for `recorded_plan`.
        """
        self.folder, self.every_s, self.facts = folder, every_s, {"settings": settings, "plan": plan}
        self._last = time.monotonic()
        self._pending: Future[None] | None = None

    def offer(self, position: Callable[[], JobState], metrics_bytes: int) -> None:
        """Starts writing a checkpoint if one is due and the previous one is on disk.

        Args:
            position: returns the state of the job.
            metrics_bytes: the length of metrics.jsonl at that point.

        Raises:
            InputError: the previous one could not be written.
        """
        if self._pending and self._pending.done():
            self.wait()
        if self.every_s and not self._pending and time.monotonic() - self._last >= self.every_s:
            self._begin(position(), metrics_bytes)

    def write(self, position: JobState, metrics_bytes: int) -> None:
        """Writes a checkpoint and waits until it is on disk. Raises an InputError if it could not be written."""
        self.wait()
        self._begin(position, metrics_bytes)
        self.wait()

    def wait(self) -> None:
        """Waits until everything is on disk. Raises an InputError if it could not be written."""
        if self._pending:
            pending, self._pending = self._pending, None
            pending.result()

    def _begin(self, position: JobState, metrics_bytes: int) -> None:
        self._last = time.monotonic()
        self._pending = _WRITER.submit(_write, self.folder, position, self.facts | {"metrics_bytes": metrics_bytes})


def latest(folder: Path, template: Callable[[int], Any], metrics_bytes: int, settings: str) -> tuple[JobState, int] | None:
    """Reads the newest intact checkpoint: the state of the job, and the length of metrics.jsonl there.

    A damaged checkpoint is renamed to NAME.damaged with a warning in the log, and the one before is taken.

    Args:
        folder: of the checkpoints.
        template: number of a scale -> a state of the solver there, of which structure, shapes and dtypes count.
        metrics_bytes: the length of metrics.jsonl, which must not be shorter than the checkpoint says.
        settings: hash of the settings of the run.

    Raises:
        InputError: a checkpoint is intact but of other settings or another version, or cannot be read now.
    """
    for name in reversed(_names(folder)):
        try:
            with plain_path(folder) as plain:
                return _read(plain / name, template, metrics_bytes, settings)
        except InputError:
            raise
        except Exception as error:  # whatever a reader raises for a file damaged in any way
            reason = " ".join(str(error).split())[:100]
            if not _is_damage(error):
                raise InputError(
                    f"checkpoint {folder / name} must be readable, got {reason!r}; it is kept: try again,"
                    " or move it away to continue from the one before"
                ) from error
            _log.warning(
                "checkpoint of step %s is damaged (%s): going back to the one before, or the beginning", _step(name), reason
            )
            with suppress(OSError):
                (folder / name).rename(_free_name(folder / f"{name}.damaged"))
    return None


def recorded_plan(folder: Path) -> Any:
    """The plan that the newest checkpoint was made by; None if none can be read."""
    for name in reversed(_names(folder)):
        with suppress(InputError, OSError, ValueError, KeyError, TypeError):
            return _record(folder / name)["plan"]
    return None


def discard(folder: Path) -> None:
    """Removes all checkpoints of a run that has finished, and their folder if nothing else is in it."""
    _remove(folder, _OWN)
    with suppress(OSError):
        folder.rmdir()


def _names(folder: Path) -> list[str]:
    """Whole checkpoints, by step."""
    names = [path.name for path in _own(folder, _NAME)]
    return sorted(names, key=_step)


def _own(folder: Path, name: re.Pattern[str]) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def _remove(folder: Path, name: re.Pattern[str]) -> None:
    for path in _own(folder, name):
        shutil.rmtree(path, ignore_errors=True)


def _step(name: str) -> int:
    return int(name.partition("-")[2])


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while os.path.lexists(free):
        number, free = number + 1, path.with_name(f"{path.name}-{number + 1}")
    return free


def _write(folder: Path, position: JobState, about: dict[str, Any]) -> None:
    facts = position._asdict() | about
    state = facts.pop("state")
    facts |= {"format": FORMAT, "arrays": _layout(state)}
    name = f"nst_jax-{position.step:08d}"
    with os_errors_as_input(folder):
        folder.mkdir(exist_ok=True)
        _remove(folder, _UNFINISHED)  # of a process that was killed
        check_space(folder, state)
        with plain_path(folder) as plain:
            unfinished = plain / f"{name}.unfinished"
            try:
                save(unfinished, state)
            except (OSError, ValueError):
                _remove(folder, _UNFINISHED)
                raise
            files = [path for path in unfinished.rglob("*") if path.is_file()]
            _sync([*files, folder.parent / "metrics.jsonl"])
            facts |= {"files": {str(file.relative_to(unfinished)): _sha256(file) for file in files}}
            record = json.dumps(facts)
            sealed = {"record": record, "sha256": hashlib.sha256(record.encode()).hexdigest()}
            atomic_write(unfinished / _RECORD, json.dumps(sealed).encode())
            shutil.rmtree(plain / name, ignore_errors=True)  # of the same step, when a run has been continued
            unfinished.rename(plain / name)
    for old in _names(folder)[:-KEPT]:
        shutil.rmtree(folder / old, ignore_errors=True)


def _sync(files: list[Path]) -> None:
    """Waits until the files are on the disk: the checkpoints before are removed next."""
    for file in filter(Path.is_file, files):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _sha256(file: Path) -> str:
    if not file.is_file():  # a pipe has no end
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file.name)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _record(path: Path) -> dict[str, Any]:
    """What nst_jax.json of a checkpoint holds.

    Raises:
        InputError: it is of another format.
        ValueError: it is damaged; any other exception as well.
    """
    file = path / _RECORD
    if not file.exists() and '"record"' in (path / "_CHECKPOINT_METADATA").read_text():  # where format 2 had it
        raise InputError(_OTHER_VERSION.format(_step(path.name)))
    sealed = json.loads(file.read_bytes())
    if hashlib.sha256(sealed["record"].encode()).hexdigest() != sealed["sha256"]:
        raise ValueError(f"{_RECORD} is not as it was written")
    facts = json.loads(sealed["record"])
    if facts.pop("format") != FORMAT:
        raise InputError(_OTHER_VERSION.format(_step(path.name)))
    return facts


def _read(path: Path, template: Callable[[int], Any], metrics_bytes: int, settings: str) -> tuple[JobState, int]:
    facts = _record(path)
    for name, sha256 in facts.pop("files").items():
        if _sha256(path / name) != sha256:
            raise ValueError(f"{name} is not as it was written")
    if facts.pop("settings") != settings:
        raise InputError("config.yaml must hold the settings that the run began with, got others; restore it")
    length, layout, _ = facts.pop("metrics_bytes"), facts.pop("arrays"), facts.pop("plan")
    blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), template(facts["stage"]))
    if layout != _layout(blank):
        raise InputError(_OTHER_VERSION.format(facts["step"]))
    if length > metrics_bytes:
        raise ValueError("metrics.jsonl is shorter than it was")
    state = restore(path, blank)
    sequences: dict[str, Any] = {name: tuple(facts[name]) for name in ("recoveries", "rows")}
    return JobState(**facts | sequences | {"state": state}), length


def _layout(state: Any) -> str:
    """Structure, shapes and dtypes of a state: equal for states that can be restored from each other's checkpoints."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return hashlib.sha256(str([(str(key), leaf.shape, str(leaf.dtype)) for key, leaf in leaves]).encode()).hexdigest()


def _is_damage(error: Exception) -> bool:
    """Whether the file is to blame, and not the memory, the installation or the disk of the moment."""
    cause = os_error(error)
    if isinstance(cause, OSError):
        return cause.errno in _DAMAGE
    return not isinstance(cause, MemoryError | ImportError)
