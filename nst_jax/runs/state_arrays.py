"""The arrays of a solver's state on disk, by Orbax, whose only importer this is."""

import errno
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

_SPARE_BYTES, _SPARE_FILES = 1 << 20, 64  # for Orbax's own files


def save(path: Path, state: Any) -> None:
    """Writes a state, whole in this process's memory, into a new folder `path`, which appears when all is there.

    Raises:
        OSError: the system refuses.
        ValueError: any other failure of Orbax.
    """
    try:
        with _checkpointer() as orbax:
            orbax.save(path, args=_arguments().PyTreeSave(state))
    except ValueError as error:
        raise os_error(error) from error


def restore(path: Path, blank: Any) -> Any:
    """Reads a state with the structure, shapes and dtypes of `blank`. Raises whatever Orbax does for damaged files."""
    with _checkpointer() as orbax:
        return orbax.restore(path, args=_arguments().PyTreeRestore(item=blank))


@contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """Another path of `folder`, without the letters that Orbax takes for a pattern (`[ ] * ?`) or a bucket (`gs:`).

    Where the system has no /proc it is the folder's own.
    """
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
    try:
        plain = Path(f"/proc/self/fd/{descriptor}")
        yield plain if plain.exists() else folder.absolute()
    finally:
        os.close(descriptor)


def check_space(folder: Path, state: Any) -> None:
    """Raises what Orbax would run into as well, with pages of traces from its threads."""
    needed = sum(array.nbytes for array in jax.tree.leaves(state)) + _SPARE_BYTES
    files = os.statvfs(folder) if hasattr(os, "statvfs") else None
    few_files = files is not None and files.f_files and files.f_favail < _SPARE_FILES
    if few_files or shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _checkpointer() -> Any:
    """Orbax's checkpointer for a state that lies whole in this process's memory, without other processes.

    Orbax is imported where it is first needed: in a thread beside the job.
    """
    from orbax import checkpoint

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # its errors come as exceptions; it would print them as well
    number = jax.process_index()
    alone = checkpoint.options.MultiprocessingOptions(
        primary_host=number, active_processes={number}, barrier_sync_key_prefix=f"process{number}"
    )
    handler = checkpoint.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return checkpoint.Checkpointer(handler, multiprocessing_options=alone)


def _arguments() -> Any:
    from orbax.checkpoint import args

    return args


def os_error(error: Exception) -> Exception:
    """What the operating system said, if it was that which made Orbax fail."""
    code = re.search(r"\[os_error_code='(\d+)'", str(error))
    return OSError(int(code[1]), os.strerror(int(code[1]))) if code else error
