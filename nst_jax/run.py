"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import sys

from nst_jax.system.cli import start

if __name__ == "__main__":
    start("-m", "nst_jax.run")

from nst_jax.command.settings import run_settings
from nst_jax.config.schema import Config


def main() -> int:
    """Runs the command line; returns the exit code: see `run_settings`."""
    return run_settings("config", Config)


if __name__ == "__main__":
    sys.exit(main())
