"""One member of a sweep: the config that Hydra composes for it, and its run, which tells the sweep's folder how it ended."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import open_dict

from nst_jax.config.compose import as_config, to_yaml
from nst_jax.config.schema import Config
from nst_jax.errors import InputError
from nst_jax.job import Result
from nst_jax.runner.prepare import PREVIOUS
from nst_jax.runner.resume import resume
from nst_jax.runner.run import print_summary, run
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.system.compilation_cache import use_compilation_cache


class Member(NamedTuple):
    """A member's number in its sweep, the name of its folder there, and its config."""

    number: int
    folder: str
    config: Config


def compose_member(context: HydraContext, master: Any, overrides: Sequence[str], number: int) -> Member:
    """What Hydra makes of a member's overrides.

    Raises:
        InputError: a setting that there is not, or that a member cannot have.
    """
    composed = context.config_loader.load_sweep_config(master, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    folder = str(composed.hydra.sweep.subdir)
    path = Path(composed.hydra.sweep.dir) / folder
    with open_dict(composed):
        del composed["hydra"]
    return Member(number, folder, in_folder(as_config(composed), path))


def in_folder(config: Config, path: Path | str) -> Config:
    """The config with the folder that a sweep has made for it."""
    if config.run.dir is not None:
        raise InputError(
            f"run.dir must not be set with -m, got {config.run.dir!r}; set hydra.sweep.dir, the folder of them all"
        )
    if config.scale.hosts == "auto":
        raise InputError("scale.hosts must be off with -m, got 'auto'; start each run with its own processes, or sweep on one")
    return replace(config, run=replace(config.run, dir=str(path)))


def warm_started(config: Config, sweep: SweepFolder, number: int) -> Config:
    """With `init=previous` it starts from the picture of the member before; the first one of a sweep as by default."""
    if config.init != PREVIOUS:
        return config
    return replace(config, init=str(sweep.member(number - 1).result) if number else Config.init)


def run_member(composed: Any) -> None:
    """Runs the member that Hydra is at, wherever its launcher has brought it. A failure is noted, not raised."""
    hydra = HydraConfig.get()
    config = in_folder(as_config(composed), hydra.runtime.output_dir)
    run_numbered(SweepFolder(Path(hydra.sweep.dir)), int(hydra.job.num), config)


def run_numbered(sweep: SweepFolder, number: int, config: Config) -> None:
    """Runs a member, or goes on with it where a process that was killed has left it. A failure is noted, not raised."""
    use_compilation_cache()
    try:
        config = warm_started(config, sweep, number)
        folder = RunFolder(Path(str(config.run.dir)))
        folder, outcome = resume(folder.path) if _was_begun(folder, config) else run(config)
    except Exception as error:
        failed(sweep, number, error)
    else:
        ended(sweep, number, config, folder, outcome)
        if outcome and outcome.stopped:
            raise KeyboardInterrupt  # and with it the sweep


def _was_begun(folder: RunFolder, config: Config) -> bool:
    """Whether the folder holds this very run: a launcher has begun it before, in a process that was killed since."""
    return (folder.path / "config.yaml").exists() and folder.read_config() == to_yaml(config)


def ended(sweep: SweepFolder, number: int, config: Config, folder: RunFolder, outcome: Result | None) -> None:
    """Notes that a member has its picture, and says so if it has it only now."""
    sweep.note(number, "interrupted" if outcome and outcome.stopped else "done")
    if outcome:
        print_summary(folder, outcome, config.run.quiet)


def failed(sweep: SweepFolder, number: int, error: Exception) -> None:
    """Notes and says why a member has no picture; of an error that is not the user's, where it happened too."""
    said = " ".join((str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}").split())
    if not isinstance(error, InputError):
        traceback.print_exception(error)
    sweep.note(number, "failed", said)
    print(f"error: member {number} of the sweep failed: {said}", file=sys.stderr, flush=True)
