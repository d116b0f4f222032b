"""Grids: which members a sweep has."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Members that differ in a few settings.

    Attributes:
        keys: each swept setting with its values, as they are written on a command line.
        members: the overrides of each member, of settings that are not swept too.
    """

    keys: dict[str, list[str]]
    members: list[list[str]]


def product(settings: Sequence[tuple[str, Sequence[str]]]) -> Grid:
    """Every combination of the values, the last setting changing fastest; a setting given again replaces the earlier one.

    Example:
        >>> product([("size", ["64"]), ("seed", ["1", "2"])])
        Grid(keys={'seed': ['1', '2']}, members=[['size=64', 'seed=1'], ['size=64', 'seed=2']])
    """
    last = {key: list(values) for key, values in settings}
    choices = [[f"{key}={value}" for value in values] for key, values in last.items()]
    keys = {key.lstrip("+"): values for key, values in last.items() if len(values) > 1}
    return Grid(keys, [list(member) for member in itertools.product(*choices)])


def value_of(member: Sequence[str], key: str) -> str | None:
    """The value that a member's overrides give to a setting; None if they do not.

    Example:
        >>> value_of(["size=64", "loss.style_layers=[relu1_1]"], "loss.style_layers")
        '[relu1_1]'
    """
    pairs = (override.partition("=") for override in member)
    return next((value for name, _, value in reversed(list(pairs)) if name.lstrip("+") == key), None)


def shown(value: str | None) -> str:
    """A value as a figure shows it: lists without brackets, strings without quotes, numbers short.

    Example:
        >>> shown("[conv1_1,conv2_1]"), shown("'a b.jpg'"), shown("[]"), shown("1000.0"), shown(None)
        ('conv1_1, conv2_1', 'a b.jpg', 'none', '1000', '')
    """
    if value is None:
        return ""
    if re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", value):
        return f"{float(value):.4g}"
    if value.startswith("[") and value.endswith("]"):
        return ", ".join(item.strip() for item in value[1:-1].split(",")) or "none"
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key where that is clear enough, otherwise the whole.

    Example:
        >>> short_names(["loss.style_weight", "content.name", "style.name"])
        {'loss.style_weight': 'style_weight', 'content.name': 'content.name', 'style.name': 'style.name'}
    """
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if last.count(name) == 1 and name not in ("name", "path", "dir") else key
        for key, name in zip(keys, last, strict=True)
    }
