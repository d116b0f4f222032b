"""The course of a sweep: its members checked, launched, and summed up, whatever the launcher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext

from nst_jax.errors import InputError
from nst_jax.runner.prepare import PREVIOUS, specify
from nst_jax.sweeps.finish import always_summarize, conclude
from nst_jax.sweeps.folder import SweepFolder, create_sweep
from nst_jax.sweeps.grid import Grid, product
from nst_jax.sweeps.member import Member, compose_member
from nst_jax.sweeps.scoring import check_score


class Sweep:
    """Hydra's side of a sweep: what composes its members, and what launches them."""

    def __init__(self, context: HydraContext, master: Any, launcher: Launcher) -> None:
        self.context, self.master, self.launcher = context, master, launcher
        self.folder = SweepFolder(Path(master.hydra.sweep.dir))

    def parse(self, settings: Mapping[str, Any], arguments: Sequence[str]) -> list[Override]:
        """The settings of a config and those of the command line, which come last."""
        lines = [f"{key}={value}" for key, value in settings.items()]
        return OverridesParser.create(config_loader=self.context.config_loader).parse_overrides([*lines, *arguments])

    def check(self, grid: Grid, first: int = 0) -> list[Member]:
        """Composes every member, numbered from `first`, and checks its settings."""
        members = [compose_member(self.context, self.master, line, first + i) for i, line in enumerate(grid.members)]
        for member in members:
            specify(member.config)
            self._check_order(member)
        return members

    def _check_order(self, member: Member) -> None:
        """Only one launcher makes sure that the picture of the member before is there."""
        if member.config.init == PREVIOUS and self._launcher_name != "basic":
            raise InputError(
                f"init={PREVIOUS} must be in a sweep that runs its members one by one,"
                f" got hydra/launcher={self._launcher_name}; leave hydra/launcher out"
            )

    @property
    def _launcher_name(self) -> str:
        return self.master.hydra.runtime.choices["hydra/launcher"]

    def launch(self, overrides: Sequence[Sequence[str]], first: int = 0) -> None:
        """Runs members; what Hydra could not even begin is noted as failed."""
        for number, ended in enumerate(self._launched(overrides, first), first):
            if ended.status == JobStatus.FAILED:
                self.folder.note(number, "failed", " ".join(str(ended._return_value).split()))

    def _launched(self, overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """What the launcher gives back. Published ones raise where there is no such cluster, or where they lose a job."""
        try:
            return self.launcher.launch(overrides, initial_job_idx=first)
        except Exception as error:
            if not type(self.launcher).__module__.startswith("hydra_plugins.hydra_"):
                raise
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"hydra/launcher={self._launcher_name} must bring every job to its end, got {type(error).__name__}: {reason};"
                f" then python -m nst_jax.run --resume {self.folder.path} goes on"
            ) from error


def run_sweep(
    sweep: Sweep,
    arguments: Sequence[str],
    *,
    params: Mapping[str, Any] | None,
    grids: Sequence[Mapping[str, Any]] | None,
    trials: int,
    at_once: int,
    score: str,
) -> None:
    """A sweep as the config of `hydra_plugins.nst_jax_sweeps.RecordedSweeper` describes it."""
    if trials:
        from nst_jax.sweeps.search import search  # it imports this module

        search(sweep, sweep.parse(params or {}, arguments), trials, at_once, score)
        return
    settings = [{**(params or {}), **grid} for grid in grids or [{}]]
    sweep_grids(sweep, [as_grid(sweep.parse(part, arguments)) for part in settings], score)


def sweep_grids(sweep: Sweep, grids: Sequence[Grid], score: str) -> None:
    """A sweep over the members of all grids, each of them checked before the first one runs.

    Args:
        sweep: where the members go.
        grids: one after the other.
        score: see `nst_jax.sweeps.scoring.factors_of`.

    Raises:
        InputError: a setting that is not sound, or a folder that holds a sweep; nothing is left then.
        MembersFailed: some have no picture; the others do.
    """
    members: list[list[Member]] = []
    for grid in grids:
        members.append(sweep.check(grid, sum(map(len, members))))
    names = [member.folder for part in members for member in part]
    if len(set(names)) < len(names):
        raise InputError(f"hydra.sweep.subdir must give each member a folder of its own, got {names}; use ${{hydra.job.num}}")
    check_score(members[0][0].config, score)
    create_sweep(sweep.folder.path, score)
    for grid, part in zip(grids, members, strict=True):
        sweep.folder.add(grid, [member.folder for member in part])
    with always_summarize(sweep.folder):
        sweep.launch([overrides for grid in grids for overrides in grid.members])
    conclude(sweep.folder)


def as_grid(overrides: Sequence[Override]) -> Grid:
    """Every combination of the values that overrides list.

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
