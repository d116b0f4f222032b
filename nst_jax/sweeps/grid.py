"""Grids of settings, and how a setting is shown."""

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from nst_jax.config.quoting import without_folders


@dataclass(frozen=True)
class Grid:
    """Members that differ in a few settings.

    Attributes:
        keys: each swept setting with its values, as on a command line.
        members: the overrides of each member, including the settings that are not swept.
    """

    keys: dict[str, list[str]]
    members: list[list[str]]


def product(settings: Sequence[tuple[str, Sequence[str]]]) -> Grid:
    """All combinations of the values, the last setting changing fastest; a repeated setting replaces the earlier one.

    Example:
        >>> product([("size", ["64"]), ("seed", ["1", "2"])])
        Grid(keys={'seed': ['1', '2']}, members=[['size=64', 'seed=1'], ['size=64', 'seed=2']])
    """
    last = {key: list(values) for key, values in settings}
    choices = [[f"{key}={value}" for value in values] for key, values in last.items()]
    keys = {key.lstrip("+"): values for key, values in last.items() if len(values) > 1}
    return Grid(keys, [list(member) for member in itertools.product(*choices)])


def value_of(member: Sequence[str], key: str) -> str | None:
    """The value that a member's overrides give to a setting, as on a command line; None if they do not.

    Example:
        >>> value_of(["size=64", "loss.style_layers=[relu1_1]"], "loss.style_layers")
        '[relu1_1]'
    """
    pairs = (override.partition("=") for override in member)
    return next((value for name, _, value in reversed(list(pairs)) if name.lstrip("+") == key), None)


def plain(value: str | None) -> str | None:
    r"""A value without the quotes and escapes of Hydra's grammar.

    Example:
        >>> plain(r"'it\'s.png'"), plain(r"a\ b.png"), plain("['a.png',b.png]"), plain("1e-3")
        ("it's.png", 'a b.png', '[a.png,b.png]', '1e-3')
    """
    if value is None or not re.search(r"['\"\\]", value):
        return value
    try:
        parsed = OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:
        return value
    if isinstance(parsed, list):
        return f"[{','.join(map(str, parsed))}]"
    return parsed if isinstance(parsed, str) else value


def format_setting(value: str | None) -> str:
    """A value for a figure: plain, lists without brackets, numbers short, files without their folders.

    Example:
        >>> format_setting("[conv1_1,conv2_1]"), format_setting("'/x/a b.jpg'"), format_setting("[]"), format_setting("1000.0")
        ('conv1_1, conv2_1', 'a b.jpg', 'none', '1000')
    """
    text = without_folders(plain(value) or "")
    if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text):
        return f"{float(text):.4g}"
    if text.startswith("[") and text.endswith("]"):
        return ", ".join(item.strip() for item in text[1:-1].split(",")) or "none"
    return text


def short_names(keys: Collection[str]) -> dict[str, str]:
    """The last part of each key, without `.path` and `.name`; the whole key where that would be ambiguous.

    Example:
        >>> short_names(["loss.style_weight", "content.path", "style", "style.blend", "run.dir", "hydra.dir"])
        {'loss.style_weight': 'style_weight', 'content.path': 'content', 'style': 'style', 'style.blend': 'blend', \
'run.dir': 'run.dir', 'hydra.dir': 'hydra.dir'}
    """
    last = {key: key.removesuffix(".path").removesuffix(".name").rpartition(".")[2] for key in keys}
    names = list(last.values())
    return {key: name if names.count(name) == 1 else key for key, name in last.items()}


def describe(row: Mapping[str, Any], keys: Collection[str], names: Mapping[str, str]) -> str:
    """The settings `keys` of a member on one line."""
    return ", ".join(f"{names[key]} {format_setting(row[key])}" for key in keys if row[key] is not None)
