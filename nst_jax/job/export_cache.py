"""Cache of lowered programs on disk: tracing and lowering a network's gradient takes Python seconds at each start.

JAX's compilation cache is keyed by the lowered program, so that it does not avoid lowering. This cache, beside JAX's and
enabled with it, stores the lowered program as `jax.export` serializes it (StableHLO, no Python objects). The file name is a
hash of everything that decides the program: the sources of this package, the versions of JAX and its libraries, JAX's settings,
and the caller's key. It does not cover code outside of these, so programs that depend on such code are not stored.
"""

import dataclasses
import functools
import hashlib
import importlib
import json
import logging
import operator
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from nst_jax.system import IMPORTED_AT
from nst_jax.system.atomic_write import atomic_write
from nst_jax.system.compilation_cache import is_private

_log = logging.getLogger(__name__)

# The most recently used programs are kept, about 100 kB each.
MAX_FILES = 256
# Packages whose code the hash covers, by their sources or versions.
_KNOWN = ("nst_jax.", "jax.", "optax.", "flax.")


def lower_cached(function: Any, key: object, *arguments: Any, donate: tuple[int, ...] = ()) -> Any:
    """Returns `jax.jit(function).lower(*arguments)`, from the cache if possible.

    Args:
        function: of arrays, compiled by `jax.jit`.
        key: what decides `function`: plain values, tuples, dataclasses and functions.
        arguments: arrays, or their shapes and types.
        donate: the numbers of the arguments whose memory the result may take.
    """
    path = _path(key, jax.tree.map(lambda a: (a.shape, a.dtype), arguments))
    exported = _read(path) if path else None
    if exported is None:
        exported = export.export(function)(*arguments)
        if path:
            _write(path, exported)
    program: Any = exported.call

    @functools.wraps(function)  # by its name in JAX's log and in traces
    def call(*arguments: Any) -> Any:
        return program(*arguments)

    return jax.jit(call, donate_argnums=donate).lower(*arguments)


def _path(key: object, shapes: Any) -> Path | None:
    """The file of a program; None if JAX's cache is off or remote, or if the program depends on code outside of the hash."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    if not folder or "://" in folder or not jax.config.values["jax_enable_compilation_cache"]:
        return None
    sources = _sources()
    try:
        text = f"{sources} {_versions()} {_settings()} {_text(key)} {shapes}"
    except LookupError as error:
        _log.debug("a program is not stored: %s", error)
        return None
    private = sources and is_private(Path(folder)) and is_private(Path(folder) / "traced")
    return Path(folder) / "traced" / hashlib.sha256(text.encode()).hexdigest() if private else None


def _text(value: object) -> str:
    """A text that is equal for equal values only.

    Raises:
        LookupError: the value contains code that the hash does not cover.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic | np.dtype):
        return repr(value)
    if isinstance(value, type) or callable(value):
        return _name(value)
    if isinstance(value, Mapping):
        parts: list[object] = [*value, *value.values()]
    elif isinstance(value, tuple | list | frozenset):
        parts = list(value)
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        raise LookupError(f"{type(value)} has no text of its own")
    kind = "" if type(value).__module__ == "builtins" else _name(type(value))
    return f"{kind}({', '.join(map(_text, parts))})"


def _name(definition: Any) -> str:
    """The full name of a function or class that can be found by it in a known package; otherwise a LookupError."""
    module, name = getattr(definition, "__module__", None) or "", getattr(definition, "__qualname__", "")
    try:
        found = operator.attrgetter(name)(sys.modules[module]) if module.startswith(_KNOWN) else None
    except (AttributeError, KeyError):
        found = None
    if found is not definition:
        raise LookupError(f"{module}.{name} is not of a known package")
    return f"{module}.{name}"


@functools.cache
def _sources() -> str:
    """A hash of this package's sources; "" if any may have changed since the import, so that the running code differs."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    contents = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    changed = max(max(file.stat().st_mtime, file.stat().st_ctime) for file in files)
    return contents if changed < IMPORTED_AT else ""


@functools.cache
def _versions() -> str:
    return " ".join((*(version(name) for name in ("jax", "jaxlib", "flax", "optax")), jax.default_backend()))


def _settings() -> str:
    plain = {name: value for name, value in jax.config.values.items() if isinstance(value, bool | int | float | str)}
    return str(sorted((name, value) for name, value in plain.items() if "cache" not in name))


# A file is a line of the SHA-256 of the rest, a line of the named tuples in it, and the program.
def _read(path: Path) -> export.Exported | None:
    """Reads a stored program; None if it is missing or damaged."""
    try:
        if not path.is_file():
            return None
        digest, rest = path.read_bytes().split(b"\n", 1)
        if hashlib.sha256(rest).hexdigest().encode() != digest:
            return None
        names, program = rest.split(b"\n", 1)
        for name in json.loads(names):
            _register(_definition(name))
        exported = export.deserialize(bytearray(program))
        os.utime(path)
    except Exception as error:  # unreadable, or of another version: it is lowered again
        _log.debug("%s cannot be read: %s", path, error)
        return None
    return exported


def _write(path: Path, exported: export.Exported) -> None:
    """Stores a program and removes the least recently used ones; errors of the disk are ignored."""
    try:
        nodes = sorted(set(_named_tuples(exported.in_tree)) | set(_named_tuples(exported.out_tree)), key=_name)
        for node in nodes:
            _register(node)
        rest = (
            json.dumps([[node.__module__, node.__qualname__] for node in nodes]).encode() + b"\n" + bytes(exported.serialize())
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_write(path, hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        for old in sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)[:-MAX_FILES]:
            old.unlink(missing_ok=True)
    except (OSError, ValueError, LookupError) as error:
        _log.debug("%s cannot be written: %s", path, error)


def _named_tuples(tree: Any) -> Iterator[type]:
    """The types of the named tuples in a tree."""
    node = tree.node_data()
    if node and hasattr(node[0], "_fields"):
        yield node[0]
    for child in tree.children():
        yield from _named_tuples(child)


def _definition(name: list[str]) -> type:
    module, qualified = name
    if not module.startswith(_KNOWN):
        raise LookupError(module)
    return operator.attrgetter(qualified)(importlib.import_module(module))


@functools.cache
def _register(node: type) -> None:
    """Gives `jax.export` the name of a named tuple that programs take or return."""
    export.register_namedtuple_serialization(node, serialized_name=f"{node.__module__}.{node.__qualname__}")
