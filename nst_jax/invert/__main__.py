"""`python -m nst_jax.invert representation=vgg19 layer=relu4_2 content=tubingen`: config, inversion, record."""

import os
import sys
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from nst_jax.config.compose import as_config, explain, register
from nst_jax.config.quoting import quote_paths
from nst_jax.errors import InputError
from nst_jax.invert.config import InvertConfig
from nst_jax.invert.run import Inverted, run
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import format_number
from nst_jax.system.cli import INTERRUPTED, run_cli
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.data_files import data_folder

register("invert_schema", InvertConfig)


def compose() -> InvertConfig:
    """The config that the command line asks for.

    Raises:
        InputError: a group, a key or a value that there is not.
    """
    found: list[Any] = []
    try:
        hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name="invert")(found.append)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(explain(error, InvertConfig, sys.argv[1:])) from error
    if len(found) != 1:
        raise InputError("arguments must ask for one inversion, got -m; use restarts=N, or a loop of commands")
    return as_config(found[0], InvertConfig)


def _tell(folder: RunFolder, found: Inverted) -> None:
    outcome, error = found.outcomes[found.best], found.errors[found.best]
    said = "" if error is None else f", error {100 * error:.1f} % of the mean distance between pictures"
    steps, seconds = len(outcome.rows), sum(one.seconds["total"] for one in found.outcomes)
    print(f"{folder.result}: loss {format_number(outcome.rows[-1]['loss'])} after {steps} steps, {seconds:.0f} s{said}")


def main() -> int:
    """The command line; returns its exit code: 0, 2 for bad input, which is told in one line, 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    return run_cli(_act)


def _act() -> int:
    sys.argv[1:] = quote_paths(sys.argv[1:])
    config = compose()
    use_compilation_cache()
    folder, found = run(config)
    if not config.run.quiet:
        _tell(folder, found)
    return INTERRUPTED if any(outcome.stopped for outcome in found.outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
