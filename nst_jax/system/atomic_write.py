"""How files are written: whole or not at all, and a disk that refuses is told in one clear line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nst_jax.errors import InputError


@contextmanager
def os_errors_as_input(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses while `path` is written (disk full, no permission) into an InputError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{path} must be writable, got {reason!r}; free some space or choose another place"
            " (what was written before is whole)"
        ) from error


@contextmanager
def atomic_open(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which is put under `path` in one step at the end: until then it has a name of its own beside it.

    Raises:
        InputError: the disk refuses; nothing is left behind then or after any other error, and an older file at `path` is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with os_errors_as_input(path):
        try:
            with temporary.open("wb") as stream:
                yield stream
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def atomic_write(path: Path, data: bytes) -> None:
    """Put `data` under `path` in one step: a temporary name in the same folder, then a rename.

    Raises:
        InputError: the disk refuses; nothing is left behind, and an older file at `path` is kept.
    """
    with atomic_open(path) as stream:
        stream.write(data)
