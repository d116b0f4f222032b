"""Plugins for Hydra, which looks for them in `hydra_plugins`: a sweeper that keeps a record, and launchers.

Hydra imports this file at the start of every program that uses it, so that everything else is imported where it is needed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from nst_jax.sweeps.folder import SweepFolder
    from nst_jax.sweeps.member import Member


@dataclass
class RecordedSweeperConf:
    """`hydra/sweeper=recorded`.

    Attributes:
        params: settings of all members, as on a command line: `{loss.style_weight: "1,10"}`; the command line takes precedence.
        grids: further settings; each item is a grid of its own.
        trials: the number of members of a search; 0 runs all combinations instead.
        at_once: trials launched together; the next ones learn from them.
        score: a sum of scores of `nst_jax.evaluate`, such as lpips_alex+0.25*style_w2_vgg16: a column of the table, and what a
            search minimizes.
        plan: show what the members take, and run none: `--plan`.
    """

    _target_: str = "hydra_plugins.nst_jax_sweeps.RecordedSweeper"
    params: dict[str, Any] | None = None
    grids: list[dict[str, Any]] | None = None
    trials: int = 0
    at_once: int = 4
    score: str = ""
    plan: bool = False


@dataclass
class BatchedLauncherConf:
    """`hydra/launcher=batched`.

    Attributes:
        members: the most members in one program; null for as many as fit in memory.
    """

    _target_: str = "hydra_plugins.nst_jax_sweeps.BatchedLauncher"
    members: int | None = None


@dataclass
class RayLauncherConf:
    """`hydra/launcher=ray`.

    Attributes:
        address: HOST:PORT of a cluster, or auto for the one that this machine belongs to; null starts one on this machine.
        cpus: processor cores per member; the cores of the cluster limit how many members run at once.
        gpus: GPUs per member; with 0 it sees none.
        retries: how often a member whose process was killed is resumed.
    """

    _target_: str = "hydra_plugins.nst_jax_sweeps.RayLauncher"
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3


ConfigStore.instance().store(group="hydra/sweeper", name="recorded", node=RecordedSweeperConf, provider="nst_jax")
ConfigStore.instance().store(group="hydra/launcher", name="batched", node=BatchedLauncherConf, provider="nst_jax")
ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="nst_jax")


class RecordedSweeper(Sweeper):
    """Runs all combinations of the listed values, or a search, and keeps the record of `nst_jax.sweeps.folder`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything else."""
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)
        self._context, self._master = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Runs the members that the command line asks for."""
        from nst_jax.errors import InputError
        from nst_jax.sweeps.search import search
        from nst_jax.sweeps.sweep import Sweep, sweep_grids

        path = Path(os.path.expanduser(self._master.hydra.sweep.dir))
        sweep = Sweep(self._context, self._master, self._launcher, path)
        params, score, plan = self.options["params"] or {}, self.options["score"], self.options["plan"]
        if trials := self.options["trials"]:
            if plan:
                raise InputError("--plan must be without a search, whose settings are not known before; plan a single run")
            search(sweep, arguments, params, trials=trials, at_once=self.options["at_once"], score=score)
        else:
            sweep_grids(sweep, arguments, params, self.options["grids"] or [], score=score, plan=plan)


class _MemberLauncher(Launcher):
    """A launcher that runs members which `RecordedSweeper` has composed."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything else."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Called by other sweepers than `RecordedSweeper`."""
        from nst_jax.errors import InputError

        raise InputError("hydra/sweeper must be recorded for this hydra/launcher, got another; leave hydra/sweeper out")


class BatchedLauncher(_MemberLauncher):
    """Runs members that differ only in weights, seeds, initial images and pictures of one size in one program."""

    def run_members(self, sweep: "SweepFolder", members: "Sequence[Member]") -> None:
        """Runs the members."""
        from nst_jax.sweeps.launchers.batched import run_members

        run_members(sweep, members, self.options["members"])


class RayLauncher(_MemberLauncher):
    """Runs each member as a task of Ray, on this machine or on a cluster."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything else."""
        from nst_jax.sweeps.launchers.ray import Cluster

        self._cluster = Cluster(**self.options)

    def run_members(self, sweep: "SweepFolder", members: "Sequence[Member]") -> None:
        """Runs the members."""
        from nst_jax.sweeps.launchers.ray import run_members

        run_members(self._cluster, sweep, members)
