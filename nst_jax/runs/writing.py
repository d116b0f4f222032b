"""How a record is written: JSON that is strict, and a failing disk told in one clear line."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from nst_jax.errors import InputError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses while `path` is written (disk full, no permission) into an InputError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{path} must be writable, got {reason!r}; free some space or choose another run.dir"
            " (what was written before is whole)"
        ) from error


def strict_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that every reader takes (RFC 8259): numbers that are not finite become null.

    Args:
        value: mappings, sequences, paths, numbers, strings, and arrays or array scalars of NumPy or JAX.
        indent: spaces for each level, with the keys sorted; None gives one line with the keys in their order.

    Raises:
        TypeError: something in `value` has no JSON form.

    Example:
        >>> strict_json({"step": 3, "loss": float("nan")})
        '{"step": 3, "loss": null}'
    """
    return json.dumps(_plain(value), allow_nan=False, indent=indent, sort_keys=indent is not None)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value
