"""`nst-jax completion bash|zsh|fish`: a script that completes commands, flags, settings, presets and samples.

The words are in the script itself, so that a completion starts no Python.
"""

import sys
from collections.abc import Sequence

from nst_jax.command.arguments import COMMANDS, parser
from nst_jax.config.schema import Config
from nst_jax.config.validate import GROUPS, choices, keys
from nst_jax.system.cli import Parser, run_cli

_BASH = """\
# for ~/.bashrc: eval "$(nst-jax completion bash)"
_nst_jax() {
  local word=${COMP_LINE:0:COMP_POINT}
  word=${word##* }
  mapfile -t COMPREPLY < <(compgen -W '@WORDS@' -- "$word"; compgen -f -- "$word")
  [[ $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")  # bash splits words at the sign
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o filenames -F _nst_jax nst-jax
"""
_ZSH = """\
# for ~/.zshrc, after compinit: eval "$(nst-jax completion zsh)"
_nst_jax() { compadd -S '' -- @WORDS@; _files }
compdef _nst_jax nst-jax
"""
_FISH = """\
# nst-jax completion fish > ~/.config/fish/completions/nst-jax.fish
complete -c nst-jax -a '@WORDS@'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the script; returns the exit code."""
    parser = Parser(
        prog="nst-jax completion", description="Print the completion script of a shell; its first line says where to put it."
    )
    parser.add_argument("shell", choices=[*SCRIPTS])
    options = parser.parse_args(arguments)
    return run_cli(lambda: _print(options.shell))


def _print(shell: str) -> int:
    print(SCRIPTS[shell].replace("@WORDS@", " ".join(words())), end="")
    return 0


def words() -> list[str]:
    """All that can be completed."""
    flags = [flag for action in parser()._actions if action.help != "==SUPPRESS==" for flag in action.option_strings]
    presets = [f"{group}={name}" for group in GROUPS for name in choices(group)]
    settings = [f"{key}=" for key in keys(Config) if key not in presets]
    return sorted({*COMMANDS, *flags, *presets, *settings, *choices("content"), *choices("style")})


if __name__ == "__main__":
    sys.exit(main())
