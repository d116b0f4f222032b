"""Plain values to a config of a schema, or one line that names the key, the rule and the value."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from nst_jax.errors import InputError
from nst_jax.system import data_folder

GROUPS = ("content", "style", "network", "loss", "optimizer", "experiment")

# By the type of pydantic's error; braces hold its context.
_RULES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "above {gt:g}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
}


def validate(plain: Mapping[str, Any], schema: type[Any]) -> Any:
    """`plain`, nested as the schema is, as a `schema`.

    Raises:
        InputError: an unknown key, or a value of the wrong type or out of range.
    """
    try:
        return _adapter(schema).validate_python(plain)
    except ValidationError as error:
        raise InputError(_describe(error, plain, schema)) from error


@cache
def _adapter(schema: type[Any]) -> Any:
    return TypeAdapter(schema)


def _describe(error: ValidationError, plain: Any, schema: type[Any]) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "unexpected_keyword_argument":
        return unknown_key(".".join(map(str, first["loc"])), schema)
    key, field, value = _locate(first["loc"], plain, schema)
    given = f"{value!r}"[:200]
    if first["type"] == "dataclass_type":
        return f"{key} must be set by its parts {', '.join(keys(field.annotation, f'{key}.'))}; got {given}"
    if first["type"] == "literal_error" and not field.description:
        names = get_args(field.annotation)
        return f"{key} must be one of {', '.join(names)}; got {given}{nearest(value, names)}"
    text = field.description or _RULES.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return f"{key} must be {text}, got {given}"


def _locate(location: Iterable[Any], plain: Any, schema: Any) -> tuple[str, Any, Any]:
    """The key that an error is about, its field, and the value given for it."""
    names: list[str] = []
    field: Any = None
    for part in location:
        inner = getattr(schema, "__pydantic_fields__", {})
        if part not in inner:
            break
        field = inner[part]
        schema, plain = field.annotation, plain.get(part) if isinstance(plain, Mapping) else plain
        names.append(part)
    return ".".join(names), field, plain


def choices(group: str) -> list[str]:
    """The names of the presets of a group."""
    return sorted(file.stem for file in (data_folder("configs") / group).glob("*.yaml"))


def keys(schema: Any, prefix: str = "") -> list[str]:
    """Every key of a schema, such as `loss.style_weight`."""
    found: list[str] = []
    for field in dataclasses.fields(schema):
        nested = dataclasses.is_dataclass(field.type)
        found += keys(field.type, f"{prefix}{field.name}.") if nested else [prefix + field.name]
    return found


def unknown_key(key: str, schema: type[Any], groups: Iterable[str] = ("experiment",)) -> str:
    """The message about a key that the schema does not have."""
    known = {field.name: field.name for field in dataclasses.fields(schema)} | {group: group for group in groups}
    known |= {full.rpartition(".")[2]: full for full in keys(schema)} | {full: full for full in keys(schema)}
    near = difflib.get_close_matches(key, known, n=3)
    near.sort(key=lambda name: name[0] != key[0])  # the first letter is seldom the wrong one
    advice = f"did you mean {known[near[0]]}?" if near else "--cfg job shows them all"
    return f"key must be one that the config has, got {key!r}; {advice}"


def nearest(value: Any, names: Iterable[str]) -> str:
    """The closest of `names` as a question to append to a message, or nothing."""
    near = difflib.get_close_matches(str(value), names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
