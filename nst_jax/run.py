"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import sys
from typing import Any

import nst_jax
from nst_jax.system.cli import run_cli, start, valid_environment

if __name__ == "__main__":
    start("-m", "nst_jax.run")

from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import from_command_line, import_modules
from nst_jax.config.schema import Config


def main() -> int:
    """Runs the command line; returns 0, 1 if members of a sweep failed, 2 for bad input, 130 when interrupted."""
    return run_cli(_act)


def _act() -> int:
    line = parse_command_line(sys.argv[1:], Config)
    if line.version:
        print(f"nst_jax {nst_jax.__version__}")
        return 0
    import_modules(line.imports)
    if line.works:
        with valid_environment():
            from nst_jax.distributed import check_environment  # and with it JAX, which --help and the like do not need

        check_environment()
    if line.resume:
        from nst_jax.sweeps.resume import resume_folder

        return resume_folder(line)
    sys.argv[1:] = line.hydra
    if (config := from_command_line("config", Config, _run_member)) is None:
        return 0
    from nst_jax.runner.run import run_config

    return run_config(config, line)


def _run_member(composed: Any) -> None:
    from nst_jax.sweeps.member import run_member

    run_member(composed)


if __name__ == "__main__":
    sys.exit(main())
