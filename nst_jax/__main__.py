"""Repaint a photo in the style of another picture.

  nst-jax PHOTO PAINTING [KEY=VALUE ...]   for example: nst-jax me.jpg starry size=512
  nst-jax COMMAND ...                      nst-jax COMMAND --help explains it

PHOTO and PAINTING are files, or names of sample pictures such as tubingen and starry. The result is
runs/<date and time>/result.png. `nst-jax run --help` lists the settings.

commands:
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import nst_jax
from nst_jax.errors import InputError
from nst_jax.system.cli import run_cli, start

# Name -> what it does. Each is also `python -m nst_jax.NAME`, but resume, which is `python -m nst_jax.run --resume`.
COMMANDS = {
    "run": "one picture or a sweep, by settings alone",
    "resume": "continue an interrupted run or sweep: resume DIR",
    "watch": "follow a run in the browser",
    "runs": "list, show and compare runs",
    "report": "write the report of a run or sweep again",
    "replay": "reproduce a picture from the settings stored in it",
    "evaluate": "score results with networks that were not optimized",
    "invert": "reconstruct a picture from its features",
    "weights": "list, fetch and convert network parameters",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code of the command."""
    if arguments is None:  # a process of its own, not a call in somebody else's
        arguments = sys.argv[1:]
        start(*(("-m", "nst_jax") if __name__ == "__main__" else (sys.argv[0],)))
    return run_cli(lambda: _act(list(arguments)))


def _act(arguments: list[str]) -> int:
    first = arguments[0] if arguments else "--help"
    if first in ("--help", "-h"):
        print((__doc__ or "") + "\n".join(f"  {name:<10}{about}" for name, about in COMMANDS.items()))
        return 0
    if first == "--version":
        print(f"nst-jax {nst_jax.__version__}")
        return 0
    name, rest = (first, arguments[1:]) if first in COMMANDS else ("run", as_settings(arguments))
    if name == "resume":
        name, rest = "run", ["--resume", *rest]
    module = name if name in ("run", "replay", "watch", "weights") else f"{name}.__main__"
    sys.argv[1:] = rest
    return importlib.import_module(f"nst_jax.{module}").main()


def as_settings(arguments: Sequence[str]) -> list[str]:
    """PHOTO and PAINTING as settings of a run, the rest as it is.

    Example:
        >>> as_settings(["me.jpg", "starry", "size=512"])
        ['content.path=me.jpg', 'style=starry', 'size=512']
    """
    pictures = [argument for argument in arguments if _is_picture(argument)]
    if len(pictures) not in (0, 2):
        raise InputError(
            f"arguments must begin with a command, or name PHOTO and PAINTING, got {' '.join(pictures)!r}; see nst-jax --help"
        )
    settings = [argument for argument in arguments if argument not in pictures]
    for key, picture in reversed([*zip(("content", "style"), pictures, strict=False)]):
        named = picture.isidentifier() and not Path(picture).exists()
        settings.insert(0, f"{key}={picture}" if named else f"{key}.path={picture}")
    return settings


def _is_picture(argument: str) -> bool:
    return Path(argument).exists() or not ("=" in argument or argument.startswith("-"))


if __name__ == "__main__":
    sys.exit(main())
