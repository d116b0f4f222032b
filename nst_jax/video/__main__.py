"""`python -m nst_jax.video content.path=in.mp4 style.path=painting.jpg`: a painted film, or `--resume DIR`."""

import sys

import nst_jax
from nst_jax.system.cli import run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.video")

from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import from_command_line, import_modules
from nst_jax.distributed import check_environment
from nst_jax.runner.run import run_config
from nst_jax.sweeps.member import run_member
from nst_jax.sweeps.resume import resume_folder
from nst_jax.video.config import VideoConfig


def main() -> int:
    """Runs the command line; returns 0, 1 if members of a sweep failed, 2 for bad input, 130 when interrupted."""
    return run_cli(_act)


def _act() -> int:
    line = parse_command_line(sys.argv[1:], VideoConfig)
    if line.version:
        print(f"nst_jax {nst_jax.__version__}")
        return 0
    import_modules(line.imports)
    if line.works:
        check_environment()
    if line.resume:
        return resume_folder(line)
    sys.argv[1:] = line.hydra
    if (config := from_command_line("video", VideoConfig, run_member)) is None:
        return 0
    return run_config(config, line)


if __name__ == "__main__":
    sys.exit(main())
