"""One writer per run folder: a lock held for as long as the process that took it lives."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from nst_jax.errors import InputError
from nst_jax.system.atomic_write import os_errors_as_input

_NAME = ".nst_jax.lock"
_SECONDS = 0.2  # longer than `is_being_written` holds it


@contextlib.contextmanager
def run_lock(path: Path, lock_of: Path | None = None) -> Iterator[None]:
    """Keeps every other process from writing into the run folder `path`, which is created if needed.

    Args:
        path: the run folder.
        lock_of: a folder whose lock this process holds for longer, and which serves for `path` too: one descriptor for many.

    Raises:
        InputError: another process holds the lock, or the folder is not writable.
    """
    lock = FileLock(path / _NAME, timeout=_SECONDS)
    with os_errors_as_input(path, "choose another run.dir"):
        path.mkdir(parents=True, exist_ok=True)
        try:
            if lock_of is None or not _is_linked(lock_of / _NAME, path / _NAME):
                lock.acquire()
        except Timeout as taken:
            raise InputError(
                f"run folder must have one writer, got {path}, which another process is writing;"
                " wait until that one ends, or choose another run.dir"
            ) from taken
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows does not delete open files
            (path / _NAME).unlink()  # while it is held: whoever has opened the old file sees that it is gone
        lock.release()


def _is_linked(source: Path, target: Path) -> bool:
    """Makes `target` a second name of a file; False if the file system cannot, or there is a `target` already."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def is_being_written(path: Path) -> bool:
    """Whether a living process writes into the run folder `path`."""
    if not (path / _NAME).exists():
        return False
    lock = FileLock(path / _NAME, blocking=False)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return True
    lock.release()
    return False
