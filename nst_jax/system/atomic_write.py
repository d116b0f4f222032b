"""Atomic writes: a file appears whole or not at all, and OS errors become one-line input errors."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nst_jax.errors import InputError

PART = ".nst_jax-part"  # the end of the name of a file that is being written


def can_write(folder: Path) -> bool:
    """Whether files can be written into a folder, or into the nearest one above it that exists."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)


@contextmanager
def os_errors_as_input(path: Path, elsewhere: str = "choose another place") -> Iterator[None]:
    """Turns OS errors raised while `path` is written (disk full, no permission) into an InputError.

    Args:
        path: what is written.
        elsewhere: how to write to another place.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = f"free some space or {elsewhere} (files already written are complete)" if full else elsewhere
        raise InputError(f"{path} must be writable, got {reason!r}; {advice}") from error


@contextmanager
def atomic_open(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path` and renames it to `path` at the end; a link at `path` is replaced, not followed.

    The data are synced to the disk before the rename, so that after a power failure `path` holds the old file or the new one.
    That costs one fsync a file: a few milliseconds on an SSD, tens on a spinning disk. The folder itself is not synced: after a
    power failure a new file may be missing, but never torn.

    Raises:
        InputError: the disk refuses; nothing is left behind then or after any other error, and an older file at `path` is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with os_errors_as_input(path):
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def atomic_write(path: Path, data: bytes) -> None:
    """Writes `data` to `path` as `atomic_open` does.

    Raises:
        InputError: the disk refuses; nothing is left behind, and an older file at `path` is kept.
    """
    with atomic_open(path) as stream:
        stream.write(data)
