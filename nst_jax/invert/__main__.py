"""`python -m nst_jax.invert representation=vgg19 layer=relu4_2 content=tubingen`: one inversion, or `--resume DIR`."""

import sys

import nst_jax
from nst_jax.system.cli import run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.invert")

from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import from_command_line, register
from nst_jax.distributed import check_environment
from nst_jax.errors import InputError
from nst_jax.invert.config import InvertConfig
from nst_jax.runner.run import run_config
from nst_jax.sweeps.resume import resume_folder

register("invert_schema", InvertConfig)


def main() -> int:
    """Runs the command line; returns 0, 2 for bad input, 130 when interrupted."""
    return run_cli(_act)


def _act() -> int:
    line = parse_command_line(sys.argv[1:], InvertConfig)
    if line.version:
        print(f"nst_jax {nst_jax.__version__}")
        return 0
    if line.plan or line.imports:
        raise InputError("--plan and --import must be left out for an inversion; its memory is checked before the first step")
    if line.works:
        check_environment()
    if line.resume:
        return resume_folder(line)
    sys.argv[1:] = line.hydra
    return run_config(from_command_line("invert", InvertConfig), line)


if __name__ == "__main__":
    sys.exit(main())
