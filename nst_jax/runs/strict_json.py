"""JSON that every reader takes."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any


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
