"""The choices of a page, and the command line of `nst-jax` that they are: pages have no settings of their own."""

import functools
import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nst_jax.command.arguments import SETTINGS, as_settings
from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import from_overrides
from nst_jax.config.schema import Config
from nst_jax.config.validate import keys
from nst_jax.errors import InputError
from nst_jax.images.named import NAMED, local_file
from nst_jax.system import data_folder
from nst_jax.system.atomic_write import atomic_write
from nst_jax.system.download import file_digest
from nst_jax.video.config import VideoConfig

PRESETS = ("quality", "fast", "portrait", "drawing", "photo", "poster", "texture", "gatys2016")
# A picture of each, NAME.webp, made by `python -m tools.presets`.
PRESET_PICTURES = Path(__file__).parent / "presets"
COLORS = ("style", "luminance", "locked", "match")
STROKES = (0.5, 0.75, 1.0, 1.5)
SIZES = (256, 384, 1024, 2048)
# The settings that a page may not give: those that name files or code of this machine, and those with a control of their own.
_OTHERS = re.compile(
    r"content\.|style\.|mask\.|run\.|imports|network\.name|optimizer\.options|scale\.hosts|preview|size|strength|seed|color$"
)
_FILE = "look.json"


@dataclass(frozen=True)
class Region:
    """A part of the photograph.

    Attributes:
        mask: its file, or "rest".
        painting: the file of its own painting; "" is that of the look.
        painted: False leaves it as it is.
    """

    mask: str
    painting: str = ""
    painted: bool = True


@dataclass(frozen=True)
class Look:
    """What a page has chosen, beside the photograph.

    Attributes:
        painting: its file.
        strength: in percent; 50 is that of the preset.
        stroke: the painting's size over the photograph's.
        size: longer side in pixels.
        colors: whose: one of `COLORS`.
        preset: one of `PRESETS`.
        seed: of the noise.
        start: the file of the picture to start from; "" as the preset says.
        regions: () is one, the whole photograph.
        feather: of the regions' masks: over how many pixels of them an edge fades.
        more: other settings, as on a command line.
    """

    painting: str
    strength: float | int = 50
    stroke: float | int = 1.0
    size: int = 384
    colors: str = "style"
    preset: str = "quality"
    seed: int = 0
    start: str = ""
    regions: tuple[Region, ...] = ()
    feather: int = 0
    more: dict[str, str] = field(default_factory=dict)


def words(photo: str, look: Look, output: str = "") -> list[str]:
    """The words after `nst-jax` that make the picture of a photograph.

    Raises:
        InputError: a setting that pages may not give, or one that is wrong.

    Example:
        >>> words("tubingen", Look("starry", stroke=0.5, size=256))
        ['tubingen', 'starry', '--size', '256', '--style-scale', '0.5']
    """
    chosen = {
        "size": look.size, "strength": look.strength / 100,
        "preset": look.preset, "colors": look.colors, "style_scale": look.stroke,
    }  # fmt: skip
    default = {"strength": Look.strength / 100, "preset": Look.preset, "colors": Look.colors, "style_scale": Look.stroke}
    given = [photo, look.painting]
    for flag in SETTINGS:
        if chosen[flag] != default.get(flag):
            given += [f"--{flag.replace('_', '-')}", str(chosen[flag])]
    given += ["-o", output] if output else []
    given += [f"seed={look.seed}"] if look.seed else []
    given += [f"init={look.start}"] if look.start else []
    return [*given, *_regions(look), *(f"{key}={_plain(key, value)}" for key, value in look.more.items())]


def compose(given: Sequence[str], *, film: bool = False) -> Config:
    """The config of a command line, of a photograph or a film. Raises InputError for one that is wrong."""
    name, schema = ("video", VideoConfig) if film else ("config", Config)
    return from_overrides(parse_command_line(as_settings(given, film=film), schema).hydra, name, schema)


def command(given: Sequence[str]) -> str:
    """A command line to copy."""
    return shlex.join(["nst-jax", *given])


def as_word(file: Path) -> str:
    """The name of a sample picture, if a file is one that is found without the network; otherwise its path."""
    digest = file_digest(file, "sha256").removeprefix("sha256:")
    names = (name for name, named in NAMED.items() if named.sha256 == digest and local_file(name))
    return next(names, os.fspath(file))


class Setting(NamedTuple):
    """A setting under "More": its default, and the words about it in the help of `nst-jax run`."""

    default: str
    about: str


def settings() -> dict[str, Setting]:
    """The settings under "More", by key."""
    text = (data_folder("configs") / "config.yaml").read_text("utf-8")
    words_about = {key: " ".join(about.split()) for key, about in re.findall(_HELP, text, re.MULTILINE)}
    own = [key for key in keys(Config) if not _OTHERS.match(key)]
    about = {key: words_about.get(key) or words_about[key.removesuffix(".name")] for key in own}  # that of its group
    return {key: Setting(_default(key), about[key]) for key in own}


# A line of that help: eight blanks, KEY=DEFAULT, and what it means, which goes on in lines that begin further to the right.
_HELP = r"^ {8}([a-z_.]+)=\S*\s+((?:.*)(?:\n {30,}\S.*)*)"


def _default(key: str) -> str:
    value = functools.reduce(getattr, key.split("."), Config())
    return str(value).replace("'", "").replace(" ", "")


def write(folder: Path, photo: str, look: Look) -> None:
    """Keeps the choices beside a run, for `read`."""
    atomic_write(folder / _FILE, json.dumps({"photo": photo, **asdict(look)}, indent=1).encode())


def read(folder: Path) -> tuple[str, Look] | None:
    """The photograph and the choices of a run; None if no page made it."""
    try:
        found: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
        regions = tuple(Region(**region) for region in found.pop("regions"))
        return found.pop("photo"), Look(**found, regions=regions)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _regions(look: Look) -> list[str]:
    if not look.regions:
        return []
    masks, paintings = [], []
    for region in look.regions:
        masks.append(region.mask)
        paintings.append(_file(region.painting or look.painting))
    weights = ",".join(str(int(region.painted)) for region in look.regions)
    return [f"mask.regions=[{','.join(masks)}]", f"style.path=[{','.join(paintings)}]", f"mask.weights=[{weights}]"]


def _file(word: str) -> str:
    """The path of a painting: a list of styles has paths or names, not both."""
    return os.fspath(local_file(word) or word) if word in NAMED else word


def _plain(key: str, value: str) -> str:
    if _OTHERS.match(key) or key not in keys(Config):
        raise InputError(f"setting must be one of those under More, got {key!r}; leave it out")
    if re.search(r"[${}\n]", value):
        raise InputError(f"{key} must be a plain value, got {value!r}; write a number, a name or a list such as [1,2]")
    if key == "init" and not value.isidentifier():
        raise InputError(f"init must be a name such as noise, got {value!r}; to start from a picture, choose it in the history")
    return value
