"""`python -m nst_jax.video content.path=in.mp4 style.path=painting.jpg`: a painted film, or `--resume DIR`."""

import sys

from nst_jax.system.cli import start

if __name__ == "__main__":
    start("-m", "nst_jax.video")

from nst_jax.command.settings import run_settings
from nst_jax.video.config import VideoConfig


def main() -> int:
    """Runs the command line; returns the exit code: see `run_settings`."""
    return run_settings("video", VideoConfig)


if __name__ == "__main__":
    sys.exit(main())
