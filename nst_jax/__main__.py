"""`nst-jax PHOTO PAINTING` and `nst-jax COMMAND ...`, also `python -m nst_jax`: see `nst_jax.command.arguments`."""

import importlib
import sys
from collections.abc import Sequence

from nst_jax.system.cli import run_cli, start, valid_environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code of the command."""
    if arguments is None:  # a process of its own, not a call in somebody else's
        arguments = sys.argv[1:]
        start(*(("-m", "nst_jax") if __name__ == "__main__" else (sys.argv[0],)))
    return run_cli(lambda: _act(list(arguments)))


def _act(arguments: list[str]) -> int:
    from nst_jax.command.arguments import COMMANDS, as_settings, names_film, names_picture

    if command := COMMANDS.get(arguments[0] if arguments else ""):
        given = arguments[1:]
        film = command is COMMANDS["video"] and names_picture(given)
        sys.argv[1:] = [*command.arguments, *(as_settings(given, film=True) if film else given)]
    else:
        film = names_film(arguments)
        command = COMMANDS["video" if film else "run"]
        sys.argv[1:] = as_settings(arguments, film=film)
    with valid_environment():
        module = importlib.import_module(f"nst_jax.{command.module}")
    return module.main()


if __name__ == "__main__":
    sys.exit(main())
