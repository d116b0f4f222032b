"""The command line of a run: our flags, Hydra's, and settings; what is none of these is told with the right spelling."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nst_jax.config.quoting import quote_paths
from nst_jax.config.validate import GROUPS, choices, keys
from nst_jax.errors import InputError

_SWITCHES = {"-m": "--multirun", "-h": "--help", "-r": "--run", "-sc": "--shell-completion"}
_SWITCHES |= {flag: flag for flag in (*_SWITCHES.values(), "--plan", "--version", "--resolve", "--hydra-help")}
_ENDINGS = ("--quiet", "--json", "--open")  # how a run ends
_SWITCHES |= {flag: flag for flag in _ENDINGS}
_VALUED = {"-c": "--cfg", "-p": "--package", "-cn": "--config-name", "-cd": "--config-dir", "-i": "--info"}
_VALUED |= {flag: flag for flag in (*_VALUED.values(), "--resume", "--import")}
# What other programs of this kind call their settings.
_ALIASES = {
    "content": "content.path", "content_image": "content.path", "style": "style.path", "style_image": "style.path",
    "output": "run.dir", "output_dir": "run.dir", "out": "run.dir", "image_size": "size", "iterations": "steps",
    "num_iterations": "steps", "iters": "steps", "num_steps": "steps", "lr": "optimizer.learning_rate",
}  # fmt: skip


class CommandLine(NamedTuple):
    """A command line, parsed.

    Attributes:
        hydra: the arguments for Hydra, flags first.
        resume: the folder of `--resume`.
        plan: whether to show the plan only.
        version: whether to print the version only.
        imports: the modules of `--import`.
        quiet: whether to print errors only.
        json: whether to print the result as JSON.
        open: whether to show the result when it is done.
    """

    hydra: list[str]
    resume: Path | None = None
    plan: bool = False
    version: bool = False
    imports: tuple[str, ...] = ()
    quiet: bool = False
    json: bool = False
    open: bool = False

    @property
    def works(self) -> bool:
        """Whether it asks for more than to show something."""
        return self.resume is not None or not {"--help", "--hydra-help", "--cfg", "--info", "--shell-completion"} & {
            *self.hydra
        }


def parse_command_line(arguments: Sequence[str], schema: type[Any]) -> CommandLine:
    """Sorts the arguments; `schema` has the settings.

    Raises:
        InputError: an argument is neither a flag nor KEY=VALUE, or `--resume` does not stand alone.

    Example:
        >>> from nst_jax.config.schema import Config
        >>> parse_command_line(["size=64", "-m", "--import", "my_losses"], Config).hydra
        ['--multirun', 'size=64', 'imports=[my_losses]']
    """
    flags, settings, rest = _sort(arguments)
    if rest:
        raise InputError(
            f"arguments must be KEY=VALUE, got {' '.join(rest)!r}; write {' '.join(_spellings(rest, keys(schema)))}"
        )
    imports = tuple(module for flag, module in flags if flag == "--import")
    given = [flag for flag, _ in flags]
    ending = {flag[2:]: flag in given for flag in _ENDINGS}
    if "--resume" in given:
        if settings or {*given} - {"--import", *_ENDINGS} != {"--resume"} or given.count("--resume") > 1:
            raise InputError(
                f"--resume must stand alone with the folder of a run, got {' '.join(arguments)!r}; the settings are in it"
            )
        return CommandLine([], resume=Path(os.path.expanduser(dict(flags)["--resume"])), imports=imports)._replace(**ending)
    for setting in settings:
        _check(setting)
    for package in (value for flag, value in flags if flag == "--package"):
        _check_package(package, keys(schema))
    if "--json" in given and "--multirun" in given:
        raise InputError(
            "--json must be without -m, which runs a sweep; its results are in table.csv in the folder of the sweep"
        )
    own = ("--plan", "--version", "--import", *_ENDINGS)
    hydra = [part for flag, value in flags if flag not in own for part in (flag, value) if part]
    if imports:
        settings = [*settings, f"imports=[{','.join(imports)}]"]
    if ending["quiet"]:
        settings = [*settings, "run.quiet=true"]
    if "--plan" in given:
        settings = [*settings, "++hydra.sweeper.plan=true"]
    if not arguments:
        hydra = ["--help"]
    return CommandLine(hydra + quote_paths([*(f for f in given if f == "--multirun"), *settings])[given.count("--multirun") :],
                       plan="--plan" in given, version="--version" in given, imports=imports)._replace(**ending)  # fmt: skip


def _sort(arguments: Sequence[str]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Flags with their values, settings, and what is neither."""
    flags, settings, rest = [], [], []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word in _SWITCHES:
            flags.append((_SWITCHES[word], ""))
        elif name in _VALUED:
            value = value if equals else words.pop(0) if words else ""
            if not value:
                raise InputError(f"{name} must come with a value, got none; write {name} VALUE")
            flags.append((_VALUED[name], value))
        elif not word.startswith(("-", "=")) and ("=" in word or word.startswith("~")):
            settings.append(word)
        else:
            rest.append(word)
    return flags, settings, rest


def _check(setting: str) -> None:
    key, _, value = setting.partition("=")
    if key == "hydra.job.chdir" and value.lower() not in ("", "false", "null"):
        raise InputError(f"hydra.job.chdir must be false, got {value!r}: paths would change their meaning; leave it out")
    if key in GROUPS and key != "style" and value.startswith("["):
        raise InputError(f"{key} must be one of {', '.join(choices(key))}, got {value!r}; each: -m {key}={value.strip('[]')}")


def _check_package(name: str, known: Sequence[str]) -> None:
    sections = {key.rpartition(".")[0] for key in known} - {""} | {*known}
    if name != "_global_" and name.partition(".")[0] != "hydra" and name not in sections:
        raise InputError(f"--package must be a section of the config, got {name!r}; --cfg job shows them all")


def _spellings(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """What was probably meant."""
    found, remaining = [], list(words)
    pictures = ["content.path", "style.path"]
    while remaining:
        word = remaining.pop(0)
        if word.startswith("-"):
            name, _, value = word.partition("=")
            value = value or (remaining.pop(0) if remaining and not remaining[0].startswith("-") else "VALUE")
            found.append(_spell(name, value, known))
        elif word.startswith("="):
            found.append(f"KEY{word}")
        elif word in known or word in GROUPS:
            found.append(f"{word}=VALUE")
        elif group := next((group for group in GROUPS if word in choices(group)), None):
            found.append(f"{group}={word}")
        elif "://" in word:
            found.append(f"{pictures.pop(0) if pictures else 'KEY'}=FILE after downloading it")
        else:
            found.append(f"{pictures.pop(0) if pictures else 'KEY'}={word}")
    return found


def _spell(flag: str, value: str, known: Sequence[str]) -> str:
    """The setting, or the flag, that `flag` was probably meant to be."""
    name = flag.lstrip("-").replace("-", "_")
    settings = {key.rpartition(".")[2]: key for key in known} | {key: key for key in known} | _ALIASES
    if name in GROUPS and value in choices(name):
        return f"{name}={value}"
    if name in settings:
        return f"{settings[name]}={value}"
    flags = {flag.lstrip("-").replace("-", "_"): flag for flag in (*_SWITCHES, *_VALUED)}
    near = difflib.get_close_matches(name, [*flags, *settings], n=1)
    if not near:
        return "--help to see the settings"
    return flags[near[0]] if near[0] in flags else f"{settings[near[0]]}={value}"
