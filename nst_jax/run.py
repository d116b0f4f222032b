"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from nst_jax.cache import use_compilation_cache
from nst_jax.compose import as_config, explain, quote_paths
from nst_jax.config import Config
from nst_jax.errors import InputError
from nst_jax.job import Outcome
from nst_jax.paths import data_folder
from nst_jax.perform import run, specify
from nst_jax.resume import resume
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import short


def compose_jobs() -> list[Config]:
    """The configs that the command line asks for: one, or with `-m` one for each member of the sweep.

    Raises:
        InputError: a group, a key or a value that there is not.
    """
    jobs: list[tuple[Any, str | None]] = []

    @hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name="config")
    def keep(composed: Any) -> None:
        hydra_config = HydraConfig.get()
        jobs.append((composed, hydra_config.runtime.output_dir if hydra_config.mode == RunMode.MULTIRUN else None))

    try:
        keep()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(explain(error)) from error
    return [_in_folder(as_config(composed), folder) for composed, folder in jobs]


def _in_folder(config: Config, folder: str | None) -> Config:
    """The config with the folder that a sweep has made for it."""
    if folder is None:
        return config
    if config.run.dir is not None:
        raise InputError(
            f"run.dir must not be set with -m, got {config.run.dir!r}; set hydra.sweep.dir, the folder of them all"
        )
    return replace(config, run=replace(config.run, dir=folder))


def _folder_to_resume(arguments: list[str]) -> Path | None:
    """DIR of `--resume DIR`, `--resume=DIR` or `run.resume=DIR`, if the command line is one of these."""
    asked = re.search(r"(?<!\S)(--resume|run\.resume=)", line := " ".join(arguments))
    if not asked:
        return None
    joined = arguments if len(arguments) == 2 else arguments[0].split("=", 1) if len(arguments) == 1 else []
    if len(joined) < 2 or joined[0] not in ("--resume", "run.resume") or not joined[1]:
        raise InputError(
            f"--resume must stand alone with the folder of a run, got {line!r}; the settings are those in its config.yaml"
        )
    return Path(joined[1]).expanduser()


def _go_on(path: Path) -> None:
    folder, outcome = resume(path)
    if outcome is None:
        print(f"{folder.result}: the run has finished already; nothing to do")
    else:
        _conclude(folder, outcome, quiet=False)


def _conclude(folder: RunFolder, outcome: Outcome, quiet: bool) -> None:
    """Says where the result is; ends the program if it was interrupted."""
    if not quiet:
        where = os.path.relpath(folder.result) if folder.result.is_relative_to(Path.cwd()) else folder.result
        loss = short(outcome.rows[-1]["loss"])
        print(f"{where}: loss {loss} after {outcome.rows[-1]['step']} steps, {outcome.seconds['total']:.0f} s")
    if outcome.stopped:
        sys.exit(130)


def main() -> None:
    """The command line: exit code 0, 2 for bad input with one line that says why, 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of eigenproblems: more threads gain nothing, and wait for each other
    # Hydra finds -m only before the first KEY=VALUE.
    sys.argv[1:] = sorted(quote_paths(sys.argv[1:]), key=lambda argument: argument not in ("-m", "--multirun"))
    try:
        if path := _folder_to_resume(sys.argv[1:]):
            use_compilation_cache()
            return _go_on(path)
        configs = compose_jobs()
        for config in configs:
            specify(config)  # all members of a sweep before the first one runs
        use_compilation_cache()
        for config in configs:
            _conclude(*run(config), quiet=config.run.quiet)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
