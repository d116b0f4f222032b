"""Compiled programs on disk: the second start of a job does not compile again."""

import hashlib
import os
import platform
from pathlib import Path

import jax
import platformdirs

# Least recently used programs are dropped beyond this.
MAX_BYTES = 1 << 30


def use_compilation_cache() -> None:
    """Turns on JAX's persistent compilation cache, in the user's cache folder.

    The folder is named after jax's version and the processor: a program compiled for one processor may not run on
    another that shares the home folder. Whoever has set JAX_COMPILATION_CACHE_DIR keeps that.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = Path(platformdirs.user_cache_dir("nst_jax")) / "compiled" / f"{jax.__version__}-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a home that cannot be written costs time, not the run
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _processor() -> str:
    """A short name of this machine's kind of processor, with the instruction sets that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        facts = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    except OSError:
        facts = [platform.processor()]
    return hashlib.sha256("\n".join([platform.machine(), *facts]).encode()).hexdigest()[:12]
