"""`python -m nst_jax.invert representation=vgg19 layer=relu4_2 content=tubingen`: one inversion, or `--resume DIR`."""

import os
import sys
from typing import Any

from nst_jax.system.cli import end_at_interrupt, run_cli
from nst_jax.system.hugepages import use_hugepages

if __name__ == "__main__":
    end_at_interrupt()
    use_hugepages()

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from nst_jax.config.compose import as_config, explain, register
from nst_jax.config.quoting import quote_paths
from nst_jax.errors import InputError
from nst_jax.invert.config import InvertConfig
from nst_jax.runner.resume import folder_to_resume, resume
from nst_jax.runner.run import conclude, run
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.data_files import data_folder

register("invert_schema", InvertConfig)


def compose() -> InvertConfig:
    """The config that the command line describes.

    Raises:
        InputError: an unknown group or key, or a bad value.
    """
    found: list[Any] = []
    try:
        hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name="invert")(found.append)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(explain(error, InvertConfig, sys.argv[1:])) from error
    if len(found) != 1:
        raise InputError("arguments must ask for one inversion, got -m; use restarts=N, or a loop of commands")
    return as_config(found[0], InvertConfig)


def main() -> int:
    """The command line; returns its exit code: 0, 2 for bad input, 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    return run_cli(_act)


def _act() -> int:
    sys.argv[1:] = quote_paths(sys.argv[1:])
    path = folder_to_resume(sys.argv[1:])
    config = None if path else compose()
    use_compilation_cache()
    if path:
        return conclude(*resume(path))
    assert config is not None
    return conclude(*run(config), quiet=config.run.quiet)


if __name__ == "__main__":
    sys.exit(main())
