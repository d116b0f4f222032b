"""Going on with a sweep: what is done stays; what was interrupted or has failed goes on; what waits begins."""

import os
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from nst_jax.config.compose import as_config
from nst_jax.config.schema import Config
from nst_jax.runner.prepare import specify
from nst_jax.runner.resume import resume
from nst_jax.runner.run import run
from nst_jax.runs.manifest import in_start_directory
from nst_jax.sweeps.finish import always_summarize, conclude
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import Grid
from nst_jax.sweeps.member import Member, ended, failed, in_folder, warm_started
from nst_jax.sweeps.search import search_on
from nst_jax.system.data_files import data_folder


def resume_sweep(path: Path) -> None:
    """Goes on with the sweep in the folder `path`, one member after the other, whatever its launcher was.

    Raises:
        InputError: no sweep is there.
        MembersFailed: some members still have no picture.
    """
    sweep = Resumed(SweepFolder(path.absolute()))
    record = sweep.folder.read()
    with in_start_directory(record), always_summarize(sweep.folder):
        sweep.launch([member["overrides"] for member in record["members"]])
        if record.get("search"):
            search_on(sweep)
        conclude(sweep.folder)


class Resumed:
    """What checks and runs the members of a sweep without the command line that it began with."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder

    def check(self, grid: Grid, first: int = 0) -> list[Member]:
        """Composes every member, numbered from `first`, and checks its settings."""
        members = []
        for number, overrides in enumerate(grid.members, first):
            members.append(Member(number, str(number), _compose(overrides, self.folder.path / str(number))))
            specify(members[-1].config)
        return members

    def launch(self, overrides: Sequence[Sequence[str]], first: int = 0) -> None:
        """Runs those members that have no picture yet, numbered from `first`."""
        members = self.folder.read()["members"]
        for number, line in enumerate(overrides, first):
            if members[number]["status"] != "done":
                _go_on(self.folder, number, line)


def _go_on(sweep: SweepFolder, number: int, overrides: Sequence[str]) -> None:
    folder = sweep.member(number)
    try:
        config = warm_started(_compose(overrides, folder.path), sweep, number)
        if (folder.path / "config.yaml").exists():
            folder, outcome = resume(folder.path)
        else:
            folder, outcome = run(config)
    except Exception as error:
        failed(sweep, number, error)
        return
    ended(sweep, number, config, folder, outcome)
    if outcome and outcome.stopped:
        raise KeyboardInterrupt


def _compose(overrides: Sequence[str], path: Path) -> Config:
    """The config of a member, as it was composed when the sweep began."""
    with initialize_config_dir(os.path.abspath(data_folder("configs")), version_base="1.3"):
        composed = compose("config", list(overrides), return_hydra_config=False)
    with open_dict(composed):
        composed.pop("hydra", None)
    return in_folder(as_config(composed), path)
