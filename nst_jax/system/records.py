"""Records as data: JSON and YAML text to plain values of the expected types, or one InputError; and values to strict JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import Node

from nst_jax.errors import InputError

_MAX_YAML = 100_000  # characters; the settings of a run take about 3,000
_MAX_DEPTH = 16


def parse_json(record: type[BaseModel], text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text`, checked against the types of `record`; only the fields that it has.

    Args:
        record: the types; a strict model accepts no text for a number.
        text: from a file that may be damaged or hostile; deep nesting and what is not UTF-8 are refused.
        what: the name of the file in messages, such as "manifest.json in runs/1".

    Raises:
        InputError: the text is not JSON, or not of those types.
    """
    try:
        return record.model_validate_json(text).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise InputError(_damage(error, what)) from error


def parse_yaml(text: str, what: str) -> dict[str, Any]:
    """The mapping in YAML text, made of plain values only.

    Raises:
        InputError: the text is no mapping, is larger or nested deeper than settings are, or has aliases, tags or `${...}`.
    """
    if len(text) > _MAX_YAML:
        raise InputError(f"{what} must have at most {_MAX_YAML} characters, got {len(text)}; the file is damaged")
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InputError(f"{what} must be plain YAML, got {reason!r}; restore the file") from error
    if not isinstance(value, dict) or not value or not all(isinstance(key, str) for key in value):
        raise InputError(f"{what} must hold settings, got {text[:40]!r}; the file is damaged")
    return value


def strict_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that every reader takes (RFC 8259): numbers that are not finite become null, lone surrogates are escaped.

    Args:
        value: mappings, sequences, paths, numbers, strings, and arrays or array scalars of NumPy or JAX.
        indent: spaces per level, with sorted keys; None gives one line with the keys in their order.

    Raises:
        TypeError: something in `value` has no JSON form.

    Example:
        >>> strict_json({"step": 3, "loss": float("nan")})
        '{"step": 3, "loss": null}'
    """
    return json.dumps(_plain(value), allow_nan=False, indent=indent, sort_keys=indent is not None)


class _Loader(yaml.SafeLoader):
    """A safe loader without aliases, whose work is linear in the length of the text."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        if self.depth == _MAX_DEPTH:
            raise yaml.YAMLError("deep nesting")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if "${" in value:
            raise yaml.YAMLError(f"a reference, {value[:40]!r}")
        return value


def _damage(error: ValidationError, what: str) -> str:
    first = error.errors(include_url=False)[0]
    key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Input should be ")
    if first["type"] == "json_invalid":
        return f"{what} must be JSON, got {first.get('ctx', {}).get('error')!r}; the file is damaged"
    if first["type"] == "missing":
        return f"{what} must have the field {key}, got none; the file is damaged"
    return f"{f'{key} of ' if key else ''}{what} must be {message}, got {str(first['input'])[:40]!r}; the file is damaged"


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return _text(str(value)) if isinstance(value, str | PurePath) else value


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
