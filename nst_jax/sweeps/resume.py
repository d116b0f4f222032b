"""Resumes a sweep: members that are done stay, the others are resumed or run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf.errors import OmegaConfBaseException

from nst_jax.config.command_line import CommandLine
from nst_jax.config.compose import check_imported, explain
from nst_jax.distributed import translate_device_errors
from nst_jax.errors import InputError
from nst_jax.runner.prepare import silenced
from nst_jax.runner.resume import resume
from nst_jax.runner.run import conclude
from nst_jax.runs.manifest import in_start_directory
from nst_jax.sweeps.finish import summarized
from nst_jax.sweeps.folder import SweepFolder, is_sweep
from nst_jax.sweeps.member import Member
from nst_jax.sweeps.search import search_on
from nst_jax.sweeps.sweep import Sweep
from nst_jax.system import data_folder
from nst_jax.system.compilation_cache import use_compilation_cache


def resume_folder(line: CommandLine) -> int:
    """Resumes the run or the sweep that the command line names; returns the exit code."""
    assert line.resume
    use_compilation_cache()
    with translate_device_errors():
        if is_sweep(line.resume):
            resume_sweep(line.resume, quiet=line.quiet)
            return 0
        return conclude(*resume(line.resume, quiet=line.quiet), quiet=line.quiet, as_json=line.json, show=line.open)


def resume_sweep(path: Path, *, quiet: bool = False) -> None:
    """Resumes the sweep in the folder `path`, one member after another, whatever its launcher was; only errors if `quiet`.

    Raises:
        InputError: there is no sweep, or the configs that it was composed from are missing or have changed.
        MembersFailed: some members still have no picture.
    """
    folder = SweepFolder(path.absolute())
    record = folder.read()
    with in_start_directory(record), _hydra(record["composition"]) as (context, master):
        sweep = Sweep(context, master, None, folder.path)
        members = _unfinished(sweep, record)
        _check_imports(sweep, members, record)
        if quiet:
            members = [member._replace(config=silenced(member.config)) for member in members]
        with summarized(folder, quiet=quiet):
            sweep.launch(members)
            if record["search"]:
                search_on(sweep, quiet=quiet)


def _unfinished(sweep: Sweep, record: dict[str, Any]) -> list[Member]:
    """The members without a picture, as they were composed when the sweep began."""
    members: list[Member] = []
    for number, noted in enumerate(record["members"]):
        if noted["status"] == "done":
            continue
        member = sweep.compose(noted["overrides"], number, folder=noted["folder"])
        if noted["sha256"] not in ("", member.sha256):
            raise InputError(
                f"member {number} of the sweep must have the settings it began with, got others from the same overrides;"
                " restore the configs, or begin a new sweep"
            )
        members.append(member)
    return members


def _check_imports(sweep: Sweep, members: list[Member], record: dict[str, Any]) -> None:
    """Refuses to import what the record names, also in trials to come."""
    trials = [sweep.compose(record["search"]["fixed"], len(record["members"]))] if record["search"] else []
    for member in (*members, *trials):
        check_imported(member.config, "sweep", "give each again: nst_jax.run --resume DIR --import MODULE")


@contextmanager
def _hydra(composition: Mapping[str, Any]) -> Iterator[tuple[HydraContext, Any]]:
    """Hydra with the search path that the sweep began with. Its errors become InputErrors."""
    main = composition["config_path"] or os.path.abspath(data_folder("configs"))
    for directory in (main, *composition["config_dirs"]):
        if not os.path.isabs(directory) or not os.path.isdir(directory):
            raise InputError(f"configs of the sweep must be in {directory}, got no such folder; restore it")
    try:
        with initialize_config_dir(main, version_base="1.3"):
            loader: Any = GlobalHydra.instance().config_loader()
            for directory in composition["config_dirs"]:
                loader.config_search_path.prepend("command-line", f"file://{directory}", SearchPathQuery("schema", None))
            loader.repository.initialize_sources(loader.config_search_path)
            yield HydraContext(loader, None), loader.load_configuration(composition["config_name"], [], RunMode.MULTIRUN)  # pyright: ignore[reportArgumentType]
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
