"""A sweep from its settings to its summary: the members are composed and checked, launched, and summed up."""

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext

from nst_jax.config.schema import Config
from nst_jax.errors import InputError
from nst_jax.runner.plan import show_plan
from nst_jax.runner.prepare import PREVIOUS, picture_sources, specify
from nst_jax.runner.run import output_file
from nst_jax.sweeps.finish import summarized
from nst_jax.sweeps.folder import SweepFolder, check_override, create_sweep
from nst_jax.sweeps.grid import Grid, product
from nst_jax.sweeps.launchers.batched import program_key
from nst_jax.sweeps.member import Member, SweepComposer, compose_member, run_numbered
from nst_jax.sweeps.scoring import check_score
from nst_jax.system import data_folder
from nst_jax.video.config import VideoConfig


@runtime_checkable
class MemberLauncher(Protocol):
    """A launcher of this package: it gets members that are composed already, and each of them records how it ended."""

    def run_members(self, sweep: SweepFolder, members: Sequence[Member]) -> None:
        """Runs the members."""
        ...


class Sweep:
    """Composes, checks and runs the members of a sweep, whether it is new or resumed.

    Args:
        context: of Hydra.
        master: the config of the sweep.
        launcher: what runs the members; None for one after another in this process.
        path: the folder of the sweep.
    """

    def __init__(self, context: HydraContext, master: Any, launcher: Launcher | None, path: Path) -> None:
        if master.hydra.job.chdir:
            raise InputError("hydra.job.chdir must be false, got true; the paths of a sweep refer to the folder where it began")
        self.context, self.master, self.launcher, self.folder = context, master, launcher, SweepFolder(path)
        self._compose = SweepComposer(context.config_loader, master)
        self.launcher_name = str(master.hydra.runtime.choices["hydra/launcher"]) if launcher else "basic"

    def parse(self, settings: Mapping[str, Any], arguments: Sequence[str]) -> list[Override]:
        """Parses the settings of a config and, after them, those of the command line."""
        lines = [f"{key}={value}" for key, value in settings.items()]
        return OverridesParser.create(config_loader=self.context.config_loader).parse_overrides([*lines, *arguments])

    def compose(
        self, overrides: Sequence[str], number: int, *, swept: Collection[str] = (), folder: str | None = None
    ) -> Member:
        """Composes a member, see `nst_jax.sweeps.member.compose_member`."""
        return compose_member(self._compose, self.folder.path, overrides, number, swept, folder)

    def check(self, grid: Grid, first: int = 0) -> list[Member]:
        """Composes all members of a grid, numbered from `first`, and checks their settings and that their pictures exist."""
        for setting in {setting for line in grid.members for setting in line}:
            try:
                check_override(setting)
            except ValueError as error:
                raise InputError(
                    f'settings of a sweep must be each {error}, got {setting}; let the shell do it: "$HOME"'
                ) from error
        members = [self.compose(line, number, swept=grid.keys) for number, line in enumerate(grid.members, first)]
        for member in members:
            _check_files(member)
            if isinstance(member.config, VideoConfig) and self.launcher_name == "batched":
                raise InputError("hydra/launcher must not be batched for films, whose frames follow each other; leave it out")
            if member.config.init == PREVIOUS and self.launcher_name != "basic":
                raise InputError(
                    f"init={PREVIOUS} must be in a sweep that runs its members one by one,"
                    f" got hydra/launcher={self.launcher_name}; leave hydra/launcher out"
                )
        return members

    def create(self, members: Sequence[Member], score: str, search: Mapping[str, Any] | None = None) -> None:
        """Creates the folder, if its first members can be scored and it has room for them. Raises an InputError otherwise."""
        check_score(members[0].config, score)
        create_sweep(self.folder.path, score, search, _composition(self.master), [member.folder for member in members])

    def launch(self, members: Sequence[Member]) -> None:
        """Runs the members; each records how it ended."""
        if self.launcher_name == "basic":
            for member in members:
                run_numbered(self.folder, member.number, member.config)
        elif isinstance(self.launcher, MemberLauncher):
            self.launcher.run_members(self.folder, members)
        else:  # a published launcher, whose processes compose their members again
            lines = [[*member.overrides, f"hydra.sweep.subdir='{_escaped(member.folder)}'"] for member in members]
            for member, job in zip(members, self._jobs(lines, members[0].number), strict=False):
                if job.status == JobStatus.FAILED:
                    self.folder.note(member.number, "failed", " ".join(str(job._return_value).split()))

    def _jobs(self, lines: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        assert self.launcher
        try:
            return self.launcher.launch(lines, initial_job_idx=first)
        except Exception as error:  # there is no such cluster, or a job was lost
            if not type(self.launcher).__module__.startswith("hydra_plugins.hydra_"):
                raise
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"hydra/launcher={self.launcher_name} must run every job to its end, got {type(error).__name__}: {reason};"
                f" to continue: python -m nst_jax.run --resume {self.folder.path}"
            ) from error


def _check_files(member: Member) -> None:
    spec = specify(member.config)
    for role, source in picture_sources(member.config, spec).items():
        exists = os.path.exists if isinstance(member.config, VideoConfig) else os.path.isfile  # frames may be in a folder
        if source.path is not None and not exists(os.path.expanduser(source.path)):
            raise InputError(
                f"{role} of member {member.number} must be a file, got {source.path!r}; check the path, and put a name with"
                " commas or quotes in quotes: content.path=\"'a, b.jpg',c.jpg\""
            )


def _composition(master: Any) -> dict[str, Any]:
    """Where Hydra found the configs of the sweep."""
    sources = [(source.provider, source.path) for source in master.hydra.runtime.config_sources if source.schema == "file"]
    (main, *_) = [path for provider, path in sources if provider == "main"]
    own = os.path.realpath(main) == os.path.realpath(data_folder("configs"))
    return {
        "config_name": str(master.hydra.job.config_name),
        "config_path": None if own else os.path.abspath(main),
        "config_dirs": [os.path.abspath(path) for provider, path in sources if provider.endswith("command-line")],
    }


def _escaped(text: str) -> str:
    return text.replace("'", "\\'")  # the name of a folder holds no backslash


def sweep_grids(
    sweep: Sweep,
    arguments: Sequence[str],
    params: Mapping[str, Any],
    grids: Sequence[Mapping[str, Any]],
    *,
    score: str,
    plan: bool = False,
) -> None:
    """Runs the members of one or several grids, all of them checked before the first one runs.

    Args:
        sweep: runs the members.
        arguments: the settings of the command line, of which some list values.
        params: settings of the config, which the command line replaces.
        grids: for each grid its own settings besides; [] for a single grid without.
        score: see `nst_jax.sweeps.scoring.factors_of`.
        plan: only print what the members take, see `show_plans`.

    Raises:
        InputError: an invalid setting, or a folder that is not free; nothing is left behind.
        MembersFailed: some members have no picture.
    """
    found = [as_grid(sweep.parse({**params, **part}, arguments)) for part in grids or [{}]]
    members: list[list[Member]] = []
    for grid in found:
        members.append(sweep.check(grid, sum(map(len, members))))
    every = [member for part in members for member in part]
    if not every:
        raise InputError("a sweep must have at least one member, got an empty list of values; check the settings after -m")
    names = [member.folder for member in every]
    if len({*names}) < len(names):
        raise InputError(f"hydra.sweep.subdir must give each member a folder of its own, got {names}; use ${{hydra.job.num}}")
    outputs = [str(file) for member in every if (file := output_file(member.config))]
    if len({*outputs}) < len(outputs):
        raise InputError(
            f"run.output must give each member a file of its own, got {outputs}; leave it out, or write '${{seed}}.png'"
        )
    if plan:
        show_plans(every)
        return
    if len(every) == 1:
        print("a sweep of one member: no setting lists several values", file=sys.stderr, flush=True)
    sweep.create(every, score)
    for grid, part in zip(found, members, strict=True):
        sweep.folder.add(grid, [member.folder for member in part], [member.sha256 for member in part])
    with summarized(sweep.folder, quiet=every[0].config.run.quiet):
        sweep.launch(every)


def as_grid(overrides: Sequence[Override]) -> Grid:
    """All combinations of the values that the overrides list.

    Raises:
        InputError: an interval, which only a search takes values from.
    """
    settings: list[tuple[str, list[str]]] = []
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            settings.append((key, [override.get_value_element_as_str()]))
        elif override.is_discrete_sweep():
            settings.append((key, [str(value) for value in override.sweep_string_iterator()]))
        else:
            raise InputError(f"{key} must list its values, got an interval; for a search, experiment=search")
    return product(settings)


def show_plans(members: Sequence[Member]) -> None:
    """Prints, for each set of members with equal programs, their numbers and the plan of one of them; runs nothing.

    Raises:
        InputError: anything the user can fix in one of them.
    """
    groups: dict[Any, list[Member]] = defaultdict(list)
    for member in members:
        config = replace(member.config, init=Config.init) if member.config.init == PREVIOUS else member.config
        groups[program_key(config)].append(member._replace(config=config))
    for group in groups.values():
        print(f"member {', '.join(str(member.number) for member in group)}:", flush=True)
        show_plan(group[0].config)
