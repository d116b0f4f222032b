"""Traced programs on disk: a second start neither traces nor lowers, which takes Python seconds for a network's gradient.

JAX's own cache saves the compiler, but is looked up by the lowered program. Kept here, beside JAX's cache and whenever that is
on, is the lowered program as `jax.export` writes it (StableHLO; nothing in it is Python). Its name is a hash of all that
decides it: the sources of this package, the versions of JAX and its libraries, JAX's settings, and the caller's key. Code of
others is not in that hash, so a program made of any is not kept.
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

# The programs last used are kept, about 100 kB each.
MAX_FILES = 256
# Packages whose code the hash covers, by their sources or versions.
_KNOWN = ("nst_jax.", "jax.", "optax.", "flax.")


def lower_cached(function: Any, key: object, *arguments: Any, donate: tuple[int, ...] = ()) -> Any:
    """`jax.jit(function).lower(*arguments)`, traced only if no earlier program has left it on disk.

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
    return jax.jit(exported.call, donate_argnums=donate).lower(*arguments)


def _path(key: object, shapes: Any) -> Path | None:
    """The file of a program; None if JAX keeps none here, or if code that the hash does not cover decides it."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    if not folder or "://" in folder or not jax.config.values["jax_enable_compilation_cache"]:
        return None
    sources = _sources()
    try:
        text = f"{sources} {_versions()} {_settings()} {_text(key)} {shapes}"
    except LookupError as error:
        _log.debug("a program is not kept: %s", error)
        return None
    private = sources and is_private(Path(folder)) and is_private(Path(folder) / "traced")
    return Path(folder) / "traced" / hashlib.sha256(text.encode()).hexdigest() if private else None


def _text(value: object) -> str:
    """A text that only equal values have.

    Raises:
        LookupError: in it is code that the hash does not cover.
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
    """The full name of a function or a class, if that is what it stands for in a known package."""
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
    """A hash of this package's sources; "" if any may have changed since it was imported, so that other code runs."""
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
    """A stored program; None if there is none, or a damaged one."""
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
    except Exception as error:  # of another version, or unreadable: it is made again
        _log.debug("%s cannot be read: %s", path, error)
        return None
    return exported


def _write(path: Path, exported: export.Exported) -> None:
    """Stores a program, and drops those that were not used for longest; on a disk that refuses there is none."""
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
