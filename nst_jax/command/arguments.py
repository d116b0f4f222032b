"""The arguments of `nst-jax`: its commands, and PHOTO, PAINTING and flags, which become the settings of a run."""

import argparse
import difflib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nst_jax
from nst_jax.config.quoting import quote
from nst_jax.config.schema import Config
from nst_jax.config.validate import choices, keys
from nst_jax.errors import InputError
from nst_jax.images.files import READABLE, nearest_file
from nst_jax.images.named import fetched
from nst_jax.images.video import FILMS
from nst_jax.system.cli import Parser

_ABOUT = "Repaint a photo in the style of another picture: nst-jax me.jpg painting.jpg"
_EPILOG = """\
The result is runs/<date and time>/result.png, beside the record of the run, and FILE. Of several photos, or a folder, each
becomes a picture in the folder FILE. Ctrl-C ends a run with the picture so far.

sample pictures; those after the semicolon are downloaded when first used:
"""


class _Command(NamedTuple):
    """A command: the module whose `main` it calls, the arguments put before the user's, and what it does."""

    module: str
    about: str
    arguments: tuple[str, ...] = ()


COMMANDS = {
    "run": _Command("run", "one picture or a sweep, by settings alone: run KEY=VALUE ..."),
    "sweep": _Command("run", "all combinations of settings: sweep loss.style_weight=0.3,1,3", ("-m",)),
    "resume": _Command("run", "continue an interrupted run or sweep: resume DIR", ("--resume",)),
    "invert": _Command("invert.__main__", "reconstruct a picture from its features"),
    "video": _Command("video.__main__", "paint a film, consistent from frame to frame: video FILM PAINTING KEY=VALUE ..."),
    "replay": _Command("replay", "reproduce a picture from the settings stored in it"),
    "runs": _Command("runs.__main__", "list, show and compare runs"),
    "report": _Command("report.__main__", "write the report of a run or sweep again"),
    "studio": _Command("studio.__main__", "open a page on this machine to make pictures with"),
    "watch": _Command("watch", "follow a run in the browser"),
    "evaluate": _Command("evaluate.__main__", "score results with networks that were not optimized"),
    "weights": _Command("weights", "list, fetch and convert network parameters"),
    "warm": _Command("command.warm", "compile programs ahead, so that first runs start quickly"),
    "doctor": _Command("command.doctor", "check this installation, and say what to do"),
    "completion": _Command("command.completion", "print the completion script of a shell: completion bash|zsh|fish"),
}
# Flag -> the setting that it is.
SETTINGS = {
    "size": "size",
    "strength": "strength",
    "preset": "experiment",
    "colors": "color",
    "style_scale": "style.scale",
}
# What Hydra and `nst_jax.config.command_line` take, passed on as it is.
_SWITCHES, _VALUED = ("--plan", "--quiet", "--json", "--open"), ("--cfg", "--config-dir", "--config-name", "--import")
_PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "rocm": "rocm", "tpu": "tpu"}


def parser() -> argparse.ArgumentParser:
    """The flags of `nst-jax PHOTO PAINTING`."""
    commands = "\n".join(f"  {name:<12}{command.about}" for name, command in COMMANDS.items())
    samples = "\n".join(f"  {word:<10}{_samples(group)}" for group, word in (("content", "PHOTO"), ("style", "PAINTING")))
    parser = Parser(
        prog="nst-jax",
        usage="nst-jax PHOTO PAINTING [options] [KEY=VALUE ...]\n       nst-jax COMMAND ...",
        description=_ABOUT,
        epilog=f"{_EPILOG}{samples}\n\ncommands (nst-jax COMMAND --help explains each):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("words", nargs="*", metavar="PHOTO, PAINTING, KEY=VALUE", help="files, or names of samples; "
        "several photos, a folder or a film, and one painting; nst-jax run --help lists the settings KEY")  # fmt: skip
    add("-o", "--output", metavar="FILE", help="where to write the result: a .png, .jpg, .webp or .tif, or a folder")
    add("--size", metavar="N", help="longer side in pixels (default: 384)")
    add("--strength", metavar="X", help="0 stays near the photo, 1 leaves little of it (default: 0.5)")
    add("--preset", metavar="NAME", help="fast, quality, portrait, drawing, photo, poster, texture, ...")
    add(
        "--colors",
        metavar="WHOSE",
        help="style (default), luminance to keep the photo's, locked for the style's laid out as in the photo, "
        "match for the style's moved to the photo's",
    )
    add("--style-scale", metavar="X", help="the painting's size over the photo's (default: 1): larger for coarser strokes")
    add("--preview", action="store_true", help="write a picture of one pass first, within seconds")
    add("--device", choices=[*_PLATFORMS], metavar="KIND", help="cpu, gpu or tpu (default: the fastest that JAX finds)")
    add("--open", action="store_true", help="show the result when it is done")
    add("--plan", action="store_true", help="only show sizes, time and memory")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--json", action="store_true", help="print one JSON object: result, losses, seconds")
    add(
        "-m",
        "--multirun",
        action="store_true",
        help="sweep: all combinations of settings with several values, such as size=256,512",
    )
    add("--version", action="version", version=f"nst-jax {nst_jax.__version__}")
    for flag in _VALUED:
        add(flag, action="append", default=[], help=argparse.SUPPRESS)
    return parser


def _samples(group: str) -> str:
    names = choices(group)
    afar = fetched(names)
    return f"{', '.join(name for name in names if name not in afar)}; {', '.join(afar)}"


def names_picture(arguments: Sequence[str]) -> bool:
    """Whether a command line names a photo, a film or a folder, beside flags and settings."""
    return "--resume" not in arguments and any(_is_picture(word) for word in arguments if not word.startswith("-"))


def names_film(arguments: Sequence[str]) -> bool:
    """Whether the first picture that a command line names is a film; a GIF is a picture here."""
    given, _ = parser().parse_known_intermixed_args(list(arguments))  # which knows the values of flags
    names = [word for word in given.words if _is_picture(word)]
    return bool(names) and Path(names[0]).suffix.lower() in {*FILMS} - {".gif"}


def as_settings(arguments: Sequence[str], *, film: bool = False) -> list[str]:
    """The command line of `nst_jax.run` for that of `nst-jax PHOTO PAINTING`, or of `nst_jax.video` for FILM PAINTING.

    Raises:
        InputError: an unknown flag, or pictures that are not there or too few.

    Example:
        >>> as_settings(["tubingen", "starry", "--size", "512", "steps=20"])
        ['content=tubingen', 'style=starry', 'size=512', 'steps=20']
    """
    given, unknown = parser().parse_known_intermixed_args(list(arguments) or ["--help"])
    flags = [word for word in unknown if word.startswith("-")]
    for flag in flags:
        _check_flag(flag)
    for flag, example in (("size", 512), ("strength", 0.7), ("style_scale", 0.7)):
        if (value := getattr(given, flag)) is not None and not _is_number(value):
            name = f"--{flag.replace('_', '-')}"
            raise InputError(f"{name} must be a number, got {value!r}; write {name} {example}")
    if given.device:
        os.environ["JAX_PLATFORMS"] = _PLATFORMS[given.device]  # which JAX reads when it is imported
    names = [word for word in given.words if _is_picture(word)]
    settings = [f"{key}={value}" for flag, key in SETTINGS.items() if (value := getattr(given, flag)) is not None]
    settings += ["preview=true"] if given.preview else []
    pictures, several = _pictures(names, given.output, film) if names else ([], False)
    if given.output is not None:
        settings.append(f"run.output={_place(given.output, several)}")
    passed = [switch for switch in _SWITCHES if getattr(given, switch[2:])] + (["-m"] if several or given.multirun else [])
    for flag in _VALUED:
        passed += [part for value in getattr(given, flag[2:].replace("-", "_")) for part in (flag, value)]
    return [*pictures, *settings, *(word for word in given.words if word not in names), *unknown, *passed]


def _check_flag(flag: str) -> None:
    """Refuses a flag that is nearly one of ours; `nst_jax.config.command_line` knows the names of settings."""
    name = flag.partition("=")[0]
    if name in ("--content", "--style"):
        raise InputError(f"pictures must be given without flags, got {name}; write nst-jax me.jpg painting.jpg")
    ours = [option for action in parser()._actions for option in action.option_strings if option.startswith("--")]
    settings = {key.rpartition(".")[2].replace("_", "-") for key in keys(Config)}
    near = difflib.get_close_matches(name, ours, n=1)
    if near and name.lstrip("-") not in settings:
        raise InputError(f"flags must be those of nst-jax --help, got {name}; did you mean {near[0]}?")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_picture(word: str) -> bool:
    key = word.partition("=")[0]
    return os.path.exists(word) or "://" in key or not (key != word or word.startswith("~"))


def _pictures(names: list[str], output: str | None, film: bool) -> tuple[list[str], bool]:
    """PHOTO ... PAINTING, or FILM PAINTING, as settings, and whether they are several photos."""
    first = names[0]
    if not os.path.exists(first) and (near := difflib.get_close_matches(first, COMMANDS, n=1, cutoff=0.75)):
        raise InputError(f"command must be one of {', '.join(COMMANDS)}; got {first!r}; did you mean nst-jax {near[0]}?")
    if len(names) == 1:
        raise InputError(f"PHOTO must come with a PAINTING, got {first!r} alone; write nst-jax {shlex.quote(first)} starry")
    _check_split(names)
    *photos, painting = names
    if len(photos) == 1 and (_is_sample("style", first, painting) or _is_sample("content", painting, first)):
        right = shlex.join([painting, first])
        raise InputError(f"PHOTO must come before PAINTING, got {first!r} and then {painting!r}; write nst-jax {right}")
    style = _picture("style", painting)
    if film:
        if len(photos) > 1:
            raise InputError(f"FILM must be one, got {' and '.join(photos)}; paint one after the other")
        return [f"content.path={first}", style], False
    if len(photos) == 1 and not os.path.isdir(first):
        return [_picture("content", first), style], False
    files = [file for photo in photos for file in (_in_folder(photo) if os.path.isdir(photo) else [photo])]
    for file in files:
        _check_file(file, [])
    stems = [Path(file).stem for file in files]
    if output is not None and (twice := [file for file in files if stems.count(Path(file).stem) > 1]):
        raise InputError(
            f"photos must differ in name to become pictures in {output}, got {' and '.join(twice[:2])}; rename one"
        )
    return [f"content.path=choice({','.join(map(quote, files))})", style], True


def _in_folder(folder: str) -> list[str]:
    files = sorted(str(file) for file in Path(folder).iterdir() if file.suffix.lower() in READABLE)
    if not files:
        raise InputError(f"folder {folder} must hold pictures, got none; name a folder with .jpg or .png files")
    return files


def _picture(group: str, name: str) -> str:
    """The setting of a file, or of a sample picture."""
    if not os.path.exists(name) and name in choices(group):
        return f"{group}={name}"
    _check_file(name, choices(group))
    return f"{group}.path={name}"


def _is_sample(group: str, name: str, other: str) -> bool:
    """Whether a word names a sample of this group alone, and the other word does not."""
    samples = {*choices(group)}
    return not os.path.exists(name) and name in samples and other not in samples


def _check_file(name: str, samples: Sequence[str]) -> None:
    if "://" in name:
        file = os.path.basename(name.partition("?")[0]) or "FILE"
        raise InputError(f"pictures must be files, got the address {name}; download it first: curl -L -o {file} '{name}'")
    if os.path.isdir(name):
        raise InputError(f"PAINTING must be a file, got the folder {name}; only PHOTO can be a folder")
    if os.path.exists(os.path.expanduser(name)):
        return
    near = next(iter(difflib.get_close_matches(Path(name).stem, samples, n=1)), None) or nearest_file(name)
    other = f"check the path{', or take a sample: ' + ', '.join(samples) if samples else ''}"
    raise InputError(f"picture {name!r} must be a file, got no such file; {f'did you mean {near}?' if near else other}")


def _check_split(names: list[str]) -> None:
    """Refuses words that are a file only together: the shell has split a name at its spaces."""
    for begin in range(len(names)):
        for end in range(begin + 2, len(names) + 1):
            whole = " ".join(names[begin:end])
            if os.path.exists(whole) and not all(map(os.path.exists, names[begin:end])):
                raise InputError(f"names with spaces must be in quotes, got {whole}; write {whole!r}")


def _place(output: str, several: bool) -> str:
    """`run.output`, whole; a folder ends with a slash."""
    path = os.path.abspath(os.path.expanduser(output))
    is_folder = os.path.isdir(path) or output.endswith(("/", os.sep)) or (several and not os.path.splitext(path)[1])
    if several and not is_folder:
        raise InputError(f"-o must be a folder for several photos, got {output!r}; write -o {os.path.splitext(output)[0]}/")
    return os.path.join(path, "") if is_folder else path
