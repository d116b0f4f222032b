"""Going on with a sweep: what is done stays; what was interrupted or has failed goes on; what waits begins."""

import os
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from nst_jax.compose import as_config
from nst_jax.config import Config
from nst_jax.paths import data_folder
from nst_jax.perform import run
from nst_jax.resume import resume
from nst_jax.runs.manifest import where_it_began
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.member import ended, failed, in_folder, warm_started
from nst_jax.sweeps.sweep import conclude, in_any_case


def resume_sweep(path: Path) -> None:
    """Goes on with the sweep in the folder `path`, one member after the other, whatever its launcher was.

    Raises:
        InputError: no sweep is there.
        MembersFailed: some members still have no picture.
    """
    sweep = SweepFolder(path.absolute())
    record = sweep.read()
    with where_it_began(record), in_any_case(sweep):
        for number, member in enumerate(record["members"]):
            if member["status"] != "done":
                _go_on(sweep, number, member)
        conclude(sweep)


def _go_on(sweep: SweepFolder, number: int, member: dict[str, Any]) -> None:
    folder = sweep.member(number)
    try:
        config = warm_started(_compose(member["overrides"], folder.path), sweep, number)
        if (folder.path / "config.yaml").exists():
            folder, outcome = resume(folder.path)
        else:
            folder, outcome = run(config)
    except Exception as error:
        failed(sweep, number, error)
        return
    if outcome is None:
        sweep.note(number, "done")
        return
    ended(sweep, number, config, folder, outcome)
    if outcome.stopped:
        raise KeyboardInterrupt


def _compose(overrides: list[str], path: Path) -> Config:
    """The config of a member, as it was composed when the sweep began."""
    with initialize_config_dir(os.path.abspath(data_folder("configs")), version_base="1.3"):
        composed = compose("config", overrides, return_hydra_config=False)
    with open_dict(composed):
        composed.pop("hydra", None)
    return in_folder(as_config(composed), path)
