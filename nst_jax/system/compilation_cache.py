"""Compiled programs on disk: the second start of a job does not compile again."""

import functools
import hashlib
import logging
import os
import platform
import stat
import warnings
from pathlib import Path

import jax
import platformdirs

_log = logging.getLogger(__name__)

# Least recently used programs are dropped beyond this.
MAX_BYTES = 1 << 30


def use_compilation_cache() -> None:
    """Turns on JAX's persistent compilation cache, in the user's cache folder.

    The folder is named after JAX's version and the CPU: a program compiled for one CPU may not run on another that shares
    the home folder. A folder set by JAX_COMPILATION_CACHE_DIR is kept. Warns once if programs cannot be kept.
    """
    # JAX compiles again what it cannot read, and warns for each entry.
    warnings.filterwarnings("ignore", r"Error (reading|writing) persistent compilation cache entry")
    chosen = jax.config.values["jax_compilation_cache_dir"]
    if chosen is not None:
        if "://" not in chosen:
            _usable(Path(chosen))
        return
    root = Path(platformdirs.user_cache_dir("nst_jax"))
    folder = root / "compiled" / f"{jax.__version__}-{_processor()}"
    if _usable(folder) and all(is_private(part) for part in (root, root / "compiled", folder)):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _usable(folder: Path) -> bool:
    """Makes a folder, for this user alone; warns if it cannot be made or written."""
    try:
        for part in (*reversed(folder.parents), folder):  # `parents=True` would ignore the mode
            part.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        _warn(f"compiled programs cannot be kept: {folder} cannot be made ({error.strerror}); set JAX_COMPILATION_CACHE_DIR")
        return False
    if not os.access(folder, os.W_OK):
        _warn(f"compiled programs cannot be kept: {folder} is not writable; set JAX_COMPILATION_CACHE_DIR")
        return False
    return True


def is_private(folder: Path) -> bool:
    """Whether only this user can write to a folder, or it does not exist; warns once if not.

    Write access by the user's own primary group is allowed, since that often has no other members.
    """
    try:
        found = folder.stat()
    except OSError:
        return True
    if os.name != "posix":
        return True
    shared = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != os.getegid())
    if shared or found.st_uid != os.geteuid():
        owner = "can be written by others" if shared else "belongs to another user"
        _warn(f"compiled programs are not kept in {folder}, which {owner}; set JAX_COMPILATION_CACHE_DIR")
        return False
    return True


@functools.cache
def _warn(message: str) -> None:
    _log.warning("%s", message)


def _processor() -> str:
    """A short name of this machine's kind of processor, with the instruction sets that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        facts = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    except OSError:
        facts = [platform.processor()]
    return hashlib.sha256("\n".join([platform.machine(), *facts]).encode()).hexdigest()[:12]
