"""`python -m nst_jax.invert representation=vgg19 layer=relu4_2 content=tubingen`: one inversion, or `--resume DIR`."""

import sys

from nst_jax.system.cli import start

if __name__ == "__main__":
    start("-m", "nst_jax.invert")

from nst_jax.command.settings import run_settings
from nst_jax.invert.config import InvertConfig


def main() -> int:
    """Runs the command line; returns the exit code: see `run_settings`."""
    return run_settings("invert", InvertConfig, sweeps=False)


if __name__ == "__main__":
    sys.exit(main())
