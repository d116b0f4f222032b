"""Traced programs on disk: a second start does not trace and lower again, which took it longer than anything else.

JAX's own cache spares the compiler, but its key is the lowered program, and to trace and lower the gradient of a network takes
Python seconds. What is kept here is the lowered program as `jax.export` writes it (StableHLO; nothing in it is Python), beside
JAX's cache and under the same conditions. Its name is a hash of all that decides it: the sources of this package, the versions
of JAX and its libraries, JAX's settings, and what the caller says.
"""

import functools
import hashlib
import logging
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax import export

from nst_jax.system.atomic_write import atomic_write

_log = logging.getLogger(__name__)

# The programs last used are kept, of some 100 kB each.
MAX_FILES = 256


def lower_cached(function: Any, key: object, *arguments: Any, donate: int | None = None) -> Any:
    """`jax.jit(function).lower(*arguments)`, traced only if no earlier program has left it on disk.

    Args:
        function: of arrays, compiled by `jax.jit`.
        key: what decides `function`; equal for equal functions. Its `repr` counts.
        arguments: arrays, or their shapes and types.
        donate: the number of the argument whose memory the result may take.
    """
    path = _path(f"{key} {jax.tree.map(lambda a: (a.shape, a.dtype), arguments)}")
    exported = _read(path) if path else None
    if exported is None:
        exported = export.export(function)(*arguments)
        if path:
            _write(path, exported)
    return jax.jit(exported.call, donate_argnums=() if donate is None else donate).lower(*arguments)


def _path(text: str) -> Path | None:
    """Where a program is kept; None if JAX keeps none, or if the text says where an object lies, which is never the same."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    if folder is None or not jax.config.values["jax_enable_compilation_cache"] or " at 0x" in text:
        return None
    return Path(folder) / "traced" / hashlib.sha256(f"{_environment()} {_settings()} {text}".encode()).hexdigest()


@functools.cache
def _environment() -> str:
    """The sources of this package, and the versions of what they are made of programs by."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    sources = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return " ".join((sources, *(version(name) for name in ("jax", "jaxlib", "flax", "optax")), jax.default_backend()))


def _settings() -> str:
    plain = {name: value for name, value in jax.config.values.items() if isinstance(value, bool | int | float | str)}
    return str(sorted((name, value) for name, value in plain.items() if "cache" not in name))


def _read(path: Path) -> export.Exported | None:
    """A program that was kept; None if there is none, or none that can be read."""
    _register_nodes()
    try:
        exported = export.deserialize(bytearray(path.read_bytes()))
        os.utime(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a damaged file makes the reader raise: it is written anew
        _log.debug("%s cannot be read: %s", path, error)
        return None
    return exported


def _write(path: Path, exported: export.Exported) -> None:
    """Keeps a program, and drops those that were not used for longest; a disk that cannot be written costs time only."""
    _register_nodes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, bytes(exported.serialize()))
        for old in sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)[:-MAX_FILES]:
            old.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        _log.debug("%s cannot be written: %s", path, error)


_registered: set[type] = set()


def _register_nodes() -> None:
    """Tells `jax.export` the names of the named tuples that programs take and give."""
    for node in set(tuple.__subclasses__()) - _registered:
        if hasattr(node, "_fields") and node.__module__.startswith(("nst_jax.", "optax.")) and "<" not in node.__qualname__:
            export.register_namedtuple_serialization(node, serialized_name=f"{node.__module__}.{node.__qualname__}")
            _registered.add(node)
